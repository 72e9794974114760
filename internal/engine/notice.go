package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// Notice is a notification before it is written: what finish makes of it depends on whether anybody listens.
type Notice struct {
	Kind       NotificationKind
	Request    access.Request // of notices about a request
	grant      access.Grant   // of notices about a grant
	By         string         // who did it; empty where nobody did, or nobody knows
	Actor      access.PrincipalID
	CodeOf     string // with NotifyBreakGlass: to whom the code was issued that was used offline
	Recipients []access.PrincipalID
	Named      []access.PrincipalID // the groups and people whom rules name, where Recipients are the people in them
	beside     []access.Grant       // others that the same act has ended
	abroad     bool                 // it is told in another tenant
}

// Notify has finish enqueue a notification.
func (w *Work) Notify(n Notice) { w.notices = append(w.notices, n) }

// notifyGrant has finish tell the holder, and where it was ended early whoever agreed to it, what became of a grant.
func (w *Work) notifyGrant(g access.Grant, event access.Event) {
	n := Notice{grant: g, Recipients: []access.PrincipalID{g.Principal}}
	if event.Actor.ID != "" {
		n.By, n.Actor = event.Actor.Name, event.Actor.ID
	}
	switch event.Kind { //nolint:exhaustive // the others are told to nobody
	case access.GrantOpened:
		n.Kind = NotifyOpened
	case access.GrantDidFail:
		n.Kind = NotifyFailed
	case access.GrantWarned:
		n.Kind = NotifyWillEnd
	case access.GrantDidExpire, access.GrantWasRevoked:
		n.Kind = NotifyEnded
	default:
		return
	}
	w.Notify(n)
}

// enqueue writes the notices to inboxes, and to the outbox unless the tenant has no channel that could carry them.
func (w *Work) enqueue(ctx context.Context) error {
	notices := w.together()
	if err := w.tell(ctx, notices); err != nil {
		return fmt.Errorf("write inboxes: %w", err)
	}
	var out []Notification
	for _, n := range notices {
		settled, err := w.settled(ctx, n)
		if err != nil {
			return err
		}
		out = append(out, settled...)
		sides, err := w.sides(ctx, n)
		if err != nil {
			return err
		}
		for _, side := range sides {
			heard, err := w.Hears(ctx, side.tenant)
			if err != nil {
				return err
			}
			if !heard {
				continue
			}
			told := n
			if side.abroad {
				told = n.Across()
			}
			told.Recipients = side.recipients
			written, err := w.write(ctx, told)
			if err != nil {
				return err
			}
			written.Tenant = side.tenant
			out = append(out, written)
		}
	}
	if len(out) == 0 {
		return nil
	}
	if err := w.Tx.Enqueue(ctx, out...); err != nil {
		return fmt.Errorf("enqueue notifications: %w", err)
	}
	return nil
}

// together gives the notices with one in the place of all that tell one person, by one request, that the same act has
// ended their grants: a person is told of an act, and not of each window. A grant that was begun and never seen open
// stays alone, since it may have failed, and whoever heard of that waits for its end.
func (w *Work) together() []Notice {
	type act struct {
		request access.RequestID
		state   access.GrantState
		by      string
	}
	var out []Notice
	at := map[act]int{}
	for _, n := range w.notices {
		ahead := n.grant.ID != "" && n.grant.Start.After(w.Now)
		if w.Quiet && ahead {
			continue
		}
		key := act{n.grant.Request, n.grant.State, n.By}
		if n.Kind != NotifyEnded || !ahead && n.grant.OpenedAt.IsZero() {
			out = append(out, n)
		} else if i, ok := at[key]; ok {
			out[i].beside = append(out[i].beside, n.grant)
		} else {
			at[key] = len(out)
			out = append(out, n)
		}
	}
	return out
}

// Hears tells whether a tenant has a channel that could carry a notification.
func (w *Work) Hears(ctx context.Context, tenant access.TenantID) (bool, error) {
	heard, asked := w.listens[tenant]
	if asked {
		return heard, nil
	}
	heard, err := w.Tx.HasChannels(ctx, tenant)
	if err != nil {
		return false, fmt.Errorf("read channels: %w", err)
	}
	w.listens[tenant] = heard
	return heard, nil
}

func (w *Work) write(ctx context.Context, n Notice) (Notification, error) {
	id := NotificationID(NewID())
	if n.grant.ID == "" {
		names, err := w.names().Of(ctx, TargetsOf(n.Request)...)
		if err != nil {
			return Notification{}, err
		}
		out := AboutRequest(id, n.Kind, n.Request, names, w.Now)
		out.Recipients, out.Subject.By, out.Subject.CodeOf = n.Recipients, n.By, n.CodeOf
		if n.CodeOf != "" {
			out.Subject.Who = ""
		}
		return out, nil
	}
	names, err := w.names().Of(ctx, n.grant.Target)
	if err != nil {
		return Notification{}, err
	}
	request, err := w.Tx.Request(ctx, n.grant.Request)
	if err != nil {
		return Notification{}, fmt.Errorf("read request: %w", err)
	}
	out := AboutGrant(id, n.Kind, n.grant, request, names, w.Now)
	out.Recipients, out.Subject.By = n.Recipients, n.By
	if n.Kind != NotifyEnded {
		return out, nil
	}
	for _, g := range n.beside {
		names, err := w.names().Of(ctx, g.Target)
		if err != nil {
			return Notification{}, err
		}
		out = out.With(AboutGrant(id, n.Kind, g, request, names, w.Now))
	}
	if out.Subject.Unended, err = w.Tx.Unended(ctx, n.grant.Request); err != nil {
		return Notification{}, fmt.Errorf("count grants: %w", err)
	}
	if n.grant.State == access.GrantRevoked && !n.abroad {
		decisions, err := w.Tx.Decisions(ctx, n.grant.Request)
		if err != nil {
			return Notification{}, fmt.Errorf("read decisions: %w", err)
		}
		for _, d := range decisions {
			if d.Approve && !slices.Contains(out.Recipients, d.Person) {
				out.Recipients = append(out.Recipients, d.Person)
			}
		}
	}
	return out, nil
}

// TargetsOf returns what a request asks for.
func TargetsOf(r access.Request) []access.Target {
	targets := make([]access.Target, len(r.Items))
	for i, item := range r.Items {
		targets[i] = item.Target
	}
	return targets
}
