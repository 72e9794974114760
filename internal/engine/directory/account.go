package directory

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// tellOwner tells a person what became of their own account: whoever took it over cannot do so unseen. It goes to that
// person alone, by mail, where the tenant has a channel for it.
func tellOwner(ctx context.Context, w *engine.Work, p access.Principal, title, detail string, by access.Actor) error {
	return tellOwnerAt(ctx, w, "", p, title, detail, by)
}

// tellOwnerAt is tellOwner, to an address that need not be theirs any more.
func tellOwnerAt(ctx context.Context, w *engine.Work, address string, p access.Principal, title, detail string,
	by access.Actor,
) error {
	if p.Kind != access.User {
		return nil
	}
	s := engine.Subject{Who: p.Name, Title: title, Detail: detail}
	if by.ID != p.ID {
		s.By = by.Name
	}
	err := w.Tx.Tell(ctx, engine.InboxEntry{
		Addressee: p.ID, ID: engine.NewID(), At: w.Now, Kind: engine.NotifyAccount, Actor: by.ID, By: s.By,
		Title: title, Detail: detail,
	})
	if err != nil {
		return fmt.Errorf("write inbox: %w", err)
	}
	heard, err := w.Hears(ctx, p.Tenant)
	if err != nil || !heard {
		return err
	}
	err = w.Tx.Enqueue(ctx, engine.Notification{
		ID: engine.NotificationID(engine.NewID()), At: w.Now, Kind: engine.NotifyAccount, Tenant: p.Tenant,
		Recipients: []access.PrincipalID{p.ID}, Address: address, Subject: s,
	})
	if err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
	}
	return nil
}

// stillSignedIn fails where the session that calls has ended since it was looked up: what somebody begins before an
// administrator puts them out leaves nothing behind that lets them in again.
func stillSignedIn(ctx context.Context, r engine.Reader, c engine.Caller) error {
	if c.Session == "" {
		return nil
	}
	_, err := r.Session(ctx, c.Session)
	if engine.IsKind(err, access.KindNotFound) {
		return access.Fault(access.KindUnauthenticated, "sessionEnded",
			"the session has ended in the meantime: sign in again")
	}
	if err != nil {
		return fmt.Errorf("read session: %w", err)
	}
	return nil
}

// from says where an actor is, for a text.
func from(a access.Actor) string {
	if !a.Address.IsValid() {
		return ""
	}
	return " from " + a.Address.String()
}
