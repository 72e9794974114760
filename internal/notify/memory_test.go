package notify_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var errStore = errors.New("the store does not answer")

// memory is an outbox in memory that behaves as the store does: transactions that take effect as a whole or not at all,
// compare-and-swap, unique ids. fail, when set, decides which transactions break, before or after their commit.
type memory struct {
	mu      sync.Mutex
	tables  tables
	changed []chan struct{}
	fail    func(write bool) (before, after bool)
}

type tables struct {
	seq        int64
	principals map[access.PrincipalID]access.Principal
	members    map[access.PrincipalID][]access.PrincipalID
	queue      []engine.Notification
	routed     map[engine.NotificationID]bool
	channels   map[engine.ChannelID]engine.Channel
	routes     map[engine.RouteID]engine.Route
	deliveries map[engine.DeliveryID]engine.Delivery
}

func newMemory() *memory {
	return &memory{tables: tables{
		principals: map[access.PrincipalID]access.Principal{}, members: map[access.PrincipalID][]access.PrincipalID{},
		routed: map[engine.NotificationID]bool{}, channels: map[engine.ChannelID]engine.Channel{},
		routes:     map[engine.RouteID]engine.Route{},
		deliveries: map[engine.DeliveryID]engine.Delivery{},
	}}
}

func (t tables) clone() tables {
	t.principals, t.members, t.queue = maps.Clone(t.principals), maps.Clone(t.members), slices.Clone(t.queue)
	t.routed, t.channels, t.routes, t.deliveries = maps.Clone(
		t.routed), maps.Clone(t.channels), maps.Clone(t.routes), maps.Clone(t.deliveries)
	return t
}

func (m *memory) breaks(write bool) (before, after bool) {
	if m.fail == nil {
		return false, false
	}
	return m.fail(write)
}

func (m *memory) ViewOutbox(ctx context.Context, fn func(engine.OutboxReader) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, _ := m.breaks(false); before || ctx.Err() != nil {
		return cmp.Or(ctx.Err(), errStore)
	}
	copied := m.tables.clone()
	return fn(&tx{tables: &copied})
}

func (m *memory) UpdateOutbox(ctx context.Context, fn func(engine.OutboxTx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, after := m.breaks(true)
	if before || ctx.Err() != nil {
		return cmp.Or(ctx.Err(), errStore)
	}
	copied := m.tables.clone()
	t := &tx{tables: &copied}
	if err := cmp.Or(fn(t), t.spoiled); err != nil {
		return err
	}
	m.tables = copied
	for _, c := range m.changed {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	if after {
		return errStore
	}
	return nil
}

func (m *memory) WatchOutbox() (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan struct{}, 1)
	m.changed = append(m.changed, c)
	return c, func() {}
}

// tx is a transaction; it works on a copy. One whose write failed cannot be committed.
type tx struct {
	*tables

	spoiled error
}

func (t *tx) conflict(what string) error {
	t.spoiled = access.Fault(access.KindConflict, "changed", "%s has changed", what)
	return t.spoiled
}

func one[K comparable, V any](m map[K]V, id K) (V, error) {
	v, ok := m[id]
	if !ok {
		return v, access.Fault(access.KindNotFound, "notFound", "there is no %v", id)
	}
	return v, nil
}

func sorted[K cmp.Ordered, V any](m map[K]V, keep func(V) bool) engine.Listed[V] {
	var l engine.Listed[V]
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if keep(m[k]) {
			l.Items = append(l.Items, m[k])
		}
	}
	return l
}

func fits[T comparable](filter, value T) bool {
	var zero T
	return filter == zero || filter == value
}

func (t *tx) Principal(_ context.Context, id access.PrincipalID) (access.Principal, error) {
	return one(t.principals, id)
}

func (t *tx) Principals(_ context.Context, f engine.PrincipalFilter,
	_ engine.Page,
) (engine.Listed[access.Principal], error) {
	return sorted(t.principals,
		func(p access.Principal) bool { return f.Group == "" || slices.Contains(t.members[f.Group], p.ID) }), nil
}

func (t *tx) Unrouted(_ context.Context, limit int) ([]engine.Notification, error) {
	var out []engine.Notification
	for _, n := range t.queue {
		if !t.routed[n.ID] && len(out) < limit {
			out = append(out, n)
		}
	}
	return out, nil
}

func (t *tx) Notification(_ context.Context, id engine.NotificationID) (engine.Notification, error) {
	for _, n := range t.queue {
		if n.ID == id {
			return n, nil
		}
	}
	return engine.Notification{}, access.Fault(access.KindNotFound, "notFound", "there is no notification %s", id)
}

func (t *tx) Channel(_ context.Context, id engine.ChannelID) (engine.Channel, error) {
	return one(t.channels, id)
}

func (t *tx) Channels(_ context.Context, f engine.ChannelFilter, _ engine.Page) (engine.Listed[engine.Channel], error) {
	return sorted(t.channels,
		func(c engine.Channel) bool { return fits(f.Tenant, c.Tenant) && fits(f.Kind, c.Kind) }), nil
}

func (t *tx) HasChannels(_ context.Context, tenant access.TenantID) (bool, error) {
	found := sorted(t.channels, func(c engine.Channel) bool { return c.Tenant == tenant })
	return len(found.Items) > 0, nil
}

func (t *tx) Route(_ context.Context, id engine.RouteID) (engine.Route, error) {
	return one(t.routes, id)
}

func (t *tx) Routes(_ context.Context, f engine.RouteFilter, _ engine.Page) (engine.Listed[engine.Route], error) {
	return sorted(t.routes,
		func(r engine.Route) bool { return fits(f.Tenant, r.Tenant) && fits(f.Channel, r.Channel) }), nil
}

func (t *tx) Delivery(_ context.Context, id engine.DeliveryID) (engine.Delivery, error) {
	return one(t.deliveries, id)
}

func (t *tx) Deliveries(_ context.Context, f engine.DeliveryFilter,
	_ engine.Page,
) (engine.Listed[engine.Delivery], error) {
	l := sorted(t.deliveries, func(d engine.Delivery) bool {
		return fits(f.Tenant,
			d.Tenant) && fits(f.Channel, d.Channel) && fits(f.State, d.State) && fits(f.Request, d.Request)
	})
	slices.SortStableFunc(l.Items, func(a, b engine.Delivery) int { return cmp.Compare(b.Seq, a.Seq) })
	return l, nil
}

func (t *tx) Backlog(context.Context) (int, error) {
	n := 0
	for _, d := range t.deliveries {
		if d.State == engine.DeliveryPending {
			n++
		}
	}
	return n, nil
}

func (t *tx) Heads(_ context.Context, channel engine.ChannelID, limit int) ([]engine.Delivery, error) {
	heads := make(map[string]engine.Delivery)
	for _, d := range t.deliveries {
		head, ok := heads[d.Lane]
		if d.Channel == channel && d.State == engine.DeliveryPending && (!ok || d.Seq < head.Seq) {
			heads[d.Lane] = d
		}
	}
	out := slices.SortedFunc(maps.Values(heads), func(a, b engine.Delivery) int {
		return cmp.Or(a.NextAttempt.Compare(b.NextAttempt), cmp.Compare(a.Seq, b.Seq),
			strings.Compare(string(a.ID), string(b.ID)))
	})
	return out[:min(limit, len(out))], nil
}

func (t *tx) Enqueue(_ context.Context, notifications ...engine.Notification) error {
	for _, n := range notifications {
		t.seq++
		n.Seq = t.seq
		t.queue = append(t.queue, n)
	}
	return nil
}

func (t *tx) Routed(_ context.Context, id engine.NotificationID) error {
	if t.routed[id] {
		return t.conflict("notification " + string(id))
	}
	t.routed[id] = true
	return nil
}

func (t *tx) AddDeliveries(_ context.Context, deliveries ...engine.Delivery) error {
	for _, d := range deliveries {
		if _, there := t.deliveries[d.ID]; !there {
			t.deliveries[d.ID] = d
		}
	}
	return nil
}

func (t *tx) SaveDelivery(_ context.Context, d engine.Delivery, was int64) error {
	if t.deliveries[d.ID].Revision != was {
		return t.conflict("delivery " + string(d.ID))
	}
	t.deliveries[d.ID] = d
	return nil
}

func (t *tx) SaveChannel(_ context.Context, c engine.Channel, was int64) error {
	if t.channels[c.ID].Revision != was {
		return t.conflict("channel " + string(c.ID))
	}
	t.channels[c.ID] = c
	return nil
}

func (t *tx) DeleteChannel(_ context.Context, id engine.ChannelID, _ int64, now time.Time) error {
	delete(t.channels, id)
	for _, d := range t.deliveries {
		if d.Channel == id && d.State == engine.DeliveryPending {
			d.State, d.EndedAt, d.LastError = engine.DeliveryDead, now, "the channel was deleted"
			d.Revision++
			t.deliveries[d.ID] = d
		}
	}
	return nil
}

func (t *tx) SaveRoute(_ context.Context, r engine.Route) error {
	t.routes[r.ID] = r
	return nil
}

func (t *tx) DeleteRoute(_ context.Context, id engine.RouteID) error {
	delete(t.routes, id)
	return nil
}

func (t *tx) PruneOutbox(_ context.Context, before time.Time, limit int) (int, error) {
	pending := make(map[engine.NotificationID]bool)
	for _, d := range t.deliveries {
		pending[d.Notification] = pending[d.Notification] || d.State == engine.DeliveryPending
	}
	gone := make(map[engine.NotificationID]bool)
	t.queue = slices.DeleteFunc(t.queue, func(n engine.Notification) bool {
		old := t.routed[n.ID] && n.At.Before(before) && !pending[n.ID] && len(gone) < limit
		if old {
			gone[n.ID] = true
		}
		return old
	})
	maps.DeleteFunc(t.deliveries, func(_ engine.DeliveryID, d engine.Delivery) bool { return gone[d.Notification] })
	return len(gone), nil
}
