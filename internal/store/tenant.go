package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

// What there are few of is read whole.
const (
	selectTenants       = "select id, name, created_at from tenants order by name_key, id" + everyRow
	selectSubscriptions = "select id, tenant, name, created_at from subscriptions order by name_key, id" + everyRow
	selectGroups        = "select subscription, name, location, created_at from resource_groups order by name_key, " +
		"subscription" + everyRow
)

// Tenants implements engine.Reader.
func (r *reader) Tenants(ctx context.Context) ([]access.Tenant, error) {
	return whole(ctx, r.q, func(row scanner) (t access.Tenant, err error) {
		err = row.Scan(&t.ID, &t.Name, timeColumn{&t.CreatedAt})
		return t, err
	}, selectTenants)
}

// Subscriptions implements engine.Reader.
func (r *reader) Subscriptions(ctx context.Context) ([]access.Subscription, error) {
	return whole(ctx, r.q, func(row scanner) (s access.Subscription, err error) {
		err = row.Scan(&s.ID, &s.Tenant, &s.Name, timeColumn{&s.CreatedAt})
		return s, err
	}, selectSubscriptions)
}

// ResourceGroups implements engine.Reader.
func (r *reader) ResourceGroups(ctx context.Context) ([]access.ResourceGroup, error) {
	return whole(ctx, r.q, func(row scanner) (g access.ResourceGroup, err error) {
		err = row.Scan(&g.Subscription, &g.Name, &g.Location, timeColumn{&g.CreatedAt})
		return g, err
	}, selectGroups)
}

const (
	upsertTenant = `insert into tenants (id, name, name_key, created_at) values ($1, $2, $3, $4)
on conflict (id) do update set name = excluded.name, name_key = excluded.name_key, created_at = excluded.created_at`
	upsertSubscription = `insert into subscriptions (id, tenant, name, name_key, created_at) values ($1, $2, $3, $4, $5)
on conflict (id) do update set tenant = excluded.tenant, name = excluded.name, name_key = excluded.name_key, created_at = excluded.created_at`
	upsertGroup = `insert into resource_groups (subscription, name, name_key, location, created_at) values ($1, $2, $3, $4, $5)
on conflict (subscription, name_key) do update set name = excluded.name, location = excluded.location, created_at = excluded.created_at`
)

// SaveTenant implements engine.Tx.
func (t *tx) SaveTenant(ctx context.Context, v access.Tenant) error {
	if err := t.exec(ctx, "tenant", nil, upsertTenant, string(v.ID), v.Name, fold(v.Name),
		micros(v.CreatedAt)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// SaveSubscription implements engine.Tx.
func (t *tx) SaveSubscription(ctx context.Context, v access.Subscription) error {
	if err := t.exec(ctx, "subscription", nil, upsertSubscription, string(v.ID), string(v.Tenant), v.Name, fold(v.Name),
		micros(v.CreatedAt)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// SaveResourceGroup implements engine.Tx.
func (t *tx) SaveResourceGroup(ctx context.Context, v access.ResourceGroup) error {
	return t.exec(ctx, "resource group", nil, upsertGroup, string(v.Subscription), v.Name, fold(v.Name), v.Location,
		micros(v.CreatedAt))
}
