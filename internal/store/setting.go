package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	selectSetting = "select value from settings where name = $1 limit 1"
	upsertSetting = "insert into settings (name, value) values ($1, $2) on conflict (name) do update set value " +
		"= excluded.value"
)

var (
	idempotencyTable = describe("idempotency key", "idempotency_keys", "i", "principal, key",
		text("principal", func(v *engine.Idempotency) *access.PrincipalID { return &v.Principal }),
		text("key", func(v *engine.Idempotency) *string { return &v.Key }),
		text("digest", func(v *engine.Idempotency) *string { return &v.Digest }),
		text("request", func(v *engine.Idempotency) *access.RequestID { return &v.Request }),
		when("created_at", func(v *engine.Idempotency) *time.Time { return &v.CreatedAt }))

	selectIdempotency = "select " + idempotencyTable.selected +
		" from idempotency_keys i where i.principal = $1 and i.key = $2 limit 1"
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
	return one(ctx, r.q, "idempotency key", idempotencyTable.scan, selectIdempotency, string(principal), key)
}

// SaveIdempotency implements engine.Tx.
func (t *tx) SaveIdempotency(ctx context.Context, i engine.Idempotency) error {
	return put(ctx, t, idempotencyTable, idempotencyTable.insert, i)
}
