package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	selectUsage = "select open, scheduled, pending from quotas where tenant = $1 and principal = $2 limit 1"
	// These change nothing: they find their row, or fail the transaction. So nobody waits for what they find.
	holdOpen      = "update quotas set open = open where tenant = $1 and principal = $2 and open <= $3"
	holdScheduled = "update quotas set open = open where tenant = $1 and principal = $2 and scheduled <= $3"
	holdPending   = "update quotas set open = open where tenant = $1 and principal = $2 and pending <= $3"
)

// Usage implements engine.QuotaReader.
func (r *reader) Usage(ctx context.Context, tenant access.TenantID, principal access.PrincipalID) (engine.Quota, error) {
	found, err := all(ctx, r.q, func(row scanner) (u engine.Quota, err error) {
		err = row.Scan(&u.Open, &u.Scheduled, &u.Pending)
		return u, err
	}, selectUsage, string(tenant), string(principal))
	if err != nil || len(found) == 0 {
		return engine.Quota{}, err
	}
	return found[0], nil
}

// HoldQuota implements engine.QuotaWriter.
func (t *tx) HoldQuota(ctx context.Context, tenant access.TenantID, principal access.PrincipalID, kind engine.QuotaKind, most int, refusal error) error {
	text := map[engine.QuotaKind]string{engine.QuotaOpen: holdOpen, engine.QuotaScheduled: holdScheduled, engine.QuotaPending: holdPending}[kind]
	return t.exec(ctx, "quota", refusal, text, string(tenant), string(principal), int64(most))
}
