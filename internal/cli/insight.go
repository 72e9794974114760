package cli

import (
	"context"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func accessColumns() []column[api.Access] {
	return []column[api.Access]{
		{"WHO", func(_ style, v api.Access) string { return v.Principal }},
		{"MACHINE", func(_ style, v api.Access) string { return v.Machine }},
		{"PORT", func(_ style, v api.Access) string { return v.Ports + "/" + v.Protocol }},
		{"FROM", func(s style, v api.Access) string { return s.list(v.Sources) }},
		{"SINCE", func(s style, v api.Access) string { return s.time(v.From) }},
		{"UNTIL", func(s style, v api.Access) string {
			if v.Until == nil && !s.plain {
				return "not seen closed"
			}
			return s.timeIf(v.Until)
		}},
		{"SEEN", func(_ style, v api.Access) string { return yesNo(v.Seen) }},
		{"BY", func(_ style, v api.Access) string {
			if v.ByCode {
				return "code"
			}
			return "grant"
		}},
		{"REQUEST", func(s style, v api.Access) string { return s.id(v.Request) }},
	}
}

func (a *app) insightCommand() *cobra.Command {
	return group("insight", "Show access to check: still open, unused, foreign firewall rules",
		`Show access that may still be open, access that is granted but unused, and what other firewall rules do at guarded
ports.`,
		a.listing(a.insightNotClosedCommand()), a.listing(a.insightUnusedCommand()),
		a.listing(a.insightNeverUsedCommand()), a.listing(a.insightForeignCommand()))
}

func (a *app) insightNotClosedCommand() *cobra.Command {
	var machine, who string
	c := &cobra.Command{
		Use: "not-closed", Short: "List access that may still be open without a grant",
		Long: `List access that may still be open although no grant is in force: access that ended and that no agent has seen
closed, because it is unreachable or has not reported yet, and what break-glass codes opened on machines, which
closes only at its end. The kernel closes each of them at its end in any case.`,
		Example: "  postern insight not-closed\n  postern insight not-closed --machine web-1", Args: takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			list, err := api.All(cl.NotClosed(c.Context(), machine, who))
			if err != nil {
				return err
			}
			return printList(a, list,
				append(accessColumns(),
					column[api.Access]{"END", func(s style, v api.Access) string { return s.time(v.End) }}),
				"Everything that ended was seen closed.")
		}),
	}
	c.Flags().StringVar(&machine, "machine", "", "filter by machine")
	c.Flags().StringVar(&who, "who", "", "filter by principal; me is you")
	return c
}

func (a *app) insightUnusedCommand() *cobra.Command {
	var days int
	c := &cobra.Command{
		Use: "unused", Short: "List people with unused rights to access",
		Long: `List people who may request access through a role, or activate a role that they are eligible for, directly or
through a group, and have not done so for the given number of days.`, Example: "  postern insight unused --days 30",
		Args: takes(0, 0),
		RunE: list(a, []column[api.Eligible]{
			{"WHO", func(_ style, v api.Eligible) string { return v.Principal }},
			{"VIA", func(_ style, v api.Eligible) string { return v.Via }},
			{"ROLE", func(_ style, v api.Eligible) string { return v.Role }},
			{"SCOPE", func(s style, v api.Eligible) string { return shortScope(s, v.Scope) }},
			{"BY", func(_ style, v api.Eligible) string {
				if v.Eligibility != "" {
					return "eligibility"
				}
				return "assignment"
			}},
			{"ID", func(s style, v api.Eligible) string { return s.id(v.Assignment + v.Eligibility) }},
		}, "All rights to access were used.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Eligible, error] {
				return cl.Unused(ctx, days)
			}),
	}
	amountFlag(c, &days, "days", 90, "number of days")
	return c
}

func (a *app) insightNeverUsedCommand() *cobra.Command {
	var days int
	c := &cobra.Command{
		Use: "never-used", Short: "List unused grants",
		Long:    "List grants of the given number of days that were in force and ended without a packet, newest first.",
		Example: "  postern insight never-used --days 30", Args: takes(0, 0),
		RunE: list(a, []column[api.Grant]{
			{"ID", func(s style, g api.Grant) string { return s.id(g.ID) }},
			{"WHO", func(_ style, g api.Grant) string { return g.Principal }},
			{"MACHINE", func(_ style, g api.Grant) string { return g.Machine }},
			{"PORT", func(_ style, g api.Grant) string { return g.Ports + "/" + g.Protocol }},
			{"OPENED", func(s style, g api.Grant) string { return s.timeIf(g.OpenedAt) }},
			{"ENDED", func(s style, g api.Grant) string { return s.timeIf(g.EndedAt) }},
		}, "Every grant that ended was used.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Grant, error] {
				return cl.NeverUsed(ctx, days)
			}),
	}
	amountFlag(c, &days, "days", 90, "number of days")
	return c
}

func (a *app) insightForeignCommand() *cobra.Command {
	return &cobra.Command{
		Use: "foreign-rules", Short: "List other firewall rules at guarded ports",
		Long: `List rules of other firewall tables that affect guarded ports, as found by the agents: rules that accept connections
there even without Postern, rules that block what Postern opens or may do so through something that is not
understood, and rules that let packets bypass Postern.`,
		Example: "  postern insight foreign-rules", Args: takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			found, err := api.All(cl.ForeignRules(c.Context()))
			if err != nil {
				return err
			}
			type row struct {
				api.ForeignRule

				Agent    string   `json:"agent"`
				Machines []string `json:"machines"`
			}
			var rows []row
			for _, at := range found {
				for _, r := range at.Rules {
					rows = append(rows, row{r, at.Agent, at.Machines})
				}
			}
			return printList(a, rows, []column[row]{
				{"AGENT", func(_ style, r row) string { return r.Agent }},
				{"MACHINES", func(s style, r row) string { return s.list(r.Machines) }},
				{"TABLE", func(_ style, r row) string { return r.Table }},
				{"CHAIN", func(_ style, r row) string { return r.Chain }},
				{"DOES", func(_ style, r row) string { return r.Effect }},
				{"PORT", func(_ style, r row) string { return strings.TrimSuffix(r.Ports+"/"+r.Protocol, "/") }},
				{"RULE", func(_ style, r row) string { return r.Text }},
			}, "The agents found none.")
		}),
	}
}
