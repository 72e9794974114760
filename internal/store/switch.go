package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

var (
	switchTable = describe("switch", "switches", "w", "scope_key",
		text("scope", func(v *access.Switch) *access.ResourceID { return &v.Scope }),
		derived("scope_key", func(v *access.Switch) any { return v.Scope.Fold() }),
		text("tenant", func(v *access.Switch) *access.TenantID { return &v.Tenant }),
		truth("disabled", func(v *access.Switch) *bool { return &v.Off }),
		others[access.Switch]("body", parts{}),
		number("revision", func(v *access.Switch) *int64 { return &v.Revision }))

	listSwitches = "select " + switchTable.selected +
		" from switches w where w.tenant = $1 order by w.scope_key" + everyRow
)

const (
	// disabled is that a switch stops the machine m.
	disabled = `exists (select 1 from switches w where w.disabled <> 0 and w.tenant = m.tenant
and m.resource_key >= w.scope_key || '/' and m.resource_key < w.scope_key || '0')`
	deleteSwitch  = "delete from switches where scope_key = $1"
	bumpForSwitch = "update directory set scopes = scopes + 1 where id = 1 and exists " +
		"(select 1 from switches where scope_key = $1)"
	countGuardedWithin = "select count(*), coalesce(sum(case when " + guarded + ` then 1 else 0 end), 0) from machines m
where m.tenant = $1 and m.resource_key >= $2 and m.resource_key < $3 limit 1`
	countPendingWithin = `select count(distinct x.request) from machines m join request_machines x on x.machine = m.id
join requests r on r.id = x.request
where m.tenant = $1 and m.resource_key >= $2 and m.resource_key < $3 and r.state = 'pending' limit 1`
)

// within returns the arguments by which what lies in a scope of a tenant is found.
func within(tenant access.TenantID, scope access.ResourceID) []any {
	return []any{string(tenant), scope.Fold() + "/", scope.Fold() + "0"}
}

// Switches implements engine.ScopePolicyReader.
func (r *reader) Switches(ctx context.Context, tenant access.TenantID) ([]access.Switch, error) {
	return scoped(ctx, r, &r.scopes.switches, "switch", switchTable.scan, listSwitches, tenant)
}

// GuardedWithin implements engine.ScopePolicyReader.
func (r *reader) GuardedWithin(ctx context.Context, tenant access.TenantID,
	scope access.ResourceID,
) (all, under int, err error) {
	counts, err := one(ctx, r.q, "machine", func(row scanner) (n [2]int, err error) {
		err = row.Scan(&n[0], &n[1])
		return n, err
	}, countGuardedWithin, within(tenant, scope)...)
	return counts[0], counts[1], err
}

// PendingWithin implements engine.ScopePolicyReader.
func (r *reader) PendingWithin(ctx context.Context, tenant access.TenantID, scope access.ResourceID) (int, error) {
	n, err := one(ctx, r.q, "request", scanNumber, countPendingWithin, within(tenant, scope)...)
	return int(n), err
}

// SaveSwitch implements engine.ScopePolicyWriter.
func (t *tx) SaveSwitch(ctx context.Context, s access.Switch, was int64) error {
	if err := swap(ctx, t, switchTable, s, s.Revision, was); err != nil {
		return err
	}
	return t.bumpScopes(ctx, micros(s.At))
}

// dropSwitch takes away the switch of a scope that is deleted: another one of its name is another thing.
func (t *tx) dropSwitch(ctx context.Context, scope access.ResourceID) error {
	if err := t.exec(ctx, "directory", nil, bumpForSwitch, scope.Fold()); err != nil {
		return err
	}
	return t.exec(ctx, "switch", nil, deleteSwitch, scope.Fold())
}
