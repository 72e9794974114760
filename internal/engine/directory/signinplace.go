package directory

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// placeOf gives the part of the network that an address lies in.
func placeOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := engine.PlaceBits6
	if a.Is4() {
		bits = engine.PlaceBits4
	}
	if p, err := a.Prefix(bits); err == nil {
		return p.String()
	}
	return a.String()
}

// signInPlace gives what is known of a principal at a place, or at all unfamiliar ones; its zero value, but for what
// names it, where nothing is known any more.
func signInPlace(ctx context.Context, r engine.Reader, principal access.PrincipalID, place string,
	now time.Time,
) (engine.SignInPlace, error) {
	p, err := r.SignInPlace(ctx, principal, place)
	switch {
	case engine.IsKind(err, access.KindNotFound), err == nil && !now.Before(p.ForgetAt):
		return engine.SignInPlace{Principal: principal, Place: place}, nil
	case err != nil:
		return engine.SignInPlace{}, fmt.Errorf("read place: %w", err)
	}
	if !now.Before(p.FailedAt.Add(engine.FailuresCount)) {
		p.Failures, p.LockedTill = 0, time.Time{}
	}
	return p, nil
}

// wrongPassword counts a wrong password, and gives until when the name is locked for whoever tried; zero where it is
// not.
func wrongPassword(ctx context.Context, tx engine.Tx, principal access.PrincipalID, address netip.Addr,
	now time.Time,
) (time.Time, error) {
	here, err := signInPlace(ctx, tx, principal, placeOf(address), now)
	if err != nil {
		return time.Time{}, err
	}
	here = here.Failed(engine.LockAfter, now)
	if err := tx.SaveSignInPlace(ctx, here); err != nil {
		return time.Time{}, fmt.Errorf("save place: %w", err)
	}
	locked := here.LockedTill
	if here.Familiar() {
		return locked, nil
	}
	all, err := signInPlace(ctx, tx, principal, engine.Unfamiliar, now)
	if err != nil {
		return time.Time{}, err
	}
	all = all.Failed(engine.LockAllAfter, now)
	if err := tx.SaveSignInPlace(ctx, all); err != nil {
		return time.Time{}, fmt.Errorf("save place: %w", err)
	}
	if all.LockedTill.After(locked) {
		locked = all.LockedTill
	}
	return locked, nil
}

// arrive notes that a person signed in, forgets the failures that went before, and tells them where the place is a new
// one. It gives the details of the event.
func arrive(ctx context.Context, w *engine.Work, p access.Principal, s engine.Session,
	actor access.Actor,
) (map[string]string, error) {
	details := map[string]string{"client": engine.Clip(s.Client), "expires": s.ExpiresAt.Format(time.RFC3339)}
	here, err := signInPlace(ctx, w.Tx, p.ID, placeOf(actor.Address), w.Now)
	if err != nil {
		return nil, err
	}
	if !here.Familiar() {
		known, err := w.Tx.SignInPlaces(ctx, p.ID)
		if err != nil {
			return nil, fmt.Errorf("read places: %w", err)
		}
		if len(known) > 0 { // the first sign-in ever is no news
			details["newPlace"] = here.Place
			detail := fmt.Sprintf("Somebody signed in as %s%s, where nobody did before, with %s. If that was not "+
				"you, change your password and end what you do not know: postern credential list",
				p.Name, from(actor), engine.Clip(s.Client))
			if err := tellOwner(ctx, w, p, "Signed in from a new place", detail, actor); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Tx.SaveSignInPlace(ctx,
		engine.SignInPlace{
			Principal: p.ID, Place: here.Place, SignedInAt: w.Now,
			ForgetAt: w.Now.Add(engine.FamiliarFor),
		}); err != nil {
		return nil, fmt.Errorf("save place: %w", err)
	}
	all, err := signInPlace(ctx, w.Tx, p.ID, engine.Unfamiliar, w.Now)
	if err != nil || all.Failures == 0 {
		return details, err
	}
	if err := w.Tx.SaveSignInPlace(ctx,
		engine.SignInPlace{Principal: p.ID, Place: engine.Unfamiliar, ForgetAt: w.Now}); err != nil {
		return nil, fmt.Errorf("save place: %w", err)
	}
	return details, nil
}
