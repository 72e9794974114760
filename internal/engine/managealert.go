package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Alerts lists the alerts that the caller may see, newest first: those about machines within their scopes, and with the
// right at the root all.
func (e *Engine) Alerts(ctx context.Context, c Caller, f AlertFilter, p Page) (list Listed[alert.Alert], err error) {
	err = e.look(ctx, c, attempt{action: rbac.AlertsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.AlertsRead)
		if err != nil {
			return err
		}
		f.Tenant, f.Beside = c.Tenant, may.beside()
		list, err = visible(p, func(p Page) (Listed[alert.Alert], error) { return r.Alerts(ctx, f, p) },
			func(a alert.Alert) (alert.Alert, bool, error) {
				return may.border(r, a.Tenant).alert(a), may.reaches(a.Tenant, scopeOfAlert(a), scopes), nil
			})
		return err
	})
	return list, err
}

// scopeOfAlert gives where an alert lies; what is about no machine is for those who may everywhere.
func scopeOfAlert(a alert.Alert) access.ResourceID {
	if a.Subject.Scope == "" {
		return access.Root
	}
	return a.Subject.Scope
}

// Alert gives one alert.
func (e *Engine) Alert(ctx context.Context, c Caller, id alert.ID) (a alert.Alert, err error) {
	err = e.look(ctx, c, attempt{action: rbac.AlertsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if _, err := may.anywhere(rbac.AlertsRead, rbac.AlertsWrite); err != nil {
			return err
		}
		a, err = findAlert(ctx, r, may, id)
		a = may.border(r, a.Tenant).alert(a)
		return err
	})
	return a, err
}

func findAlert(ctx context.Context, r Reader, may rights, id alert.ID) (alert.Alert, error) {
	unknown := access.Fault(access.KindNotFound, "unknownAlert", "there is no alert %q that you may see", clip(string(id)))
	if uuid.Validate(string(id)) != nil {
		return alert.Alert{}, unknown
	}
	a, err := r.Alert(ctx, alert.ID(strings.ToLower(string(id))))
	switch {
	case isKind(err, access.KindNotFound), err == nil && !may.mayOf(a.Tenant, rbac.AlertsRead, scopeOfAlert(a)):
		return alert.Alert{}, unknown
	case err != nil:
		return alert.Alert{}, fmt.Errorf("read alert: %w", err)
	}
	return a, nil
}

// AcknowledgeAlert says that the caller looks at an alert.
func (e *Engine) AcknowledgeAlert(ctx context.Context, c Caller, id alert.ID, comment string) (alert.Alert, error) {
	return e.moveAlert(ctx, c, id, func(w *work, by access.Actor, a alert.Alert) (alert.Alert, error) {
		next, err := a.Acknowledge(by, comment)
		if err == nil {
			w.event(alertEvent(next, access.AlertAcknowledged, by))
		}
		return next, err
	})
}

// CloseAlert ends an alert. What rules remember of its key is forgotten, so that it takes the whole threshold to raise it
// again; one about what is so comes back while that is so.
func (e *Engine) CloseAlert(ctx context.Context, c Caller, id alert.ID, comment string) (alert.Alert, error) {
	return e.moveAlert(ctx, c, id, func(w *work, by access.Actor, a alert.Alert) (alert.Alert, error) {
		next, err := a.Close(by, comment, w.now)
		if err != nil {
			return a, err
		}
		if err := w.tx.DeleteAlertWatch(ctx, alert.Key{Tenant: a.Tenant, Rule: a.Rule, Key: a.Key}); err != nil {
			return a, fmt.Errorf("delete watch: %w", err)
		}
		return next, w.tell(ctx, next, alert.WasClosed, by)
	})
}

func (e *Engine) moveAlert(ctx context.Context, c Caller, id alert.ID, move func(*work, access.Actor, alert.Alert) (alert.Alert, error)) (a alert.Alert, err error) {
	err = e.change(ctx, c, attempt{action: rbac.AlertsWrite, details: map[string]string{"alert": string(id)}}, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		if _, err := may.anywhere(rbac.AlertsWrite); err != nil {
			return err
		}
		was, err := findAlert(ctx, tx, may, id)
		if err != nil {
			return err
		}
		if err := may.requireOf(was.Tenant, rbac.AlertsWrite, scopeOfAlert(was)); err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		if a, err = move(w, may.actor(was.Tenant), was); err != nil {
			return err
		}
		if err := tx.SaveAlert(ctx, a, was.Revision); err != nil {
			return fmt.Errorf("save alert: %w", err)
		}
		return w.finish(ctx)
	})
	return a, err
}

// AlertRules gives the rules of the caller's tenant, in the order of the manual.
func (e *Engine) AlertRules(ctx context.Context, c Caller) (list []alert.Rule, err error) {
	err = e.look(ctx, c, attempt{action: rbac.AlertsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if _, err := may.anywhere(rbac.AlertsRead); err != nil {
			return err
		}
		settings, err := r.AlertSettings(ctx, c.Tenant)
		if err != nil {
			return fmt.Errorf("read alert rules: %w", err)
		}
		book := alert.NewBook(settings)
		list = nil
		for _, rule := range alert.Rules() {
			list = append(list, book[rule.ID])
		}
		return nil
	})
	return list, err
}

// SetAlertRule changes what is not nil in the setting. Alerts of a rule that is switched off close.
func (e *Engine) SetAlertRule(ctx context.Context, c Caller, s alert.Setting) (rule alert.Rule, err error) {
	err = e.change(ctx, c, attempt{action: rbac.AlertRulesWrite, details: map[string]string{"rule": string(s.Rule)}}, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.AlertRulesWrite, access.Root)
		if err != nil {
			return err
		}
		if err := s.Validate(); err != nil {
			return err
		}
		settings, err := tx.AlertSettings(ctx, c.Tenant)
		if err != nil {
			return fmt.Errorf("read alert rules: %w", err)
		}
		was := alert.Setting{Rule: s.Rule}
		for _, old := range settings {
			if old.Rule == s.Rule {
				was = old
			}
		}
		next := was.Over(s)
		if err := tx.SaveAlertSetting(ctx, c.Tenant, next); err != nil {
			return fmt.Errorf("save alert rule: %w", err)
		}
		rule = alert.NewBook([]alert.Setting{next})[s.Rule]
		return tx.Append(ctx, access.Event{
			At: may.now, Kind: access.AlertRuleChanged, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant, Action: rbac.AlertRulesWrite,
			Details: map[string]string{
				"rule": string(rule.ID), "threshold": strconv.Itoa(rule.Threshold), "severity": string(rule.Severity), "enabled": strconv.FormatBool(rule.Enabled),
			},
		})
	})
	return rule, err
}
