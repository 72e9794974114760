package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) breakGlassCommand() *cobra.Command {
	return group("break-glass", "Codes for when the server is out of reach",
		"Codes, issued beforehand and kept sealed, each of which opens a machine once while the server is out of reach.",
		a.breakGlassIssueCommand(), a.breakGlassListCommand(), a.breakGlassRevokeCommand())
}

func (a *app) breakGlassIssueCommand() *cobra.Command {
	in := api.NewGlassCodes{}
	c := &cobra.Command{
		Use:   "issue MACHINE [--count N]",
		Short: "Issue codes for a machine and print them this one time",
		Long: `Issue codes for a machine and print them this one time. Seal them and keep them where they are found in an emergency.
Each opens one port of the machine once, with postern agent break-glass on the machine itself, without the server. A year
later they are good for nothing. Each use leaves a review with whoever issued the code.`,
		Example: "  postern break-glass issue web-1 --count 5",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			issued, err := cl.IssueGlassCodes(c.Context(), args[0], in)
			if err != nil {
				return err
			}
			if a.output != "table" {
				return printItem(a, issued, []column[api.GlassCodes]{
					{"Machine", func(_ style, g api.GlassCodes) string { return g.Machine }},
					{"Codes", func(_ style, g api.GlassCodes) string { return strings.Join(g.Codes, " ") }},
				})
			}
			for _, code := range issued.Codes {
				a.line("%s", code)
			}
			a.say("On %s, which asks for a code: postern agent break-glass --port 22 --from ADDRESS --for 30m --reason TEXT", issued.Machine)
			return nil
		},
	}
	amountFlag(c, &in.Count, "count", 1, "how many codes")
	return c
}

func (a *app) breakGlassListCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "list MACHINE",
		Short:             "List the codes of a machine, without the codes themselves",
		Long:              "List the codes of a machine: unused, used, and those of late that have expired or were revoked. Nobody can see a code again.",
		Example:           "  postern break-glass list web-1",
		Args:              takes(1, 1),
		ValidArgsFunction: a.machines,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			codes, err := cl.GlassCodes(c.Context(), args[0])
			if err != nil {
				return err
			}
			return printList(a, codes, []column[api.GlassCode]{
				{"ID", func(s style, g api.GlassCode) string { return s.id(g.ID) }},
				{"STATE", func(_ style, g api.GlassCode) string { return g.State }},
				{"LONGEST", func(_ style, g api.GlassCode) string { return seconds(g.MaxSeconds) }},
				{"ISSUED BY", func(_ style, g api.GlassCode) string { return g.IssuedBy }},
				{"ISSUED", func(s style, g api.GlassCode) string { return s.time(g.IssuedAt) }},
				{"GOOD UNTIL", func(s style, g api.GlassCode) string { return s.time(g.ExpiresAt) }},
			}, "There are no codes. Issue some with: postern break-glass issue "+args[0])
		},
	}
}

func (a *app) breakGlassRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke MACHINE",
		Short: "End the unused codes of a machine",
		Long: `End all codes of a machine that are not used, because they were lost or somebody has left. Its agent learns of it at
once; one that is out of reach goes on taking them, and what it opens is recorded when it is back.`,
		Example:           "  postern break-glass revoke web-1",
		Args:              takes(1, 1),
		ValidArgsFunction: a.machines,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			n, err := cl.RevokeGlassCodes(c.Context(), args[0])
			if err != nil {
				return err
			}
			a.say("%s of %s can be used no more.", count(n, "code"), args[0])
			return nil
		},
	}
}
