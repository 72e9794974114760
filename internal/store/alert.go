package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	alertColumns = "a.id, a.tenant, a.rule, a.key, a.state, a.severity, a.first_seen, a.last_seen, a.closed_at, " +
		"a.body, a.revision"
	selectAlert   = "select " + alertColumns + " from alerts a where a.id = $1 limit 1"
	selectAlertOf = "select " + alertColumns + " from alerts a where a.tenant = $1 and a.rule = $2 and a.key = $3 " +
		"and a.closed_at = 0 limit 1"
	listAlerts   = "select " + alertColumns + " from alerts a"
	selectCursor = "select seq from alert_cursor where id = 1 limit 1"
	selectWatch  = "select tenant, rule, key, last, body from alert_watches where tenant = $1 and rule = $2 and " +
		"key = $3 limit 1"
	selectSettings = "select body from alert_rules where tenant = $1 order by rule limit 1000"
)

// alertRecord is the nested part of an alert's row.
type alertRecord struct {
	Title     string             `json:"title"`
	Detail    string             `json:"detail,omitempty"`
	Scope     access.ResourceID  `json:"scope,omitempty"`
	Machine   access.MachineID   `json:"machine,omitempty"`
	Agent     access.AgentID     `json:"agent,omitempty"`
	Principal access.PrincipalID `json:"principal,omitempty"`
	Name      string             `json:"name,omitempty"`
	Source    string             `json:"source,omitempty"`
	Count     int64              `json:"count"`
	Base      int64              `json:"base"`
	Evidence  []int64            `json:"evidence,omitempty"`
	ChangedBy string             `json:"changedBy,omitempty"`
	Comment   string             `json:"comment,omitempty"`
}

func scanAlert(row scanner) (a alert.Alert, err error) {
	var r alertRecord
	err = row.Scan(&a.ID, &a.Tenant, &a.Rule, &a.Key, &a.State, &a.Severity, timeColumn{&a.FirstSeen},
		timeColumn{&a.LastSeen}, timeColumn{&a.ClosedAt},
		jsonColumn{&r}, &a.Revision)
	a.Title, a.Detail, a.Count, a.Base, a.Evidence, a.ChangedBy, a.Comment = r.Title, r.Detail, r.Count, r.Base, r.Evidence, r.ChangedBy, r.Comment
	a.Subject = alert.Subject{
		Scope: r.Scope, Machine: r.Machine, Agent: r.Agent, Principal: r.Principal, Name: r.Name,
		Source: r.Source,
	}
	return a, err
}

// AlertCursor implements engine.AlertReader.
func (r *reader) AlertCursor(ctx context.Context) (int64, error) {
	return one(ctx, r.q, "cursor", scanNumber, selectCursor)
}

// Alert implements engine.AlertReader.
func (r *reader) Alert(ctx context.Context, id alert.ID) (alert.Alert, error) {
	return one(ctx, r.q, "alert", scanAlert, selectAlert, string(id))
}

// AlertOf implements engine.AlertReader.
func (r *reader) AlertOf(ctx context.Context, k alert.Key) (alert.Alert, error) {
	return one(ctx, r.q, "alert", scanAlert, selectAlertOf, string(k.Tenant), string(k.Rule), k.Key)
}

// Alerts implements engine.AlertReader.
func (r *reader) Alerts(ctx context.Context, f engine.AlertFilter, p engine.Page) (engine.Listed[alert.Alert], error) {
	const columns = "a.first_seen, a.id"
	l := from(listAlerts)
	l.tenants("a.tenant", f.Tenant, f.Beside)
	equal(l, "a.state", f.State)
	equal(l, "a.rule", f.Rule)
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), scanAlert,
		func(a alert.Alert) []any { return []any{micros(a.FirstSeen), a.ID} })
}

type markRecord struct {
	At    int64  `json:"at"` // microseconds
	Seq   int64  `json:"seq"`
	Value string `json:"value,omitempty"`
	Count int64  `json:"count"`
}

// AlertWatch implements engine.AlertReader.
func (r *reader) AlertWatch(ctx context.Context, k alert.Key) (alert.Watch, error) {
	return one(ctx, r.q, "watch", func(row scanner) (w alert.Watch, err error) {
		var marks []markRecord
		err = row.Scan(&w.Tenant, &w.Rule, &w.Key, timeColumn{&w.Last}, jsonColumn{&marks})
		for _, m := range marks {
			w.Marks = append(w.Marks, alert.Mark{At: instant(m.At), Seq: m.Seq, Value: m.Value, Count: m.Count})
		}
		return w, err
	}, selectWatch, string(k.Tenant), string(k.Rule), k.Key)
}

type settingRecord struct {
	Rule      alert.RuleID    `json:"rule"`
	Threshold *int            `json:"threshold,omitempty"`
	Severity  *alert.Severity `json:"severity,omitempty"`
	Enabled   *bool           `json:"enabled,omitempty"`
}

// AlertSettings implements engine.AlertReader.
func (r *reader) AlertSettings(ctx context.Context, tenant access.TenantID) ([]alert.Setting, error) {
	return all(ctx, r.q, func(row scanner) (alert.Setting, error) {
		var s settingRecord
		err := row.Scan(jsonColumn{&s})
		return alert.Setting(s), err
	}, selectSettings, string(tenant))
}

const (
	insertAlert = `insert into alerts (id, tenant, rule, key, state, severity, first_seen, last_seen, closed_at, body, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	updateAlert = `update alerts set tenant = $2, rule = $3, key = $4, state = $5, severity = $6, first_seen = $7, last_seen = $8, closed_at = $9, body = $10,
revision = $11 where id = $1 and revision = $12`
	updateCursor = "update alert_cursor set seq = $2 where id = 1 and seq = $1"
	upsertWatch  = `insert into alert_watches (tenant, rule, key, last, body) values ($1, $2, $3, $4, $5)
on conflict (tenant, rule, key) do update set last = excluded.last, body = excluded.body`
	deleteWatch         = "delete from alert_watches where tenant = $1 and rule = $2 and key = $3"
	deleteWatchesBefore = "delete from alert_watches where last < $1"
	upsertAlertSetting  = `insert into alert_rules (tenant, rule, body) values ($1, $2, $3) on conflict (tenant, rule) do update set body = excluded.body`
)

// AdvanceAlertCursor implements engine.AlertWriter.
func (t *tx) AdvanceAlertCursor(ctx context.Context, was, to int64) error {
	return t.exec(ctx, "cursor", changed("cursor of alerts"), updateCursor, was, to)
}

// SaveAlert implements engine.AlertWriter.
func (t *tx) SaveAlert(ctx context.Context, a alert.Alert, was int64) error {
	s := a.Subject
	body, err := toJSON(alertRecord{
		Title: a.Title, Detail: a.Detail, Scope: s.Scope, Machine: s.Machine, Agent: s.Agent, Principal: s.Principal,
		Name:   s.Name,
		Source: s.Source, Count: a.Count, Base: a.Base, Evidence: a.Evidence, ChangedBy: a.ChangedBy,
		Comment: a.Comment,
	})
	if err != nil {
		return err
	}
	return t.swap(ctx, "alert", a.Revision, was, insertAlert, updateAlert, []any{
		string(a.ID), string(a.Tenant), string(a.Rule), a.Key, string(a.State), string(a.Severity), micros(a.FirstSeen),
		micros(a.LastSeen), micros(a.ClosedAt),
		body, a.Revision,
	})
}

// SaveAlertWatch implements engine.AlertWriter.
func (t *tx) SaveAlertWatch(ctx context.Context, w alert.Watch) error {
	marks := make([]markRecord, 0, len(w.Marks))
	for _, m := range w.Marks {
		marks = append(marks, markRecord{micros(m.At), m.Seq, m.Value, m.Count})
	}
	body, err := toJSON(marks)
	if err != nil {
		return err
	}
	return t.exec(ctx, "watch", nil, upsertWatch, string(w.Tenant), string(w.Rule), w.Key, micros(w.Last), body)
}

// DeleteAlertWatch implements engine.AlertWriter.
func (t *tx) DeleteAlertWatch(ctx context.Context, k alert.Key) error {
	return t.exec(ctx, "watch", nil, deleteWatch, string(k.Tenant), string(k.Rule), k.Key)
}

// DeleteAlertWatchesBefore implements engine.AlertWriter.
func (t *tx) DeleteAlertWatchesBefore(ctx context.Context, before time.Time) error {
	return t.exec(ctx, "watch", nil, deleteWatchesBefore, micros(before))
}

// SaveAlertSetting implements engine.AlertWriter.
func (t *tx) SaveAlertSetting(ctx context.Context, tenant access.TenantID, s alert.Setting) error {
	body, err := toJSON(settingRecord(s))
	if err != nil {
		return err
	}
	return t.exec(ctx, "alert rule", nil, upsertAlertSetting, string(tenant), string(s.Rule), body)
}
