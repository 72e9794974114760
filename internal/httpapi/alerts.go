package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
)

func (a *API) alertRoutes() {
	const tag = "Alerts"
	register(a, operation{
		method: http.MethodGet, path: "/alerts", id: "listAlerts", tag: tag, entry: people,
		summary: "List alerts, the newest first",
	}, a.listAlerts)
	register(a, operation{
		method: http.MethodGet, path: "/alerts/{alert}", id: "getAlert", tag: tag, entry: people,
		summary: "Get one alert",
	}, a.getAlert)
	register(a, operation{
		method: http.MethodPost, path: "/alerts/{alert}/acknowledge", id: "acknowledgeAlert", tag: tag, entry: people,
		summary: "Say that one looks at an alert",
	}, a.acknowledgeAlert)
	register(a, operation{
		method: http.MethodPost, path: "/alerts/{alert}/close", id: "closeAlert", tag: tag, entry: people,
		summary: "End an alert",
	}, a.closeAlert)
	register(a, operation{
		method: http.MethodGet, path: "/alert-rules", id: "listAlertRules", tag: tag, entry: people,
		summary: "List what raises alerts; there is one page",
	}, a.listAlertRules)
	register(a, operation{
		method: http.MethodPatch, path: "/alert-rules/{rule}", id: "changeAlertRule", tag: tag, entry: people,
		summary: "Change a rule; what is absent stays",
	}, a.changeAlertRule)
}

func alertOut(a alert.Alert) api.Alert {
	s := a.Subject
	return api.Alert{
		ID: string(a.ID), Rule: string(a.Rule), State: string(a.State), Severity: string(a.Severity), Title: a.Title,
		Detail: a.Detail, About: s.Name,
		MachineID: string(s.Machine), AgentID: string(s.Agent), PrincipalID: string(s.Principal),
		Scope: string(s.Scope), Source: s.Source,
		Count: a.Count, Evidence: a.Evidence, FirstSeen: a.FirstSeen.UTC(), LastSeen: a.LastSeen.UTC(),
		ChangedBy: a.ChangedBy, Comment: a.Comment,
		ClosedAt: instant(a.ClosedAt),
	}
}

func alertRuleOut(r alert.Rule) api.AlertRule {
	return api.AlertRule{
		ID: string(r.ID), Title: r.Title, Doc: r.Doc, Severity: string(r.Severity), Threshold: r.Threshold,
		Unit: r.Unit, Takes: r.What(), Enabled: r.Enabled,
	}
}

type listAlertsInput struct {
	calling
	Paging

	State string `query:"state" enum:"open,acknowledged,closed" doc:"Only alerts that stand so."`
	Rule  string `query:"rule" maxLength:"64" doc:"Only alerts of this rule."`
}

func (a *API) listAlerts(ctx context.Context, in *listAlertsInput) (*answer[api.Page[api.Alert]], error) {
	list, err := a.engine.Alerts.Alerts(ctx, in.caller,
		engine.AlertFilter{State: alert.State(in.State), Rule: alert.RuleID(in.Rule)}, in.page())
	return &answer[api.Page[api.Alert]]{page(list, alertOut)}, err
}

type alertInput struct {
	calling

	Alert string `path:"alert" maxLength:"64"`
}

func (a *API) getAlert(ctx context.Context, in *alertInput) (*answer[api.Alert], error) {
	found, err := a.engine.Alerts.Alert(ctx, in.caller, alert.ID(in.Alert))
	return &answer[api.Alert]{alertOut(found)}, err
}

type alertNoteInput struct {
	calling

	Alert string `path:"alert" maxLength:"64"`
	Body  api.AlertNote
}

func (a *API) acknowledgeAlert(ctx context.Context, in *alertNoteInput) (*answer[api.Alert], error) {
	next, err := a.engine.Alerts.AcknowledgeAlert(ctx, in.caller, alert.ID(in.Alert), in.Body.Comment)
	return &answer[api.Alert]{alertOut(next)}, err
}

func (a *API) closeAlert(ctx context.Context, in *alertNoteInput) (*answer[api.Alert], error) {
	next, err := a.engine.Alerts.CloseAlert(ctx, in.caller, alert.ID(in.Alert), in.Body.Comment)
	return &answer[api.Alert]{alertOut(next)}, err
}

func (a *API) listAlertRules(ctx context.Context, in *callInput) (*answer[api.Page[api.AlertRule]], error) {
	list, err := a.engine.Alerts.AlertRules(ctx, in.caller)
	return &answer[api.Page[api.AlertRule]]{page(engine.Listed[alert.Rule]{Items: list}, alertRuleOut)}, err
}

type changeAlertRuleInput struct {
	calling

	Rule string `path:"rule" maxLength:"64"`
	Body api.AlertRuleChange
}

func (a *API) changeAlertRule(ctx context.Context, in *changeAlertRuleInput) (*answer[api.AlertRule], error) {
	s := alert.Setting{Rule: alert.RuleID(in.Rule), Threshold: in.Body.Threshold, Enabled: in.Body.Enabled}
	if in.Body.Severity != nil {
		severity := alert.Severity(*in.Body.Severity)
		s.Severity = &severity
	}
	rule, err := a.engine.Alerts.SetAlertRule(ctx, in.caller, s)
	return &answer[api.AlertRule]{alertRuleOut(rule)}, err
}
