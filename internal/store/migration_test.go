package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/store"
)

// older makes a database as a program made it that knew the migrations before the one called name, and runs statements
// in it.
func older(t *testing.T, dsn, name string, statements ...string) {
	t.Helper()
	known := slices.Index(store.MigrationNames(t), name)
	if known < 0 {
		t.Fatalf("no migration is called %s", name)
	}
	store.OpenStepwise(t, dsn).To(t, known)
	db := (&fixture{dsn: dsn}).raw(t)
	for _, text := range statements {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// Each machine of an older policy has what the policy says of it as of the policy's revision, so that what was seen of
// it, and what was asked under it, still holds.
func TestMachinesOfOlderPoliciesHaveItsRevision(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := dsn(t)
			older(t, where, "policy_entries",
				"insert into tenants (id, name, name_key, created_at) values ('t', 'T', 't', 1)",
				`insert into machines (id, resource, resource_key, tenant, name, name_key, location, os, labels, addresses, agent, created_at, last_access, revision)
values ('m1', '/m1', '/m1', 't', 'm1', 'm1', 'local', 'linux', '{}', '[]', null, 1, 0, 1), ('m2', '/m2', '/m2', 't', 'm2', 'm2', 'local', 'linux', '{}', '[]', null, 1, 0, 1)`,
				"insert into policies (id, resource, resource_key, tenant, name, location, location_key, "+
					"created_at, updated_at, revision) values ('p', '/p', '/p', 't', 'p', 'l', 'l', 1, 1, 7)",
				`insert into policy_machines (machine, policy, position, body) values ('m1', 'p', 0, '{}'), ('m2', 'p', 1, '{}')`)
			f := &fixture{DB: open(t, where)}
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				for _, id := range []access.MachineID{"m1", "m2"} {
					p, err := r.GuardOf(ctx, id)
					if entry, _ := p.Of(id); err != nil || entry.Revision != 7 || p.Revision != 7 {
						t.Errorf("%s is guarded by %+v, %v", id, p, err)
					}
				}
				return nil
			})
		})
	}
}

// What stood before quotas counts in them.
func TestQuotasCountWhatStoodBefore(t *testing.T) {
	t.Parallel()
	grant := func(id, state, ended string) string {
		return `insert into grants (id, request, tenant, principal, principal_name, machine, policy, first_port, last_port, protocol, sources, start_at, end_at, state, reason,
created_at, opened_at, ended_at, closed_at, warned_at, packets, bytes, revision)
values ('` + id + `', 'r1', 't', 'u', 'u', 'm', 'p', 22, 22, 'tcp', '[]', 1, 2, '` + state + `', '', 1, 0, ` + ended +
			`, 0, 0, 0, 0, 1)`
	}
	request := func(id, state string) string {
		return `insert into requests (id, tenant, requester, requester_name, address, via, items, start_at, justification, ticket, state, reason, created_at, pending_until,
decided_at, digest, revision) values ('` + id + `', 't', 'u', 'u', '', '', '[]', 0, '', '', '` + state +
			`', '', 1, 2, 0, '', 1)`
	}
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := dsn(t)
			older(t, where, "quotas",
				"insert into tenants (id, name, name_key, created_at) values ('t', 'T', 't', 1)",
				"insert into principals (id, tenant, kind, name, name_key, display_name, email, disabled, "+
					"created_at, revision) values ('u', 't', 'user', 'u', 'u', '', '', 0, 1, 1)",
				request("r1", "approved"), request("r2", "pending"), request("r3", "pending"),
				grant("g1", "active", "0"), grant("g2", "opening", "0"), grant("g3", "failed", "0"),
				grant("g4", "scheduled", "0"), grant("g5", "expired", "2"))
			f := &fixture{DB: open(t, where)}
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				got, err := r.Usage(ctx, "t", "u")
				if want := (engine.Quota{
					Open: 3, Scheduled: 1,
					Pending: 2,
				}); got != (engine.Quotas{Person: want, Tenant: want}) {
					t.Errorf("%+v are counted, want %+v of each", got, want)
				}
				return err
			})
		})
	}
}

// Of the roles that were activated before, none is in force by its start alone, and those by a group are held through
// it.
func TestRolesThatWereActivatedBefore(t *testing.T) {
	t.Parallel()
	grant := func(id, state, eligibility string) string {
		return `insert into grants (id, request, tenant, principal, principal_name, eligibility, role, role_scope, role_scope_key, machine, policy, first_port, last_port, protocol, sources,
start_at, end_at, state, reason, created_at, opened_at, ended_at, closed_at, warned_at, packets, bytes, revision)
values ('` + id + `', 'r1', 't', 'u', 'u', '` + eligibility + `', 'd', '/', '/', '', '', 0, 0, '', '[]', 1, 2, '` +
			state + `', '', 1, 0, 0, 0, 0, 0, 0, 1)`
	}
	eligible := func(id, principal string) string {
		return `insert into eligibilities (id, tenant, principal, role, scope, scope_key, start_at, end_at, longest, terms, origin, origin_key, created_by, created_at, updated_at, revision)
values ('` + id + `', 't', '` + principal + `', 'd', '/', '/', 0, 0, 1, '{}', '', '', 'u', 1, 1, 1)`
	}
	principal := func(id, kind string) string {
		return `insert into principals (id, tenant, kind, name, name_key, display_name, email, disabled, created_at, revision)
values ('` + id + `', 't', '` + kind + `', '` + id + `', '` + id + `', '', '', 0, 1, 1)`
	}
	assigned := func(id string) string {
		return `insert into role_assignments (id, tenant, principal, definition, scope, start_at, end_at, description, created_by, created_at)
values ('` + id + `', 't', 'u', 'd', '/', 1, 2, '', 'u', 1)`
	}
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := dsn(t)
			older(t, where, "begun_roles",
				"insert into tenants (id, name, name_key, created_at) values ('t', 'T', 't', 1)",
				principal("u", "user"), principal("g", "group"),
				`insert into requests (id, tenant, requester, requester_name, address, via, items, start_at, justification, ticket, state, reason, created_at, pending_until,
decided_at, digest, revision) values ('r1', 't', 'u', 'u', '', '', '[]', 0, '', '', 'approved', '', 1, 2, 0, '', 1)`,
				"insert into role_definitions (id, tenant, name, name_key, description, built_in, permissions, "+
					"assignable_scopes, created_at, updated_at) values ('d', 't', 'D', 'd', '', 0, '[]', '[]', 1, 1)",
				eligible("e1", "u"), eligible("e2", "g"), grant("g1", "scheduled", "e2"), grant("g2", "active", "e1"),
				grant("g3", "active", "e2"),
				assigned("g1"), assigned("g2"), assigned("g3"), assigned("given"))
			f := &fixture{DB: open(t, where)}
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				data, err := r.Directory(ctx)
				if err != nil {
					return err
				}
				var ids []string
				for _, a := range data.Assignments {
					ids = append(ids, string(a.ID)+":"+string(a.Through))
				}
				if got := strings.Join(ids, " "); got != "g2: g3:g given:" {
					t.Errorf("%s are assigned", got)
				}
				return nil
			})
		})
	}
}

// The settings of alert rules of each tenant are among its settings.
func TestAlertRulesOfOlderTenants(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := dsn(t)
			older(t, where, "tenant_settings",
				"insert into tenants (id, name, name_key, created_at) values ('t', 'T', 't', 1), ('u', 'U', 'u', 1), ('v', 'V', 'v', 1)",
				`insert into alert_rules (tenant, rule, body) values ('t', 'drift', '{"rule":"drift","threshold":2,"severity":"error","enabled":false}'),
('t', 'skew', '{"rule":"skew","threshold":60}'), ('u', 'skew', '{"rule":"skew","enabled":true}')`)
			f := &fixture{DB: open(t, where)}
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				two, sixty, on, off, severity := 2, 60, true, false, alert.Error
				for _, want := range []engine.TenantSettings{
					{Tenant: "t", Revision: 1, Alerts: []alert.Setting{
						{Rule: "drift", Threshold: &two, Severity: &severity, Enabled: &off}, {Rule: "skew", Threshold: &sixty},
					}},
					{Tenant: "u", Revision: 1, Alerts: []alert.Setting{{Rule: "skew", Enabled: &on}}},
					{Tenant: "v"},
				} {
					got, err := r.TenantSettings(ctx, want.Tenant)
					if err != nil {
						return err
					}
					same(t, "settings of "+string(want.Tenant), want, got)
				}
				return nil
			})
		})
	}
}
