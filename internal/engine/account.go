package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// tellOwner tells a person what became of their own account: whoever took it over cannot do so unseen. It goes to that person
// alone, by mail, where the tenant has a channel for it.
func (w *work) tellOwner(ctx context.Context, p access.Principal, title, detail string, by access.Actor) error {
	return w.tellOwnerAt(ctx, "", p, title, detail, by)
}

// tellOwnerAt is tellOwner, to an address that need not be theirs any more.
func (w *work) tellOwnerAt(ctx context.Context, address string, p access.Principal, title, detail string, by access.Actor) error {
	heard, err := w.hears(ctx, p.Tenant)
	if err != nil || !heard || p.Kind != access.User {
		return err
	}
	s := Subject{Who: p.Name, Title: title, Detail: detail}
	if by.ID != p.ID {
		s.By = by.Name
	}
	err = w.tx.Enqueue(ctx, Notification{
		ID: NotificationID(newID()), At: w.now, Kind: NotifyAccount, Tenant: p.Tenant, Recipients: []access.PrincipalID{p.ID}, Address: address, Subject: s,
	})
	if err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
	}
	return nil
}

// stillSignedIn fails where the session that calls has ended since it was looked up: what somebody begins before an
// administrator puts them out leaves nothing behind that lets them in again.
func stillSignedIn(ctx context.Context, r Reader, c Caller) error {
	if c.Session == "" {
		return nil
	}
	_, err := r.Session(ctx, c.Session)
	if isKind(err, access.KindNotFound) {
		return access.Fault(access.KindUnauthenticated, "sessionEnded", "the session has ended meanwhile: sign in again")
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
