package cli

import (
	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) tenantCommand() *cobra.Command {
	return group("tenant", "Tenants of this server",
		"Tenants of this server, of which none sees anything of another. Administrators of the tenant that runs the server make them.",
		a.tenantCreateCommand(), a.tenantListCommand(), a.tenantShowCommand())
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
		Short: "Make a tenant with an administrator",
		Long: `Make a tenant with a subscription, a resource group and an administrator, who is Owner of that tenant and of nothing else.
Their password is printed this one time, and is good for one sign-in that replaces it. Whoever makes a tenant has no right
in it.`,
		Example: "  postern tenant create contoso\n  postern login --user admin@contoso",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			in.Name = args[0]
			cl, err := a.client()
			if err != nil {
				return err
			}
			created, err := cl.CreateTenant(c.Context(), in)
			if err != nil {
				return err
			}
			return printItem(a, created, []column[api.CreatedTenant]{
				{"Name", func(_ style, t api.CreatedTenant) string { return t.Tenant.Name }},
				{"Id", func(_ style, t api.CreatedTenant) string { return t.Tenant.ID }},
				{"Subscription", func(_ style, t api.CreatedTenant) string { return t.Subscription.ID }},
				{"Administrator", func(_ style, t api.CreatedTenant) string { return t.Admin.Name + "@" + t.Tenant.Name }},
				{"One-time password", func(_ style, t api.CreatedTenant) string { return t.Password }},
			})
		},
	}
	c.Flags().StringVar(&in.ID, "id", "", "GUID of the tenant, such as that of one of Microsoft Entra (default a new one)")
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
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			tenants, err := api.All(cl.Tenants(c.Context()))
			if err != nil {
				return err
			}
			return printList(a, tenants, tenantColumns(), "There are no tenants.")
		},
	}
}

func (a *app) tenantShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show [NAME]",
		Short:   "Show a tenant, without a name your own",
		Long:    "Show a tenant by its name or id. Without one it is your own.",
		Example: "  postern tenant show",
		Args:    takes(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
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
		},
	}
}
