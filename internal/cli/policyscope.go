package cli

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

func (a *app) policyScopeCommand() *cobra.Command {
	return group("scope", "Manage policies that guard many machines",
		"A scope policy guards every machine of a resource group or a subscription, or those of them with certain "+
			"labels, including machines that enroll later. For each port of a machine one policy applies as a whole: "+
			"that of the machine itself, otherwise that of its labels with the lowest order, otherwise that of its "+
			"resource group, otherwise that of its subscription.",
		a.listing(a.policyScopeListCommand()), a.policyScopeShowCommand(), a.policyScopeSetCommand(),
		a.policyScopeDeleteCommand())
}

func scopePolicyColumns() []column[api.ScopePolicy] {
	return []column[api.ScopePolicy]{
		{"NAME", func(_ style, p api.ScopePolicy) string { return p.Name }},
		{"REACHES", func(_ style, p api.ScopePolicy) string { return p.Reach }},
		{"IN", func(_ style, p api.ScopePolicy) string { return orElse(p.ResourceGroup, "the subscription") }},
		{"ORDER", func(_ style, p api.ScopePolicy) string {
			if p.Order == 0 {
				return ""
			}
			return strconv.Itoa(p.Order)
		}},
		{"MACHINES", func(_ style, p api.ScopePolicy) string { return strconv.Itoa(p.Machines) }},
		{"PORTS", func(_ style, p api.ScopePolicy) string { return ports(p.Ports) }},
		{"APPROVAL", func(_ style, p api.ScopePolicy) string { return approvalText(p.Approval) }},
	}
}

func (a *app) policyScopeListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List scope policies",
		Long: "List the scope policies that you may see, in the order in which they apply. MACHINES counts the " +
			"machines that a policy reaches, including those where another policy applies first.",
		Example: "  postern policy scope list\n  postern policy scope list -o yaml",
		Args:    takes(0, 0),
		RunE: list(a, scopePolicyColumns(),
			"There are no scope policies yet. Create one with: postern policy scope set SCOPE-POLICY",
			func(c context.Context, cl *api.Client, _ []string) iter.Seq2[api.ScopePolicy, error] {
				return cl.ScopePolicies(c)
			}),
	}
}

func (a *app) policyScopeShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show SCOPE-POLICY",
		Short: "Show a scope policy",
		Long: "Show a scope policy. Its YAML or JSON can be edited and used with policy scope set " +
			"--file.",
		Example: "  postern policy scope show prod\n  postern policy scope show prod -o yaml > prod.yaml",
		Args:    takes(1, 1),
		RunE: show(a, scopePolicyColumns(),
			func(c context.Context, cl *api.Client, args []string) (api.ScopePolicy, error) {
				return cl.ScopePolicy(c, args[0])
			}),
	}
}

func (a *app) policyScopeSetCommand() *cobra.Command {
	var settings policyFlags
	var in api.NewScopePolicy
	var labels []string
	var yes bool
	c := &cobra.Command{
		Use:   "set SCOPE-POLICY [--resource-group GROUP | --subscription SUBSCRIPTION] [--label NAME=VALUE --order N]…",
		Short: "Guard many machines with one policy",
		Long: `Guard ports of every machine of a resource group or a subscription, including machines that enroll later. With
--label, only those machines that have all the labels; --order then says which of several such policies applies first,
the lowest number. Replaces the policy of that name. Without --port, the recommended management ports are guarded: 22,
3389, 5985 and 5986. If a port would no longer be guarded, or another setting would be lost, the command first lists it
and asks for confirmation; --yes confirms in advance. Open grants outside the new limits are revoked.`,
		Example: `  postern policy scope set all --port 22/tcp --max 1h
  postern policy scope set web --resource-group web --port 22/tcp --port 443/tcp
  postern policy scope set prod --label env=prod --order 10 --port 22 --approvers ops:1 --require-reason
  postern policy scope set prod --file prod.yaml`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			var revision int64
			var where document
			if settings.file != "" {
				if err := settings.alone(c, "resource-group", "subscription", "label", "order"); err != nil {
					return err
				}
				var view api.ScopePolicy
				if where, err = readFileFlag(c, settings.file, &view); err != nil {
					return err
				}
				in = api.NewScopePolicy{
					MachinePolicy: view.MachinePolicy, ResourceGroup: view.ResourceGroup, Labels: view.Labels,
					Order: view.Order,
				}
				if in.ResourceGroup == "" {
					in.Subscription = view.Scope
				}
				revision = view.Revision
			} else {
				if in.MachinePolicy, err = settings.read(c); err != nil {
					return err
				}
				if in.Labels, err = labelPairs(labels); err != nil {
					return usage(c, "--label: %s", err)
				}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			seen, err := a.confirmScope(c.Context(), cl, args[0], in, yes)
			if err != nil {
				return err
			}
			if revision == 0 {
				revision = seen // what was set in between is not lost unasked
			}
			p, err := cl.SetScopePolicy(c.Context(), args[0], in, revision)
			if err != nil {
				return where.locate(err)
			}
			return printItem(a, p, scopePolicyColumns())
		},
	}
	settings.add(c)
	f := c.Flags()
	f.StringVar(&in.ResourceGroup, "resource-group", "", "resource group whose machines are guarded")
	f.StringVar(&in.Subscription, "subscription", "",
		"subscription whose machines are guarded (default the first subscription of the tenant)")
	f.StringArrayVar(&labels, "label", nil, "label that a machine must have, as NAME=VALUE; may be repeated")
	f.IntVar(&in.Order, "order", 0,
		fmt.Sprintf("of policies with labels, the lowest applies first; 1 to %d, each only once", access.MaxOrder))
	c.MarkFlagsMutuallyExclusive("resource-group", "subscription")
	yesFlag(c, &yes)
	return c
}

// labelPairs reads labels such as env=prod.
func labelPairs(texts []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if _, twice := labels[name]; !ok || name == "" || twice {
			return nil, fmt.Errorf("%q is not NAME=VALUE, such as env=prod, each name once", text)
		}
		labels[name] = value
	}
	return labels, nil
}

// confirmScope has a person agree where a new scope policy leaves out ports that the one before guards, or anything
// else that was set, or reaches other machines. It returns the revision of what it looked at, or 0 where there is none.
func (a *app) confirmScope(ctx context.Context, cl *api.Client, name string, will api.NewScopePolicy,
	yes bool,
) (seen int64, err error) {
	was, err := cl.ScopePolicy(ctx, name)
	if missing(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var lines []string
	if gone := dropped(was.Ports, will.Ports); len(gone) > 0 {
		lines = append(lines, fmt.Sprintf("No longer guarding %s of %s:", ports(gone), count(was.Machines, "machine")),
			"  - "+unguardedText(gone))
	}
	rest := lost(was.MachinePolicy, will.MachinePolicy)
	if !maps.Equal(was.Labels, will.Labels) {
		rest = append(rest, "  - it reaches other machines than the "+strconv.Itoa(was.Machines)+" by "+was.Reach+
			"; those that it no longer reaches are guarded by other policies only")
	}
	if len(rest) > 0 {
		lines = append(append(lines, "Settings of "+name+" that will be lost:"), rest...)
	}
	if was.Order != will.Order && was.Order != 0 {
		lines = append(lines, fmt.Sprintf("The order of %s changes from %d to %d: where policies with labels reach the same "+
			"machine, another one may apply first.", name, was.Order, will.Order))
	}
	return was.Revision, a.agree(yes, lines)
}

// unguardedText says what becomes of ports that a scope policy no longer guards.
func unguardedText(gone []api.PortRule) string {
	return "where no other policy guards " + ports(gone) + ", anyone can connect at any time, unless another firewall " +
		"prevents it"
}

func (a *app) policyScopeDeleteCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete SCOPE-POLICY",
		Short: "Delete a scope policy",
		Long: `Delete a scope policy. Other policies that reach its machines then guard them; where there are none, Postern's rules
for its ports are removed, and only other firewalls still protect them. The command first says so and asks for
confirmation; --yes confirms in advance.`,
		Example: "  postern policy scope delete prod\n  postern policy scope delete prod --yes",
		Args:    takes(1, 1),
		RunE: a.done(func(c context.Context, cl *api.Client, args []string) (string, error) {
			p, err := cl.ScopePolicy(c, args[0])
			if err != nil {
				return "", err
			}
			err = a.confirm(yes,
				fmt.Sprintf("Deleting the policy %s, which reaches %s by %s:", p.Name, count(p.Machines, "machine"),
					p.Reach),
				"  - "+unguardedText(p.Ports),
				"  - open grants that no other policy allows are revoked")
			if err != nil {
				return "", err
			}
			return p.Name + " is deleted.", cl.DeleteScopePolicy(c, args[0], p.Revision)
		}),
	}
	yesFlag(c, &yes)
	return c
}
