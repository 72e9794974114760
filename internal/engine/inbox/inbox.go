package inbox

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// Told is an entry of the caller's inbox with what it is about, as that stands now: a question that was answered tells
// the answer.
type Told struct {
	Entry   engine.InboxEntry
	Unread  bool // what the caller did themselves never is
	About   engine.Notification
	Request access.Request // zero where it is about none
	Mine    bool           // the caller may decide the request now
	Grant   access.Grant   // the caller's own that has not ended; zero where it is about none
}

// MostUnread is how far the unread are counted.
const MostUnread = 50

// List lists what concerns the caller and those whose groups they are in, the newest first; of what they may not see
// any more, nothing. What is over gives way to what came of it: that something was sent, is in force or ends soon is
// listed only while it is so.
func (e *Service) List(ctx context.Context, c engine.Caller, unread bool, p engine.Page,
) (list engine.Listed[Told], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RequestsRead},
		func(r engine.Reader, may engine.Rights) error {
			list, _, err = readInbox(ctx, r, may, unread, p)
			return err
		})
	return list, err
}

// Unread counts what the caller has not read, up to MostUnread, and gives the Seq up to which that counts.
func (e *Service) Unread(ctx context.Context, c engine.Caller) (count int, newest int64, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RequestsRead},
		func(r engine.Reader, may engine.Rights) error {
			list, read, err := readInbox(ctx, r, may, true, engine.Page{Limit: MostUnread})
			if count, newest = len(list.Items), read; count > 0 {
				newest = list.Items[0].Entry.Seq
			}
			return err
		})
	return count, newest, err
}

// Read notes that the caller has read everything up to an entry. It is no act that the activity log keeps: nothing
// rests on it, and nobody but the caller is shown it.
func (e *Service) Read(ctx context.Context, c engine.Caller, upTo int64) error {
	return e.kernel.Change(ctx, c, engine.Attempt{Action: rbac.RequestsRead},
		func(tx engine.Tx, may engine.Rights) error {
			if upTo <= 0 || !may.Caller.Bounds.Allow(rbac.RequestsRead) {
				return nil
			}
			size, err := tx.AuditSize(ctx)
			if err != nil {
				return fmt.Errorf("read the size of the activity log: %w", err)
			}
			return tx.SaveInbox(ctx, engine.Inbox{Principal: c.Principal, Read: min(upTo, size)})
		})
}

// readInbox gives a page of the caller's inbox, and up to which Seq they have read.
func readInbox(ctx context.Context, r engine.Reader, may engine.Rights, unread bool, p engine.Page,
) (list engine.Listed[Told], read int64, err error) {
	me := may.Caller.Principal
	box, err := r.Inbox(ctx, me)
	if err != nil {
		return list, 0, fmt.Errorf("read inbox: %w", err)
	}
	i := reading{r: r, may: may, names: &engine.NameCache{R: r}, read: box.Read}
	addressees := append([]access.PrincipalID{me}, may.Dir.GroupsOf(me)...)
	list, err = engine.Visible(p,
		func(p engine.Page) (engine.Listed[engine.InboxEntry], error) {
			got, err := r.InboxEntries(ctx, addressees, p)
			if n := len(got.Items); unread && n > 0 && got.Items[n-1].Seq <= box.Read {
				got.Next = ""
			}
			return got, err
		},
		func(e engine.InboxEntry) (Told, bool, error) {
			if unread && e.Seq <= box.Read {
				return Told{}, false, nil
			}
			told, shown, err := i.told(ctx, e)
			return told, shown && (told.Unread || !unread), err
		})
	return list, box.Read, err
}

// reading is what looking at the entries of one caller rests on.
type reading struct {
	r     engine.Reader
	may   engine.Rights
	names *engine.NameCache
	read  int64
}

// told gives what an entry is about; not shown where it is nothing that the caller is told, now.
func (i reading) told(ctx context.Context, e engine.InboxEntry) (t Told, shown bool, err error) {
	t = Told{Entry: e, Unread: e.Seq > i.read && e.Actor != i.may.Caller.Principal}
	if e.Kind == engine.NotifyAccount || e.Kind == engine.NotifyAccessReview {
		// whoever took an account over did it as its owner
		t.Unread = t.Unread || e.Kind == engine.NotifyAccount && e.Seq > i.read
		t.About = engine.Notification{
			ID: engine.NotificationID(e.ID), At: e.At, Kind: e.Kind,
			Subject: engine.Subject{Who: i.may.Caller.Name, Title: e.Title, Detail: e.Detail, By: e.By},
		}
		return t, i.may.Caller.Bounds == nil, nil
	}
	t.Request, err = requests.FindRequest(ctx, i.r, i.may, e.Request)
	if engine.IsKind(err, access.KindNotFound) {
		return Told{}, false, nil
	}
	if err != nil {
		return Told{}, false, err
	}
	if i.may.Border(i.r, t.Request.Tenant) != nil {
		t.Entry.By = engine.Notice{Request: t.Request, By: e.By}.Across().By
	}
	if len(e.Grants) > 0 {
		return i.grants(ctx, t)
	}
	return i.request(ctx, t)
}

// request fills in an entry about a request.
func (i reading) request(ctx context.Context, t Told) (_ Told, shown bool, err error) {
	kind, by := t.Entry.Kind, t.Entry.By
	switch kind { //nolint:exhaustive // the others stay as they are
	case engine.NotifyRequested:
		if t.Request.State != access.RequestPending {
			return t, false, nil
		}
	case engine.NotifyReminder:
		if t.Request.State != access.RequestPending {
			return t, false, nil
		}
		if t.Request.Requester == i.may.Caller.Principal {
			break
		}
		if _, _, err = i.answered(ctx, &t); err != nil || !t.Mine {
			return t, false, err
		}
	case engine.NotifyNeedsDecision:
		if t.Request.Requester == i.may.Caller.Principal {
			return t, false, nil // who is in the group that decides
		}
		if kind, by, err = i.answered(ctx, &t); err != nil {
			return t, false, err
		}
	}
	names, err := i.names.Of(ctx, engine.TargetsOf(t.Request)...)
	if err != nil {
		return t, false, err
	}
	t.About = engine.AboutRequest(engine.NotificationID(t.Entry.ID), kind, t.Request, names, i.may.Now)
	t.About.Subject.By, t.About.Subject.CodeOf = by, t.Entry.CodeOf
	if t.Entry.CodeOf != "" {
		t.About.Subject.Who = ""
	}
	return t, true, nil
}

// answered gives what a question has become: it is the caller's to decide, it waits for others, or it was answered.
func (i reading) answered(ctx context.Context, t *Told) (kind engine.NotificationKind, by string, err error) {
	decisions, err := i.r.Decisions(ctx, t.Request.ID)
	if err != nil {
		return "", "", fmt.Errorf("read decisions: %w", err)
	}
	me := i.may.Caller.Principal
	t.Unread = t.Unread && !slices.ContainsFunc(decisions, func(d access.Decision) bool { return d.Person == me })
	switch t.Request.State {
	case access.RequestPending:
		progress := policy.TalliesOf(t.Request, engine.People{Dir: i.may.Dir}, decisions, i.may.Now)
		for k, p := range progress {
			t.Mine = t.Mine || requests.MayDecide(i.may, t.Request, k, p)
		}
		if t.Mine = t.Mine && i.may.Now.Before(t.Request.PendingUntil); t.Mine {
			return engine.NotifyNeedsDecision, "", nil
		}
		return engine.NotifyRequested, "", nil
	case access.RequestApproved, access.RequestDenied:
		if n := len(decisions); n > 0 {
			by = decisions[n-1].Name
		}
	case access.RequestCanceled, access.RequestTimedOut:
	}
	return engine.NotifyDecided, by, nil
}

// grants fills in an entry about grants, with those of which it still holds.
func (i reading) grants(ctx context.Context, t Told) (_ Told, shown bool, err error) {
	found, err := i.r.GrantsByID(ctx, t.Entry.Grants)
	if err != nil {
		return t, false, fmt.Errorf("read grants: %w", err)
	}
	found = slices.DeleteFunc(found, func(g access.Grant) bool { return !holds(t.Entry.Kind, g) })
	slices.SortFunc(found, func(a, b access.Grant) int {
		return slices.Index(t.Entry.Grants, a.ID) - slices.Index(t.Entry.Grants, b.ID)
	})
	for n, g := range found {
		names, err := i.names.Of(ctx, g.Target)
		if err != nil {
			return t, false, err
		}
		about := engine.AboutGrant(engine.NotificationID(t.Entry.ID), t.Entry.Kind, g, t.Request, names, i.may.Now)
		if n == 0 {
			t.About = about
			t.About.Subject.By = t.Entry.By
		} else {
			t.About = t.About.With(about)
		}
		if t.Grant.ID == "" && g.Principal == i.may.Caller.Principal && !g.State.Ended() {
			t.Grant = g
		}
	}
	return t, len(found) > 0, nil
}

// holds reports whether what an entry of a kind says of a grant is so still.
func holds(kind engine.NotificationKind, g access.Grant) bool {
	switch kind { //nolint:exhaustive // no other is about grants
	case engine.NotifyOpened:
		return !g.State.Ended() && g.State != access.GrantFailed && g.WarnedAt.IsZero()
	case engine.NotifyWillEnd:
		return !g.State.Ended() && !g.WarnedAt.IsZero() // an extension takes the warning back
	case engine.NotifyFailed:
		return g.State == access.GrantFailed
	default:
		return g.State.Ended()
	}
}
