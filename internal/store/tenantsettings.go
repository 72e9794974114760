package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	settingsTable = describe("tenant", "tenant_settings", "s", "tenant",
		text("tenant", func(v *engine.TenantSettings) *access.TenantID { return &v.Tenant }),
		others[engine.TenantSettings]("body", parts{}),
		number("revision", func(v *engine.TenantSettings) *int64 { return &v.Revision }))

	selectTenantSettings = "select " + settingsTable.selected + " from tenant_settings s where s.tenant = $1 limit 1"
)

// TenantSettings implements engine.Reader.
func (r *reader) TenantSettings(ctx context.Context, tenant access.TenantID) (engine.TenantSettings, error) {
	s, err := one(ctx, r.q, "tenant", settingsTable.scan, selectTenantSettings, string(tenant))
	if access.KindOf(err) == access.KindNotFound {
		return engine.TenantSettings{Tenant: tenant}, nil
	}
	return s, err
}

// SaveTenantSettings implements engine.Tx.
func (t *tx) SaveTenantSettings(ctx context.Context, s engine.TenantSettings, was int64) error {
	return swap(ctx, t, settingsTable, s, s.Revision, was)
}
