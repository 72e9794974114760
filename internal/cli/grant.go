package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) grantCommand() *cobra.Command {
	return group("grant", "View grants",
		"Grants are created by approved requests: one for each port of a machine, or one for a role.",
		a.listing(a.grantListCommand()), a.grantShowCommand())
}

// whatOf names what a grant is of: "web-1 22/tcp", or the role.
func whatOf(g api.Grant) string {
	if g.Role != nil {
		return "role " + g.Role.Name
	}
	return g.Machine + " " + portText(g.Ports, g.Protocol)
}

// live are the states of a grant that has not ended.
func live() []string { return []string{"scheduled", "opening", "active", "failed"} }

func grantColumns() []column[api.Grant] {
	return []column[api.Grant]{
		{"ID", func(s style, g api.Grant) string { return s.id(g.ID) }},
		{"MACHINE", func(s style, g api.Grant) string {
			if g.Role != nil {
				return shortScope(s, g.Role.Scope)
			}
			return g.Machine
		}},
		{"PORTS", func(_ style, g api.Grant) string {
			if g.Role != nil {
				return g.Role.Name
			}
			return portText(g.Ports, g.Protocol)
		}},
		{"FROM", func(s style, g api.Grant) string { return s.list(g.Sources) }},
		{"WHO", func(_ style, g api.Grant) string { return g.Principal }},
		{"STATE", func(_ style, g api.Grant) string { return stateText(g) }},
		{"UNTIL", func(s style, g api.Grant) string {
			switch {
			case s.plain:
				return s.time(g.End)
			case g.EndedAt != nil:
				return "ended " + s.left(*g.EndedAt)
			case g.Start.After(s.now):
				return "starts " + s.clock(g.Start)
			default:
				return s.clock(g.End) + " (" + s.left(g.End) + ")"
			}
		}},
	}
}

// grantDetails are what a list of grants says where there is room for it.
func grantDetails() []column[api.Grant] {
	return []column[api.Grant]{
		{"REQUEST", func(s style, g api.Grant) string { return s.id(g.Request) }},
		{"START", func(s style, g api.Grant) string { return s.time(g.Start) }},
		{"SEEN OPEN", func(s style, g api.Grant) string { return s.timeIf(g.OpenedAt) }},
		{"ENDED", func(s style, g api.Grant) string { return s.timeIf(g.EndedAt) }},
		{"SEEN CLOSED", func(s style, g api.Grant) string { return s.timeIf(g.ClosedAt) }},
		{"PACKETS", func(_ style, g api.Grant) string { return strconv.FormatUint(g.Packets, 10) }},
		{"BYTES", func(_ style, g api.Grant) string { return strconv.FormatUint(g.Bytes, 10) }},
		{"STATE REASON", func(_ style, g api.Grant) string { return g.Reason }},
	}
}

func (a *app) grantListCommand() *cobra.Command {
	var states []string
	var machine, principal string
	var all bool
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List open and scheduled grants",
		Long:  "List the grants that have not ended, newest first: your own, and those on machines that you may read.",
		Example: `  postern grant list
  postern grant list --machine web-1 --all
  postern grant list --who me --state active -o json`,
		Args: takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			if len(states) == 0 && !all {
				states = live()
			}
			grants, err := shown(a,
				cl.Grants(c.Context(), api.GrantQuery{States: states, Machine: machine, Principal: principal}), limit)
			if err != nil {
				return err
			}
			none := "No grants found."
			if !all && !c.Flags().Changed("state") {
				held, err := take(cl.NotClosed(c.Context(), machine, principal), 1000)
				switch none = "Nothing is open."; {
				case err != nil && !missing(err):
					return err
				case err != nil: // a server of before does not tell
					none = "No grant is in force."
				case len(held) > 0:
					none = "No grant is in force."
					defer a.say("%s may still be open: access that was not seen closed, or that a break-glass code "+
						"opened. See: postern insight not-closed",
						count(len(held), "port or range"))
				}
				none += " Request access with: postern request MACHINE --port PORT --reason TEXT"
			}
			return printList(a, grants, grantColumns(), none, grantDetails()...)
		}),
	}
	f := c.Flags()
	f.StringSliceVar(&states, "state", nil,
		"filter by state: scheduled, opening, active, failed, expired, revoked, superseded")
	f.BoolVar(&all, "all", false, "include grants that have ended")
	f.StringVar(&machine, "machine", "", "filter by machine")
	f.StringVar(&principal, "who", "", "filter by principal; me is you")
	amountFlag(c, &limit, "limit", 1000, "maximum number of results")
	return c
}

func (a *app) grantShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show GRANT",
		Short: "Show a grant, and when it was seen open and closed",
		Long: "Show a grant, and when it was seen open and closed. GRANT is an id or its last characters as " +
			"shown in lists.",
		Example: "  postern grant show 7f3a9c12",
		Args:    takes(1, 1),
		RunE: show(a, []column[api.Grant]{
			{"Id", func(_ style, g api.Grant) string { return g.ID }},
			{"Request", func(_ style, g api.Grant) string { return g.Request }},
			{"Who", func(_ style, g api.Grant) string { return g.Principal }},
			{"Machine", func(_ style, g api.Grant) string { return g.Machine }},
			{"Ports", func(_ style, g api.Grant) string { return portText(g.Ports, g.Protocol) }},
			{"From", func(_ style, g api.Grant) string { return strings.Join(g.Sources, ",") }},
			{"State", func(_ style, g api.Grant) string { return stateText(g) }},
			{"Reason", func(_ style, g api.Grant) string { return g.Reason }},
			{"Moved from", func(s style, g api.Grant) string {
				if g.MovedFrom == "" {
					return ""
				}
				return "grant " + s.id(g.MovedFrom)
			}},
			{"Start", func(s style, g api.Grant) string { return s.time(g.Start) }},
			{"End", func(s style, g api.Grant) string { return s.time(g.End) }},
			{"Seen open", func(s style, g api.Grant) string { return s.timeIf(g.OpenedAt) }},
			{"Ended", func(s style, g api.Grant) string { return s.timeIf(g.EndedAt) }},
			{"Seen closed", func(s style, g api.Grant) string { return s.timeIf(g.ClosedAt) }},
			{"Traffic", func(_ style, g api.Grant) string {
				return count(int(g.Packets), "packet") + ", " + count(int(g.Bytes), "byte") //nolint:gosec // for people
			}},
		}, func(ctx context.Context, cl *api.Client, args []string) (api.Grant, error) {
			return findGrant(ctx, cl, args[0])
		}),
	}
}

// stateText gives how a grant stands, in words.
func stateText(g api.Grant) string {
	switch {
	case g.InPart:
		return g.State + " in part"
	case unseen(g):
		return g.State + ", not seen closed"
	}
	return g.State
}

// unseen reports whether a grant of a port has ended and nobody has seen it closed: it may still be open. What ended
// before it began never was.
func unseen(g api.Grant) bool {
	return g.EndedAt != nil && g.ClosedAt == nil && g.Role == nil && !g.EndedAt.Before(g.Start)
}

// findGrant takes an id or the end of one.
func findGrant(ctx context.Context, cl *api.Client, ref string) (api.Grant, error) {
	if whole(ref) {
		return cl.Grant(ctx, ref, 0)
	}
	newest, err := take(cl.Grants(ctx, api.GrantQuery{}), searched)
	if err != nil {
		return api.Grant{}, err
	}
	return byTail("grant", "postern grant list --all", ref, newest, func(g api.Grant) string { return g.ID })
}

// openSorted gives grants in a steady order: by machine, then by port.
func openSorted(grants []api.Grant) []api.Grant {
	return slices.SortedFunc(slices.Values(grants), func(x, y api.Grant) int {
		return strings.Compare(x.Machine+"\x00"+x.Ports, y.Machine+"\x00"+y.Ports)
	})
}
