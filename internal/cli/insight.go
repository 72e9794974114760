package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) auditWhoCommand() *cobra.Command {
	var machine, at string
	c := &cobra.Command{
		Use: "who --machine MACHINE [--at TIME]", Short: "Who had access to a machine at an instant",
		Long: `Who had access to a machine at an instant: by grants, what an agent had seen open and not yet seen gone, and what should
have been open and no agent spoke of; and by codes for emergencies, what was opened on the machine itself. Without --at,
now.`,
		Example: "  postern audit who --machine web-1\n  postern audit who --machine web-1 --at \"2026-01-31 15:04\"", Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if machine == "" {
				return usage(c, "which machine? Give --machine NAME")
			}
			var instant time.Time
			if at != "" {
				var err error
				if instant, err = parseTime(at, a.now(), a.local); err != nil {
					return usage(c, "--at: %s", err)
				}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			list, err := api.All(cl.WhoHad(c.Context(), machine, instant))
			if err != nil {
				return err
			}
			return printList(a, list, accessColumns(), "Nobody had access then.")
		},
	}
	c.Flags().StringVar(&machine, "machine", "", "name or id of the machine")
	c.Flags().StringVar(&at, "at", "", "the instant (default now)")
	return c
}

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
	return group("insight", "What is not closed, what is not needed, and other firewall rules",
		"What may be open though it should not be, what is granted and not needed, and what other firewall rules do at guarded ports.",
		a.insightNotClosedCommand(), a.insightUnusedCommand(), a.insightNeverUsedCommand(), a.insightForeignCommand())
}

func (a *app) insightNotClosedCommand() *cobra.Command {
	var machine, who string
	c := &cobra.Command{
		Use: "not-closed", Short: "List what may be open though no grant in force says so",
		Long: `List what may be open though no grant in force says so: access that ended and that no agent has seen closed, since it is
out of reach or has yet to say so, and what codes for emergencies opened on machines, which nothing but its time closes.
In the kernel, each closes at its end all the same.`,
		Example: "  postern insight not-closed\n  postern insight not-closed --machine web-1", Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			list, err := api.All(cl.NotClosed(c.Context(), machine, who))
			if err != nil {
				return err
			}
			return printList(a, list, append(accessColumns(), column[api.Access]{"END", func(s style, v api.Access) string { return s.time(v.End) }}),
				"Everything that ended was seen closed.")
		},
	}
	c.Flags().StringVar(&machine, "machine", "", "only on this machine")
	c.Flags().StringVar(&who, "who", "", "only of this principal; me is you")
	return c
}

func (a *app) insightUnusedCommand() *cobra.Command {
	var days int
	c := &cobra.Command{
		Use: "unused", Short: "List who may ask for access and has not for long",
		Long: "List who may ask for access by a role, or activate a role that they are eligible for, themselves or by a group of theirs, and has not for so many days.", Example: "  postern insight unused --days 30",
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			list, err := api.All(cl.Unused(c.Context(), days))
			if err != nil {
				return err
			}
			return printList(a, list, []column[api.Eligible]{
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
			}, "Everybody who may ask has asked.")
		},
	}
	amountFlag(c, &days, "days", 90, "for how many days")
	return c
}

func (a *app) insightNeverUsedCommand() *cobra.Command {
	var days int
	c := &cobra.Command{
		Use: "never-used", Short: "List grants that nobody used",
		Long:    "List grants of so many days that were in force and ended without a packet, the newest first.",
		Example: "  postern insight never-used --days 30", Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			list, err := api.All(cl.NeverUsed(c.Context(), days))
			if err != nil {
				return err
			}
			return printList(a, list, []column[api.Grant]{
				{"ID", func(s style, g api.Grant) string { return s.id(g.ID) }},
				{"WHO", func(_ style, g api.Grant) string { return g.Principal }},
				{"MACHINE", func(_ style, g api.Grant) string { return g.Machine }},
				{"PORT", func(_ style, g api.Grant) string { return g.Ports + "/" + g.Protocol }},
				{"OPENED", func(s style, g api.Grant) string { return s.timeIf(g.OpenedAt) }},
				{"ENDED", func(s style, g api.Grant) string { return s.timeIf(g.EndedAt) }},
			}, "Every grant that ended was used.")
		},
	}
	amountFlag(c, &days, "days", 90, "of how many days")
	return c
}

func (a *app) insightForeignCommand() *cobra.Command {
	return &cobra.Command{
		Use: "foreign-rules", Short: "List other firewall rules at guarded ports",
		Long: `List rules of other firewall tables that touch guarded ports, as the agents found them: those that accept connections
there whatever Postern says in its absence, those that keep closed what Postern opens, or may do so by something that is
not understood, and those that take packets past Postern.`,
		Example: "  postern insight foreign-rules", Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
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
			}, "No agent found any.")
		},
	}
}
