package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// rolesOf gives the caller's eligible roles that belong to managed applications, of one alone where ref is not empty.
func (a *app) rolesOf(c *cobra.Command, cl *api.Client, ref string) ([]api.Eligibility, error) {
	all, err := api.All(cl.EligibleRoles(c.Context()))
	if err != nil {
		return nil, err
	}
	var of []api.Eligibility
	for _, e := range all {
		if e.Application != "" && (ref == "" || strings.EqualFold(nameOf(e.Application),
			ref) || strings.EqualFold(e.Application, ref)) {
			of = append(of, e)
		}
	}
	return of, nil
}

// nameOf gives the last segment of a resource id.
func nameOf(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func (a *app) appRolesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "roles [APP]",
		Short: "List the roles that you may activate on your customers' applications",
		Long: "List the roles that you may activate on managed applications, directly or as a member of a group, " +
			"and your active ones.",
		Example: "  postern app roles\n  postern app roles shop",
		Args:    takes(0, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			list, err := a.rolesOf(c, cl, strings.Join(args, ""))
			if err != nil {
				return err
			}
			return printList(a, list, append([]column[api.Eligibility]{
				{"APP", func(s style, e api.Eligibility) string {
					if s.plain {
						return e.Application
					}
					return nameOf(e.Application)
				}},
				{"ROLE", func(_ style, e api.Eligibility) string { return e.Role }},
			}, activationColumns()...), "You are not eligible for any role on a managed application.")
		}),
	}
}

func (a *app) appActivateCommand() *cobra.Command {
	var role string
	var ask activation
	c := &cobra.Command{
		Use:   "activate APP [--role ROLE] [--at TIME] [--for DURATION | --until TIME] --reason TEXT",
		Short: "Activate a role on a customer's application",
		Long: `Activate a role on a managed application. With automatic approval it takes effect at once; with manual approval one
of the customer's approvers decides. The role expires by itself, and everything opened under it closes with it.`,
		Example: `  postern app activate shop --for 1h --reason "upgrade to 4.2"
  postern app activate shop --role Contributor --at "tomorrow 22:00" --for 2h --reason "index rebuild" --ticket OPS-7`,
		Args: takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			list, err := a.rolesOf(c, cl, args[0])
			if err != nil {
				return err
			}
			var of []api.Eligibility
			for _, e := range list {
				if role == "" || strings.EqualFold(e.Role, role) || strings.EqualFold(e.RoleID, role) {
					of = append(of, e)
				}
			}
			switch {
			case len(list) == 0:
				return fail(exitNotFound, "See: postern app roles",
					"you are not eligible for any role on an application %q", args[0])
			case len(of) == 0:
				return fail(exitRefused, "See: postern app roles", "you are not eligible for %s on %s", role, args[0])
			case len(of) > 1:
				return usage(c,
					"you are eligible for several roles on %s: name one with --role, or the application by its id",
					args[0])
			}
			return a.activate(c, cl, ask, api.RoleRef{Eligibility: of[0].ID})
		}),
	}
	c.Flags().StringVar(&role, "role", "", "role name, if you are eligible for more than one")
	ask.add(c)
	return c
}

func (a *app) appRequestsCommand() *cobra.Command {
	q := api.RequestQuery{Roles: true}
	var limit int
	c := &cobra.Command{
		Use:   "requests [APP]",
		Short: "List activation requests",
		Long:  "List activation requests on managed applications with their outcome, newest first.",
		Example: "  postern app requests shop\n  postern app requests --needs-me\n  postern app requests shop " +
			"--state approved --limit 500",
		Args: takes(0, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			q.Application = strings.Join(args, "")
			list := cl.Requests(c.Context(), q)
			if len(args) == 0 && !q.NeedsMe { // whoever only approves need not see the applications
				groups := map[string]bool{}
				for v, err := range cl.Applications(c.Context()) {
					if err != nil {
						return err
					}
					groups[strings.ToLower(v.ManagedResourceGroup)] = true
				}
				list = only(list, func(r api.Request) bool { return groups[strings.ToLower(r.Items[0].Role.Scope)] })
			}
			found, err := shown(a, list, limit)
			if err != nil {
				return err
			}
			return printList(a, found, requestColumns(), "There are no activation requests.",
				requestDetails()...)
		}),
	}
	c.Flags().BoolVar(&q.NeedsMe, "needs-me", false, "only requests that you can decide now")
	c.Flags().StringVar(&q.State, "state", "", "filter by state: pending, approved, denied, canceled or timedOut")
	amountFlag(c, &limit, "limit", 50, "maximum number of results")
	return c
}

func (a *app) appDeactivateCommand() *cobra.Command {
	var role, reason string
	c := &cobra.Command{
		Use:   "deactivate APP [--role ROLE]",
		Short: "End your activations early",
		Long: "End your active roles on a managed application and cancel scheduled ones. Everything opened under " +
			"them closes with them.",
		Example: "  postern app deactivate shop --reason \"done early\"",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			list, err := a.rolesOf(c, cl, args[0])
			if err != nil {
				return err
			}
			var ended []api.Grant
			for _, e := range list {
				if role != "" && !strings.EqualFold(e.Role, role) {
					continue
				}
				for _, g := range e.Active {
					if g, err = cl.Revoke(c.Context(), g.ID, reason); err != nil {
						return err
					}
					ended = append(ended, g)
				}
			}
			return printList(a, ended, grantColumns(), "You have no active roles there.")
		}),
	}
	c.Flags().StringVar(&role, "role", "", "only this role")
	c.Flags().StringVar(&reason, "reason", "", "reason, for the activity log")
	return c
}
