package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Alert is something that somebody should look at.
type Alert struct {
	ID          string     `json:"id"`
	Rule        string     `json:"rule"`
	State       string     `json:"state" enum:"open,acknowledged,closed"`
	Severity    string     `json:"severity" enum:"info,warning,error,critical"`
	Title       string     `json:"title"`
	Detail      string     `json:"detail,omitempty" doc:"What was seen, in words."`
	About       string     `json:"about,omitempty" doc:"Name of the machine, agent or person."`
	MachineID   string     `json:"machineId,omitempty"`
	AgentID     string     `json:"agentId,omitempty"`
	PrincipalID string     `json:"principalId,omitempty"`
	Scope       string     `json:"scope,omitempty"`
	Source      string     `json:"source,omitempty" doc:"The address that it came from."`
	Count       int64      `json:"count" doc:"How much was seen, in the unit of its rule."`
	Evidence    []int64    `json:"evidence,omitempty" doc:"Numbers of records of the activity log."`
	FirstSeen   time.Time  `json:"firstSeen"`
	LastSeen    time.Time  `json:"lastSeen"`
	ChangedBy   string     `json:"changedBy,omitempty" doc:"Who acknowledged or closed it; postern closes by itself."`
	Comment     string     `json:"comment,omitempty"`
	ClosedAt    *time.Time `json:"closedAt,omitempty"`
}

// AlertNote goes with acknowledging or closing.
type AlertNote struct {
	Comment string `json:"comment,omitempty" maxLength:"4096"`
}

// AlertRule is what raises alerts of one sort.
type AlertRule struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Doc       string `json:"doc" doc:"What it looks for."`
	Severity  string `json:"severity" enum:"info,warning,error,critical"`
	Threshold int    `json:"threshold"`
	Unit      string `json:"unit"`
	Takes     string `json:"takes" doc:"The threshold in words, such as 5 machines in 1h."`
	Enabled   bool   `json:"enabled"`
}

// AlertRuleChange changes a rule; what is absent stays.
type AlertRuleChange struct {
	Threshold *int    `json:"threshold,omitempty" minimum:"1" maximum:"1000000"`
	Severity  *string `json:"severity,omitempty" enum:"info,warning,error,critical"`
	Enabled   *bool   `json:"enabled,omitempty" doc:"Alerts of a rule that is switched off close."`
}

// AlertQuery narrows Alerts; zero fields do not.
type AlertQuery struct {
	State string
	Rule  string
}

// Alerts lists alerts, the newest first.
func (c *Client) Alerts(ctx context.Context, q AlertQuery) iter.Seq2[Alert, error] {
	return pages[Alert](ctx, c, "/alerts", query("state", q.State, "rule", q.Rule))
}

// Alert gives one alert.
func (c *Client) Alert(ctx context.Context, id string) (Alert, error) {
	return ask[Alert](ctx, c, call{method: http.MethodGet, path: "/alerts/" + url.PathEscape(id)})
}

// AcknowledgeAlert says that the caller looks at it.
func (c *Client) AcknowledgeAlert(ctx context.Context, id, comment string) (Alert, error) {
	return ask[Alert](ctx, c,
		call{method: http.MethodPost, path: "/alerts/" + url.PathEscape(id) + "/acknowledge", body: AlertNote{comment}})
}

// CloseAlert ends it.
func (c *Client) CloseAlert(ctx context.Context, id, comment string) (Alert, error) {
	return ask[Alert](ctx, c,
		call{method: http.MethodPost, path: "/alerts/" + url.PathEscape(id) + "/close", body: AlertNote{comment}})
}

// AlertRules lists the rules.
func (c *Client) AlertRules(ctx context.Context) iter.Seq2[AlertRule, error] {
	return pages[AlertRule](ctx, c, "/alert-rules", nil)
}

// SetAlertRule changes what the fields that are present say.
func (c *Client) SetAlertRule(ctx context.Context, id string, in AlertRuleChange) (AlertRule, error) {
	return ask[AlertRule](ctx, c, call{method: http.MethodPatch, path: "/alert-rules/" + url.PathEscape(id), body: in})
}
