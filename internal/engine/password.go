package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// MayResetPassword refuses a caller who may not give somebody another password: without the right to change principals, or
// where it is their own, for which they must know the present one.
func (e *Engine) MayResetPassword(ctx context.Context, c Caller, ref string) error {
	return e.look(ctx, c, attempt{action: rbac.PrincipalsWrite, details: map[string]string{"principal": ref}}, func(r Reader) error {
		_, _, err := e.resettable(ctx, r, c, ref)
		return err
	})
}

func (e *Engine) resettable(ctx context.Context, r Reader, c Caller, ref string) (rights, access.Principal, error) {
	may, err := e.authorize(ctx, r, c, rbac.PrincipalsWrite, access.Root)
	if err != nil {
		return may, access.Principal{}, err
	}
	p, err := findPrincipal(ctx, r, c.Tenant, ref)
	switch {
	case err != nil:
		return may, p, err
	case p.Kind != access.User:
		return may, p, access.Fault(access.KindInvalid, "passwordNotAllowed", "only a user has a password, and %q is none", p.Name)
	case p.ID == c.Principal:
		return may, p, access.Fault(access.KindConflict, "ownPassword", "this is your own password: change it with the present one")
	}
	return may, p, nil
}

// ResetPassword gives a user the password whose hash is given, whatever the old one was, and ends their sessions; once means
// that it is good for nothing but choosing another. Package identity alone calls it.
func (e *Engine) ResetPassword(ctx context.Context, c Caller, ref, hash string, once bool) error {
	return e.change(ctx, c, attempt{action: rbac.PrincipalsWrite, details: map[string]string{"principal": ref}}, func(tx Tx) error {
		may, p, err := e.resettable(ctx, tx, c, ref)
		if err != nil {
			return err
		}
		if err := tx.SavePassword(ctx, Password{Principal: p.ID, Hash: hash, MustChange: once, ChangedAt: may.now}); err != nil {
			return fmt.Errorf("save password: %w", err)
		}
		if err := tx.DeleteSessionsOf(ctx, p.ID); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		return tx.Append(ctx, access.Event{
			At: may.now, Kind: access.PasswordChanged, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant, Action: rbac.PrincipalsWrite,
			Details: map[string]string{"principal": string(p.ID), "name": p.Name, "oneTime": fmt.Sprint(once)},
		})
	})
}

// ChangePassword gives the caller the password whose hash is given, where checked is the hash that identity checked the
// present one against. Every other session of theirs ends.
func (e *Engine) ChangePassword(ctx context.Context, c Caller, hash, checked string) error {
	return e.update(ctx, func(tx Tx) error {
		password, err := tx.Password(ctx, c.Principal)
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		session, err := tx.Session(ctx, c.Session)
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		if password.Hash != checked {
			return access.Fault(access.KindConflict, "passwordChanged", "the password was changed meanwhile: sign in again")
		}
		now := e.now()
		if err := tx.SavePassword(ctx, Password{Principal: c.Principal, Hash: hash, ChangedAt: now}); err != nil {
			return fmt.Errorf("save password: %w", err)
		}
		if err := tx.DeleteSessionsOf(ctx, c.Principal); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		if err := tx.SaveSession(ctx, session); err != nil {
			return fmt.Errorf("keep the session: %w", err)
		}
		return tx.Append(ctx, access.Event{At: now, Kind: access.PasswordChanged, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant})
	})
}
