package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	inboxEntryTable = describe("inbox entry", "inbox", "i", "addressee, seq, id",
		text("addressee", func(v *engine.InboxEntry) *access.PrincipalID { return &v.Addressee }),
		number("seq", func(v *engine.InboxEntry) *int64 { return &v.Seq }),
		text("id", func(v *engine.InboxEntry) *string { return &v.ID }),
		when("at", func(v *engine.InboxEntry) *time.Time { return &v.At }),
		text("kind", func(v *engine.InboxEntry) *engine.NotificationKind { return &v.Kind }),
		text("request", func(v *engine.InboxEntry) *access.RequestID { return &v.Request }),
		text("actor", func(v *engine.InboxEntry) *access.PrincipalID { return &v.Actor }),
		others[engine.InboxEntry]("body", parts{}))

	inboxTable = describe("inbox", "inboxes", "x", "principal",
		text("principal", func(v *engine.Inbox) *access.PrincipalID { return &v.Principal }),
		number("read_seq", func(v *engine.Inbox) *int64 { return &v.Read }))

	listInbox   = "select " + inboxEntryTable.selected + " from inbox i"
	selectInbox = "select " + inboxTable.selected + " from inboxes x where x.principal = $1 limit 1"
	saveInbox   = inboxTable.upsert + " where excluded.read_seq >= inboxes.read_seq"

	selectNextAddressee = listInbox + " where i.addressee > $1 order by i.addressee, i.seq, i.id limit 1"
	selectOldEntries    = listInbox + " where i.addressee = $1 order by i.seq, i.id limit $2"
	selectSpareEntries  = listInbox + " where i.addressee = $1 order by i.seq desc, i.id desc limit $2 offset $3"
)

const deleteEntry = "delete from inbox where addressee = $1 and seq = $2 and id = $3"

// Inbox implements engine.InboxReader.
func (r *reader) Inbox(ctx context.Context, principal access.PrincipalID) (engine.Inbox, error) {
	i, err := one(ctx, r.q, "inbox", inboxTable.scan, selectInbox, string(principal))
	if access.KindOf(err) == access.KindNotFound {
		return engine.Inbox{Principal: principal}, nil
	}
	return i, err
}

// InboxEntries implements engine.InboxReader. Each addressee is asked for by itself, since their rows lie together and
// in order: so no more is read than a page of each.
func (r *reader) InboxEntries(ctx context.Context, addressees []access.PrincipalID,
	p engine.Page,
) (engine.Listed[engine.InboxEntry], error) {
	var out engine.Listed[engine.InboxEntry]
	more := false
	for _, addressee := range addressees {
		l := from(listInbox)
		l.where("i.addressee = ?", string(addressee))
		l.after(p.Cursor, true, "i.seq, i.id", cursorNumber, cursorText)
		got, err := page(ctx, r.q, l, p, "i.seq desc, i.id desc", inboxEntryTable.scan, entryCursor)
		if err != nil {
			return engine.Listed[engine.InboxEntry]{}, err
		}
		out.Items, more = append(out.Items, got.Items...), more || got.Next != ""
	}
	slices.SortStableFunc(out.Items, func(a, b engine.InboxEntry) int {
		return cmp.Or(cmp.Compare(b.Seq, a.Seq), cmp.Compare(b.ID, a.ID))
	})
	out.Items = slices.CompactFunc(out.Items, func(a, b engine.InboxEntry) bool { return a.ID == b.ID })
	if len(out.Items) > p.Limit {
		out.Items, more = out.Items[:p.Limit], true
	}
	if more {
		out.Next = makeCursor(entryCursor(out.Items[len(out.Items)-1]))
	}
	return out, nil
}

func entryCursor(e engine.InboxEntry) []any { return []any{e.Seq, e.ID} }

// SaveInbox implements engine.InboxWriter.
func (t *tx) SaveInbox(ctx context.Context, i engine.Inbox) error {
	return put(ctx, t, inboxTable, saveInbox, i)
}

// Tell implements engine.InboxWriter.
func (t *tx) Tell(ctx context.Context, entries ...engine.InboxEntry) error {
	if err := t.usable(ctx); err != nil {
		return err
	}
	b := t.batch
	for _, e := range entries {
		e.Seq = b.head.tree.Size + int64(len(b.events))
		args, err := inboxEntryTable.args(&e)
		if err == nil {
			err = checkText("inbox entry", args)
		}
		if err != nil {
			t.failed = err
			return err
		}
		b.inbox = append(b.inbox, args)
	}
	return nil
}

// PruneInbox implements engine.InboxWriter.
func (t *tx) PruneInbox(ctx context.Context, behind access.PrincipalID, before time.Time, most,
	limit int,
) (whose access.PrincipalID, deleted int, err error) {
	if err := checkLimit(limit); err != nil {
		return "", 0, err
	}
	first, err := all(ctx, t, inboxEntryTable.scan, selectNextAddressee, string(behind))
	if err != nil || len(first) == 0 {
		return "", 0, err
	}
	whose = first[0].Addressee
	spare, err := all(ctx, t, inboxEntryTable.scan, selectSpareEntries, string(whose), int64(limit), int64(most))
	if err != nil {
		return "", 0, err
	}
	old, err := all(ctx, t, inboxEntryTable.scan, selectOldEntries, string(whose), int64(limit))
	if err != nil {
		return "", 0, err
	}
	for i, e := range append(spare, old...) {
		if i >= len(spare) && !e.At.Before(before) {
			break // entries of one addressee are in the order of their age
		}
		if err := t.exec(ctx, "inbox entry", nil, deleteEntry, string(whose), e.Seq, e.ID); err != nil {
			return "", 0, err
		}
		deleted++
	}
	return whose, deleted, nil
}
