package directory

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// MayResetPassword refuses a caller who may not give somebody another password: without the right to change principals,
// or where it is their own, for which they must know the present one.
func (e *Service) MayResetPassword(ctx context.Context, c engine.Caller, ref string) error {
	return e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"principal": ref}},
		func(r engine.Reader, _ engine.Rights) error {
			_, _, err := e.resettable(ctx, r, c, ref)
			return err
		})
}

func (e *Service) resettable(ctx context.Context, r engine.Reader, c engine.Caller,
	ref string,
) (engine.Rights, access.Principal, error) {
	may, err := e.kernel.Authorize(ctx, r, c, rbac.PrincipalsWrite, access.Root)
	if err != nil {
		return may, access.Principal{}, err
	}
	p, err := FindPrincipal(ctx, r, c.Tenant, ref)
	switch {
	case err != nil:
		return may, p, err
	case p.Kind != access.User:
		return may, p, access.Fault(access.KindInvalid, "passwordNotAllowed",
			"only a user has a password, and %q is not a user", p.Name)
	case p.ID == c.Principal:
		return may, p, access.Fault(access.KindConflict, "ownPassword",
			"this is your own password: change it with your current password")
	}
	return may, p, nil
}

// ResetPassword gives a user the password whose hash is given, whatever the old one was; once means that it is good for
// nothing but choosing another. It is what an administrator does after an account was taken over, so everything else
// that lets somebody in as that user ends: sessions, API tokens and passkeys. Package identity alone calls it.
func (e *Service) ResetPassword(ctx context.Context, c engine.Caller, ref, hash string, once bool) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"principal": ref}},
		func(tx engine.Tx, _ engine.Rights) error {
			may, p, err := e.resettable(ctx, tx, c, ref)
			if err != nil {
				return err
			}
			if err := tx.SavePassword(ctx,
				engine.Password{Principal: p.ID, Hash: hash, MustChange: once, ChangedAt: may.Now}); err != nil {
				return fmt.Errorf("save password: %w", err)
			}
			set, err := e.credentialsOf(ctx, tx, p)
			if err != nil {
				return err
			}
			w := e.kernel.NewWork(tx, may.Now)
			if err := endCredentials(ctx, w, set, c.Actor()); err != nil {
				return err
			}
			if err := withdrawTokensOf(ctx, w, p.ID, may); err != nil {
				return err
			}
			detail := fmt.Sprintf("%s gave you another password. What else let you in has ended: %s.", c.Name,
				set.inWords())
			if err := tellOwner(ctx, w, p, "Your password was reset", detail, c.Actor()); err != nil {
				return err
			}
			w.Event(access.Event{
				Kind: access.PasswordChanged, Actor: c.Actor(), Tenant: c.Tenant, Action: rbac.PrincipalsWrite,
				Details: map[string]string{
					"principal": string(p.ID), "name": p.Name, "oneTime": fmt.Sprint(once),
					"ended": set.inWords(),
				},
			})
			return w.Finish(ctx)
		})
}

// ChangePassword gives the caller the password whose hash is given, where checked is the hash that identity checked the
// present one against. Every other session of theirs ends. API tokens and passkeys stay: one changes a password now and
// then, and EndCredentials ends all in one act.
func (e *Service) ChangePassword(ctx context.Context, c engine.Caller, hash, checked string) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		password, err := tx.Password(ctx, c.Principal)
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		session, err := tx.Session(ctx, c.Session)
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		if password.Hash != checked {
			return access.Fault(access.KindConflict, "passwordChanged",
				"the password was changed in the meantime: sign in again")
		}
		w := e.kernel.NewWork(tx, e.kernel.Now())
		p, err := tx.Principal(ctx, c.Principal)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		if err := tx.SavePassword(ctx,
			engine.Password{Principal: c.Principal, Hash: hash, ChangedAt: w.Now}); err != nil {
			return fmt.Errorf("save password: %w", err)
		}
		if err := tx.DeleteSessionsOf(ctx, c.Principal); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		session.ProvedAt = w.Now
		if err := tx.SaveSession(ctx, session); err != nil {
			return fmt.Errorf("keep the session: %w", err)
		}
		if err := tellOwner(ctx, w, p, "Your password was changed",
			"It was changed"+from(c.Actor())+", and every other session has ended.", c.Actor()); err != nil {
			return err
		}
		w.Event(access.Event{Kind: access.PasswordChanged, Actor: c.Actor(), Tenant: c.Tenant})
		return w.Finish(ctx)
	})
}

// Prove notes that whoever holds the caller's session has proved who they are once more, by the password whose hash
// identity checked. Package identity alone calls it.
func (e *Service) Prove(ctx context.Context, c engine.Caller, checked string) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		password, err := tx.Password(ctx, c.Principal)
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		session, err := tx.Session(ctx, c.Session)
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		if password.Hash != checked {
			return access.Fault(access.KindConflict, "passwordChanged",
				"the password was changed in the meantime: sign in again")
		}
		session.ProvedAt = e.kernel.Now()
		if err := tx.SaveSession(ctx, session); err != nil {
			return fmt.Errorf("save session: %w", err)
		}
		return nil
	})
}

// OneTimePassword makes a password that is printed once: 24 letters and digits in groups, none of which looks like
// another.
func OneTimePassword() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyz23456789" // 32, so that a byte gives each with the same chance
	raw := make([]byte, 24)
	rand.Read(raw) // never fails
	password := make([]byte, 0, len(raw)+3)
	for i, b := range raw {
		if i > 0 && i%6 == 0 {
			password = append(password, '-')
		}
		password = append(password, alphabet[int(b)%len(alphabet)])
	}
	return string(password)
}
