package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

var (
	tenantTable = describe("tenant", "tenants", "t", "id",
		text("id", func(v *access.Tenant) *access.TenantID { return &v.ID }),
		text("name", func(v *access.Tenant) *string { return &v.Name }),
		derived("name_key", func(v *access.Tenant) any { return fold(v.Name) }),
		when("created_at", func(v *access.Tenant) *time.Time { return &v.CreatedAt }))

	subscriptionTable = describe("subscription", "subscriptions", "s", "id",
		text("id", func(v *access.Subscription) *access.SubscriptionID { return &v.ID }),
		text("tenant", func(v *access.Subscription) *access.TenantID { return &v.Tenant }),
		text("name", func(v *access.Subscription) *string { return &v.Name }),
		derived("name_key", func(v *access.Subscription) any { return fold(v.Name) }),
		when("created_at", func(v *access.Subscription) *time.Time { return &v.CreatedAt }))

	groupTable = describe("resource group", "resource_groups", "g", "subscription, name_key",
		text("subscription", func(v *access.ResourceGroup) *access.SubscriptionID { return &v.Subscription }),
		text("name", func(v *access.ResourceGroup) *string { return &v.Name }),
		derived("name_key", func(v *access.ResourceGroup) any { return fold(v.Name) }),
		text("location", func(v *access.ResourceGroup) *string { return &v.Location }),
		when("created_at", func(v *access.ResourceGroup) *time.Time { return &v.CreatedAt }))

	// What there are few of is read whole.
	selectTenants       = "select " + tenantTable.selected + " from tenants t order by t.name_key, t.id" + everyRow
	selectSubscriptions = "select " + subscriptionTable.selected +
		" from subscriptions s order by s.name_key, s.id" + everyRow
	selectGroups = "select " + groupTable.selected +
		" from resource_groups g order by g.name_key, g.subscription" + everyRow
)

// Tenants implements engine.Reader.
func (r *reader) Tenants(ctx context.Context) ([]access.Tenant, error) {
	return whole(ctx, r.q, tenantTable.scan, selectTenants)
}

// Subscriptions implements engine.Reader.
func (r *reader) Subscriptions(ctx context.Context) ([]access.Subscription, error) {
	return whole(ctx, r.q, subscriptionTable.scan, selectSubscriptions)
}

// ResourceGroups implements engine.Reader.
func (r *reader) ResourceGroups(ctx context.Context) ([]access.ResourceGroup, error) {
	return whole(ctx, r.q, groupTable.scan, selectGroups)
}

// SaveTenant implements engine.Tx.
func (t *tx) SaveTenant(ctx context.Context, v access.Tenant) error {
	if err := put(ctx, t, tenantTable, tenantTable.upsert, v); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// SaveSubscription implements engine.Tx.
func (t *tx) SaveSubscription(ctx context.Context, v access.Subscription) error {
	if err := put(ctx, t, subscriptionTable, subscriptionTable.upsert, v); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// SaveResourceGroup implements engine.Tx.
func (t *tx) SaveResourceGroup(ctx context.Context, v access.ResourceGroup) error {
	return put(ctx, t, groupTable, groupTable.upsert, v)
}
