package cli

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) applicationCommand() *cobra.Command {
	return group("app", "Managed applications: a publisher's software in a customer's resource group",
		`A publisher offers an application through a definition, which says which of its principals get which role under
which conditions. A customer deploys it, which creates a managed resource group. There the publisher can read, and
has further rights only during an activation.`,
		a.appDefinitionCommand(), a.appCreateCommand(), a.listing(a.appListCommand()), a.appShowCommand(),
		a.appSetCommand(),
		a.appRefreshCommand(), a.appDeleteCommand(),
		a.listing(a.appRolesCommand()), a.appActivateCommand(), a.listing(a.appRequestsCommand()),
		a.decideCommand(true, "approve", "Approve an activation", "comment, for the activity log",
			"Approve an activation, as one of the application's approvers. The publisher can never decide.",
			"  postern app requests --needs-me\n  postern app approve 7f3a9c12 --comment \"change 42\""),
		a.decideCommand(false, "deny", "Deny an activation", "comment, shown to the requester",
			"Deny an activation, as one of the application's approvers.",
			"  postern app deny 7f3a9c12 --comment \"not in office hours\""),
		a.appDeactivateCommand())
}

func applicationColumns() []column[api.Application] {
	return []column[api.Application]{
		{"NAME", func(_ style, v api.Application) string { return v.Name }},
		{"SIDE", func(_ style, v api.Application) string { return v.Side }},
		{"CUSTOMER", func(_ style, v api.Application) string { return v.Customer }},
		{"PUBLISHER", func(_ style, v api.Application) string { return v.Publisher }},
		{"GROUP", func(s style, v api.Application) string { return shortScope(s, v.ManagedResourceGroup) }},
		{"ACCESS", func(_ style, v api.Application) string { return settingsText(v.Settings) }},
		{"ACTIVE", func(_ style, v api.Application) string { return fmt.Sprint(len(v.Active)) }},
	}
}

func settingsText(s api.ApplicationSettings) string {
	if !s.JIT {
		return "permanent"
	}
	return s.Approval + ", at most " + seconds(s.MaxSeconds)
}

func applicationDetail() []column[api.Application] {
	return []column[api.Application]{
		{"Name", func(_ style, v api.Application) string { return v.Name }},
		{"Id", func(_ style, v api.Application) string { return v.ID }},
		{"Customer", func(_ style, v api.Application) string { return v.Customer }},
		{"Publisher", func(_ style, v api.Application) string { return v.Publisher }},
		{"Definition", func(_ style, v api.Application) string {
			switch {
			case v.NewestRevision == 0:
				return v.Version + " (withdrawn by the publisher)"
			case v.NewestRevision != v.DefinitionRevision:
				return v.Version + " (update available: postern app refresh " + v.Name + ")"
			}
			return v.Version
		}},
		{"Managed group", func(_ style, v api.Application) string { return v.ManagedResourceGroup }},
		{"Lock", func(_ style, v api.Application) string { return v.LockLevel }},
		{"Access", func(_ style, v api.Application) string { return settingsText(v.Settings) }},
		{"Approvers", func(s style, v api.Application) string {
			var names []string
			for _, one := range v.Settings.Approvers {
				names = append(names, one.Name)
			}
			return s.list(names)
		}},
		{"Roles", func(s style, v api.Application) string {
			var roles []string
			for _, given := range v.Authorizations {
				roles = append(roles, given.Role+" for "+given.Principal)
			}
			return s.list(roles)
		}},
		{"Active", func(s style, v api.Application) string {
			var active []string
			for _, g := range v.Active {
				active = append(active,
					fmt.Sprintf("%s of %s, %s until %s", g.Role.Name, g.Principal, g.State, s.clock(g.End)))
			}
			return s.list(active)
		}},
	}
}

func (a *app) appListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List managed applications",
		Long: "List the managed applications of your tenant, and those that customers deployed from its " +
			"definitions.",
		Example: "  postern app list",
		Args:    takes(0, 0),
		RunE: list(a, applicationColumns(),
			"There are no managed applications. List offers with: postern app definition list",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Application, error] {
				return cl.Applications(ctx)
			}),
	}
}

func (a *app) appShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show APP",
		Short:   "Show an application from your side",
		Long:    "Show an application by name or resource id: its settings and active roles.",
		Example: "  postern app show shop",
		Args:    takes(1, 1),
		RunE: show(a, applicationDetail(),
			func(ctx context.Context, cl *api.Client, args []string) (api.Application, error) {
				return cl.Application(ctx, args[0])
			}),
	}
}

func (a *app) appDeleteCommand() *cobra.Command {
	var end, yes bool
	c := &cobra.Command{
		Use:   "delete APP [--end-activations]",
		Short: "Delete an application with its managed resource group",
		Long: `Delete an application: all of the publisher's access to it ends, and the machines in the managed resource group are
removed. While a role is active, this requires --end-activations. The command first lists what will end and asks for
confirmation; --yes confirms in advance.`,
		Example: "  postern app delete shop --end-activations\n  postern app delete shop --end-activations --yes",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			app, err := cl.Application(c.Context(), args[0])
			if err != nil {
				return err
			}
			lines, err := a.applicationEnds(c.Context(), cl, app, end)
			if err != nil {
				return err
			}
			if err := a.confirm(yes, lines...); err != nil {
				return err
			}
			if err := cl.DeleteApplication(c.Context(), args[0], end); err != nil {
				return err
			}
			a.say("The application %s is deleted, and with it its managed resource group.", args[0])
			return nil
		}),
	}
	c.Flags().BoolVar(&end, "end-activations", false, "end active roles")
	yesFlag(c, &yes)
	return c
}
