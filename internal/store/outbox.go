package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	notificationColumns = "n.id, n.seq, n.at, n.kind, n.tenant, n.request, n.grant_id, n.alert, n.body"
	selectNotification  = "select " + notificationColumns + " from notifications n where n.id = $1 limit 1"
	selectUnrouted      = "select " + notificationColumns +
		" from notifications n where n.routed = 0 order by n.seq limit $1"
	selectPrunable = `select n.id from notifications n where n.at < $1 and n.routed = 1
and not exists (select 1 from deliveries d where d.notification = n.id and d.state = 'pending') order by n.at, n.seq limit $2`

	deliveryColumns = `d.id, d.seq, d.notification, d.kind, d.tenant, d.request, d.channel, d.recipient, d.lane, d.state, d.attempts, d.queued_at, d.next_attempt,
d.last_error, d.ended_at, d.revision`
	selectDelivery = "select " + deliveryColumns + " from deliveries d where d.id = $1 limit 1"
	listDeliveries = "select " + deliveryColumns + " from deliveries d"
	selectHeads    = "select " + deliveryColumns + ` from deliveries d where d.channel = $1 and d.state = 'pending'
and not exists (select 1 from deliveries e where e.channel = d.channel and e.lane = d.lane and e.state = 'pending' and e.seq < d.seq)
order by d.next_attempt, d.seq, d.id limit $2`
)

func scanNotification(row scanner) (n engine.Notification, err error) {
	var record notificationRecord
	err = row.Scan(&n.ID, &n.Seq, timeColumn{&n.At}, &n.Kind, &n.Tenant, &n.Request, &n.Grant, &n.Alert,
		jsonColumn{&record})
	return record.onto(n), err
}

func scanDelivery(row scanner) (d engine.Delivery, err error) {
	err = row.Scan(&d.ID, &d.Seq, &d.Notification, &d.Kind, &d.Tenant, &d.Request, &d.Channel, &d.Recipient, &d.Lane,
		&d.State, &d.Attempts, timeColumn{&d.QueuedAt},
		timeColumn{&d.NextAttempt}, &d.LastError, timeColumn{&d.EndedAt}, &d.Revision)
	return d, err
}

// Unrouted implements engine.OutboxReader.
func (r *reader) Unrouted(ctx context.Context, limit int) ([]engine.Notification, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanNotification, selectUnrouted, int64(limit))
}

// Notification implements engine.OutboxReader.
func (r *reader) Notification(ctx context.Context, id engine.NotificationID) (engine.Notification, error) {
	return one(ctx, r.q, "notification", scanNotification, selectNotification, string(id))
}

// Delivery implements engine.OutboxReader.
func (r *reader) Delivery(ctx context.Context, id engine.DeliveryID) (engine.Delivery, error) {
	return one(ctx, r.q, "delivery", scanDelivery, selectDelivery, string(id))
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
	return page(ctx, r.q, l, p, "d.seq desc, d.id desc", scanDelivery,
		func(d engine.Delivery) []any { return []any{d.Seq, d.ID} })
}

// Heads implements engine.OutboxReader.
func (r *reader) Heads(ctx context.Context, channel engine.ChannelID, limit int) ([]engine.Delivery, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanDelivery, selectHeads, string(channel), int64(limit))
}

const countBacklog = "select count(*) from (select 1 from deliveries d where d.state = 'pending' limit 100000) " +
	"waiting limit 1"

// Backlog implements engine.OutboxReader.
func (r *reader) Backlog(ctx context.Context) (int, error) {
	count, err := one(ctx, r.q, "count", scanNumber, countBacklog)
	return int(count), err
}

const (
	insertNotification = "insert into notifications (id, at, kind, tenant, request, grant_id, alert, body, routed) " +
		"values ($1, $2, $3, $4, $5, $6, $7, $8, 0)"
	markRouted         = "update notifications set routed = 1 where id = $1 and routed = 0"
	deleteNotification = "delete from notifications where id = $1"

	insertDelivery = `insert into deliveries (id, seq, notification, kind, tenant, request, channel, recipient, lane, state, attempts, queued_at, next_attempt, last_error,
ended_at, revision) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`
	insertNewDelivery = insertDelivery + " on conflict (id) do nothing"
	updateDelivery    = `update deliveries set seq = $2, notification = $3, kind = $4, tenant = $5, request = $6, channel = $7, recipient = $8, lane = $9, state = $10,
attempts = $11, queued_at = $12, next_attempt = $13, last_error = $14, ended_at = $15, revision = $16 where id = $1 and revision = $17`
	deleteDeliveriesOf = "delete from deliveries where notification = $1"
)

// Enqueue implements engine.OutboxTx.
func (t *tx) Enqueue(ctx context.Context, notifications ...engine.Notification) error {
	for _, n := range notifications {
		if n.ID == "" || n.At.IsZero() || n.Kind == "" || n.Tenant == "" {
			return access.Fault(access.KindInternal, "notificationIncomplete",
				"a notification needs an id, a time, a kind and a tenant")
		}
		body, err := toJSON(notificationRecordOf(n))
		if err != nil {
			return err
		}
		if err := t.exec(ctx, "notification", nil, insertNotification, string(n.ID), micros(n.At), string(n.Kind),
			string(n.Tenant), string(n.Request), string(n.Grant),
			n.Alert, body); err != nil {
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
		if err := t.exec(ctx, "delivery", nil, insertNewDelivery, deliveryArgs(d)...); err != nil {
			return err
		}
	}
	return nil
}

// SaveDelivery implements engine.OutboxTx.
func (t *tx) SaveDelivery(ctx context.Context, d engine.Delivery, was int64) error {
	return t.swap(ctx, "delivery", d.Revision, was, insertDelivery, updateDelivery, deliveryArgs(d))
}

func deliveryArgs(d engine.Delivery) []any {
	return []any{
		string(d.ID), d.Seq, string(d.Notification), string(d.Kind), string(d.Tenant), string(d.Request),
		string(d.Channel), string(d.Recipient), d.Lane,
		string(d.State), int64(d.Attempts), micros(d.QueuedAt), micros(d.NextAttempt), d.LastError, micros(d.EndedAt),
		d.Revision,
	}
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
