package engine

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// OutboxReader reads the outbox and what its delivery rests on. Whatever looks for one thing and does not find it fails
// with access.KindNotFound.
type OutboxReader interface {
	Principal(ctx context.Context, id access.PrincipalID) (access.Principal, error)
	Principals(ctx context.Context, f PrincipalFilter, p Page) (Listed[access.Principal], error)

	// Unrouted gives the oldest notifications that Routed was not called for, in the order of Seq; at most limit.
	Unrouted(ctx context.Context, limit int) ([]Notification, error)
	Notification(ctx context.Context, id NotificationID) (Notification, error)

	Channel(ctx context.Context, id ChannelID) (Channel, error)
	Channels(ctx context.Context, f ChannelFilter, p Page) (Listed[Channel], error) // by name
	HasChannels(ctx context.Context, tenant access.TenantID) (bool, error)
	Route(ctx context.Context, id RouteID) (Route, error)
	Routes(ctx context.Context, f RouteFilter, p Page) (Listed[Route], error) // oldest first

	Delivery(ctx context.Context, id DeliveryID) (Delivery, error)
	Deliveries(ctx context.Context, f DeliveryFilter, p Page) (Listed[Delivery], error) // newest first
	// Heads gives the first pending delivery of each lane of the channel, by NextAttempt; at most limit.
	Heads(ctx context.Context, channel ChannelID, limit int) ([]Delivery, error)
	// Backlog counts pending deliveries, to 100,000 at the most.
	Backlog(ctx context.Context) (int, error)
}

// OutboxTx changes the outbox. A method with a `was` argument compares and swaps as those of Tx do.
type OutboxTx interface {
	OutboxReader

	// Enqueue adds notifications, which must have an ID, a time, a kind and a tenant, and numbers them. Of two
	// transactions of which one saw the other's effect, the later has the greater numbers.
	Enqueue(ctx context.Context, notifications ...Notification) error
	// Routed marks a notification, all of whose deliveries are there now; conflict if it was marked already.
	Routed(ctx context.Context, id NotificationID) error

	AddDeliveries(ctx context.Context, deliveries ...Delivery) error // leaves those that are there already as they are
	SaveDelivery(ctx context.Context, d Delivery, was int64) error

	SaveChannel(ctx context.Context, c Channel, was int64) error // conflict if the tenant has another of that name
	// DeleteChannel deletes a channel with its routes, and marks its pending deliveries dead.
	DeleteChannel(ctx context.Context, id ChannelID, was int64, now time.Time) error
	SaveRoute(ctx context.Context, r Route) error // inserts or replaces; conflict if its channel is not there
	DeleteRoute(ctx context.Context, id RouteID) error

	// PruneOutbox deletes routed notifications from before the given instant that have no pending delivery, with their
	// deliveries; at most limit. It returns how many.
	PruneOutbox(ctx context.Context, before time.Time, limit int) (int, error)
}

// Outbox is the part of the store that delivery works on; see Store for the contracts of its transactions.
type Outbox interface {
	ViewOutbox(ctx context.Context, fn func(OutboxReader) error) error
	UpdateOutbox(ctx context.Context, fn func(OutboxTx) error) error

	// WatchOutbox gives a channel that receives, coalesced, after commits that may have enqueued something.
	WatchOutbox() (changed <-chan struct{}, stop func())
}

// NewOutbox gives the outbox of a store. Every change that enqueues something appends an event too, so whoever watches
// the activity log hears of it.
func NewOutbox(s Store) Outbox { return storeOutbox{s} }

type storeOutbox struct{ store Store }

func (o storeOutbox) ViewOutbox(ctx context.Context, fn func(OutboxReader) error) error {
	return o.store.View(ctx, func(r Reader) error { return fn(r) })
}

func (o storeOutbox) UpdateOutbox(ctx context.Context, fn func(OutboxTx) error) error {
	return o.store.Update(ctx, func(tx Tx) error { return fn(tx) })
}

func (o storeOutbox) WatchOutbox() (changed <-chan struct{}, stop func()) {
	return o.store.WatchEvents()
}

// ChannelFilter narrows a list of channels; zero fields do not narrow.
type ChannelFilter struct {
	Tenant access.TenantID
	Kind   ChannelKind
	Not    ChannelKind // all but those of the kind
	Name   string      // the one that is called so, in whatever case
}

// RouteFilter narrows a list of routes; zero fields do not narrow.
type RouteFilter struct {
	Tenant    access.TenantID
	Channel   ChannelID
	Principal access.PrincipalID
	Policy    access.PolicyID
}

// DeliveryFilter narrows a list of deliveries; zero fields do not narrow.
type DeliveryFilter struct {
	Tenant  access.TenantID
	Channel ChannelID
	Request access.RequestID
	State   DeliveryState
}
