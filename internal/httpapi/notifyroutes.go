package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/notices"
)

func (a *API) notificationRoutes() {
	const tag = "Notifications"
	a.channelRoutes()
	register(a, operation{
		method: http.MethodGet, path: "/routes", id: "listRoutes", tag: tag, entry: people,
		summary: "List one's own routes, and with the right to it those of all; oldest first",
	}, a.listRoutes)
	register(a, operation{
		method: http.MethodPost, path: "/routes", id: "createRoute", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Subscribe to notifications: oneself, or with the right to it others or everybody",
	}, a.createRoute)
	register(a, operation{
		method: http.MethodDelete, path: "/routes/{route}", id: "deleteRoute", tag: tag, entry: people,
		summary: "End a subscription",
	}, a.deleteRoute)
	register(a, operation{
		method: http.MethodGet, path: "/deliveries", id: "listDeliveries", tag: tag, entry: people,
		summary: "List deliveries, the newest first",
	}, a.listDeliveries)
	register(a, operation{
		method: http.MethodPost, path: "/deliveries/{delivery}/requeue", id: "requeueDelivery", tag: tag, entry: people,
		summary: "Give a dead delivery its attempts anew",
	}, a.requeueDelivery)
}

func routeOut(d notices.RouteDetail) api.Route {
	r := d.Route
	out := api.Route{
		ID: string(r.ID), Channel: d.ChannelName, ChannelID: string(r.Channel), Principal: d.PrincipalName,
		PrincipalID: string(r.Principal),
		Policy:      string(d.Policy), Mute: r.Mute, CreatedAt: r.CreatedAt.UTC(),
	}
	for _, kind := range r.Kinds {
		out.Kinds = append(out.Kinds, string(kind))
	}
	return out
}

func deliveryOut(d notices.DeliveryDetail) api.Delivery {
	v := d.Delivery
	out := api.Delivery{
		ID: string(v.ID), Kind: string(v.Kind), Request: string(v.Request), Channel: d.ChannelName,
		ChannelID: string(v.Channel), Recipient: d.RecipientName,
		State: string(v.State), Attempts: v.Attempts, QueuedAt: v.QueuedAt.UTC(), LastError: v.LastError,
		EndedAt: instant(v.EndedAt),
	}
	if v.State == engine.DeliveryPending {
		out.NextAttempt = instant(v.NextAttempt)
	}
	return out
}

type listRoutesInput struct {
	calling
	Paging

	Principal string `query:"principal" maxLength:"256" doc:"Name or id of a person: only theirs; me is the caller."`
}

func (a *API) listRoutes(ctx context.Context, in *listRoutesInput) (*answer[api.Page[api.Route]], error) {
	who, err := a.principalID(ctx, in.caller, in.Principal)
	if err != nil {
		return nil, err
	}
	list, err := a.engine.Notices.Routes(ctx, in.caller, string(who), in.page())
	return &answer[api.Page[api.Route]]{page(list, routeOut)}, err
}

type createRouteInput struct {
	calling

	Body api.NewRoute
}

func (a *API) createRoute(ctx context.Context, in *createRouteInput) (*answer[api.Route], error) {
	var wrong invalid
	b := in.Body
	route := notices.RouteInput{
		Channel: b.Channel, Policy: wrong.scope("policy", b.Policy), Machine: b.Machine,
		Mute: b.Mute,
	}
	for _, kind := range b.Kinds {
		route.Kinds = append(route.Kinds, engine.NotificationKind(kind))
	}
	if b.Policy != "" && b.Machine != "" {
		wrong.add("policyTwice", "machine", "name the policy, or a machine that it guards, not both")
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	who, err := a.principalID(ctx, in.caller, b.Principal)
	if err != nil {
		return nil, err
	}
	route.Principal = string(who)
	d, err := a.engine.Notices.CreateRoute(ctx, in.caller, route)
	return &answer[api.Route]{routeOut(d)}, err
}

type routeInput struct {
	calling

	Route string `path:"route" maxLength:"64"`
}

func (a *API) deleteRoute(ctx context.Context, in *routeInput) (*nothing, error) {
	return &nothing{}, a.engine.Notices.DeleteRoute(ctx, in.caller, engine.RouteID(in.Route))
}

type listDeliveriesInput struct {
	calling
	Paging

	State   string `query:"state" enum:"pending,delivered,dead" doc:"Only deliveries that stand so."`
	Channel string `query:"channel" maxLength:"100" doc:"Name or id: only those through it."`
	Request string `query:"request" maxLength:"64" doc:"Only those about this request."`
}

func (a *API) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*answer[api.Page[api.Delivery]], error) {
	f := engine.DeliveryFilter{State: engine.DeliveryState(in.State), Request: access.RequestID(in.Request)}
	list, err := a.engine.Notices.Deliveries(ctx, in.caller, in.Channel, f, in.page())
	return &answer[api.Page[api.Delivery]]{page(list, deliveryOut)}, err
}

type requeueInput struct {
	calling

	Delivery string `path:"delivery" maxLength:"64"`
}

func (a *API) requeueDelivery(ctx context.Context, in *requeueInput) (*answer[api.Delivery], error) {
	d, err := a.engine.Notices.Requeue(ctx, in.caller, engine.DeliveryID(in.Delivery))
	return &answer[api.Delivery]{deliveryOut(d)}, err
}
