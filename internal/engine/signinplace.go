package engine

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Wrong passwords lock a name at the place that they come from, and not elsewhere: a stranger cannot keep others out. Where
// nobody signed in before, all places together are locked after more of them, so that many places do not give many guesses.
const (
	lockAfter    = 5  // wrong passwords in a row from one place
	lockAllAfter = 50 // and from all unfamiliar places together
	lockFirst    = 30 * time.Second
	lockMost     = 15 * time.Minute
)

const (
	familiarFor   = 180 * 24 * time.Hour // after the last sign-in from a place
	failuresCount = 24 * time.Hour       // after the last failure
	unfamiliar    = "*"                  // all places together where nobody signed in before
	placeBits4    = 24
	placeBits6    = 48 // what one site has, at the usual provider
)

// placeOf gives the part of the network that an address lies in.
func placeOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := placeBits6
	if a.Is4() {
		bits = placeBits4
	}
	if p, err := a.Prefix(bits); err == nil {
		return p.String()
	}
	return a.String()
}

// familiar reports whether the person signed in from there.
func (p SignInPlace) familiar() bool { return !p.SignedInAt.IsZero() }

// signInPlace gives what is known of a principal at a place, or at all unfamiliar ones; its zero value, but for what names
// it, where nothing is known any more.
func signInPlace(ctx context.Context, r Reader, principal access.PrincipalID, place string, now time.Time) (SignInPlace, error) {
	p, err := r.SignInPlace(ctx, principal, place)
	switch {
	case isKind(err, access.KindNotFound), err == nil && !now.Before(p.ForgetAt):
		return SignInPlace{Principal: principal, Place: place}, nil
	case err != nil:
		return SignInPlace{}, fmt.Errorf("read place: %w", err)
	}
	if !now.Before(p.FailedAt.Add(failuresCount)) {
		p.Failures, p.LockedTill = 0, time.Time{}
	}
	return p, nil
}

// failed counts a wrong password.
func (p SignInPlace) failed(lockAfter int, now time.Time) SignInPlace {
	p.Failures, p.FailedAt = p.Failures+1, now
	if p.Failures >= lockAfter {
		p.LockedTill = now.Add(lockTime(p.Failures - lockAfter))
	}
	if end := now.Add(failuresCount); end.After(p.ForgetAt) {
		p.ForgetAt = end
	}
	return p
}

// lockTime gives how long a lock lasts after so many more failures than it takes.
func lockTime(more int) time.Duration {
	lock := lockFirst
	for range more {
		if lock *= 2; lock >= lockMost {
			return lockMost
		}
	}
	return lock
}

// wrongPassword counts a wrong password, and gives until when the name is locked for whoever tried; zero where it is not.
func wrongPassword(ctx context.Context, tx Tx, principal access.PrincipalID, address netip.Addr, now time.Time) (time.Time, error) {
	here, err := signInPlace(ctx, tx, principal, placeOf(address), now)
	if err != nil {
		return time.Time{}, err
	}
	here = here.failed(lockAfter, now)
	if err := tx.SaveSignInPlace(ctx, here); err != nil {
		return time.Time{}, fmt.Errorf("save place: %w", err)
	}
	locked := here.LockedTill
	if here.familiar() {
		return locked, nil
	}
	all, err := signInPlace(ctx, tx, principal, unfamiliar, now)
	if err != nil {
		return time.Time{}, err
	}
	all = all.failed(lockAllAfter, now)
	if err := tx.SaveSignInPlace(ctx, all); err != nil {
		return time.Time{}, fmt.Errorf("save place: %w", err)
	}
	if all.LockedTill.After(locked) {
		locked = all.LockedTill
	}
	return locked, nil
}

// arrive notes that a person signed in, forgets the failures that went before, and tells them where the place is a new one.
// It gives the details of the event.
func (w *work) arrive(ctx context.Context, p access.Principal, s Session, actor access.Actor) (map[string]string, error) {
	details := map[string]string{"client": clip(s.Client), "expires": s.ExpiresAt.Format(time.RFC3339)}
	here, err := signInPlace(ctx, w.tx, p.ID, placeOf(actor.Address), w.now)
	if err != nil {
		return nil, err
	}
	if !here.familiar() {
		known, err := w.tx.SignInPlaces(ctx, p.ID)
		if err != nil {
			return nil, fmt.Errorf("read places: %w", err)
		}
		if len(known) > 0 { // the first sign-in ever is no news
			details["newPlace"] = here.Place
			detail := fmt.Sprintf("Somebody signed in as %s%s, where nobody did before, with %s. If that was not you, change your password and end what you do not know: postern credential list",
				p.Name, from(actor), clip(s.Client))
			if err := w.tellOwner(ctx, p, "Signed in from a new place", detail, actor); err != nil {
				return nil, err
			}
		}
	}
	if err := w.tx.SaveSignInPlace(ctx, SignInPlace{Principal: p.ID, Place: here.Place, SignedInAt: w.now, ForgetAt: w.now.Add(familiarFor)}); err != nil {
		return nil, fmt.Errorf("save place: %w", err)
	}
	all, err := signInPlace(ctx, w.tx, p.ID, unfamiliar, w.now)
	if err != nil || all.Failures == 0 {
		return details, err
	}
	if err := w.tx.SaveSignInPlace(ctx, SignInPlace{Principal: p.ID, Place: unfamiliar, ForgetAt: w.now}); err != nil {
		return nil, fmt.Errorf("save place: %w", err)
	}
	return details, nil
}
