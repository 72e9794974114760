package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const selectUsage = "select principal, open, scheduled, pending from quotas where tenant = $1 and principal in ('', " +
	"$2) limit 2"

// Usage implements engine.Reader.
func (r *reader) Usage(ctx context.Context, tenant access.TenantID,
	principal access.PrincipalID,
) (used engine.Quotas, err error) {
	_, err = all(ctx, r.q, func(row scanner) (struct{}, error) {
		var of access.PrincipalID
		var u engine.Quota
		err := row.Scan(&of, &u.Open, &u.Scheduled, &u.Pending)
		if of == "" {
			used.Tenant = u
		} else {
			used.Person = u
		}
		return struct{}{}, err
	}, selectUsage, string(tenant), string(principal))
	return used, err
}
