package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	deleteAPIToken  = "delete from api_tokens where id = $1"
	deleteAPITokens = "delete from api_tokens where principal = $1"
	deleteNetwork   = "delete from networks where tenant = $1 and name_key = $2"
	seeExternal     = "update external_identities set seen_at = $4, claims = $5 where tenant = $1 and issuer = $2 " +
		"and subject = $3"
	deletePasskey  = "delete from passkeys where id = $1"
	deleteCeremony = "delete from ceremonies where hash = $1"
	useGlass       = "update glass_codes set used_at = $2 where id = $1 and used_at = 0"
	endGlass       = "update glass_codes set expires_at = $2 where id = $1"
	deleteGlass    = "delete from glass_codes where id = $1"
)

// SaveAPIToken implements engine.IdentityWriter.
func (t *tx) SaveAPIToken(ctx context.Context, v engine.APIToken) error {
	return put(ctx, t, tokenTable, tokenTable.insert, v)
}

// DeleteAPIToken implements engine.IdentityWriter.
func (t *tx) DeleteAPIToken(ctx context.Context, id engine.APITokenID) error {
	return t.exec(ctx, "API token", missing("API token"), deleteAPIToken, string(id))
}

// DeleteAPITokensOf implements engine.IdentityWriter.
func (t *tx) DeleteAPITokensOf(ctx context.Context, principal access.PrincipalID) error {
	return t.exec(ctx, "API token", nil, deleteAPITokens, string(principal))
}

// SaveNetwork implements engine.IdentityWriter.
func (t *tx) SaveNetwork(ctx context.Context, n access.Network, was int64) error {
	if err := swap(ctx, t, networkTable, n, n.Revision, was); err != nil || was == 0 {
		return err
	}
	return t.bumpDirectory(ctx) // what a policy allows may be less by now, and is looked at where rights are
}

// DeleteNetwork implements engine.IdentityWriter.
func (t *tx) DeleteNetwork(ctx context.Context, tenant access.TenantID, name string) error {
	return t.exec(ctx, "network", missing("network"), deleteNetwork, string(tenant), fold(name))
}

// SaveExternalIdentity implements engine.IdentityWriter.
func (t *tx) SaveExternalIdentity(ctx context.Context, i engine.ExternalIdentity) error {
	return put(ctx, t, externalTable, externalTable.insert, i)
}

// SeeExternalIdentity implements engine.IdentityWriter.
func (t *tx) SeeExternalIdentity(ctx context.Context, i engine.ExternalIdentity) error {
	claims, err := externalTable.json("claims", &i)
	if err != nil {
		return err
	}
	return t.exec(ctx, "external identity", missing("external identity"), seeExternal, string(i.Tenant), i.Issuer,
		i.Subject, micros(i.SeenAt), claims)
}

// SavePasskey implements engine.IdentityWriter.
func (t *tx) SavePasskey(ctx context.Context, p engine.Passkey, was int64) error {
	return swap(ctx, t, passkeyTable, p, p.Revision, was)
}

// DeletePasskey implements engine.IdentityWriter.
func (t *tx) DeletePasskey(ctx context.Context, id string) error {
	return t.exec(ctx, "passkey", missing("passkey"), deletePasskey, id)
}

// SaveCeremony implements engine.IdentityWriter.
func (t *tx) SaveCeremony(ctx context.Context, c engine.Ceremony) error {
	return put(ctx, t, ceremonyTable, ceremonyTable.insert, c)
}

// UseCeremony implements engine.IdentityWriter.
func (t *tx) UseCeremony(ctx context.Context, hash string) error {
	used := access.Fault(access.KindConflict, "ceremonyOver",
		"this sign-in was completed already, or has expired: start again")
	return t.exec(ctx, "ceremony", used, deleteCeremony, hash)
}

// SaveGlassCode implements engine.IdentityWriter.
func (t *tx) SaveGlassCode(ctx context.Context, c engine.GlassCode) error {
	return put(ctx, t, glassTable, glassTable.insert, c)
}

// UseGlassCode implements engine.IdentityWriter.
func (t *tx) UseGlassCode(ctx context.Context, id engine.GlassCodeID, at time.Time) error {
	used := access.Fault(access.KindConflict, "codeUsed", "this code was used already, or there is none such")
	return t.exec(ctx, "code", used, useGlass, string(id), micros(at))
}

// EndGlassCode implements engine.IdentityWriter.
func (t *tx) EndGlassCode(ctx context.Context, id engine.GlassCodeID, at time.Time) error {
	return t.exec(ctx, "code", missing("code"), endGlass, string(id), micros(at))
}

// What is purged: of each kind, the keys of the rows that nobody needs any more. Each has an index on what it asks for.
const (
	oldSessions   = "select hash, '' from sessions where expires_at < $1 order by expires_at, hash limit $2"
	oldAPITokens  = "select id, '' from api_tokens where expires_at < $1 order by expires_at, id limit $2" //nolint:gosec // a statement
	oldCeremonies = "select hash, '' from ceremonies where expires_at < $1 order by expires_at, hash limit $2"
	oldPending    = "select hash, '' from pending_sign_ins where expires_at < $1 order by expires_at, hash limit $2"
	oldEnrollment = "select hash, '' from enrollment_tokens where expires_at < $1 order by expires_at, hash limit $2"
	oldGlass      = "select id, '' from glass_codes where expires_at < $1 order by expires_at, id limit $2"
	oldKeys       = "select principal, key from idempotency_keys where created_at < $1 order by created_at, " +
		"principal, key limit $2"
	deleteEnrolled = "delete from enrollment_tokens where hash = $1"
	deleteKey      = "delete from idempotency_keys where principal = $1 and key = $2"
)

// Purge implements engine.IdentityWriter.
func (t *tx) Purge(ctx context.Context, expired, keys time.Time, limit int) (int, error) {
	if err := checkLimit(limit); err != nil {
		return 0, err
	}
	purged := 0
	for _, kind := range []struct {
		what, old, remove string
		before            time.Time
	}{
		{"session", oldSessions, deleteSession, expired},
		{"API token", oldAPITokens, deleteAPIToken, expired},
		{"ceremony", oldCeremonies, deleteCeremony, expired},
		{"sign-in", oldPending, deletePending, expired},
		{"enrollment token", oldEnrollment, deleteEnrolled, expired},
		{"code", oldGlass, deleteGlass, expired},
		{"place", oldPlaces, deletePlace, expired},
		{"idempotency key", oldKeys, deleteKey, keys},
	} {
		rows, err := all(ctx, t, func(row scanner) (key [2]string, err error) {
			err = row.Scan(&key[0], &key[1])
			return key, err
		}, kind.old, micros(kind.before), int64(limit))
		if err != nil {
			return purged, err
		}
		for _, key := range rows {
			args := []any{key[0]}
			if key[1] != "" {
				args = append(args, key[1])
			}
			if err := t.exec(ctx, kind.what, nil, kind.remove, args...); err != nil {
				return purged, err
			}
		}
		purged += len(rows)
	}
	return purged, nil
}
