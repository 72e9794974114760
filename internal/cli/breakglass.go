package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) breakGlassCommand() *cobra.Command {
	return group("break-glass", "Manage break-glass codes",
		"Break-glass codes are issued in advance and stored safely. Each opens a machine once while the server is "+
			"unreachable.",
		a.breakGlassIssueCommand(), a.listing(a.breakGlassListCommand()), a.breakGlassRevokeCommand())
}

func (a *app) breakGlassIssueCommand() *cobra.Command {
	in := api.NewGlassCodes{}
	c := &cobra.Command{
		Use:   "issue MACHINE [--count N]",
		Short: "Issue break-glass codes for a machine and print them once",
		Long: `Issue break-glass codes for a machine and print them once. Seal them and store them where they can be found in an
emergency. Each opens one port of the machine once, with postern agent break-glass on the machine itself, without
the server. They expire after one year. Each use creates a review for the person who issued the code.`,
		Example: "  postern break-glass issue web-1 --count 5",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			issued, err := cl.IssueGlassCodes(c.Context(), args[0], in)
			if err != nil {
				return err
			}
			if !a.forPeople() {
				return printItem(a, issued, []column[api.GlassCodes]{
					{"Machine", func(_ style, g api.GlassCodes) string { return g.Machine }},
					{"Codes", func(_ style, g api.GlassCodes) string { return strings.Join(g.Codes, " ") }},
				})
			}
			for _, code := range issued.Codes {
				a.line("%s", code)
			}
			a.say("On %s, which prompts for a code: postern agent break-glass --port 22 --from ADDRESS --for 30m "+
				"--reason TEXT",
				issued.Machine)
			return nil
		}),
	}
	amountFlag(c, &in.Count, "count", 1, "number of codes")
	return c
}

func (a *app) breakGlassListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list MACHINE",
		Short: "List the break-glass codes of a machine, but not the codes themselves",
		Long: `List the break-glass codes of a machine: unused, used, and recently expired or revoked. The codes themselves are
never shown again.`,
		Example: "  postern break-glass list web-1",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
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
				{"VALID UNTIL", func(s style, g api.GlassCode) string { return s.time(g.ExpiresAt) }},
			}, "There are no codes. Issue some with: postern break-glass issue "+args[0])
		}),
	}
}

func (a *app) breakGlassRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke MACHINE",
		Short: "Revoke the unused break-glass codes of a machine",
		Long: `Revoke all unused break-glass codes of a machine because they were lost or someone has left. Its agent learns of it
at once. An unreachable agent still accepts them, and what it opens is recorded when it is back.`,
		Example: "  postern break-glass revoke web-1",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			n, err := cl.RevokeGlassCodes(c.Context(), args[0])
			if err != nil {
				return err
			}
			a.say("%s of %s can be used no more.", count(n, "code"), args[0])
			return nil
		}),
	}
}
