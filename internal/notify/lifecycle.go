package notify

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// lifecycleBody is what Azure posts to the notification endpoint of an application definition, and for an activation,
// of which Azure tells nothing, what it was.
type lifecycleBody struct {
	EventType    string    `json:"eventType"`
	Application  string    `json:"applicationId"`
	EventTime    time.Time `json:"eventTime"`
	State        string    `json:"provisioningState"`
	Definition   string    `json:"applicationDefinitionId"`
	JITRequest   string    `json:"jitRequestId,omitempty"`
	JITEvent     string    `json:"jitEvent,omitempty"`
	JITPrincipal string    `json:"principalId,omitempty"`
}

// sendLifecycle posts to the endpoint with /resource behind its path, as Azure does.
func (c *Courier) sendLifecycle(ctx context.Context, p Parcel, secret opened) (Receipt, error) {
	to, err := url.Parse(secret.text)
	if err != nil {
		return Receipt{}, permanent("the endpoint is malformed", err)
	}
	to.Path = strings.TrimSuffix(to.Path, "/") + "/resource"
	e := p.Notification.Lifecycle
	body, err := json.Marshal(lifecycleBody{
		EventType: e.Event, Application: string(e.Application), EventTime: p.Notification.At.UTC(), State: e.State,
		Definition: string(e.Definition),
		JITRequest: string(p.Notification.Request), JITEvent: e.What, JITPrincipal: string(e.Principal),
	})
	return c.postJSON(ctx, p.Channel, to.String(), body, err, secret)
}
