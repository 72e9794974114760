package directory

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const maxPasskeys = 20 // of one person

// Passkeys lists the caller's own passkeys, the oldest first.
func (e *Service) Passkeys(ctx context.Context, c engine.Caller) (list []engine.Passkey, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{}, func(r engine.Reader, _ engine.Rights) error {
		list, err = r.Passkeys(ctx, c.Principal)
		return err
	})
	return list, err
}

// MayAddPasskey refuses a caller who may not add a passkey now: one who acts by a token, and one who has not just
// proved who they are, with a passkey where they have one, and else with the password or at the provider. Whoever took
// a session over could else stay for ever, and confirm with a passkey of their own what a rule wants confirmed.
func (e *Service) MayAddPasskey(ctx context.Context, c engine.Caller) error {
	_, err := e.mayChangePasskeys(ctx, c)
	return err
}

func (e *Service) mayChangePasskeys(ctx context.Context, c engine.Caller) (list []engine.Passkey, err error) {
	if c.Session == "" {
		return nil, access.Fault(access.KindForbidden, "signInNeeded", "this cannot be done with a token: sign in")
	}
	if list, err = e.Passkeys(ctx, c); err != nil {
		return nil, err
	}
	switch now := e.kernel.Now(); {
	case len(list) > 0 && !c.SteppedUp(now):
		return nil, engine.StepUpRequired("changing your passkeys")
	case len(list) == 0 && !c.Proved(now):
		return nil, access.Fault(access.KindForbidden, "proofRequired",
			"the first passkey needs a fresh proof of your identity: enter your password again, or sign out and in")
	}
	return list, nil
}

// AddPasskey keeps a passkey that identity has verified.
func (e *Service) AddPasskey(ctx context.Context, c engine.Caller, p engine.Passkey) (engine.Passkey, error) {
	if p.Name == "" || strings.TrimSpace(p.Name) != p.Name || len(p.Name) > maxPrincipalName || !PlainText(p.Name) {
		return p, access.Fault(access.KindInvalid, "malformedName",
			"the passkey needs a name that says where it is kept: 1 to %d bytes without control characters",
			maxPrincipalName)
	}
	known, err := e.mayChangePasskeys(ctx, c)
	if err != nil {
		return p, e.kernel.Refused(ctx, c, engine.Attempt{Details: map[string]string{"passkey": p.Name}}, err)
	}
	p.Principal, p.CreatedAt, p.Revision = c.Principal, e.kernel.Now(), 1
	err = e.kernel.Change(ctx, c, engine.Attempt{Details: map[string]string{"passkey": p.Name}},
		func(tx engine.Tx, _ engine.Rights) error {
			if err := stillSignedIn(ctx, tx, c); err != nil {
				return err
			}
			list, err := tx.Passkeys(ctx, c.Principal) // again: any number may be added at once
			switch {
			case err != nil:
				return fmt.Errorf("read passkeys: %w", err)
			case len(list) >= maxPasskeys:
				return access.Fault(access.KindConflict, "tooManyPasskeys",
					"you have %d passkeys, the most that are allowed: delete one first", len(list))
			case len(list) > 0 && len(known) == 0 && !c.SteppedUp(p.CreatedAt):
				return engine.StepUpRequired("changing your passkeys")
			}
			w := e.kernel.NewWork(tx, p.CreatedAt)
			owner, err := tx.Principal(ctx, c.Principal)
			if err != nil {
				return fmt.Errorf("read principal: %w", err)
			}
			if err := tx.SavePasskey(ctx, p, 0); err != nil {
				return fmt.Errorf("save passkey: %w", err)
			}
			detail := fmt.Sprintf("The passkey %s was added%s. If that was not you, end it and change your "+
				"password: postern credential list",
				p.Name, from(c.Actor()))
			if err := tellOwner(ctx, w, owner, "A passkey was added", detail, c.Actor()); err != nil {
				return err
			}
			w.Event(p.Event(access.PasskeyAdded, c.Actor(), c.Tenant))
			return w.Finish(ctx)
		})
	return p, err
}

// DeletePasskey forgets one of the caller's own passkeys, by its id or name.
func (e *Service) DeletePasskey(ctx context.Context, c engine.Caller, ref string) error {
	list, err := e.mayChangePasskeys(ctx, c)
	if err != nil {
		return e.kernel.Refused(ctx, c, engine.Attempt{Details: map[string]string{"passkey": ref}}, err)
	}
	for _, p := range list {
		if p.ID != ref && !strings.EqualFold(p.Name, ref) {
			continue
		}
		return e.kernel.Change(ctx, c, engine.Attempt{Details: map[string]string{"passkey": ref}},
			func(tx engine.Tx, _ engine.Rights) error {
				if err := tx.DeletePasskey(ctx, p.ID); err != nil {
					return fmt.Errorf("delete passkey: %w", err)
				}
				event := p.Event(access.PasskeyDeleted, c.Actor(), c.Tenant)
				event.At = e.kernel.Now()
				return tx.Append(ctx, event)
			})
	}
	return access.Fault(access.KindNotFound, "unknownPasskey", "you have no passkey %q", engine.Clip(ref))
}

// PasskeyOwner gives a person with their passkeys. Package identity alone calls it, and what follows.
func (e *Service) PasskeyOwner(ctx context.Context,
	id access.PrincipalID,
) (p access.Principal, keys []engine.Passkey, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		if p, err = r.Principal(ctx, id); err != nil {
			return err
		}
		keys, err = r.Passkeys(ctx, id)
		return err
	})
	return p, keys, err
}

// SignInByPasskey keeps the session of a person who proved themselves with a passkey, which is the fresh sign-in that a
// rule may ask for.
func (e *Service) SignInByPasskey(ctx context.Context, used engine.Passkey, s engine.Session, via string,
	address netip.Addr,
) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		w := e.kernel.NewWork(tx, e.kernel.Now())
		p, err := tx.Principal(ctx, used.Principal)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		if p.Disabled || p.Kind != access.User {
			return access.Fault(access.KindUnauthenticated, "wrongPasskey",
				"this passkey is not accepted: use another, or ask an administrator")
		}
		s.Method, s.SteppedUpAt = MethodPasskey, w.Now
		if err := usePasskey(ctx, tx, used, w.Now); err != nil {
			return err
		}
		actor := access.Actor{ID: p.ID, Name: p.Name, Address: address, Via: via}
		return openSession(ctx, w, p, s, actor, map[string]string{"passkey": engine.Clip(used.ID)})
	})
}

// StepUp notes that the caller has confirmed the session with a passkey.
func (e *Service) StepUp(ctx context.Context, c engine.Caller, used engine.Passkey) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		s, err := tx.Session(ctx, c.Session)
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		s.SteppedUpAt, s.ProvedAt = e.kernel.Now(), e.kernel.Now()
		if err := usePasskey(ctx, tx, used, e.kernel.Now()); err != nil {
			return err
		}
		if err := tx.SaveSession(ctx, s); err != nil {
			return fmt.Errorf("save session: %w", err)
		}
		event := used.Event(access.SteppedUp, c.Actor(), c.Tenant)
		event.At = e.kernel.Now()
		return tx.Append(ctx, event)
	})
}

func usePasskey(ctx context.Context, tx engine.Tx, used engine.Passkey, now time.Time) error {
	was := used.Revision
	used.UsedAt, used.Revision = now, was+1
	if err := tx.SavePasskey(ctx, used, was); err != nil {
		return fmt.Errorf("save passkey: %w", err)
	}
	return nil
}
