package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Access is what somebody had at an instant.
type Access struct {
	Grant

	From  time.Time  `json:"from" doc:"When it was seen open, or should have begun where no agent said so."`
	Until *time.Time `json:"until,omitempty" doc:"When it was seen gone, or is to end; absent where it ended and nobody has seen it gone."`
	Seen  bool       `json:"seen" doc:"An agent said that it was open."`
}

// Eligible is somebody who may ask for access by a role assignment, or activate a role by an eligibility.
type Eligible struct {
	Principal   string `json:"principal" doc:"Name of who may ask."`
	PrincipalID string `json:"principalId"`
	Via         string `json:"via,omitempty" doc:"The group that has the assignment, where it is not their own."`
	Role        string `json:"role"`
	Scope       string `json:"scope"`
	Assignment  string `json:"assignment,omitempty"`
	Eligibility string `json:"eligibility,omitempty"`
}

// ForeignAt is what an agent found in firewall tables that are not Postern's.
type ForeignAt struct {
	Agent    string        `json:"agent" doc:"Name."`
	AgentID  string        `json:"agentId"`
	Machines []string      `json:"machines"`
	Rules    []ForeignRule `json:"rules"`
}

// WhoHad tells who had access to a machine, by name, id or resource id, at an instant; the zero instant is now.
func (c *Client) WhoHad(ctx context.Context, machine string, at time.Time) ([]Access, error) {
	v := query("machine", machine)
	if !at.IsZero() {
		v.Set("at", at.UTC().Format(time.RFC3339Nano))
	}
	out, err := ask[Page[Access]](ctx, c, call{method: http.MethodGet, path: "/audit/who", query: v})
	return out.Items, err
}

// NeverUsed lists grants of so many days that ended without a packet, the newest first.
func (c *Client) NeverUsed(ctx context.Context, days int) iter.Seq2[Grant, error] {
	return pages[Grant](ctx, c, "/insight/never-used", url.Values{"days": {strconv.Itoa(days)}})
}

// Unused lists who may ask for access and has not for so many days.
func (c *Client) Unused(ctx context.Context, days int) iter.Seq2[Eligible, error] {
	return pages[Eligible](ctx, c, "/insight/unused", url.Values{"days": {strconv.Itoa(days)}})
}

// ForeignRules lists what agents found in firewall tables that are not Postern's.
func (c *Client) ForeignRules(ctx context.Context) iter.Seq2[ForeignAt, error] {
	return pages[ForeignAt](ctx, c, "/insight/foreign-rules", nil)
}
