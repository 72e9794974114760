package cli

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) resourceGroupCommand() *cobra.Command {
	return group("resource-group", "Manage resource groups",
		"Resource groups contain machines and policies. A role assigned at a resource group applies to everything in it.",
		a.resourceGroupCreateCommand(), a.listing(a.resourceGroupListCommand()), a.resourceGroupDeleteCommand())
}

func resourceGroupColumns() []column[api.ResourceGroup] {
	return []column[api.ResourceGroup]{
		{"NAME", func(_ style, g api.ResourceGroup) string { return g.Name }},
		{"LOCATION", func(_ style, g api.ResourceGroup) string { return g.Location }},
		{"SCOPE", func(_ style, g api.ResourceGroup) string { return g.Scope }},
		{"CREATED", func(s style, g api.ResourceGroup) string { return s.time(g.CreatedAt) }},
	}
}

func (a *app) resourceGroupCreateCommand() *cobra.Command {
	var in api.NewResourceGroup
	c := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a resource group",
		Long:    "Create a resource group, in the default subscription if none is named.",
		Example: "  postern resource-group create web --subscription production",
		Args:    takes(1, 1),
		RunE: act(a, resourceGroupColumns(),
			func(ctx context.Context, cl *api.Client, args []string) (api.ResourceGroup, error) {
				in.Name = args[0]
				return cl.CreateResourceGroup(ctx, in)
			}),
	}
	c.Flags().StringVar(&in.Subscription, "subscription", "",
		"name or GUID of the subscription (default the first one)")
	c.Flags().StringVar(&in.Location, "location", "", "location of its resources (default local)")
	return c
}

func (a *app) resourceGroupListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List resource groups",
		Long:    "List the resource groups in which you have a role.",
		Example: "  postern resource-group list",
		Args:    takes(0, 0),
		RunE: list(a, resourceGroupColumns(), "There are no resource groups that you may see.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.ResourceGroup, error] {
				return cl.ResourceGroups(ctx)
			}),
	}
}

func (a *app) resourceGroupDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "delete RESOURCE-GROUP",
		Short:   "Delete an empty resource group",
		Long:    "Delete an empty resource group, by name or resource id. Roles assigned at it are removed.",
		Example: "  postern resource-group delete web",
		Args:    takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The resource group %s is deleted.", args[0]), cl.DeleteResourceGroup(ctx, args[0])
		}),
	}
}
