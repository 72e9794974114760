package cli

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) machineCommand() *cobra.Command {
	return group("machine", "Manage machines and their agents",
		"Manage the machines whose ports are guarded, and the agents that guard them.",
		a.machineTokenCommand(), a.listing(a.machineTokensCommand()), a.machineWithdrawCommand(), a.machineAddCommand(),
		a.listing(a.machineListCommand()), a.machineShowCommand(),
		a.machineLabelCommand(), a.machineDeleteCommand(), a.machineRevokeGatewayCommand(),
		a.listing(a.machineAgentsCommand()))
}

func (a *app) machineAddCommand() *cobra.Command {
	var in api.NewMachine
	c := &cobra.Command{
		Use:     "add NAME --gateway AGENT --address ADDRESS",
		Short:   "Add a machine behind a gateway",
		Long:    "Add a machine that cannot run an agent. The gateway guards traffic to its addresses.",
		Example: "  postern machine add plc-7 --gateway edge-1 --address 10.1.2.3 --label site=north",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			in.Name = args[0]
			if in.Gateway == "" || len(in.Addresses) == 0 {
				return usage(c,
					"a machine without an agent requires --gateway and at least one --address; with an agent, use "+
						"postern machine token")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			m, err := cl.AddMachine(c.Context(), in)
			if err != nil {
				return err
			}
			return printItem(a, m, machineColumns())
		},
	}
	f := c.Flags()
	f.StringVar(&in.Gateway, "gateway", "", "name or id of the gateway's agent")
	f.StringSliceVar(&in.Addresses, "address", nil, "address of the machine; may be repeated")
	f.StringVar(&in.ResourceGroup, "resource-group", "", "resource group of the machine (default \"default\")")
	f.StringVar(&in.Location, "location", "", "location of the machine (default that of its resource group)")
	f.StringVar(&in.OS, "os", "", "linux or windows")
	f.StringToStringVar(&in.Labels, "label", nil, "label, NAME=VALUE; may be repeated")
	return c
}

func (a *app) machineListCommand() *cobra.Command {
	var q api.MachineQuery
	var labels []string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List machines and their enforcement state",
		Long: "List the machines that you may see, by name: configured ones have a policy, unsupported ones have no " +
			"agent.",
		Example: `  postern machine list
  postern machine list --label env=prod --label role=web --sort -last-access
  postern machine list --state trouble --watch
  postern machine list --search 10.1.2 -o wide
  postern machine list --standing notConfigured -o csv`,
		Args: takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			q.Labels = strings.Join(labels, ",")
			machines, err := shown(a, cl.Machines(c.Context(), q), limit)
			if err != nil {
				return err
			}
			return printList(a, machines, []column[api.Machine]{
				{"NAME", func(_ style, m api.Machine) string { return m.Name }},
				{"STANDING", func(_ style, m api.Machine) string { return m.Standing }},
				{"AGENT", agentState},
				{"ADDRESSES", func(s style, m api.Machine) string { return s.list(m.Addresses) }},
				{"LAST ACCESS", func(s style, m api.Machine) string { return s.ago(m.LastAccess) }},
			}, noMachines(c.Context(), cl, len(machines) > 0, q != api.MachineQuery{}), machineDetails()...)
		}),
	}
	f := c.Flags()
	f.StringVar(&q.Standing, "standing", "", "filter by standing: configured, notConfigured or unsupported")
	f.StringVar(&q.State, "state", "",
		"filter by state: open (something is open, or was not seen closed) or trouble (the agent has a problem or is silent)")
	f.StringVar(&q.Search, "search", "", "filter by a part of the name or of an address")
	f.StringVar(&q.Prefix, "prefix", "", "filter by the beginning of the name")
	f.StringSliceVar(&labels, "label", nil, "filter by label, NAME=VALUE; may be repeated, for machines with all of them")
	f.StringVar(&q.Group, "group", "", "filter by resource group")
	f.StringVar(&q.Scope, "scope", "", "only machines within this resource id")
	amountFlag(c, &limit, "limit", 1000, "maximum number of results")
	return c
}

// machineDetails are what a list of machines says where there is room for it.
func machineDetails() []column[api.Machine] {
	return []column[api.Machine]{
		{"GROUP", func(_ style, m api.Machine) string { return m.Group }},
		{"LABELS", func(_ style, m api.Machine) string { return labels(m.Labels) }},
		{"OS", func(_ style, m api.Machine) string { return m.OS }},
		{"LOCATION", func(_ style, m api.Machine) string { return m.Location }},
		{"AGENT VERSION", func(_ style, m api.Machine) string {
			if m.Agent == nil {
				return ""
			}
			return m.Agent.Version
		}},
		{"PROBLEM", func(_ style, m api.Machine) string {
			if m.Agent == nil {
				return m.Reason
			}
			return cmp.Or(m.Agent.Problem, m.Reason)
		}},
		{"ID", func(s style, m api.Machine) string { return s.id(m.ID) }},
	}
}

// noMachines is what a list without any says, to whoever may add one and to whoever may not.
func noMachines(ctx context.Context, cl *api.Client, some, narrowed bool) string {
	switch {
	case some:
		return ""
	case narrowed:
		return "No machines found."
	}
	if me, err := cl.Me(ctx); err == nil && slices.Contains(me.Actions, "Postern.Access/enrollmentTokens/write") {
		return "There are no machines yet. Add one with: postern machine token NAME"
	}
	return "There is no machine that you may see. Administrators add machines and assign the roles to see them and " +
		"request access."
}

// silent is how long an agent may say nothing before it is shown as silent; it reports every 15 seconds or sooner.
const silent = time.Minute

func agentState(s style, m api.Machine) string {
	switch {
	case m.Agent == nil:
		return "none"
	case m.Agent.LastSeenAt == nil:
		return "never seen"
	case s.now.Sub(*m.Agent.LastSeenAt) > silent: // what it said last, problems too, may be over
		return "silent " + shortDuration(s.now.Sub(*m.Agent.LastSeenAt))
	case m.Agent.Problem != "":
		return "problem"
	case m.Agent.Reported != m.Agent.Revision: // after a restore it may have reported one that is yet to come
		return "changing"
	default:
		return "in force"
	}
}

func machineColumns() []column[api.Machine] {
	agent := func(f func(style, api.Agent) string) func(style, api.Machine) string {
		return func(s style, m api.Machine) string {
			if m.Agent == nil {
				return ""
			}
			return f(s, *m.Agent)
		}
	}
	return []column[api.Machine]{
		{"Name", func(_ style, m api.Machine) string { return m.Name }},
		{"Id", func(_ style, m api.Machine) string { return m.ID }},
		{"Resource", func(_ style, m api.Machine) string { return m.Resource }},
		{"Standing", func(_ style, m api.Machine) string { return m.Standing }},
		{"Reason", func(_ style, m api.Machine) string { return m.Reason }},
		{"Policy", func(_ style, m api.Machine) string { return m.Policy }},
		{"OS", func(_ style, m api.Machine) string { return m.OS }},
		{"Labels", func(_ style, m api.Machine) string { return labels(m.Labels) }},
		{"Addresses", func(_ style, m api.Machine) string { return strings.Join(m.Addresses, ",") }},
		{"Last access", func(s style, m api.Machine) string { return s.ago(m.LastAccess) }},
		{"Agent", agentState},
		{"Agent name", agent(func(_ style, g api.Agent) string { return g.Name + " (" + g.Mode + ")" })},
		{"Agent version", agent(func(_ style, g api.Agent) string { return g.Version })},
		{"Agent seen", agent(func(s style, g api.Agent) string { return s.ago(g.LastSeenAt) })},
		{
			"Agent revision",
			agent(func(_ style,
				g api.Agent,
			) string {
				return fmt.Sprintf("%d in force of %d", g.Reported, g.Revision)
			}),
		},
		{"Agent clock", agent(func(_ style, g api.Agent) string {
			return (time.Duration(g.SkewMillis) * time.Millisecond).String() + " off"
		})},
		{"Agent problem", agent(func(_ style, g api.Agent) string { return g.Problem })},
	}
}

func labels(m map[string]string) string {
	pairs := make([]string, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

func (a *app) machineShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show MACHINE",
		Short:   "Show a machine, its standing and its agent",
		Long:    "Show a machine, its standing and its agent. MACHINE is a name, an id or a resource id.",
		Example: "  postern machine show web-1",
		Args:    takes(1, 1),
		RunE: show(a, machineColumns(), func(ctx context.Context, cl *api.Client, args []string) (api.Machine, error) {
			return cl.Machine(ctx, args[0])
		}),
	}
}

func (a *app) machineDeleteCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete MACHINE",
		Short: "Delete a machine and close everything open on it",
		Long: `Delete a machine. Open and scheduled access to it ends, its policy is deleted, and its own agent's certificate
becomes invalid. Such an agent keeps the ports closed to everyone until it is uninstalled on the host with "postern
agent uninstall --yes"; a gateway no longer guards the machine. The command first lists what will end and asks for
confirmation; --yes confirms in advance.`,
		Example: "  postern machine delete web-1\n  postern machine delete web-1 --yes",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			m, err := cl.Machine(c.Context(), args[0])
			if err != nil {
				return err
			}
			lines, err := a.machineEnds(c.Context(), cl, m)
			if err != nil {
				return err
			}
			if err := a.confirm(yes, lines...); err != nil {
				return err
			}
			if err := cl.DeleteMachine(c.Context(), m.ID); err != nil {
				return err
			}
			a.say("%s is deleted.", m.Name)
			return nil
		}),
	}
	yesFlag(c, &yes)
	return c
}

func (a *app) machineAgentsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "agents",
		Short:   "List the agents as the server sees them",
		Long:    "List the agents as the server sees them, including gateways that guard no machine yet.",
		Example: "  postern machine agents",
		Args:    takes(0, 0),
		RunE: list(a, []column[api.Agent]{
			{"NAME", func(_ style, g api.Agent) string { return g.Name }},
			{"MODE", func(_ style, g api.Agent) string { return g.Mode }},
			{"GROUP", func(_ style, g api.Agent) string { return g.ResourceGroup }},
			{"SEEN", func(s style, g api.Agent) string { return s.ago(g.LastSeenAt) }},
			{"IN FORCE", func(_ style, g api.Agent) string { return fmt.Sprintf("%d of %d", g.Reported, g.Revision) }},
			{"VERSION", func(_ style, g api.Agent) string { return g.Version }},
			{"PROBLEM", func(_ style, g api.Agent) string { return g.Problem }},
		}, "No agent has enrolled yet. Create a token with: postern machine token NAME",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Agent, error] {
				return cl.Agents(ctx)
			}),
	}
}
