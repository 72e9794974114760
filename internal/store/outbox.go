package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	notificationTable = describe("notification", "notifications", "n", "id",
		text("id", func(v *engine.Notification) *engine.NotificationID { return &v.ID }),
		number("seq", func(v *engine.Notification) *int64 { return &v.Seq }).given(),
		when("at", func(v *engine.Notification) *time.Time { return &v.At }),
		text("kind", func(v *engine.Notification) *engine.NotificationKind { return &v.Kind }),
		text("tenant", func(v *engine.Notification) *access.TenantID { return &v.Tenant }),
		text("request", func(v *engine.Notification) *access.RequestID { return &v.Request }),
		text("grant_id", func(v *engine.Notification) *access.GrantID { return &v.Grant }),
		text("alert", func(v *engine.Notification) *string { return &v.Alert }),
		others[engine.Notification]("body", parts{inline: []string{"Subject"}}),
		derived("routed", func(*engine.Notification) any { return int64(0) }))

	deliveryTable = describe("delivery", "deliveries", "d", "id",
		text("id", func(v *engine.Delivery) *engine.DeliveryID { return &v.ID }),
		number("seq", func(v *engine.Delivery) *int64 { return &v.Seq }),
		text("notification", func(v *engine.Delivery) *engine.NotificationID { return &v.Notification }),
		text("kind", func(v *engine.Delivery) *engine.NotificationKind { return &v.Kind }),
		text("tenant", func(v *engine.Delivery) *access.TenantID { return &v.Tenant }),
		text("request", func(v *engine.Delivery) *access.RequestID { return &v.Request }),
		text("channel", func(v *engine.Delivery) *engine.ChannelID { return &v.Channel }),
		text("recipient", func(v *engine.Delivery) *access.PrincipalID { return &v.Recipient }),
		text("lane", func(v *engine.Delivery) *string { return &v.Lane }),
		text("state", func(v *engine.Delivery) *engine.DeliveryState { return &v.State }),
		number("attempts", func(v *engine.Delivery) *int { return &v.Attempts }),
		when("queued_at", func(v *engine.Delivery) *time.Time { return &v.QueuedAt }),
		when("next_attempt", func(v *engine.Delivery) *time.Time { return &v.NextAttempt }),
		text("last_error", func(v *engine.Delivery) *string { return &v.LastError }),
		when("ended_at", func(v *engine.Delivery) *time.Time { return &v.EndedAt }),
		number("revision", func(v *engine.Delivery) *int64 { return &v.Revision }))

	selectNotification = "select " + notificationTable.selected + " from notifications n where n.id = $1 limit 1"
	selectUnrouted     = "select " + notificationTable.selected +
		" from notifications n where n.routed = 0 order by n.seq limit $1"
	selectPrunable = `select n.id from notifications n where n.at < $1 and n.routed = 1
and not exists (select 1 from deliveries d where d.notification = n.id and d.state = 'pending') order by n.at, n.seq limit $2`

	selectDelivery    = "select " + deliveryTable.selected + " from deliveries d where d.id = $1 limit 1"
	listDeliveries    = "select " + deliveryTable.selected + " from deliveries d"
	insertNewDelivery = deliveryTable.insert + " on conflict (id) do nothing"
	selectHeads       = "select " + deliveryTable.selected + ` from deliveries d where d.channel = $1 and d.state = 'pending'
and not exists (select 1 from deliveries e where e.channel = d.channel and e.lane = d.lane and e.state = 'pending' and e.seq < d.seq)
order by d.next_attempt, d.seq, d.id limit $2`
)

// Unrouted implements engine.OutboxReader.
func (r *reader) Unrouted(ctx context.Context, limit int) ([]engine.Notification, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, notificationTable.scan, selectUnrouted, int64(limit))
}

// Notification implements engine.OutboxReader.
func (r *reader) Notification(ctx context.Context, id engine.NotificationID) (engine.Notification, error) {
	return one(ctx, r.q, "notification", notificationTable.scan, selectNotification, string(id))
}

// Delivery implements engine.OutboxReader.
func (r *reader) Delivery(ctx context.Context, id engine.DeliveryID) (engine.Delivery, error) {
	return one(ctx, r.q, "delivery", deliveryTable.scan, selectDelivery, string(id))
}

// Deliveries implements engine.OutboxReader.
func (r *reader) Deliveries(ctx context.Context, f engine.DeliveryFilter,
	p engine.Page,
) (engine.Listed[engine.Delivery], error) {
	l := from(listDeliveries)
	equal(l, "d.tenant", f.Tenant)
	equal(l, "d.channel", f.Channel)
	equal(l, "d.request", f.Request)
	equal(l, "d.state", f.State)
	l.after(p.Cursor, true, "d.seq, d.id", cursorNumber, cursorText)
	return page(ctx, r.q, l, p, "d.seq desc, d.id desc", deliveryTable.scan,
		func(d engine.Delivery) []any { return []any{d.Seq, d.ID} })
}

// Heads implements engine.OutboxReader.
func (r *reader) Heads(ctx context.Context, channel engine.ChannelID, limit int) ([]engine.Delivery, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, deliveryTable.scan, selectHeads, string(channel), int64(limit))
}

const countBacklog = "select count(*) from (select 1 from deliveries d where d.state = 'pending' limit 100000) " +
	"waiting limit 1"

// Backlog implements engine.OutboxReader.
func (r *reader) Backlog(ctx context.Context) (int, error) {
	count, err := one(ctx, r.q, "count", scanNumber, countBacklog)
	return int(count), err
}

const (
	markRouted         = "update notifications set routed = 1 where id = $1 and routed = 0"
	deleteNotification = "delete from notifications where id = $1"

	deleteDeliveriesOf = "delete from deliveries where notification = $1"
)

// Enqueue implements engine.OutboxTx.
func (t *tx) Enqueue(ctx context.Context, notifications ...engine.Notification) error {
	for _, n := range notifications {
		if n.ID == "" || n.At.IsZero() || n.Kind == "" || n.Tenant == "" {
			return access.Fault(access.KindInternal, "notificationIncomplete",
				"a notification needs an id, a time, a kind and a tenant")
		}
		if err := put(ctx, t, notificationTable, notificationTable.insert, n); err != nil {
			return err
		}
	}
	return nil
}

// Routed implements engine.OutboxTx.
func (t *tx) Routed(ctx context.Context, id engine.NotificationID) error {
	return t.exec(ctx, "notification", changed("notification"), markRouted, string(id))
}

// AddDeliveries implements engine.OutboxTx.
func (t *tx) AddDeliveries(ctx context.Context, deliveries ...engine.Delivery) error {
	for _, d := range deliveries {
		if err := put(ctx, t, deliveryTable, insertNewDelivery, d); err != nil {
			return err
		}
	}
	return nil
}

// SaveDelivery implements engine.OutboxTx.
func (t *tx) SaveDelivery(ctx context.Context, d engine.Delivery, was int64) error {
	return swap(ctx, t, deliveryTable, d, d.Revision, was)
}

// PruneOutbox implements engine.OutboxTx.
func (t *tx) PruneOutbox(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := checkLimit(limit); err != nil {
		return 0, err
	}
	ids, err := all(ctx, t.q, func(row scanner) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, selectPrunable, micros(before), int64(limit))
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := t.exec(ctx, "delivery", nil, deleteDeliveriesOf, id); err != nil {
			return 0, err
		}
		if err := t.exec(ctx, "notification", nil, deleteNotification, id); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}
