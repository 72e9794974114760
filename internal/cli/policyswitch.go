package cli

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// scopeFlags name one resource group or one subscription.
func scopeFlags(c *cobra.Command, of *api.ScopeQuery) {
	f := c.Flags()
	f.StringVar(&of.ResourceGroup, "resource-group", "", "resource group whose machines are meant")
	f.StringVar(&of.Subscription, "subscription", "", "subscription whose machines are meant")
	c.MarkFlagsMutuallyExclusive("resource-group", "subscription")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if *of == (api.ScopeQuery{}) {
			return usage(c, "say which machines are meant: with --resource-group or --subscription")
		}
		return nil
	}
}

func placeText(s api.DisabledScope) string {
	if s.ResourceGroup != "" {
		return "resource group " + s.ResourceGroup
	}
	return "the subscription " + nameOf(s.Scope)
}

func (a *app) policyDisableCommand() *cobra.Command {
	var in api.NewDisabledScope
	var yes bool
	c := &cobra.Command{
		Use:   "disable {--resource-group GROUP | --subscription SUBSCRIPTION}",
		Short: "Disable just-in-time access for many machines",
		Long: `Disable just-in-time access for every machine of a resource group or a subscription, including machines that
enroll later. Guarded ports stay closed: nobody can request them, and no policy can be set there, until access is
enabled again. Open access runs to its end; with --end-access, it ends at once. The command first lists what is open
there and asks for confirmation; --yes confirms in advance.`,
		Example: `  postern policy disable --resource-group web --reason 'change freeze until Monday'
  postern policy disable --subscription default --end-access`,
		Args: takes(0, 0),
		RunE: a.done(func(c context.Context, cl *api.Client, _ []string) (string, error) {
			effect, err := cl.ScopeEffect(c, in.ScopeQuery)
			if err != nil {
				return "", err
			}
			if err := a.confirm(yes, a.disabling(effect, in.EndAccess)...); err != nil {
				return "", err
			}
			s, err := cl.DisableScope(c, in)
			return "Just-in-time access is disabled for " + placeText(s) + ".", err
		}),
	}
	scopeFlags(c, &in.ScopeQuery)
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for people; shown with each machine")
	c.Flags().BoolVar(&in.EndAccess, "end-access", false, "end what is open or scheduled there")
	yesFlag(c, &yes)
	return c
}

// disabling says what follows for the machines of a scope.
func (a *app) disabling(e api.ScopeEffect, end bool) []string {
	lines := []string{
		fmt.Sprintf("Disabling just-in-time access for %s, with %s:", placeText(e.DisabledScope),
			count(e.Machines, "machine")),
		"  - nobody can request access to them or configure them, including machines that enroll later",
	}
	if e.Guarded > 0 {
		lines = append(lines, fmt.Sprintf("  - the guarded ports of %s stay closed", count(e.Guarded, "machine")))
	}
	if e.Guarded < e.Machines {
		lines = append(lines, fmt.Sprintf("  - the ports of %s are not guarded, and stay as they are",
			count(e.Machines-e.Guarded, "machine")))
	}
	if end {
		lines = append(lines, a.ends(e.Live)...)
	} else {
		lines = append(lines, a.keeps(e.Live)...)
	}
	if e.More {
		lines = append(lines, "  - and the same for everything else that is open or scheduled there")
	}
	if e.Pending > 0 {
		lines = append(lines, fmt.Sprintf("  - %s there cannot be approved: the next decision denies it",
			count(e.Pending, "pending request")))
	}
	return lines
}

// keeps says what runs to its end.
func (a *app) keeps(grants []api.Grant) (lines []string) {
	open := slices.DeleteFunc(slices.Clone(grants), isScheduled)
	if len(open) > 0 {
		lines = append(lines, fmt.Sprintf("  - %s to its end, unless you add --end-access: %s",
			counted(len(open), "open grant runs", "open grants run"),
			some(open, func(g api.Grant) string { return whatOf(g) + " of " + g.Principal })))
	}
	later := slices.DeleteFunc(slices.Clone(grants), func(g api.Grant) bool { return !isScheduled(g) })
	if len(later) > 0 {
		lines = append(lines, fmt.Sprintf("  - %s unless access is enabled again by then: %s",
			counted(len(later), "scheduled window does not open", "scheduled windows do not open"),
			some(series(later), a.windows)))
	}
	return lines
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (a *app) policyEnableCommand() *cobra.Command {
	var of api.ScopeQuery
	c := &cobra.Command{
		Use:   "enable {--resource-group GROUP | --subscription SUBSCRIPTION}",
		Short: "Enable just-in-time access for many machines again",
		Long: "Enable just-in-time access again for every machine of a resource group or a subscription for which it " +
			"was disabled. A resource group stays disabled while its subscription is. If you then request access " +
			"there yourself, an alert says so.",
		Example: "  postern policy enable --resource-group web",
		Args:    takes(0, 0),
		RunE: a.done(func(c context.Context, cl *api.Client, _ []string) (string, error) {
			s, err := cl.EnableScope(c, of)
			return "Just-in-time access is enabled for " + placeText(s) + ".", err
		}),
	}
	scopeFlags(c, &of)
	return c
}

func (a *app) policyDisabledCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "disabled",
		Short: "List where just-in-time access is disabled",
		Long: "List the subscriptions and resource groups for which just-in-time access is disabled, with who " +
			"disabled it and why.",
		Example: "  postern policy disabled\n  postern policy disabled -o json",
		Args:    takes(0, 0),
		RunE: list(a, []column[api.DisabledScope]{
			{"SCOPE", func(_ style, s api.DisabledScope) string { return placeText(s) }},
			{"SINCE", func(st style, s api.DisabledScope) string { return st.timeIf(s.At) }},
			{"BY", func(_ style, s api.DisabledScope) string { return s.By }},
			{"REASON", func(_ style, s api.DisabledScope) string { return s.Reason }},
		}, "Just-in-time access is disabled nowhere that you may see.",
			func(c context.Context, cl *api.Client, _ []string) iter.Seq2[api.DisabledScope, error] {
				return cl.DisabledScopes(c)
			}),
	}
}
