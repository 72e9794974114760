package cli

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) subscriptionCommand() *cobra.Command {
	return group("subscription", "Manage the subscriptions of your tenant",
		`Subscriptions contain resource groups. The list includes subscriptions of other tenants where you have a role as a
guest.`,
		a.subscriptionCreateCommand(), a.listing(a.subscriptionListCommand()))
}

func subscriptionColumns() []column[api.Subscription] {
	return []column[api.Subscription]{
		{"NAME", func(_ style, s api.Subscription) string { return s.Name }},
		{"ID", func(_ style, s api.Subscription) string { return s.ID }},
		{"TENANT", func(s style, v api.Subscription) string { return s.id(v.Tenant) }},
		{"CREATED", func(s style, v api.Subscription) string { return s.time(v.CreatedAt) }},
	}
}

func (a *app) subscriptionCreateCommand() *cobra.Command {
	var in api.NewSubscription
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a subscription",
		Long: `Create a subscription in your tenant. With --id it gets the GUID of an Azure subscription, so that resource ids are
the same in both.`,
		Example: "  postern subscription create production\n  postern subscription create production --id " +
			"6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e10",
		Args: takes(1, 1),
		RunE: act(a, subscriptionColumns(),
			func(ctx context.Context, cl *api.Client, args []string) (api.Subscription, error) {
				in.Name = args[0]
				return cl.CreateSubscription(ctx, in)
			}),
	}
	c.Flags().StringVar(&in.ID, "id", "", "GUID of the subscription (default a new one)")
	return c
}

func (a *app) subscriptionListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List subscriptions",
		Long:    "List the subscriptions in which you have a role, by name.",
		Example: "  postern subscription list",
		Args:    takes(0, 0),
		RunE: list(a, subscriptionColumns(), "There are no subscriptions that you may see.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Subscription, error] {
				return cl.Subscriptions(ctx)
			}),
	}
}
