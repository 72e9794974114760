package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) notifyCommand() *cobra.Command {
	return group("notify", "Manage notifications",
		`Channels are ways to reach people: email, Slack, Teams, a signed webhook, PagerDuty. Routes define which events go
to which channel, for whom. Deliveries that fail for a day are dead, and can be queued again.`,
		a.channelCommand(), a.routeCommand(), a.notifyTestCommand(), a.listing(a.notifyDeadCommand()),
		a.notifyRequeueCommand())
}

func (a *app) notifyTestCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "test CHANNEL", Short: "Send a test message through a channel",
		Long: "Send a test message through a channel, enabled or not, and print the receiver's response.",
		Example: `  postern notify test ops-chat
  postern notify test mail --to anna@example.com`,
		Args: takes(1, 1),
		RunE: show(a,
			[]column[api.ChannelTested]{{"Delivered", func(_ style, t api.ChannelTested) string { return t.Answer }}},
			func(ctx context.Context, cl *api.Client, args []string) (api.ChannelTested, error) {
				return cl.TestChannel(ctx, args[0], api.ChannelTest{To: to})
			}),
	}
	c.Flags().StringVar(&to, "to", "", "address for an email channel (default your own)")
	return c
}

func deliveryColumns() []column[api.Delivery] {
	return []column[api.Delivery]{
		{"ID", func(s style, d api.Delivery) string {
			if s.plain || len(d.ID) <= shortID {
				return d.ID
			}
			return d.ID[len(d.ID)-shortID:]
		}},
		{"EVENT", func(_ style, d api.Delivery) string { return d.Kind }},
		{"CHANNEL", func(_ style, d api.Delivery) string { return d.Channel }},
		{"TO", func(_ style, d api.Delivery) string { return d.Recipient }},
		{"STATE", func(_ style, d api.Delivery) string { return d.State }},
		{"TRIED", func(_ style, d api.Delivery) string { return strconv.Itoa(d.Attempts) }},
		{"QUEUED", func(s style, d api.Delivery) string { return s.clock(d.QueuedAt) }},
		{"WHY", func(_ style, d api.Delivery) string { return d.LastError }},
	}
}

func (a *app) notifyDeadCommand() *cobra.Command {
	var channel, state string
	c := &cobra.Command{
		Use: "dead", Short: "List failed deliveries",
		Long:    "List failed deliveries with the reason, newest first. With --state, other deliveries.",
		Example: "  postern notify dead\n  postern notify dead --state pending --channel ops-chat",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			list, err := api.All(cl.Deliveries(c.Context(), api.DeliveryQuery{State: state, Channel: channel}))
			if err != nil {
				return err
			}
			return printList(a, list, deliveryColumns(), "No deliveries found.")
		}),
	}
	c.Flags().StringVar(&channel, "channel", "", "filter by channel")
	c.Flags().StringVar(&state, "state", "dead", "filter by state: dead, pending or delivered")
	return c
}

func (a *app) notifyRequeueCommand() *cobra.Command {
	return &cobra.Command{
		Use: "requeue DELIVERY…", Short: "Queue dead deliveries again",
		Long: "Queue dead deliveries again. DELIVERY is an id, its last characters as shown by postern notify " +
			"dead, or all.",
		Example: "  postern notify requeue 1c9f03ab\n  postern notify requeue all",
		Args:    takes(1, -1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			dead, err := api.All(cl.Deliveries(c.Context(), api.DeliveryQuery{State: "dead"}))
			if err != nil {
				return err
			}
			var ids []string
			for _, arg := range args {
				if arg == "all" {
					for _, d := range dead {
						ids = append(ids, d.ID)
					}
					continue
				}
				var found []string
				for _, d := range dead {
					if strings.HasSuffix(d.ID, strings.ToLower(arg)) {
						found = append(found, d.ID)
					}
				}
				switch {
				case len(found) == 0:
					return fail(exitNotFound, "List them with: postern notify dead", "there is no dead delivery %q",
						arg)
				case len(found) > 1:
					return fail(exitUsage, "Use more of its characters.", "%q are the last characters of %d deliveries",
						arg, len(found))
				}
				ids = append(ids, found[0])
			}
			queued := []api.Delivery{}
			for _, id := range ids {
				d, err := cl.RequeueDelivery(c.Context(), id)
				if err != nil {
					return err
				}
				queued = append(queued, d)
			}
			return printList(a, queued, deliveryColumns(), "There was nothing to queue again.")
		}),
	}
}
