package cli

import (
	"cmp"
	"context"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) roleCommand() *cobra.Command {
	return group("role", "Manage roles and role assignments",
		"A role defines permitted actions; a role assignment gives the role to a user or group at a scope.",
		a.listing(a.roleListCommand()), a.roleShowCommand(), a.roleCreateCommand(), a.roleUpdateCommand(),
		a.roleDeleteCommand(),
		a.roleLeastPrivilegedCommand(),
		a.roleAssignCommand(), a.roleUnassignCommand(), a.listing(a.roleAssignmentsCommand()),
		a.listing(a.roleEligibleCommand()), a.roleActivateCommand(), a.roleDeactivateCommand())
}

func (a *app) roleListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List roles",
		Long:    "List roles. JSON and YAML output includes the permitted actions.",
		Example: "  postern role list\n  postern role list -o yaml",
		Args:    takes(0, 0),
		RunE: list(a, []column[api.Role]{
			{"NAME", func(_ style, r api.Role) string { return r.Name }},
			{"DESCRIPTION", func(_ style, r api.Role) string { return r.Description }},
		}, "There are no roles.", func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Role, error] {
			return cl.Roles(ctx)
		}),
	}
}

func assignmentColumns() []column[api.RoleAssignment] {
	return []column[api.RoleAssignment]{
		{"ID", func(s style, r api.RoleAssignment) string { return s.id(r.ID) }},
		{"WHO", func(_ style, r api.RoleAssignment) string { return r.Principal }},
		{"ROLE", func(_ style, r api.RoleAssignment) string { return r.Role }},
		{"SCOPE", func(s style, r api.RoleAssignment) string { return shortScope(s, r.Scope) }},
		{"FROM", func(s style, r api.RoleAssignment) string { return s.timeIf(r.Start) }},
		{"UNTIL", func(s style, r api.RoleAssignment) string { return s.timeIf(r.End) }},
	}
}

// shortScope leaves out of a resource id what its reader knows: "…/resourceGroups/default/…/web-1".
func shortScope(s style, scope string) string {
	parts := strings.Split(strings.Trim(scope, "/"), "/")
	if s.plain || len(parts) < 2 {
		return scope
	}
	switch {
	case len(parts) == 2:
		return "subscription " + s.id(parts[1])
	case len(parts) == 4:
		return "group " + parts[3]
	default:
		return parts[len(parts)-1] + " in " + parts[3]
	}
}

func (a *app) roleAssignCommand() *cobra.Command {
	var to, scope, machine, start, end, length string
	c := &cobra.Command{
		Use:   "assign ROLE --to PRINCIPAL [--scope ID | --machine MACHINE]",
		Short: "Assign a role to a user or a group",
		Long: `Assign a role to a user or a group at a scope: a resource id and everything below it, or one machine. The default is
the default subscription with everything in it. With --end or --for, the assignment expires by itself.`,
		Example: `  postern role assign "JIT Access Requester" --to anna
  postern role assign "JIT Access Requester" --to operators --machine web-1 --for 30d
  postern role assign Reader --to ben --scope /`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			in := api.NewRoleAssignment{Principal: to, Role: args[0], Scope: scope}
			if err := cmp.Or(oneOf(c, "scope", "machine"), oneOf(c, "end", "for")); err != nil {
				return err
			}
			if to == "" {
				return usage(c, "for whom? Use --to NAME")
			}
			now := a.now()
			if start != "" {
				t, err := parseTime(start, now, a.local)
				if err != nil {
					return usage(c, "--start: %s", err)
				}
				in.Start, now = &t, t
			}
			if end != "" {
				t, err := parseTime(end, now, a.local)
				if err != nil {
					return usage(c, "--end: %s", err)
				}
				in.End = &t
			}
			if length != "" {
				d, err := parseDuration(length)
				if err != nil {
					return usage(c, "--for: %s", err)
				}
				t := now.Add(d)
				in.End = &t
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if err := atMachine(c.Context(), cl, machine, &in.Scope); err != nil {
				return err
			}
			assigned, err := cl.AssignRole(c.Context(), in)
			if err != nil {
				return err
			}
			return printList(a, []api.RoleAssignment{assigned}, assignmentColumns(), "")
		},
	}
	f := c.Flags()
	f.StringVar(&to, "to", "", "name or id of the user or group")
	f.StringVar(&scope, "scope", "", "resource id; / is everything")
	f.StringVar(&machine, "machine", "", "only this machine")
	f.StringVar(&start, "start", "", "start (default now)")
	f.StringVar(&end, "end", "", "end (default never)")
	f.StringVar(&length, "for", "", "duration (default permanent)")
	return c
}

func (a *app) roleUnassignCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "unassign ASSIGNMENT",
		Short: "Remove a role assignment",
		Long: `Remove a role assignment. ASSIGNMENT is an id or its last characters as shown by postern role assignments. Open and
scheduled access that rests on the assignment alone ends at once. The command first says what may end and asks for
confirmation; --yes confirms in advance.`,
		Example: "  postern role unassign 7f3a9c12\n  postern role unassign 7f3a9c12 --yes",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			r, err := oneAssignment(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			lines, err := a.unassignEnds(c.Context(), cl, r)
			if err != nil {
				return err
			}
			if err := a.confirm(yes, lines...); err != nil {
				return err
			}
			if err := cl.UnassignRole(c.Context(), r.ID); err != nil {
				return err
			}
			a.say("The role assignment is deleted.")
			return nil
		}),
	}
	yesFlag(c, &yes)
	return c
}

// oneAssignment finds a role assignment by its id or the end of it.
func oneAssignment(ctx context.Context, cl *api.Client, ref string) (api.RoleAssignment, error) {
	all, err := api.All(cl.RoleAssignments(ctx, api.RoleAssignmentQuery{}))
	if err != nil {
		return api.RoleAssignment{}, err
	}
	return byTail("role assignment", "postern role assignments", ref, all,
		func(r api.RoleAssignment) string { return r.ID })
}

func (a *app) roleAssignmentsCommand() *cobra.Command {
	var q api.RoleAssignmentQuery
	c := &cobra.Command{
		Use:   "assignments",
		Short: "List role assignments",
		Long:  "List role assignments at the scopes that you may read.",
		Example: "  postern role assignments\n  postern role assignments --who anna -o json\n  postern role " +
			"assignments --role Owner --scope /",
		Args: takes(0, 0),
		RunE: list(a, assignmentColumns(), "No role assignments found.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.RoleAssignment, error] {
				return cl.RoleAssignments(ctx, q)
			}),
	}
	c.Flags().StringVar(&q.Principal, "who", "", "filter by user, group or service principal")
	c.Flags().StringVar(&q.Role, "role", "", "filter by role")
	c.Flags().StringVar(&q.Scope, "scope", "", "only at this resource id or below")
	return c
}
