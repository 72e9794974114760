package engine

import (
	"context"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// InboxEntry is one line of somebody's inbox: that something happened which concerns them. It names what it is about
// and repeats nothing of it, so that its text says how that stands when it is read (ADR 20). One act gives one entry
// for each whom it addresses; a group stands for everybody in it, however many.
type InboxEntry struct {
	Addressee access.PrincipalID // a person, or a group
	Seq       int64              // where the act begins on the activity log; set by the store
	ID        string             // the same for all whom it addresses; a UUID of version 7
	At        time.Time
	Kind      NotificationKind
	Request   access.RequestID // empty where it is about none
	Grants    []access.GrantID // of entries about grants: the first of them
	More      int              // how many grants more the act concerned
	Actor     access.PrincipalID
	By        string // the actor's name; empty where nobody did it, or nobody knows
	CodeOf    string // as in Subject
	Title     string // of NotifyAccount and NotifyAccessReview
	Detail    string // likewise
}

// Inbox is how far somebody has read what concerns them.
type Inbox struct {
	Principal access.PrincipalID
	Read      int64 // the Seq of the newest entry that they have read; those below it are read too
}

// InboxReader reads inboxes.
type InboxReader interface {
	// Inbox returns the inbox of a principal; one that has read nothing where there is none.
	Inbox(ctx context.Context, principal access.PrincipalID) (Inbox, error)
	// InboxEntries gives the entries of any of the addressees, the newest first, each once.
	InboxEntries(ctx context.Context, addressees []access.PrincipalID, p Page) (Listed[InboxEntry], error)
}

// InboxWriter writes them.
type InboxWriter interface {
	// SaveInbox inserts or replaces, and never takes back what was read.
	SaveInbox(ctx context.Context, i Inbox) error
	// Tell adds entries, at the place that the next event of the transaction gets. They are written with those of the
	// transactions that this one is committed with.
	Tell(ctx context.Context, entries ...InboxEntry) error
	// PruneInbox deletes entries of the first addressee behind the given one: those from before an instant, and all but
	// the newest of more than most; at most limit. It returns whose, which is empty where there is no other, and how
	// many.
	PruneInbox(ctx context.Context, behind access.PrincipalID, before time.Time, most,
		limit int) (whose access.PrincipalID, deleted int, err error)
}

const maxNamedGrants = 8 // that an entry names; of more it says how many

// tell writes the notices to the inboxes of those whom they address.
func (w *Work) tell(ctx context.Context, notices []Notice) error {
	type act struct {
		kind    NotificationKind
		request access.RequestID
	}
	var entries []InboxEntry
	at := map[act]int{} // of the first entry of an act
	sent := sentBy(notices)
	for _, n := range notices {
		if n.Kind == NotifyRequested && sent[n.Request.ID] {
			continue
		}
		addressees, err := w.addressees(ctx, n)
		if err != nil {
			return err
		}
		key := act{n.Kind, n.request()}
		if first, again := at[key]; again && n.grant.ID != "" {
			for i := first; i < len(entries) && entries[i].ID == entries[first].ID; i++ {
				entries[i] = entries[i].withGrants(n)
			}
			continue
		}
		at[key] = len(entries)
		e := InboxEntry{
			ID: NewID(), At: w.Now, Kind: n.Kind, Request: n.request(), Actor: n.Actor, By: n.By, CodeOf: n.CodeOf,
		}.withGrants(n)
		if n.Kind == NotifyDecided && sent[n.Request.ID] {
			e.Actor = n.Request.Requester // who sees at once what became of it
		}
		for _, addressee := range addressees {
			e.Addressee = addressee
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return w.Tx.Tell(ctx, entries...)
}

// sentBy returns the requests that were sent and decided by the same act: of those, one entry says both.
func sentBy(notices []Notice) map[access.RequestID]bool {
	decided, both := map[access.RequestID]bool{}, map[access.RequestID]bool{}
	for _, n := range notices {
		decided[n.Request.ID] = decided[n.Request.ID] || n.Kind == NotifyDecided
	}
	for _, n := range notices {
		if n.Kind == NotifyRequested && decided[n.Request.ID] {
			both[n.Request.ID] = true
		}
	}
	return both
}

// request returns the request that a notice is about, itself or by its grant.
func (n Notice) request() access.RequestID {
	if n.grant.ID != "" {
		return n.grant.Request
	}
	return n.Request.ID
}

// withGrants returns an entry that names the grants of a notice too.
func (e InboxEntry) withGrants(n Notice) InboxEntry {
	if n.grant.ID == "" {
		return e
	}
	e.Grants = slices.Clone(e.Grants)
	for _, g := range append([]access.Grant{n.grant}, n.beside...) {
		if len(e.Grants) < maxNamedGrants {
			e.Grants = append(e.Grants, g.ID)
		} else {
			e.More++
		}
	}
	return e
}

// addressees returns in whose inboxes a notice lies: those whom the rules name, rather than everybody in their groups.
func (w *Work) addressees(ctx context.Context, n Notice) ([]access.PrincipalID, error) {
	switch {
	case n.Kind == NotifyRequested:
		n.Recipients = []access.PrincipalID{n.Request.Requester}
	case len(n.Named) > 0:
		n.Recipients = n.Named
	}
	sides, err := w.sides(ctx, n)
	if err != nil {
		return nil, err
	}
	var all []access.PrincipalID
	for _, s := range sides {
		all = append(all, s.recipients...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
