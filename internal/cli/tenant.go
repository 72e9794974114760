package cli

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) tenantCommand() *cobra.Command {
	return group("tenant", "Manage the tenants of this server",
		"Tenants are isolated from each other. Administrators of the tenant that runs the server create them.",
		a.tenantCreateCommand(), a.listing(a.tenantListCommand()), a.tenantShowCommand())
}

func tenantColumns() []column[api.Tenant] {
	return []column[api.Tenant]{
		{"NAME", func(_ style, t api.Tenant) string { return t.Name }},
		{"ID", func(_ style, t api.Tenant) string { return t.ID }},
		{"CREATED", func(s style, t api.Tenant) string { return s.time(t.CreatedAt) }},
	}
}

func (a *app) tenantCreateCommand() *cobra.Command {
	var in api.NewTenant
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a tenant with an administrator",
		Long: `Create a tenant with a subscription, a resource group and an administrator, who is Owner of that tenant and of
nothing else. The administrator's one-time password is printed once and must be replaced at the first sign-in. The
creator of a tenant has no rights in it.`,
		Example: "  postern tenant create contoso\n  postern login --user admin@contoso",
		Args:    takes(1, 1),
		RunE: show(a, []column[api.CreatedTenant]{
			{"Name", func(_ style, t api.CreatedTenant) string { return t.Tenant.Name }},
			{"Id", func(_ style, t api.CreatedTenant) string { return t.Tenant.ID }},
			{"Subscription", func(_ style, t api.CreatedTenant) string { return t.Subscription.ID }},
			{"Administrator", func(_ style, t api.CreatedTenant) string { return t.Admin.Name + "@" + t.Tenant.Name }},
			{"One-time password", func(_ style, t api.CreatedTenant) string { return t.Password }},
		}, func(ctx context.Context, cl *api.Client, args []string) (api.CreatedTenant, error) {
			in.Name = args[0]
			return cl.CreateTenant(ctx, in)
		}),
	}
	c.Flags().StringVar(&in.ID, "id", "",
		"GUID of the tenant, such as that of a Microsoft Entra tenant (default a new one)")
	c.Flags().StringVar(&in.SubscriptionID, "subscription-id", "", "GUID of its first subscription (default a new one)")
	c.Flags().StringVar(&in.Admin, "admin", "", "sign-in name of the administrator (default admin)")
	return c
}

func (a *app) tenantListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tenants",
		Long:    "List the tenants by name.",
		Example: "  postern tenant list",
		Args:    takes(0, 0),
		RunE: list(a, tenantColumns(), "There are no tenants.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Tenant, error] {
				return cl.Tenants(ctx)
			}),
	}
}

func (a *app) tenantShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show [TENANT]",
		Short:   "Show a tenant (default yours)",
		Long:    "Show a tenant by name or id (default yours).",
		Example: "  postern tenant show",
		Args:    takes(0, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			ref := "mine"
			if len(args) > 0 {
				ref = args[0]
			}
			t, err := cl.Tenant(c.Context(), ref)
			if err != nil {
				return err
			}
			return printItem(a, t, []column[api.Tenant]{
				{"Name", func(_ style, t api.Tenant) string { return t.Name }},
				{"Id", func(_ style, t api.Tenant) string { return t.ID }},
				{"Created", func(s style, t api.Tenant) string { return s.time(t.CreatedAt) }},
			})
		}),
	}
}
