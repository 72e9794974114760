package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/inbox"
)

func (a *API) inboxRoutes() {
	const tag = "Notifications"
	register(a, operation{
		method: http.MethodGet, path: "/notifications", id: "listNotifications", tag: tag, entry: people,
		summary: "List what concerns the caller, the newest first",
	}, a.listNotifications)
	register(a, operation{
		method: http.MethodGet, path: "/notifications/unread", id: "countUnreadNotifications", tag: tag, entry: people,
		summary: "Count what the caller has not read",
	}, a.countUnread)
	register(a, operation{
		method: http.MethodPost, path: "/notifications/read", id: "readNotifications", tag: tag, entry: people,
		summary: "Note that the caller has read everything up to a notification",
	}, a.readNotifications)
}

type listNotificationsInput struct {
	calling
	Paging

	Unread bool `query:"unread" doc:"Only what the caller has not read."`
}

func (a *API) listNotifications(ctx context.Context,
	in *listNotificationsInput,
) (*answer[api.Page[api.Notification]], error) {
	list, err := a.engine.Inbox.List(ctx, in.caller, in.Unread, in.page())
	if err != nil {
		return nil, err
	}
	out := page(list, toldOut)
	for i, told := range list.Items {
		if out.Items[i].Title, err = a.title(told.About); err != nil {
			return nil, err
		}
	}
	return &answer[api.Page[api.Notification]]{out}, nil
}

func toldOut(t inbox.Told) api.Notification {
	out := api.Notification{
		ID: t.Entry.ID, Seq: t.Entry.Seq, At: t.Entry.At.UTC(), Kind: string(t.About.Kind),
		Detail: t.About.Subject.Detail, By: t.About.Subject.By, Unread: t.Unread, Request: string(t.Request.ID),
		State: string(t.Request.State), Mine: t.Mine, Grant: string(t.Grant.ID),
	}
	out.Until = instant(t.About.Subject.Until)
	if t.About.Kind != engine.NotifyAccount && t.About.Subject.Duration == 0 {
		out.End = instant(t.About.Subject.End)
	}
	return out
}

type unreadInput struct{ calling }

func (a *API) countUnread(ctx context.Context, in *unreadInput) (*answer[api.UnreadCount], error) {
	count, seq, err := a.engine.Inbox.Unread(ctx, in.caller)
	return &answer[api.UnreadCount]{api.UnreadCount{Count: count, Seq: seq}}, err
}

type readInput struct {
	calling

	Body api.ReadUpTo
}

func (a *API) readNotifications(ctx context.Context, in *readInput) (*nothing, error) {
	return &nothing{}, a.engine.Inbox.Read(ctx, in.caller, in.Body.Seq)
}
