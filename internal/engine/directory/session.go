package directory

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// Credentials is what identity checks a sign-in against.
type Credentials struct {
	Principal access.Principal
	Password  engine.Password // its zero value where the principal has none

	Familiar   bool      // whether they signed in before from where the call comes
	LockedTill time.Time // until when the name is locked there; zero where it is not
}

// SignInInput is a sign-in whose password identity has checked.
type SignInInput struct {
	Session      engine.Session
	Via          string
	Address      netip.Addr
	PasswordHash string // where not empty, a new password's hash, which replaces the old one
	Rehashed     bool   // PasswordHash is of the same password, with other parameters
	Checked      string // the hash that the password was checked against; another by now is a conflict
}

// SignInRefusal is a sign-in that identity refused.
type SignInRefusal struct {
	Tenant      string             // as it was given
	Name        string             // likewise
	Principal   access.PrincipalID // empty where there is no such user
	Reason      string             // stable, such as "wrongPassword"
	WrongSecret bool               // it counts towards the lock
	Via         string
	Address     netip.Addr
}

// How a session was opened; one by an identity provider has the provider's issuer.
const (
	MethodPassword = "password"
	MethodPasskey  = "passkey"
)

// Credentials gives what a sign-in under name is checked against; it fails with access.KindNotFound where there is no
// such user. tenant is a name or id; where it is empty, name may be name@tenant, and otherwise is of the tenant that
// runs the server. address is where the call comes from. Package identity alone calls it.
func (e *Service) Credentials(ctx context.Context, tenant, name string,
	address netip.Addr,
) (cred Credentials, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		cred = Credentials{}
		for _, one := range signInNames(tenant, name) {
			id, err := tenantOf(ctx, r, one.tenant)
			if err == nil && one.within != "" {
				within, err := tenantOf(ctx, r, one.within)
				if err != nil || within != id {
					continue
				}
			}
			if err == nil {
				cred.Principal, err = r.PrincipalByName(ctx, id, one.name)
			}
			if err == nil {
				break
			}
			if !engine.IsKind(err, access.KindNotFound) {
				return fmt.Errorf("read principal: %w", err)
			}
		}
		if cred.Principal.ID == "" {
			return access.Fault(access.KindNotFound, "unknownPrincipal", "there is no user %q", engine.Clip(name))
		}
		if cred.Password, err = r.Password(ctx,
			cred.Principal.ID); err != nil && !engine.IsKind(err, access.KindNotFound) {
			return fmt.Errorf("read password: %w", err)
		}
		now := e.kernel.Now()
		here, err := signInPlace(ctx, r, cred.Principal.ID, placeOf(address), now)
		if err != nil {
			return err
		}
		cred.Familiar, cred.LockedTill = here.Familiar(), here.LockedTill
		if here.Familiar() {
			return nil
		}
		all, err := signInPlace(ctx, r, cred.Principal.ID, engine.Unfamiliar, now)
		if all.LockedTill.After(cred.LockedTill) {
			cred.LockedTill = all.LockedTill
		}
		return err
	})
	return cred, err
}

// signInName is a name in a tenant; an empty tenant is the one that runs the server. Where within is not empty, the
// name counts only if that is the same tenant.
type signInName struct{ tenant, name, within string }

// signInNames gives what a sign-in name may mean, in the order in which it does. Names of tenants have neither a dot
// nor an at sign, so the name of a mailbox is not taken for name@tenant.
func signInNames(tenant, name string) []signInName {
	plain := signInName{tenant: tenant, name: name}
	at := strings.LastIndexByte(name, '@')
	switch {
	case at <= 0 || at == len(name)-1:
		return []signInName{plain}
	case tenant != "":
		return []signInName{plain, {tenant: name[at+1:], name: name[:at], within: tenant}}
	}
	return []signInName{{tenant: name[at+1:], name: name[:at]}, plain}
}

// SignIn keeps a session. A new password ends every other session of its principal.
func (e *Service) SignIn(ctx context.Context, in SignInInput) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		w := e.kernel.NewWork(tx, e.kernel.Now())
		p, err := tx.Principal(ctx, in.Session.Principal)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		password, err := tx.Password(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		if p.Disabled || password.Hash != in.Checked {
			return access.Fault(access.KindConflict, "signInChanged", "the user was changed in the meantime: sign in again")
		}
		actor := access.Actor{ID: p.ID, Name: p.Name, Address: in.Address, Via: in.Via}
		if in.PasswordHash != "" {
			password.Hash = in.PasswordHash
			if !in.Rehashed {
				password.MustChange, password.ChangedAt = false, w.Now
				if err := tx.DeleteSessionsOf(ctx, p.ID); err != nil {
					return fmt.Errorf("end sessions: %w", err)
				}
				w.Event(access.Event{Kind: access.PasswordChanged, Actor: actor, Tenant: p.Tenant})
				if err := tellOwner(ctx, w, p, "Your password was changed",
					"It was changed at a sign-in"+from(actor)+
						", and every other session has ended.", actor); err != nil {
					return err
				}
			}
			if err := tx.SavePassword(ctx, password); err != nil {
				return fmt.Errorf("save password: %w", err)
			}
		}
		in.Session.Method = MethodPassword
		return openSession(ctx, w, p, in.Session, actor, nil)
	})
}

// openSession keeps a session that somebody has just proved to be theirs, and finishes the work.
func openSession(ctx context.Context, w *engine.Work, p access.Principal, s engine.Session, actor access.Actor,
	details map[string]string,
) error {
	s.Principal, s.ProvedAt, s.UsedAt = p.ID, w.Now, w.Now
	if err := w.Tx.SaveSession(ctx, s); err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	all, err := arrive(ctx, w, p, s, actor)
	if err != nil {
		return err
	}
	maps.Copy(all, details)
	w.Event(access.Event{Kind: access.SignedIn, Actor: actor, Tenant: p.Tenant, Details: all})
	return w.Finish(ctx)
}

// SignInRefused records a refused sign-in, and locks the name after too many at the place that they came from.
func (e *Service) SignInRefused(ctx context.Context, in SignInRefusal) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		now := e.kernel.Now()
		event := access.Event{
			At: now, Kind: access.SignInRefused, Outcome: access.Refused,
			Actor:   access.Actor{ID: in.Principal, Name: engine.Clip(in.Name), Address: in.Address, Via: in.Via},
			Details: map[string]string{"reason": in.Reason},
		}
		if in.Principal == "" {
			var err error
			event.Tenant, err = tenantOf(ctx, tx, signInNames(in.Tenant, in.Name)[0].tenant)
			if engine.IsKind(err, access.KindNotFound) {
				event.Tenant, err = engine.HomeTenant(ctx, tx)
			}
			if err != nil {
				return fmt.Errorf("read tenants: %w", err)
			}
			return tx.Append(ctx, event)
		}
		p, err := tx.Principal(ctx, in.Principal)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		event.Tenant = p.Tenant
		if in.WrongSecret {
			locked, err := wrongPassword(ctx, tx, p.ID, in.Address, now)
			if err != nil {
				return err
			}
			if !locked.IsZero() {
				event.Details["lockedTill"] = locked.Format(time.RFC3339)
			}
		}
		return tx.Append(ctx, event)
	})
}

// Session gives the caller behind the hash of a session's token; it fails with access.KindUnauthenticated where there
// is none, where its time is over, where it was not used for too long, or where its principal was disabled. It does not
// count as a use: see UseSession.
func (e *Service) Session(ctx context.Context, hash string) (c engine.Caller, s engine.Session, err error) {
	ended := access.Fault(access.KindUnauthenticated, "sessionEnded",
		"the session has ended, or is not one of this server: sign in again")
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		s, err = r.Session(ctx, hash)
		switch {
		case engine.IsKind(err, access.KindNotFound):
			return ended
		case err != nil:
			return fmt.Errorf("read session: %w", err)
		case e.over(s):
			return ended
		}
		p, err := r.Principal(ctx, s.Principal)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		if p.Disabled {
			return ended
		}
		c = callerBy(p, s)
		return nil
	})
	return c, s, err
}

func callerBy(p access.Principal, s engine.Session) engine.Caller {
	return engine.Caller{
		Principal: p.ID, Name: p.Name, Tenant: p.Tenant, Session: s.Hash, SteppedUpAt: s.SteppedUpAt,
		ProvedAt: s.ProvedAt, UsedAt: s.UsedAt,
	}
}

// over reports whether a session has ended by its time, or by not being used.
func (e *Service) over(s engine.Session) bool {
	now := e.kernel.Now()
	return !now.Before(s.ExpiresAt) || !s.UsedAt.IsZero() && !now.Before(s.UsedAt.Add(e.sessionIdle))
}

// usesNoted is how much finer than its idle time the uses of a session are noted: each is a write.
const usesNoted = 24

// UseSession notes that the caller's session was used, where that is not noted already.
func (e *Service) UseSession(ctx context.Context, c engine.Caller) error {
	now := e.kernel.Now()
	if c.Session == "" || now.Sub(c.UsedAt) < e.sessionIdle/usesNoted {
		return nil
	}
	return e.kernel.Store.Update(ctx, func(tx engine.Tx) error { return tx.UseSession(ctx, c.Session, now) })
}

// SignOut ends the caller's session; one that has ended already is no error.
func (e *Service) SignOut(ctx context.Context, c engine.Caller) error {
	if c.Session == "" {
		return access.Fault(access.KindInvalid, "noSession", "this call has no session to end")
	}
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		_, err := tx.Session(ctx, c.Session)
		switch {
		case engine.IsKind(err, access.KindNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("read session: %w", err)
		}
		if err := tx.DeleteSession(ctx, c.Session); err != nil {
			return fmt.Errorf("delete session: %w", err)
		}
		return tx.Append(ctx,
			access.Event{
				At: e.kernel.Now(), Kind: access.SignedOut, Outcome: access.Succeeded, Actor: c.Actor(),
				Tenant: c.Tenant,
			})
	})
}

// SignOutEverywhere ends all sessions of the caller, the one that calls among them. Their API tokens stay: those are
// for programs, and are ended one by one.
func (e *Service) SignOutEverywhere(ctx context.Context, c engine.Caller) error {
	if c.Session == "" {
		return access.Fault(access.KindForbidden, "signInNeeded", "a token cannot end sessions: sign in")
	}
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		if err := tx.DeleteSessionsOf(ctx, c.Principal); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		return tx.Append(ctx, access.Event{
			At: e.kernel.Now(), Kind: access.SignedOut, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant,
			Details: map[string]string{"sessions": "all"},
		})
	})
}
