package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	placeTable = describe("place", "sign_in_places", "p", "principal, place",
		text("principal", func(v *engine.SignInPlace) *access.PrincipalID { return &v.Principal }),
		text("place", func(v *engine.SignInPlace) *string { return &v.Place }),
		when("signed_in_at", func(v *engine.SignInPlace) *time.Time { return &v.SignedInAt }),
		number("failures", func(v *engine.SignInPlace) *int { return &v.Failures }),
		when("failed_at", func(v *engine.SignInPlace) *time.Time { return &v.FailedAt }),
		when("locked_till", func(v *engine.SignInPlace) *time.Time { return &v.LockedTill }),
		when("forget_at", func(v *engine.SignInPlace) *time.Time { return &v.ForgetAt }))

	selectPlace  = "select " + placeTable.selected + " from sign_in_places p where principal = $1 and place = $2 limit 1"
	selectPlaces = "select " + placeTable.selected + " from sign_in_places p where principal = $1 and signed_in_at <> 0 " +
		"order by signed_in_at desc, place limit 100"
	oldPlaces = "select principal, place from sign_in_places where forget_at < $1 order by forget_at, principal, " +
		"place limit $2"
	deletePlace = "delete from sign_in_places where principal = $1 and place = $2"
)

// SignInPlace implements engine.IdentityReader.
func (r *reader) SignInPlace(ctx context.Context, principal access.PrincipalID,
	place string,
) (engine.SignInPlace, error) {
	return one(ctx, r.q, "place", placeTable.scan, selectPlace, string(principal), place)
}

// SignInPlaces implements engine.IdentityReader.
func (r *reader) SignInPlaces(ctx context.Context, principal access.PrincipalID) ([]engine.SignInPlace, error) {
	return all(ctx, r.q, placeTable.scan, selectPlaces, string(principal))
}

// SaveSignInPlace implements engine.IdentityWriter.
func (t *tx) SaveSignInPlace(ctx context.Context, p engine.SignInPlace) error {
	return put(ctx, t, placeTable, placeTable.upsert, p)
}
