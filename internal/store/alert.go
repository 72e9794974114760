package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	alertTable = describe("alert", "alerts", "a", "id",
		text("id", func(v *alert.Alert) *alert.ID { return &v.ID }),
		text("tenant", func(v *alert.Alert) *access.TenantID { return &v.Tenant }),
		text("rule", func(v *alert.Alert) *alert.RuleID { return &v.Rule }),
		text("key", func(v *alert.Alert) *string { return &v.Key }),
		text("state", func(v *alert.Alert) *alert.State { return &v.State }),
		text("severity", func(v *alert.Alert) *alert.Severity { return &v.Severity }),
		when("first_seen", func(v *alert.Alert) *time.Time { return &v.FirstSeen }),
		when("last_seen", func(v *alert.Alert) *time.Time { return &v.LastSeen }),
		when("closed_at", func(v *alert.Alert) *time.Time { return &v.ClosedAt }),
		others[alert.Alert]("body", parts{inline: []string{"Subject"}}),
		number("revision", func(v *alert.Alert) *int64 { return &v.Revision }))

	watchTable = describe("watch", "alert_watches", "w", "tenant, rule, key",
		text("tenant", func(v *alert.Watch) *access.TenantID { return &v.Tenant }),
		text("rule", func(v *alert.Watch) *alert.RuleID { return &v.Rule }),
		text("key", func(v *alert.Watch) *string { return &v.Key }),
		when("last", func(v *alert.Watch) *time.Time { return &v.Last }),
		listOf("body", func(v *alert.Watch) *[]alert.Mark { return &v.Marks }))

	selectAlert   = "select " + alertTable.selected + " from alerts a where a.id = $1 limit 1"
	selectAlertOf = "select " + alertTable.selected + " from alerts a where a.tenant = $1 and a.rule = $2 and a.key = $3 " +
		"and a.closed_at = 0 limit 1"
	listAlerts   = "select " + alertTable.selected + " from alerts a"
	selectCursor = "select seq from alert_cursor where id = 1 limit 1"
	selectWatch  = "select " + watchTable.selected +
		" from alert_watches w where w.tenant = $1 and w.rule = $2 and w.key = $3 limit 1"
)

// AlertCursor implements engine.AlertReader.
func (r *reader) AlertCursor(ctx context.Context) (int64, error) {
	return one(ctx, r.q, "cursor", scanNumber, selectCursor)
}

// Alert implements engine.AlertReader.
func (r *reader) Alert(ctx context.Context, id alert.ID) (alert.Alert, error) {
	return one(ctx, r.q, "alert", alertTable.scan, selectAlert, string(id))
}

// AlertOf implements engine.AlertReader.
func (r *reader) AlertOf(ctx context.Context, k alert.Key) (alert.Alert, error) {
	return one(ctx, r.q, "alert", alertTable.scan, selectAlertOf, string(k.Tenant), string(k.Rule), k.Key)
}

// Alerts implements engine.AlertReader.
func (r *reader) Alerts(ctx context.Context, f engine.AlertFilter, p engine.Page) (engine.Listed[alert.Alert], error) {
	const columns = "a.first_seen, a.id"
	l := from(listAlerts)
	l.tenants("a.tenant", f.Tenant, f.Beside)
	equal(l, "a.state", f.State)
	equal(l, "a.rule", f.Rule)
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), alertTable.scan,
		func(a alert.Alert) []any { return []any{micros(a.FirstSeen), a.ID} })
}

// AlertWatch implements engine.AlertReader.
func (r *reader) AlertWatch(ctx context.Context, k alert.Key) (alert.Watch, error) {
	return one(ctx, r.q, "watch", watchTable.scan, selectWatch, string(k.Tenant), string(k.Rule), k.Key)
}

const (
	updateCursor        = "update alert_cursor set seq = $2 where id = 1 and seq = $1"
	deleteWatch         = "delete from alert_watches where tenant = $1 and rule = $2 and key = $3"
	deleteWatchesBefore = "delete from alert_watches where last < $1"
)

// AdvanceAlertCursor implements engine.AlertWriter.
func (t *tx) AdvanceAlertCursor(ctx context.Context, was, to int64) error {
	return t.exec(ctx, "cursor", changed("cursor of alerts"), updateCursor, was, to)
}

// SaveAlert implements engine.AlertWriter.
func (t *tx) SaveAlert(ctx context.Context, a alert.Alert, was int64) error {
	return swap(ctx, t, alertTable, a, a.Revision, was)
}

// SaveAlertWatch implements engine.AlertWriter.
func (t *tx) SaveAlertWatch(ctx context.Context, w alert.Watch) error {
	return put(ctx, t, watchTable, watchTable.upsert, w)
}

// DeleteAlertWatch implements engine.AlertWriter.
func (t *tx) DeleteAlertWatch(ctx context.Context, k alert.Key) error {
	return t.exec(ctx, "watch", nil, deleteWatch, string(k.Tenant), string(k.Rule), k.Key)
}

// DeleteAlertWatchesBefore implements engine.AlertWriter.
func (t *tx) DeleteAlertWatchesBefore(ctx context.Context, before time.Time) error {
	return t.exec(ctx, "watch", nil, deleteWatchesBefore, micros(before))
}
