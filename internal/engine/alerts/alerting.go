package alerts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// alerting gathers what one transaction does to alerts. finish saves it, with the events and notifications.
type alerting struct {
	*engine.Work

	books   map[access.TenantID]alert.Book
	watches map[alert.Key]alert.Watch
	dirty   map[alert.Key]bool // watches to save
	alerts  map[alert.Key]alert.Alert
	was     map[alert.Key]int64 // revisions as they are stored
	changes map[alert.Key]alert.Change
}

func (e *Service) newAlerting(tx engine.Tx) *alerting {
	return &alerting{
		Work: e.kernel.NewWork(tx, e.kernel.Now()), books: map[access.TenantID]alert.Book{},
		watches: map[alert.Key]alert.Watch{}, dirty: map[alert.Key]bool{},
		alerts: map[alert.Key]alert.Alert{}, was: map[alert.Key]int64{}, changes: map[alert.Key]alert.Change{},
	}
}

// book gives the rules of a tenant.
func (a *alerting) book(ctx context.Context, tenant access.TenantID) (alert.Book, error) {
	if b, ok := a.books[tenant]; ok {
		return b, nil
	}
	b, err := bookOf(ctx, a.Tx, tenant)
	if err != nil {
		return nil, err
	}
	a.books[tenant] = b
	return b, nil
}

func bookOf(ctx context.Context, r engine.Reader, tenant access.TenantID) (alert.Book, error) {
	settings, err := r.TenantSettings(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's settings: %w", err)
	}
	return alert.NewBook(settings.Alerts), nil
}

// load reads the watch of a key, and its alert that is not closed.
func (a *alerting) load(ctx context.Context, k alert.Key) error {
	if _, ok := a.was[k]; ok {
		return nil
	}
	w, err := a.Tx.AlertWatch(ctx, k)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return fmt.Errorf("read watch: %w", err)
	}
	open, err := a.Tx.AlertOf(ctx, k)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return fmt.Errorf("read alert: %w", err)
	}
	a.watches[k], a.alerts[k], a.was[k] = w, open, open.Revision
	return nil
}

// found raises an alert, or adds to the one that is not closed.
func (a *alerting) found(ctx context.Context, k alert.Key, f alert.Finding) error {
	if err := a.load(ctx, k); err != nil {
		return err
	}
	book, err := a.book(ctx, k.Tenant)
	if err != nil {
		return err
	}
	if f.Subject.Machine != "" {
		m, err := a.Machine(ctx, f.Subject.Machine)
		if err != nil {
			return err
		}
		if m.Name != "" {
			f.Subject.Name, f.Subject.Scope = m.Name, m.Resource
		}
	}
	f.Detail = engine.Clip(f.Detail)
	next, change := book[k.Rule].Raise(a.alerts[k], k.Tenant, f, func() alert.ID { return alert.ID(engine.NewID()) })
	a.alerts[k] = next
	a.note(k, change)
	return nil
}

// note remembers the most important of the changes of one alert.
func (a *alerting) note(k alert.Key, change alert.Change) {
	if was := a.changes[k]; was == "" || change == alert.WasClosed {
		a.changes[k] = change
	}
}

// gone closes an alert whose cause is gone.
func (a *alerting) gone(k alert.Key, why string) error {
	next, err := a.alerts[k].Close(access.System(), why, a.Now)
	if err != nil {
		return err
	}
	a.alerts[k] = next
	a.note(k, alert.WasClosed)
	return nil
}

// finish saves what changed, in one order for all.
func (a *alerting) finish(ctx context.Context) error {
	keys := make([]alert.Key, 0, len(a.was))
	for k := range a.was {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y alert.Key) int {
		return cmp.Or(cmp.Compare(x.Tenant, y.Tenant), cmp.Compare(x.Rule, y.Rule), cmp.Compare(x.Key, y.Key))
	})
	for _, k := range keys {
		if a.dirty[k] {
			if err := a.Tx.SaveAlertWatch(ctx, a.watches[k]); err != nil {
				return fmt.Errorf("save watch: %w", err)
			}
		}
		next := a.alerts[k]
		if next.Revision == a.was[k] {
			continue
		}
		if err := a.Tx.SaveAlert(ctx, next, a.was[k]); err != nil {
			return fmt.Errorf("save alert: %w", err)
		}
		if change := a.changes[k]; change != alert.More {
			if err := tell(ctx, a.Work, next, change, access.System()); err != nil {
				return err
			}
		}
	}
	return a.Finish(ctx)
}

// tell records what became of an alert, and has people told.
func tell(ctx context.Context, w *engine.Work, a alert.Alert, change alert.Change, by access.Actor) error {
	var kind access.EventKind
	switch change {
	case alert.Raised:
		kind = access.AlertOpened
	case alert.Escalated:
		kind = access.AlertEscalated
	case alert.WasClosed:
		kind = access.AlertClosed
	case alert.More:
		return nil
	}
	w.Event(alertEvent(a, kind, by))
	n := engine.Notification{
		ID: engine.NotificationID(engine.NewID()), At: w.Now, Kind: engine.NotifyAlert, Tenant: a.Tenant,
		Alert: string(a.ID),
		Subject: engine.Subject{
			Title: a.Title, Severity: string(a.Severity), Outcome: string(a.State),
			Detail: a.Detail, By: by.Name,
		},
	}
	if a.Subject.Machine != "" {
		n.Subject.Items = []access.NoticeItem{{Machine: a.Subject.Name}}
		m, err := w.Machine(ctx, a.Subject.Machine)
		if err != nil {
			return err
		}
		guards, err := engine.GuardsOf(ctx, w.Tx, m)
		if err != nil {
			return err
		}
		for _, p := range guards {
			n.Policies = append(n.Policies, p.ID)
		}
	}
	if a.Subject.Principal != "" {
		n.Subject.Who = a.Subject.Name
	}
	if a.Subject.Source != "" && a.Subject.Principal == "" {
		n.Subject.Detail = strings.TrimSpace("from " + a.Subject.Source + ": " + a.Detail)
	}
	var err error
	if n.Recipients, err = watchmen(ctx, w, a); err != nil {
		return err
	}
	if err := w.Tx.Enqueue(ctx, n); err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
	}
	return nil
}

// watchmen gives whom an alert concerns: those that a role makes responsible for alerts there, people and groups.
func watchmen(ctx context.Context, w *engine.Work, a alert.Alert) ([]access.PrincipalID, error) {
	data, err := w.Tx.Directory(ctx)
	if err != nil {
		return nil, fmt.Errorf("load directory: %w", err)
	}
	dir := rbac.Compile(data)
	scope := access.Root
	if a.Subject.Scope != "" {
		scope = a.Subject.Scope
	}
	var found []access.PrincipalID
	for _, assignment := range data.Assignments {
		if assignment.Tenant == a.Tenant && assignment.Home == a.Tenant &&
			assignment.Principal != a.Subject.Principal &&
			dir.Check(
				assignment.Principal, rbac.AlertsWrite, scope, w.Now).Allowed {
			found = append(found, assignment.Principal)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func alertEvent(a alert.Alert, kind access.EventKind, by access.Actor) access.Event {
	details := map[string]string{
		"alert": string(a.ID), "rule": string(a.Rule), "severity": string(a.Severity), "title": a.Title,
		"count": strconv.FormatInt(a.Count, 10), "detail": engine.Clip(a.Detail),
	}
	if a.Subject.Name != "" {
		details["about"] = engine.Clip(a.Subject.Name)
	}
	if a.Subject.Source != "" {
		details["source"] = a.Subject.Source
	}
	if a.Comment != "" {
		details["comment"] = engine.Clip(a.Comment)
	}
	return access.Event{
		Kind: kind, Outcome: access.Succeeded, Actor: by, Tenant: a.Tenant, Scope: a.Subject.Scope,
		Machine: a.Subject.Machine, Agent: a.Subject.Agent, Details: details,
	}
}
