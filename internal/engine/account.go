package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// tellOwner tells a person what became of their own account: whoever took it over cannot do so unseen. It goes to that person
// alone, by mail, where the tenant has a channel for it.
func (w *work) tellOwner(ctx context.Context, p access.Principal, title, detail string, by access.Actor) error {
	heard, err := w.hears(ctx, p.Tenant)
	if err != nil || !heard || p.Kind != access.User {
		return err
	}
	s := Subject{Who: p.Name, Title: title, Detail: detail}
	if by.ID != p.ID {
		s.By = by.Name
	}
	err = w.tx.Enqueue(ctx, Notification{
		ID: NotificationID(newID()), At: w.now, Kind: NotifyAccount, Tenant: p.Tenant, Recipients: []access.PrincipalID{p.ID}, Subject: s,
	})
	if err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
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
