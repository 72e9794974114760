package notify

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

// cloudEvent is a CloudEvents 1.0 event in structured JSON.
type cloudEvent struct {
	SpecVersion     string      `json:"specversion"`
	ID              string      `json:"id"`     // of the notification
	Source          string      `json:"source"` // the server's public URL
	Type            string      `json:"type"`
	Subject         string      `json:"subject,omitempty"`
	Time            time.Time   `json:"time"`
	DataContentType string      `json:"datacontenttype"`
	Data            webhookData `json:"data"`
}

type webhookData struct {
	Kind       string        `json:"kind"`
	Tenant     string        `json:"tenant"`
	Request    string        `json:"request,omitempty"`
	Grant      string        `json:"grant,omitempty"`
	Alert      string        `json:"alert,omitempty"`
	Policies   []string      `json:"policies,omitempty"`
	Recipients []string      `json:"recipients,omitempty"` // ids of principals
	Link       string        `json:"link"`
	Summary    string        `json:"summary"`
	Who        string        `json:"who,omitempty"`
	Items      []webhookItem `json:"items,omitempty"`
	// of a code that was used offline; who typed it is not known
	CodeOf   string     `json:"codeIssuedTo,omitempty"`
	Start    *time.Time `json:"start,omitempty"`
	End      *time.Time `json:"end,omitempty"`
	Until    *time.Time `json:"until,omitempty"`   // when the time for deciding ends
	Seconds  int64      `json:"seconds,omitempty"` // how long it lasts from its approval, where that has not come
	Windows  int        `json:"windows,omitempty"` // of a recurring request; start and end are the first one's
	Reason   string     `json:"reason,omitempty"`
	Ticket   string     `json:"ticket,omitempty"`
	By       string     `json:"by,omitempty"`
	Outcome  string     `json:"outcome,omitempty"`
	Detail   string     `json:"detail,omitempty"`
	Title    string     `json:"title,omitempty"`
	Severity string     `json:"severity,omitempty"`
}

type webhookItem struct {
	Role     string   `json:"role,omitempty"` // of an item that is a role; the others are empty then
	Machine  string   `json:"machine"`
	Ports    string   `json:"ports"`
	Protocol string   `json:"protocol"`
	Sources  []string `json:"sources"`
}

// eventType is the prefix of the types of our events.
const eventType = "dev.postern.notification."

// webhookBody gives the event for a generic webhook: the data as it is, which a program escapes for its own use.
func webhookBody(n engine.Notification, m message, public *url.URL) ([]byte, error) {
	s := n.Subject
	data := webhookData{
		Kind: string(n.Kind), Tenant: string(n.Tenant), Request: string(n.Request), Grant: string(n.Grant),
		Alert:    n.Alert,
		Policies: texted(n.Policies), Recipients: texted(n.Recipients), Link: m.Link, Summary: m.Title, Who: s.Who,
		CodeOf:  s.CodeOf,
		Seconds: int64(s.Duration.Seconds()), Windows: s.Windows, Start: optional(s.Start), End: optional(s.End),
		Until:  optional(s.Until),
		Reason: s.Reason, Ticket: s.Ticket, By: s.By, Outcome: s.Outcome, Detail: s.Detail, Title: s.Title,
		Severity: s.Severity,
	}
	for _, item := range s.Items {
		out := webhookItem{Role: item.Role, Machine: item.Machine, Sources: []string{}}
		if item.Role == "" {
			out.Ports, out.Protocol = item.Ports.String(), string(item.Protocol)
		}
		for _, source := range item.Sources {
			out.Sources = append(out.Sources, source.String())
		}
		data.Items = append(data.Items, out)
	}
	event := cloudEvent{
		SpecVersion: "1.0", ID: string(n.ID), Source: public.String(), Type: eventType + string(n.Kind),
		Time:            n.At.UTC(),
		DataContentType: "application/json", Data: data,
	}
	switch {
	case n.Request != "":
		event.Subject = "requests/" + string(n.Request)
	case n.Alert != "":
		event.Subject = "alerts/" + n.Alert
	}
	return json.Marshal(event)
}

func texted[T ~string](ids []T) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
