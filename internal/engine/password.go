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

// ResetPassword gives a user the password whose hash is given, whatever the old one was; once means that it is good for
// nothing but choosing another. It is what an administrator does after an account was taken over, so everything else that lets
// somebody in as that user ends: sessions, API tokens and passkeys. Package identity alone calls it.
func (e *Engine) ResetPassword(ctx context.Context, c Caller, ref, hash string, once bool) error {
	return e.change(ctx, c, attempt{action: rbac.PrincipalsWrite, details: map[string]string{"principal": ref}}, func(tx Tx) error {
		may, p, err := e.resettable(ctx, tx, c, ref)
		if err != nil {
			return err
		}
		if err := tx.SavePassword(ctx, Password{Principal: p.ID, Hash: hash, MustChange: once, ChangedAt: may.now}); err != nil {
			return fmt.Errorf("save password: %w", err)
		}
		set, err := e.credentialsOf(ctx, tx, p)
		if err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		if err := w.endCredentials(ctx, set, c.Actor()); err != nil {
			return err
		}
		if err := w.withdrawTokensOf(ctx, p.ID, may); err != nil {
			return err
		}
		detail := fmt.Sprintf("%s gave you another password. What else let you in has ended: %s.", c.Name, set.inWords())
		if err := w.tellOwner(ctx, p, "Your password was reset", detail, c.Actor()); err != nil {
			return err
		}
		w.event(access.Event{
			Kind: access.PasswordChanged, Actor: c.Actor(), Tenant: c.Tenant, Action: rbac.PrincipalsWrite,
			Details: map[string]string{"principal": string(p.ID), "name": p.Name, "oneTime": fmt.Sprint(once), "ended": set.inWords()},
		})
		return w.finish(ctx)
	})
}

// ChangePassword gives the caller the password whose hash is given, where checked is the hash that identity checked the
// present one against. Every other session of theirs ends. API tokens and passkeys stay: one changes a password now and then,
// and EndCredentials ends all in one act.
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
		w := e.newWork(tx, e.now())
		p, err := tx.Principal(ctx, c.Principal)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		if err := tx.SavePassword(ctx, Password{Principal: c.Principal, Hash: hash, ChangedAt: w.now}); err != nil {
			return fmt.Errorf("save password: %w", err)
		}
		if err := tx.DeleteSessionsOf(ctx, c.Principal); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		session.ProvedAt = w.now
		if err := tx.SaveSession(ctx, session); err != nil {
			return fmt.Errorf("keep the session: %w", err)
		}
		if err := w.tellOwner(ctx, p, "Your password was changed", "It was changed"+from(c.Actor())+", and every other session has ended.", c.Actor()); err != nil {
			return err
		}
		w.event(access.Event{Kind: access.PasswordChanged, Actor: c.Actor(), Tenant: c.Tenant})
		return w.finish(ctx)
	})
}

// Prove notes that whoever holds the caller's session has proved who they are once more, by the password whose hash identity
// checked. Package identity alone calls it.
func (e *Engine) Prove(ctx context.Context, c Caller, checked string) error {
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
		session.ProvedAt = e.now()
		if err := tx.SaveSession(ctx, session); err != nil {
			return fmt.Errorf("save session: %w", err)
		}
		return nil
	})
}
