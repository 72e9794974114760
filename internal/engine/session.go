package engine

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Credentials is what identity checks a sign-in against.
type Credentials struct {
	Principal access.Principal
	Password  Password // its zero value where the principal has none
}

// SignInInput is a sign-in whose password identity has checked.
type SignInInput struct {
	Session      Session
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

// After so many wrong passwords in a row a name is locked, and twice as long with each more.
const (
	lockAfter = 5
	lockFirst = 30 * time.Second
	lockMost  = 15 * time.Minute
)

// Credentials gives what a sign-in under name is checked against; it fails with access.KindNotFound where there is no such
// user. tenant is a name or id; where it is empty, name may be name@tenant, and otherwise is of the tenant that runs the
// server. Package identity alone calls it.
func (e *Engine) Credentials(ctx context.Context, tenant, name string) (cred Credentials, err error) {
	err = e.store.View(ctx, func(r Reader) error {
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
			if !isKind(err, access.KindNotFound) {
				return fmt.Errorf("read principal: %w", err)
			}
		}
		if cred.Principal.ID == "" {
			return access.Fault(access.KindNotFound, "unknownPrincipal", "there is no user %q", clip(name))
		}
		cred.Password, err = r.Password(ctx, cred.Principal.ID)
		if isKind(err, access.KindNotFound) {
			return nil
		}
		return err
	})
	return cred, err
}

// signInName is a name in a tenant; an empty tenant is the one that runs the server. Where within is not empty, the name
// counts only if that is the same tenant.
type signInName struct{ tenant, name, within string }

// signInNames gives what a sign-in name may mean, in the order in which it does. Names of tenants have neither a dot nor an
// at sign, so the name of a mailbox is not taken for name@tenant.
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
func (e *Engine) SignIn(ctx context.Context, in SignInInput) error {
	return e.update(ctx, func(tx Tx) error {
		now := e.now()
		p, err := tx.Principal(ctx, in.Session.Principal)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		password, err := tx.Password(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		if p.Disabled || password.Hash != in.Checked {
			return access.Fault(access.KindConflict, "signInChanged", "the user was changed meanwhile: sign in again")
		}
		actor := access.Actor{ID: p.ID, Name: p.Name, Address: in.Address, Via: in.Via}
		event := access.Event{
			At: now, Kind: access.SignedIn, Outcome: access.Succeeded, Actor: actor, Tenant: p.Tenant,
			Details: map[string]string{"client": clip(in.Session.Client), "expires": in.Session.ExpiresAt.Format(time.RFC3339)},
		}
		events := []access.Event{event}
		dirty := password.Failures > 0 || !password.LockedTill.IsZero()
		password.Failures, password.LockedTill = 0, time.Time{}
		if in.PasswordHash != "" {
			dirty = true
			password.Hash = in.PasswordHash
		}
		if in.PasswordHash != "" && !in.Rehashed {
			password.MustChange, password.ChangedAt = false, now
			if err := tx.DeleteSessionsOf(ctx, p.ID); err != nil {
				return fmt.Errorf("end sessions: %w", err)
			}
			event.Kind, event.Details = access.PasswordChanged, map[string]string{}
			events = append([]access.Event{event}, events...)
		}
		if dirty {
			if err := tx.SavePassword(ctx, password); err != nil {
				return fmt.Errorf("save password: %w", err)
			}
		}
		if err := tx.SaveSession(ctx, in.Session); err != nil {
			return fmt.Errorf("save session: %w", err)
		}
		return tx.Append(ctx, events...)
	})
}

// SignInRefused records a refused sign-in and locks the name after too many.
func (e *Engine) SignInRefused(ctx context.Context, in SignInRefusal) error {
	return e.update(ctx, func(tx Tx) error {
		now := e.now()
		event := access.Event{
			At: now, Kind: access.SignInRefused, Outcome: access.Refused,
			Actor:   access.Actor{ID: in.Principal, Name: clip(in.Name), Address: in.Address, Via: in.Via},
			Details: map[string]string{"reason": in.Reason},
		}
		if in.Principal == "" {
			var err error
			event.Tenant, err = tenantOf(ctx, tx, signInNames(in.Tenant, in.Name)[0].tenant)
			if isKind(err, access.KindNotFound) {
				event.Tenant, err = homeTenant(ctx, tx)
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
			password, err := tx.Password(ctx, p.ID)
			if err != nil {
				return fmt.Errorf("read password: %w", err)
			}
			password.Failures++
			if password.Failures >= lockAfter {
				password.LockedTill = now.Add(lockTime(password.Failures))
				event.Details["lockedTill"] = password.LockedTill.Format(time.RFC3339)
			}
			if err := tx.SavePassword(ctx, password); err != nil {
				return fmt.Errorf("save password: %w", err)
			}
		}
		return tx.Append(ctx, event)
	})
}

// lockTime gives how long a name is locked after so many failures.
func lockTime(failures int) time.Duration {
	lock := lockFirst
	for range failures - lockAfter {
		if lock *= 2; lock >= lockMost {
			return lockMost
		}
	}
	return lock
}

// Session gives the caller behind the hash of a session's token; it fails with access.KindUnauthenticated where there is
// none, where its time is over, or where its principal was disabled.
func (e *Engine) Session(ctx context.Context, hash string) (c Caller, s Session, err error) {
	ended := access.Fault(access.KindUnauthenticated, "sessionEnded", "the session has ended, or was never one of ours: sign in again")
	err = e.store.View(ctx, func(r Reader) error {
		s, err = r.Session(ctx, hash)
		switch {
		case isKind(err, access.KindNotFound):
			return ended
		case err != nil:
			return fmt.Errorf("read session: %w", err)
		case !e.now().Before(s.ExpiresAt):
			return ended
		}
		p, err := r.Principal(ctx, s.Principal)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		if p.Disabled {
			return ended
		}
		c = Caller{Principal: p.ID, Name: p.Name, Tenant: p.Tenant, Session: hash, SteppedUpAt: s.SteppedUpAt}
		return nil
	})
	return c, s, err
}

// SignOut ends the caller's session; one that has ended already is no error.
func (e *Engine) SignOut(ctx context.Context, c Caller) error {
	if c.Session == "" {
		return access.Fault(access.KindInvalid, "noSession", "this call has no session to end")
	}
	return e.update(ctx, func(tx Tx) error {
		_, err := tx.Session(ctx, c.Session)
		switch {
		case isKind(err, access.KindNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("read session: %w", err)
		}
		if err := tx.DeleteSession(ctx, c.Session); err != nil {
			return fmt.Errorf("delete session: %w", err)
		}
		return tx.Append(ctx, access.Event{At: e.now(), Kind: access.SignedOut, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant})
	})
}

// SignOutEverywhere ends all sessions of the caller, the one that calls among them. Their API tokens stay: those are for
// programs, and are ended one by one.
func (e *Engine) SignOutEverywhere(ctx context.Context, c Caller) error {
	if c.Session == "" {
		return access.Fault(access.KindForbidden, "signInNeeded", "a token cannot end sessions: sign in")
	}
	return e.update(ctx, func(tx Tx) error {
		if err := tx.DeleteSessionsOf(ctx, c.Principal); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		return tx.Append(ctx, access.Event{
			At: e.now(), Kind: access.SignedOut, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant, Details: map[string]string{"sessions": "all"},
		})
	})
}
