package notify

import (
	"encoding/json"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

const pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

type pagerEvent struct {
	RoutingKey string        `json:"routing_key"`
	Action     string        `json:"event_action"`
	DedupKey   string        `json:"dedup_key"`
	Payload    *pagerPayload `json:"payload,omitempty"`
	Links      []pagerLink   `json:"links,omitempty"`
	Client     string        `json:"client,omitempty"`
	ClientURL  string        `json:"client_url,omitempty"`
}

type pagerPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"` // info, warning, error or critical
	Timestamp time.Time         `json:"timestamp"`
	Class     string            `json:"class"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

type pagerLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// step opens or resolves one incident of PagerDuty.
type step struct {
	trigger  bool
	dedup    string
	severity string
}

// incidents gives what a notification does to incidents. An incident is known by its key: triggering or resolving it
// again changes nothing, so that a repeated delivery is harmless.
func incidents(n engine.Notification) []step {
	decision := "postern/request/" + string(n.Request) + "/decision"
	glass := "postern/request/" + string(n.Request) + "/breakGlass"
	failed := "postern/grant/" + string(n.Grant) + "/failed"
	alert := "postern/alert/" + n.Alert
	switch n.Kind {
	case engine.NotifyNeedsDecision:
		return []step{{trigger: true, dedup: decision, severity: "info"}}
	case engine.NotifyDecided, engine.NotifySettled:
		return []step{{dedup: decision}}
	case engine.NotifyFailed:
		return []step{{trigger: true, dedup: failed, severity: "error"}}
	case engine.NotifyOpened:
		return []step{{dedup: failed}}
	case engine.NotifyBreakGlass:
		return []step{{trigger: true, dedup: glass, severity: "critical"}}
	case engine.NotifyEnded:
		steps := []step{{dedup: failed}}
		if n.Subject.Unended == 0 {
			steps = append(steps, step{dedup: glass})
		}
		return steps
	case engine.NotifyAlert:
		if n.Subject.Outcome == "closed" {
			return []step{{dedup: alert}}
		}
		return []step{{trigger: true, dedup: alert, severity: pagerSeverity(n.Subject.Severity)}}
	case engine.NotifyTest:
		key := "postern/test/" + string(n.ID)
		return []step{{trigger: true, dedup: key, severity: "info"}, {dedup: key}}
	case engine.NotifyRequested, engine.NotifyReminder, engine.NotifyWillEnd, engine.NotifyApplication,
		engine.NotifyAccount,
		engine.NotifyAccessReview, engine.NotifyLifecycle:
	}
	return nil
}

func pagerSeverity(s string) string {
	switch s {
	case "info", "warning", "error", "critical":
		return s
	default:
		return "warning"
	}
}

// pagerBody gives one event of PagerDuty's Events API v2.
func pagerBody(n engine.Notification, m message, s step, source string, key opened) ([]byte, error) {
	event := pagerEvent{RoutingKey: key.text, Action: "resolve", DedupKey: s.dedup}
	if s.trigger {
		event.Action = "trigger"
		event.Client, event.ClientURL = "Postern", m.Link
		event.Links = []pagerLink{{Href: m.Link, Text: m.Button}}
		event.Payload = &pagerPayload{
			Summary: m.Title, Source: source, Severity: s.severity, Timestamp: n.At.UTC(),
			Class: string(n.Kind), Details: map[string]string{},
		}
		for _, f := range m.Fields {
			event.Payload.Details[f.Label] = f.Value
		}
		if m.Lead != "" {
			event.Payload.Details["Summary"] = m.Lead
		}
	}
	return json.Marshal(event)
}
