package cli

import (
	"cmp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// activationColumns say how somebody may activate a role, and what they have active of it.
func activationColumns() []column[api.Eligibility] {
	return []column[api.Eligibility]{
		{"THROUGH", func(_ style, e api.Eligibility) string { return e.Principal }},
		{"MAX", func(_ style, e api.Eligibility) string { return seconds(e.MaxSeconds) }},
		{"APPROVAL", func(_ style, e api.Eligibility) string { return approvalText(e.Approval) }},
		{"ACTIVE", func(s style, e api.Eligibility) string {
			var until []string
			for _, g := range e.Active {
				until = append(until, g.State+" until "+s.clock(g.End))
			}
			return strings.Join(until, ", ")
		}},
	}
}

func (a *app) roleEligibleCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "eligible",
		Short:   "List the roles that you may activate",
		Long:    "List the roles that you may activate, directly or as a member of a group, and your active ones.",
		Example: "  postern role eligible",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			all, err := api.All(cl.EligibleRoles(c.Context()))
			if err != nil {
				return err
			}
			return printList(a, all, append([]column[api.Eligibility]{
				{"ROLE", func(_ style, e api.Eligibility) string { return e.Role }},
				{"SCOPE", func(s style, e api.Eligibility) string { return shortScope(s, e.Scope) }},
			}, activationColumns()...), "You are not eligible for any role.")
		}),
	}
}

func (a *app) roleActivateCommand() *cobra.Command {
	var scope string
	var ask activation
	c := &cobra.Command{
		Use:   "activate ROLE [--scope ID] [--for DURATION | --until TIME] --reason TEXT",
		Short: "Activate an eligible role",
		Long: `Activate a role that you are eligible for. If the rule approves automatically, it takes effect at once; otherwise
the request stays pending until it is decided. The role expires by itself, and everything opened under it closes
with it.`,
		Example: `  postern role activate Contributor --for 1h --reason "upgrade to 4.2"
  postern role activate Contributor --at "tomorrow 09:00" --for 2h --reason "index rebuild" --ticket OPS-7
  postern role activate Contributor --reason "site down" --wait`,
		Args: takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			return a.activate(c, cl, ask, api.RoleRef{Role: args[0], Scope: scope})
		}),
	}
	c.Flags().StringVar(&scope, "scope", "", "resource id, if you are eligible for the role at more than one")
	ask.add(c)
	return c
}

// activation are the flags that say when and why a role is activated.
type activation struct {
	length, until, at, key, waitFor string
	wait                            bool
	ask                             api.NewActivation
}

func (f *activation) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.length, "for", "", "duration (default 1h)")
	flags.StringVar(&f.until, "until", "", "end, in place of --for")
	flags.StringVar(&f.at, "at", "", "start (default on approval)")
	flags.StringVar(&f.ask.Justification, "reason", "", "reason, for approvers and for the activity log")
	flags.StringVar(&f.ask.Ticket, "ticket", "", "ticket reference")
	flags.StringVar(&f.key, "idempotency-key", "",
		"idempotency key: a repeated call with the same key submits only one request")
	flags.BoolVar(&f.wait, "wait", false, "wait until the role is in force; exit code 7 on timeout")
	flags.StringVar(&f.waitFor, "wait-timeout", "2m", "timeout for --wait, from the start of a scheduled request")
}

// activate asks for a role as the flags say.
func (a *app) activate(c *cobra.Command, cl *api.Client, f activation, role api.RoleRef) error {
	if err := oneOf(c, "for", "until"); err != nil {
		return err
	}
	patience, err := parseDuration(f.waitFor)
	if err != nil {
		return usage(c, "--wait-timeout: %s", err)
	}
	f.ask.Roles = []api.RoleRef{role}
	now := a.now()
	if f.at != "" {
		start, err := parseTime(f.at, now, a.local)
		if err != nil {
			return usage(c, "--at: %s", err)
		}
		f.ask.Start = &start
		patience += max(0, start.Sub(now))
		now = start
	}
	if f.until != "" {
		t, err := parseTime(f.until, now, a.local)
		if err != nil {
			return usage(c, "--until: %s", err)
		}
		f.ask.Until = &t
	} else {
		d, err := parseDuration(cmp.Or(f.length, "1h"))
		if err != nil {
			return usage(c, "--for: %s", err)
		}
		f.ask.ForSeconds = int64(d / time.Second)
	}
	request, err := cl.Activate(c.Context(), f.ask, f.key)
	if err != nil {
		return err
	}
	if f.wait {
		if request, err = a.waitOpen(c.Context(), cl, request, patience); err != nil {
			return err
		}
	}
	return a.printRequest(request)
}

func (a *app) roleDeactivateCommand() *cobra.Command {
	var scope, reason string
	c := &cobra.Command{
		Use:     "deactivate ROLE [--scope ID]",
		Short:   "Deactivate a role early",
		Long:    "End your active role and cancel scheduled activations. Everything opened under it closes with it.",
		Example: "  postern role deactivate Contributor --reason \"done early\"",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			all, err := api.All(cl.EligibleRoles(c.Context()))
			if err != nil {
				return err
			}
			var ended []api.Grant
			for _, e := range all {
				if !strings.EqualFold(e.Role,
					args[0]) && e.RoleID != args[0] || scope != "" && !strings.EqualFold(scope, e.Scope) {
					continue
				}
				for _, g := range e.Active {
					if g, err = cl.Revoke(c.Context(), g.ID, reason); err != nil {
						return err
					}
					ended = append(ended, g)
				}
			}
			return printList(a, ended, grantColumns(), "You have no such role active.")
		}),
	}
	c.Flags().StringVar(&scope, "scope", "", "only at this resource id")
	c.Flags().StringVar(&reason, "reason", "", "reason, for the activity log")
	return c
}
