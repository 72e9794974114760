package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	secretColumns  = "s.id, s.principal, s.name, s.hash, s.certificate, s.created_by, s.created_at, s.expires_at" //nolint:gosec // no secret
	selectSecrets  = "select " + secretColumns + " from secrets s where s.principal = $1 order by s.id limit 100"
	selectSecret   = "select " + secretColumns + " from secrets s where s.id = $1 limit 1"
	pendingColumns = "p.hash, p.user_code, p.client, p.audience, p.redirect, p.challenge, p.nonce, p.address, " +
		"p.session, p.denied, p.created_at, p.expires_at"
	selectPending    = "select " + pendingColumns + " from pending_sign_ins p where p.hash = $1 limit 1"
	selectPendingFor = "select " + pendingColumns + " from pending_sign_ins p where p.user_code = $1 and " +
		"p.user_code <> '' limit 1"
)

func scanSecret(row scanner) (s engine.Secret, err error) {
	err = row.Scan(&s.ID, &s.Principal, &s.Name, &s.Hash, &s.Certificate, &s.CreatedBy, timeColumn{&s.CreatedAt},
		timeColumn{&s.ExpiresAt})
	return s, err
}

func scanPending(row scanner) (p engine.PendingSignIn, err error) {
	err = row.Scan(&p.Hash, &p.UserCode, &p.Client, &p.Audience, &p.Redirect, &p.Challenge, &p.Nonce, &p.Address,
		&p.Session, flagColumn{&p.Denied},
		timeColumn{&p.CreatedAt}, timeColumn{&p.ExpiresAt})
	return p, err
}

// Secrets implements engine.SignInReader.
func (r *reader) Secrets(ctx context.Context, principal access.PrincipalID) ([]engine.Secret, error) {
	return all(ctx, r.q, scanSecret, selectSecrets, string(principal))
}

// Secret implements engine.SignInReader.
func (r *reader) Secret(ctx context.Context, id engine.SecretID) (engine.Secret, error) {
	return one(ctx, r.q, "secret", scanSecret, selectSecret, string(id))
}

// PendingSignIn implements engine.SignInReader.
func (r *reader) PendingSignIn(ctx context.Context, hash string) (engine.PendingSignIn, error) {
	return one(ctx, r.q, "sign-in", scanPending, selectPending, hash)
}

// PendingSignInByCode implements engine.SignInReader.
func (r *reader) PendingSignInByCode(ctx context.Context, userCode string) (engine.PendingSignIn, error) {
	return one(ctx, r.q, "sign-in", scanPending, selectPendingFor, userCode)
}

const (
	insertSecret = `insert into secrets (id, principal, name, hash, certificate, created_by, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)`
	insertMaker   = "insert into secret_makers (principal, person) values ($1, $2) on conflict do nothing"
	deleteSecret  = "delete from secrets where id = $1"
	upsertPending = `insert into pending_sign_ins (hash, user_code, client, audience, redirect, challenge, nonce, address, session, denied, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (hash) do update set session = excluded.session, denied = excluded.denied, expires_at = excluded.expires_at`
	deletePending    = "delete from pending_sign_ins where hash = $1"
	deletePendings   = "delete from pending_sign_ins where expires_at < $1"
	deleteDefinition = "delete from role_definitions where id = $1"
)

// SaveSecret implements engine.SignInWriter. Who made a secret is remembered when it is gone.
func (t *tx) SaveSecret(ctx context.Context, s engine.Secret) error {
	err := t.exec(ctx, "secret", nil, insertSecret, string(s.ID), string(s.Principal), s.Name, s.Hash, s.Certificate,
		string(s.CreatedBy), micros(s.CreatedAt),
		micros(s.ExpiresAt))
	if err != nil {
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
	return t.exec(ctx, "sign-in", nil, upsertPending, p.Hash, p.UserCode, p.Client, p.Audience, p.Redirect, p.Challenge,
		p.Nonce, p.Address, p.Session,
		flag(p.Denied), micros(p.CreatedAt), micros(p.ExpiresAt))
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
