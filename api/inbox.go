package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Notification is something that concerns the caller, as it stands when it is read: a question that was answered tells
// the answer.
type Notification struct {
	ID      string     `json:"id"`
	Seq     int64      `json:"seq" doc:"Grows with each act. Reading up to it reads what is older too."`
	At      time.Time  `json:"at"`
	Kind    string     `json:"kind" enum:"requested,needsDecision,reminder,decided,opened,willEnd,ended,failed,breakGlass,account"`
	Title   string     `json:"title" doc:"What happened, in a line: the subject of the same mail."`
	Detail  string     `json:"detail,omitempty" doc:"Why: the comment of a decision, the reason of a revocation."`
	By      string     `json:"by,omitempty" doc:"Who did it; absent where nobody did."`
	Unread  bool       `json:"unread"`
	Request string     `json:"request,omitempty" doc:"The request that it is about."`
	State   string     `json:"state,omitempty" enum:"pending,approved,denied,canceled,timedOut" doc:"How that request stands."`
	Mine    bool       `json:"mine,omitempty" doc:"The caller may decide it now."`
	Grant   string     `json:"grant,omitempty" doc:"A grant of the caller's that has not ended: it may be extended or ended."`
	Until   *time.Time `json:"until,omitempty" doc:"Of a reminder: when the time for deciding ends."`
	End     *time.Time `json:"end,omitempty" doc:"When the access ends, or ended."`
}

// UnreadCount is how much the caller has not read.
type UnreadCount struct {
	Count int   `json:"count" doc:"Counted up to 50."`
	Seq   int64 `json:"seq" doc:"That of the newest."`
}

// ReadUpTo says how far the caller has read.
type ReadUpTo struct {
	Seq int64 `json:"seq" minimum:"0" doc:"That of the newest notification that was seen."`
}

// Notifications lists what concerns the caller, the newest first; unread leaves out what they have read.
func (c *Client) Notifications(ctx context.Context, unread bool) iter.Seq2[Notification, error] {
	q := query()
	if unread {
		q.Set("unread", "true")
	}
	return pages[Notification](ctx, c, "/notifications", q)
}

// UnreadNotifications counts what the caller has not read.
func (c *Client) UnreadNotifications(ctx context.Context) (UnreadCount, error) {
	return ask[UnreadCount](ctx, c, call{method: http.MethodGet, path: "/notifications/unread"})
}

// ReadNotifications notes that the caller has read them up to one.
func (c *Client) ReadNotifications(ctx context.Context, seq int64) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/notifications/read", body: ReadUpTo{Seq: seq}})
}
