package cli

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) groupCommand() *cobra.Command {
	return group("group", "Manage groups",
		"Groups contain users and other groups, and can have roles. Members of a nested group are members of both.",
		a.groupCreateCommand(), a.listing(a.groupListCommand()), a.listing(a.groupMembersCommand()),
		a.groupMemberCommand(true),
		a.groupMemberCommand(false), a.groupDeleteCommand())
}

func (a *app) groupCreateCommand() *cobra.Command {
	in := api.NewPrincipal{Kind: "group"}
	c := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a group",
		Long:    "Create a group, which has no members yet.",
		Example: "  postern group create operators --display-name \"Operators, all sites\"",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			in.Name = args[0]
			cl, err := a.client()
			if err != nil {
				return err
			}
			created, err := cl.CreatePrincipal(c.Context(), in)
			if err != nil {
				return err
			}
			return printList(a, []api.Principal{created.Principal}, principalColumns(), "")
		},
	}
	c.Flags().StringVar(&in.DisplayName, "display-name", "", "display name")
	return c
}

func (a *app) groupListCommand() *cobra.Command {
	var of string
	c := a.principalsCommand("list", "List groups",
		"List groups by name; with --of those that a principal is a direct member of.",
		"  postern group list\n  postern group list --of anna", "There are no groups.", 0,
		func([]string) api.PrincipalQuery { return api.PrincipalQuery{Kind: "group", Member: of} })
	c.Flags().StringVar(&of, "of", "", "only groups with this direct member")
	return c
}

func (a *app) groupMembersCommand() *cobra.Command {
	return a.principalsCommand("members GROUP", "List the members of a group", "List the direct members of a group.",
		"  postern group members operators", "The group has no members. Add one with: postern group add GROUP MEMBER",
		1,
		func(args []string) api.PrincipalQuery { return api.PrincipalQuery{Group: args[0]} })
}

func (a *app) principalsCommand(use, short, long, example, empty string, n int,
	query func([]string) api.PrincipalQuery,
) *cobra.Command {
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    long,
		Example: example,
		Args:    takes(n, n),
		RunE: list(a, principalColumns(), empty,
			func(ctx context.Context, cl *api.Client, args []string) iter.Seq2[api.Principal, error] {
				return cl.Principals(ctx, query(args))
			}),
	}
}

func (a *app) groupMemberCommand(add bool) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "add GROUP MEMBER…",
		Short: "Add members to a group",
		Long: "Add users or other groups to a group. Existing members are kept. A group cannot contain a group " +
			"that contains it.",
		Example: "  postern group add operators anna ben\n  postern group add everybody operators",
		Args:    takes(2, -1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			if !add {
				lines, err := a.memberEnds(c.Context(), cl, args[0], args[1:])
				if err != nil {
					return err
				}
				if err := a.confirm(yes, lines...); err != nil {
					return err
				}
			}
			var err error
			for _, member := range args[1:] {
				if add {
					err = cl.AddMember(c.Context(), args[0], member)
				} else {
					err = cl.RemoveMember(c.Context(), args[0], member)
				}
				if err != nil {
					return err
				}
				if add {
					a.say("%s is in %s.", member, args[0])
				} else {
					a.say("%s is no longer in %s.", member, args[0])
				}
			}
			return nil
		}),
	}
	if !add {
		c.Use, c.Short = "remove GROUP MEMBER…", "Remove members from a group"
		c.Example = "  postern group remove operators ben\n  postern group remove operators ben --yes"
		c.Long = `Remove users or groups from a group. Open and scheduled access that rests on the group's rights alone ends at once.
The command first says what may end and asks for confirmation; --yes confirms in advance.`
		yesFlag(c, &yes)
	}
	return c
}

func (a *app) groupDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete GROUP",
		Short: "Delete an unused group",
		Long: `Delete a group. A group used in a role assignment, a policy, an eligibility or a managed application cannot be
deleted; the error lists where it is used.`,
		Example: "  postern group delete operators",
		Args:    takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The group %s is deleted.", args[0]), cl.DeleteGroup(ctx, args[0])
		}),
	}
}
