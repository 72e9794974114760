package api

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"
)

// Access is what somebody had at an instant, or may have still.
type Access struct {
	Grant

	From   time.Time  `json:"from" doc:"When it was seen open, or should have begun where no agent said so."`
	Until  *time.Time `json:"until,omitempty" doc:"When it was seen gone, or is to end; absent where it ended and nobody has seen it gone."`
	Seen   bool       `json:"seen" doc:"An agent said that it was open."`
	ByCode bool       `json:"byCode,omitempty" doc:"It was opened on the machine itself with a code for emergencies: it has a request and no grant, so id is empty. Nothing but its time closes it. When it was opened is by the clock of the machine."`
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

// WhoHad lists who had access to a machine, by name, id or resource id, at an instant, the newest first; the zero
// instant is now.
func (c *Client) WhoHad(ctx context.Context, machine string, at time.Time) iter.Seq2[Access, error] {
	v := query("machine", machine)
	if !at.IsZero() {
		v.Set("at", at.UTC().Format(time.RFC3339Nano))
	}
	return pages[Access](ctx, c, "/audit/who", v)
}

// NotClosed lists what may be open though no grant in force says so: access that ended and was not seen closed, and
// what codes opened on machines. Both arguments narrow it where they are not empty: a machine by name, id or resource
// id; a principal by name or id, where "me" is the caller.
func (c *Client) NotClosed(ctx context.Context, machine, principal string) iter.Seq2[Access, error] {
	return pages[Access](ctx, c, "/insight/not-closed", query("machine", machine, "principal", principal))
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
