package alerts

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Alerts lists the alerts that the caller may see, newest first: those about machines within their scopes, and with the
// right at the root all.
func (e *Service) Alerts(ctx context.Context, c engine.Caller, f engine.AlertFilter,
	p engine.Page,
) (list engine.Listed[alert.Alert], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.AlertsRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.AlertsRead)
			if err != nil {
				return err
			}
			f.Tenant, f.Beside = c.Tenant, may.Beside()
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[alert.Alert], error) { return r.Alerts(ctx, f, p) },
				func(a alert.Alert) (alert.Alert, bool, error) {
					return may.Border(r, a.Tenant).Alert(a), may.Reaches(a.Tenant, scopeOfAlert(a), scopes), nil
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
func (e *Service) Alert(ctx context.Context, c engine.Caller, id alert.ID) (a alert.Alert, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.AlertsRead},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.AlertsRead, rbac.AlertsWrite); err != nil {
				return err
			}
			a, err = findAlert(ctx, r, may, id)
			a = may.Border(r, a.Tenant).Alert(a)
			return err
		})
	return a, err
}

func findAlert(ctx context.Context, r engine.Reader, may engine.Rights, id alert.ID) (alert.Alert, error) {
	unknown := access.Fault(access.KindNotFound, "unknownAlert", "there is no alert %q that you may see",
		engine.Clip(string(id)))
	if uuid.Validate(string(id)) != nil {
		return alert.Alert{}, unknown
	}
	a, err := r.Alert(ctx, alert.ID(strings.ToLower(string(id))))
	switch {
	case engine.IsKind(err, access.KindNotFound), err == nil && !may.MayOf(a.Tenant, rbac.AlertsRead, scopeOfAlert(a)):
		return alert.Alert{}, unknown
	case err != nil:
		return alert.Alert{}, fmt.Errorf("read alert: %w", err)
	}
	return a, nil
}

// AcknowledgeAlert says that the caller looks at an alert.
func (e *Service) AcknowledgeAlert(ctx context.Context, c engine.Caller, id alert.ID,
	comment string,
) (alert.Alert, error) {
	return e.moveAlert(ctx, c, id, func(w *engine.Work, by access.Actor, a alert.Alert) (alert.Alert, error) {
		next, err := a.Acknowledge(by, comment)
		if err == nil {
			w.Event(alertEvent(next, access.AlertAcknowledged, by))
		}
		return next, err
	})
}

// CloseAlert ends an alert. What rules remember of its key is forgotten, so that it takes the whole threshold to raise
// it again; one about what is so comes back while that is so.
func (e *Service) CloseAlert(ctx context.Context, c engine.Caller, id alert.ID, comment string) (alert.Alert, error) {
	return e.moveAlert(ctx, c, id, func(w *engine.Work, by access.Actor, a alert.Alert) (alert.Alert, error) {
		next, err := a.Close(by, comment, w.Now)
		if err != nil {
			return a, err
		}
		if err := w.Tx.DeleteAlertWatch(ctx, alert.Key{Tenant: a.Tenant, Rule: a.Rule, Key: a.Key}); err != nil {
			return a, fmt.Errorf("delete watch: %w", err)
		}
		return next, tell(ctx, w, next, alert.WasClosed, by)
	})
}

func (e *Service) moveAlert(ctx context.Context, c engine.Caller, id alert.ID,
	move func(*engine.Work, access.Actor, alert.Alert) (alert.Alert, error),
) (a alert.Alert, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.AlertsWrite, Details: map[string]string{"alert": string(id)}},
		func(tx engine.Tx, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.AlertsWrite); err != nil {
				return err
			}
			was, err := findAlert(ctx, tx, may, id)
			if err != nil {
				return err
			}
			if err := may.RequireOf(was.Tenant, rbac.AlertsWrite, scopeOfAlert(was)); err != nil {
				return err
			}
			w := e.kernel.NewWork(tx, may.Now)
			if a, err = move(w, may.Actor(was.Tenant), was); err != nil {
				return err
			}
			if err := tx.SaveAlert(ctx, a, was.Revision); err != nil {
				return fmt.Errorf("save alert: %w", err)
			}
			return w.Finish(ctx)
		})
	return a, err
}

// AlertRules gives the rules of the caller's tenant, in the order of the manual.
func (e *Service) AlertRules(ctx context.Context, c engine.Caller) (list []alert.Rule, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.AlertsRead},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.AlertsRead); err != nil {
				return err
			}
			book, err := bookOf(ctx, r, c.Tenant)
			if err != nil {
				return err
			}
			list = nil
			for _, rule := range alert.Rules() {
				list = append(list, book[rule.ID])
			}
			return nil
		})
	return list, err
}

// SetAlertRule changes what is not nil in the setting. Alerts of a rule that is switched off close.
func (e *Service) SetAlertRule(ctx context.Context, c engine.Caller, s alert.Setting) (rule alert.Rule, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.AlertRulesWrite, Details: map[string]string{"rule": string(s.Rule)}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.AlertRulesWrite, access.Root); err != nil {
				return err
			}
			if err := s.Validate(); err != nil {
				return err
			}
			settings, err := tx.TenantSettings(ctx, c.Tenant)
			if err != nil {
				return fmt.Errorf("read the tenant's settings: %w", err)
			}
			settings.Alerts = alert.Set(settings.Alerts, s)
			settings.Revision++
			if err := tx.SaveTenantSettings(ctx, settings, settings.Revision-1); err != nil {
				return fmt.Errorf("save the tenant's settings: %w", err)
			}
			rule = alert.NewBook(settings.Alerts)[s.Rule]
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.AlertRuleChanged, Outcome: access.Succeeded, Actor: c.Actor(),
				Tenant: c.Tenant,
				Action: rbac.AlertRulesWrite,
				Details: map[string]string{
					"rule": string(rule.ID), "threshold": strconv.Itoa(rule.Threshold),
					"severity": string(rule.Severity),
					"enabled":  strconv.FormatBool(rule.Enabled),
				},
			})
		})
	return rule, err
}
