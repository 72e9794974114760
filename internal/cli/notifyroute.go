package cli

import (
	"context"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func routeColumns() []column[api.Route] {
	return []column[api.Route]{
		{"ID", func(s style, r api.Route) string { return s.id(r.ID) }},
		{"CHANNEL", func(_ style, r api.Route) string { return r.Channel }},
		{"FOR", func(s style, r api.Route) string {
			if r.Principal == "" && !s.plain {
				return "everyone"
			}
			return r.Principal
		}},
		{"POLICY", func(s style, r api.Route) string {
			switch {
			case r.Policy == "" && !s.plain:
				return "all"
			case r.Policy == "":
				return ""
			default:
				return shortScope(s, r.Policy)
			}
		}},
		{"EVENTS", func(s style, r api.Route) string {
			if len(r.Kinds) == 0 && !s.plain {
				return "all"
			}
			return strings.Join(r.Kinds, ",")
		}},
		{"MUTE", func(_ style, r api.Route) string { return yesNo(r.Mute) }},
	}
}

func (a *app) routeCommand() *cobra.Command {
	return group("route", "Manage routes",
		"Routes define which events go to which channel, for whom. You can create your own routes.",
		a.listing(a.routeListCommand()), a.routeAddCommand(), a.routeDeleteCommand())
}

func (a *app) routeListCommand() *cobra.Command {
	var who string
	c := &cobra.Command{
		Use: "list", Short: "List routes", Long: "List your routes or, with permission, everyone's.",
		Example: "  postern notify route list\n  postern notify route list --who anna", Args: takes(0, 0),
		RunE: list(a, routeColumns(), "There are no routes: nothing is sent.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Route, error] {
				return cl.Routes(ctx, who)
			}),
	}
	c.Flags().StringVar(&who, "who", "", "filter by person; me is you")
	return c
}

func (a *app) routeAddCommand() *cobra.Command {
	var who, machine, policy string
	var kinds []string
	var everybody, mute bool
	c := &cobra.Command{
		Use:   "add CHANNEL",
		Short: "Subscribe to events through a channel",
		Long: `Subscribe to events through a channel: yourself or, with permission, another person (--for) or everyone
(--everybody). With --machine or --policy, the route covers everything about that policy, no matter whom an event concerns.`,
		Example: `  postern notify route add mail --event needsDecision --event willEnd
  postern notify route add ops-chat --everybody
  postern notify route add mail --machine web-1
  postern notify route add mail --mute --event opened`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf(c, "for", "everybody"); err != nil {
				return err
			}
			if err := oneOf(c, "machine", "policy"); err != nil {
				return err
			}
			in := api.NewRoute{
				Channel: args[0], Principal: who, Policy: policy, Machine: machine, Kinds: kinds,
				Mute: mute,
			}
			if everybody {
				in.Principal = ""
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			route, err := cl.CreateRoute(c.Context(), in)
			if err != nil {
				return err
			}
			return printList(a, []api.Route{route}, routeColumns(), "")
		},
	}
	f := c.Flags()
	f.StringVar(&who, "for", "me", "name or id of a person; me is you")
	f.BoolVar(&everybody, "everybody", false, "for everyone whom an event concerns")
	f.StringVar(&machine, "machine", "", "only about the policy that guards this machine")
	f.StringVar(&policy, "policy", "", "only about the policy with this resource id")
	f.StringSliceVar(&kinds, "event", nil,
		"only these events: requested, needsDecision, reminder, decided, opened, willEnd, ended, failed, breakGlass, alert, "+
			"application, account, accessReview")
	f.BoolVar(&mute, "mute", false, "mute what other routes of the channel would send")
	return c
}

func (a *app) routeDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete ROUTE", Short: "End a subscription",
		Long:    "End a subscription. ROUTE is an id or its last characters as shown by postern notify route list.",
		Example: "  postern notify route delete 7f3a9c12", Args: takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			id, err := idOf("route", "postern notify route list", args[0], cl.Routes(ctx, ""),
				func(r api.Route) string { return r.ID })
			if err != nil {
				return "", err
			}
			return "The route is deleted.", cl.DeleteRoute(ctx, id)
		}),
	}
}
