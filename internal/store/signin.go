package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	secretTable = describe("secret", "secrets", "s", "id",
		text("id", func(v *engine.Secret) *engine.SecretID { return &v.ID }),
		text("principal", func(v *engine.Secret) *access.PrincipalID { return &v.Principal }),
		text("name", func(v *engine.Secret) *string { return &v.Name }),
		text("hash", func(v *engine.Secret) *string { return &v.Hash }),
		text("certificate", func(v *engine.Secret) *string { return &v.Certificate }),
		text("created_by", func(v *engine.Secret) *access.PrincipalID { return &v.CreatedBy }),
		when("created_at", func(v *engine.Secret) *time.Time { return &v.CreatedAt }),
		when("expires_at", func(v *engine.Secret) *time.Time { return &v.ExpiresAt }))

	pendingTable = describe("sign-in", "pending_sign_ins", "p", "hash",
		text("hash", func(v *engine.PendingSignIn) *string { return &v.Hash }),
		text("user_code", func(v *engine.PendingSignIn) *string { return &v.UserCode }).kept(),
		text("client", func(v *engine.PendingSignIn) *string { return &v.Client }).kept(),
		text("audience", func(v *engine.PendingSignIn) *string { return &v.Audience }).kept(),
		text("redirect", func(v *engine.PendingSignIn) *string { return &v.Redirect }).kept(),
		text("challenge", func(v *engine.PendingSignIn) *string { return &v.Challenge }).kept(),
		text("nonce", func(v *engine.PendingSignIn) *string { return &v.Nonce }).kept(),
		text("address", func(v *engine.PendingSignIn) *string { return &v.Address }).kept(),
		text("session", func(v *engine.PendingSignIn) *string { return &v.Session }),
		truth("denied", func(v *engine.PendingSignIn) *bool { return &v.Denied }),
		when("created_at", func(v *engine.PendingSignIn) *time.Time { return &v.CreatedAt }).kept(),
		when("expires_at", func(v *engine.PendingSignIn) *time.Time { return &v.ExpiresAt }))

	selectSecrets    = "select " + secretTable.selected + " from secrets s where s.principal = $1 order by s.id limit 100"
	selectSecret     = "select " + secretTable.selected + " from secrets s where s.id = $1 limit 1"
	selectPending    = "select " + pendingTable.selected + " from pending_sign_ins p where p.hash = $1 limit 1"
	selectPendingFor = "select " + pendingTable.selected + " from pending_sign_ins p where p.user_code = $1 and " +
		"p.user_code <> '' limit 1"
)

// Secrets implements engine.SignInReader.
func (r *reader) Secrets(ctx context.Context, principal access.PrincipalID) ([]engine.Secret, error) {
	return all(ctx, r.q, secretTable.scan, selectSecrets, string(principal))
}

// Secret implements engine.SignInReader.
func (r *reader) Secret(ctx context.Context, id engine.SecretID) (engine.Secret, error) {
	return one(ctx, r.q, "secret", secretTable.scan, selectSecret, string(id))
}

// PendingSignIn implements engine.SignInReader.
func (r *reader) PendingSignIn(ctx context.Context, hash string) (engine.PendingSignIn, error) {
	return one(ctx, r.q, "sign-in", pendingTable.scan, selectPending, hash)
}

// PendingSignInByCode implements engine.SignInReader.
func (r *reader) PendingSignInByCode(ctx context.Context, userCode string) (engine.PendingSignIn, error) {
	return one(ctx, r.q, "sign-in", pendingTable.scan, selectPendingFor, userCode)
}

const (
	insertMaker      = "insert into secret_makers (principal, person) values ($1, $2) on conflict do nothing"
	deleteSecret     = "delete from secrets where id = $1"
	deletePending    = "delete from pending_sign_ins where hash = $1"
	deletePendings   = "delete from pending_sign_ins where expires_at < $1"
	deleteDefinition = "delete from role_definitions where id = $1"
)

// SaveSecret implements engine.SignInWriter. Who made a secret is remembered when it is gone.
func (t *tx) SaveSecret(ctx context.Context, s engine.Secret) error {
	if err := put(ctx, t, secretTable, secretTable.insert, s); err != nil {
		return err
	}
	if err := t.exec(ctx, "secret", nil, insertMaker, string(s.Principal), string(s.CreatedBy)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// DeleteSecret implements engine.SignInWriter.
func (t *tx) DeleteSecret(ctx context.Context, id engine.SecretID) error {
	return t.exec(ctx, "secret", missing("secret"), deleteSecret, string(id))
}

// SavePendingSignIn implements engine.SignInWriter.
func (t *tx) SavePendingSignIn(ctx context.Context, p engine.PendingSignIn) error {
	return put(ctx, t, pendingTable, pendingTable.upsert, p)
}

// DeletePendingSignIn implements engine.SignInWriter.
func (t *tx) DeletePendingSignIn(ctx context.Context, hash string) error {
	return t.exec(ctx, "sign-in", missing("sign-in"), deletePending, hash)
}

// DeletePendingSignInsBefore implements engine.SignInWriter.
func (t *tx) DeletePendingSignInsBefore(ctx context.Context, before time.Time) error {
	return t.exec(ctx, "sign-in", nil, deletePendings, micros(before))
}

// DeleteRoleDefinition implements engine.SignInWriter.
func (t *tx) DeleteRoleDefinition(ctx context.Context, id rbac.DefinitionID) error {
	if err := t.exec(ctx, "role definition", missing("role definition"), deleteDefinition, string(id)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}
