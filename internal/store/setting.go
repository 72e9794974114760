package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	selectSetting = "select value from settings where name = $1 limit 1"
	upsertSetting = "insert into settings (name, value) values ($1, $2) on conflict (name) do update set value " +
		"= excluded.value"
	selectIdempotency = "select principal, key, digest, request, created_at from idempotency_keys where principal = " +
		"$1 and key = $2 limit 1"
	insertIdempotency = "insert into idempotency_keys (principal, key, digest, request, created_at) values ($1, $2, " +
		"$3, $4, $5)"
)

// Setting implements engine.Reader.
func (r *reader) Setting(ctx context.Context, name string) ([]byte, error) {
	return one(ctx, r.q, "setting", func(row scanner) (value []byte, err error) {
		err = row.Scan(&value)
		return value, err
	}, selectSetting, name)
}

// SaveSetting implements engine.Tx.
func (t *tx) SaveSetting(ctx context.Context, name string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return t.exec(ctx, "setting", nil, upsertSetting, name, value)
}

// Idempotent implements engine.Reader.
func (r *reader) Idempotent(ctx context.Context, principal access.PrincipalID, key string) (engine.Idempotency, error) {
	return one(ctx, r.q, "idempotency key", func(row scanner) (i engine.Idempotency, err error) {
		err = row.Scan(&i.Principal, &i.Key, &i.Digest, &i.Request, timeColumn{&i.CreatedAt})
		return i, err
	}, selectIdempotency, string(principal), key)
}

// SaveIdempotency implements engine.Tx.
func (t *tx) SaveIdempotency(ctx context.Context, i engine.Idempotency) error {
	return t.exec(ctx, "idempotency key", nil, insertIdempotency, string(i.Principal), i.Key, i.Digest,
		string(i.Request), micros(i.CreatedAt))
}
