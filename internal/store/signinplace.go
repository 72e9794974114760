package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	placeColumns = "principal, place, signed_in_at, failures, failed_at, locked_till, forget_at"
	selectPlace  = "select " + placeColumns + " from sign_in_places where principal = $1 and place = $2 limit 1"
	selectPlaces = "select " + placeColumns + " from sign_in_places where principal = $1 and signed_in_at <> 0 " +
		"order by signed_in_at desc, place limit 100"
	upsertPlace = "insert into sign_in_places (" + placeColumns + `) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (principal, place) do update set signed_in_at = excluded.signed_in_at, failures = excluded.failures, failed_at = excluded.failed_at,
locked_till = excluded.locked_till, forget_at = excluded.forget_at`
	oldPlaces = "select principal, place from sign_in_places where forget_at < $1 order by forget_at, principal, " +
		"place limit $2"
	deletePlace = "delete from sign_in_places where principal = $1 and place = $2"
)

// SignInPlace implements engine.IdentityReader.
func (r *reader) SignInPlace(ctx context.Context, principal access.PrincipalID,
	place string,
) (engine.SignInPlace, error) {
	return one(ctx, r.q, "place", scanPlace, selectPlace, string(principal), place)
}

// SignInPlaces implements engine.IdentityReader.
func (r *reader) SignInPlaces(ctx context.Context, principal access.PrincipalID) ([]engine.SignInPlace, error) {
	return all(ctx, r.q, scanPlace, selectPlaces, string(principal))
}

func scanPlace(row scanner) (p engine.SignInPlace, err error) {
	err = row.Scan(&p.Principal, &p.Place, timeColumn{&p.SignedInAt}, &p.Failures, timeColumn{&p.FailedAt},
		timeColumn{&p.LockedTill}, timeColumn{&p.ForgetAt})
	return p, err
}

// SaveSignInPlace implements engine.IdentityWriter.
func (t *tx) SaveSignInPlace(ctx context.Context, p engine.SignInPlace) error {
	return t.exec(ctx, "place", nil, upsertPlace, string(p.Principal), p.Place, micros(p.SignedInAt), int64(p.Failures),
		micros(p.FailedAt),
		micros(p.LockedTill), micros(p.ForgetAt))
}
