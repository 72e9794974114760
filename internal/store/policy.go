package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	policyColumns          = "p.id, p.resource, p.tenant, p.name, p.location, p.created_at, p.updated_at, p.revision"
	selectPolicy           = "select " + policyColumns + " from policies p where p.id = $1 limit 1"
	selectPolicyByResource = "select " + policyColumns + " from policies p where p.resource_key = $1 limit 1"
	selectPolicyOfMachine  = "select " + policyColumns + " from policies p join policy_machines x on x.policy = p.id where x.machine = $1 limit 1"
	listPolicies           = "select " + policyColumns + " from policies p"
	selectGuard            = "select " + policyColumns + ", x.body from policies p join policy_machines x on x.policy = p.id where x.machine = $1 limit 1"
	selectPolicyEntries    = "select machine, position, body from policy_machines where policy = $1 order by position, machine limit 1000000"
)

func scanPolicy(row scanner) (p access.Policy, err error) {
	err = row.Scan(&p.ID, &p.Resource, &p.Tenant, &p.Name, &p.Location, timeColumn{&p.CreatedAt}, timeColumn{&p.UpdatedAt}, &p.Revision)
	return p, err
}

// policyEntry is what a policy says of one machine, as it is stored.
type policyEntry struct {
	machine  access.MachineID
	position int64
	body     string
}

func (r *reader) entries(ctx context.Context, policy access.PolicyID) ([]policyEntry, error) {
	return all(ctx, r.q, func(row scanner) (e policyEntry, err error) {
		err = row.Scan(&e.machine, &e.position, &e.body)
		return e, err
	}, selectPolicyEntries, string(policy))
}

// complete adds the machines to policies.
func (r *reader) complete(ctx context.Context, policies []access.Policy) error {
	for i := range policies {
		p := &policies[i]
		entries, err := r.entries(ctx, p.ID)
		if err != nil {
			return err
		}
		for _, e := range entries {
			var record guardRecord
			if err := json.Unmarshal([]byte(e.body), &record); err != nil {
				return fmt.Errorf("read policy %s: %w", p.ID, err)
			}
			p.Machines = append(p.Machines, record.policy(e.machine))
		}
	}
	return nil
}

func (r *reader) policy(ctx context.Context, text, key string) (access.Policy, error) {
	p, err := one(ctx, r.q, "policy", scanPolicy, text, key)
	if err != nil {
		return access.Policy{}, err
	}
	whole := []access.Policy{p}
	err = r.complete(ctx, whole)
	return whole[0], err
}

// Policy implements engine.Reader.
func (r *reader) Policy(ctx context.Context, id access.PolicyID) (access.Policy, error) {
	return r.policy(ctx, selectPolicy, string(id))
}

// PolicyByResource implements engine.Reader.
func (r *reader) PolicyByResource(ctx context.Context, id access.ResourceID) (access.Policy, error) {
	return r.policy(ctx, selectPolicyByResource, id.Fold())
}

// PolicyOfMachine implements engine.Reader.
func (r *reader) PolicyOfMachine(ctx context.Context, machine access.MachineID) (access.Policy, error) {
	return r.policy(ctx, selectPolicyOfMachine, string(machine))
}

// GuardOf implements engine.Reader. It is one statement: each is a round trip that every change behind it waits for.
func (r *reader) GuardOf(ctx context.Context, machine access.MachineID) (access.Policy, error) {
	p, err := remembered(r.memo, "policy", string(machine), func() (access.Policy, error) {
		return one(ctx, r.q, "policy", func(row scanner) (p access.Policy, err error) {
			var guard guardRecord
			err = row.Scan(guardInto(&p, &guard)...)
			p.Machines = []access.MachinePolicy{guard.policy(machine)}
			return p, err
		}, selectGuard, string(machine))
	})
	p.Machines = slices.Clone(p.Machines)
	return p, err
}

func guardInto(p *access.Policy, guard *guardRecord) []any {
	return []any{&p.ID, &p.Resource, &p.Tenant, &p.Name, &p.Location, timeColumn{&p.CreatedAt}, timeColumn{&p.UpdatedAt}, &p.Revision, jsonColumn{guard}}
}

// Policies implements engine.Reader.
func (r *reader) Policies(ctx context.Context, f engine.PolicyFilter, p engine.Page) (engine.Listed[access.Policy], error) {
	l := from(listPolicies)
	l.tenants("p.tenant", f.Tenant, f.Beside)
	l.within("p.resource_key", f.Scope)
	equal(l, "p.location_key", fold(f.Location))
	l.after(p.Cursor, false, "p.resource_key, p.id", cursorText, cursorText)
	listed, err := page(ctx, r.q, l, p, "p.resource_key, p.id", scanPolicy, func(v access.Policy) []any { return []any{v.Resource.Fold(), v.ID} })
	if err != nil {
		return listed, err
	}
	return listed, r.complete(ctx, listed.Items)
}

const (
	insertPolicy = `insert into policies (id, resource, resource_key, tenant, name, location, location_key, created_at, updated_at, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	updatePolicy = `update policies set resource = $2, resource_key = $3, tenant = $4, name = $5, location = $6, location_key = $7, created_at = $8,
updated_at = $9, revision = $10 where id = $1 and revision = $11`
	deletePolicy        = "delete from policies where id = $1 and revision = $2"
	deletePolicyEntries = "delete from policy_machines where policy = $1"
	deletePolicyEntry   = "delete from policy_machines where policy = $1 and machine = $2"
	upsertPolicyEntry   = `insert into policy_machines (machine, policy, position, body) values ($1, $2, $3, $4)
on conflict (machine) do update set position = excluded.position, body = excluded.body where policy_machines.policy = excluded.policy`
)

// SavePolicy implements engine.Tx.
func (t *tx) SavePolicy(ctx context.Context, p access.Policy, was int64) error {
	err := t.swap(ctx, "policy", p.Revision, was, insertPolicy, updatePolicy, []any{
		string(p.ID), string(p.Resource), p.Resource.Fold(), string(p.Tenant), p.Name, p.Location,
		fold(p.Location), micros(p.CreatedAt), micros(p.UpdatedAt), p.Revision,
	})
	if err != nil {
		return err
	}
	stored := map[access.MachineID]policyEntry{}
	if was != 0 {
		entries, err := t.entries(ctx, p.ID)
		if err != nil {
			return err
		}
		for _, e := range entries {
			stored[e.machine] = e
		}
	}
	for i, m := range p.Machines {
		body, err := toJSON(guardOf(m))
		if err != nil {
			return err
		}
		e := policyEntry{machine: m.Machine, position: int64(i), body: body}
		if stored[m.Machine] != e {
			named := access.Fault(access.KindConflict, "machineHasPolicy", "another policy names machine %s already; a machine has one policy", m.Machine)
			if err := t.exec(ctx, "policy", named, upsertPolicyEntry, string(e.machine), string(p.ID), e.position, e.body); err != nil {
				return err
			}
		}
		delete(stored, m.Machine)
	}
	for machine := range stored {
		if err := t.exec(ctx, "policy", nil, deletePolicyEntry, string(p.ID), string(machine)); err != nil {
			return err
		}
	}
	return nil
}

// DeletePolicy implements engine.Tx.
func (t *tx) DeletePolicy(ctx context.Context, id access.PolicyID, was int64) error {
	if err := t.exec(ctx, "policy", nil, deletePolicyEntries, string(id)); err != nil {
		return err
	}
	return t.exec(ctx, "policy", changed("policy"), deletePolicy, string(id), was)
}
