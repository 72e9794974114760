package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	policyColumns          = "p.id, p.resource, p.tenant, p.name, p.location, p.created_at, p.updated_at, p.revision"
	selectPolicy           = "select " + policyColumns + " from policies p where p.id = $1 limit 1"
	selectPolicyByResource = "select " + policyColumns + " from policies p where p.resource_key = $1 limit 1"
	listPolicies           = "select " + policyColumns + " from policies p"
	selectGuard            = "select " + policyColumns +
		", x.body, x.revision from policies p join policy_machines x on x.policy = p.id where x.machine = $1 limit 1"
	listGuards = "select " + policyColumns +
		`, x.body, x.revision, x.machine, x.position, coalesce(m.id, ''), coalesce(m.resource, ''), coalesce(m.tenant, ''),
coalesce(m.name, '') from policies p join policy_machines x on x.policy = p.id left join machines m on m.id = x.machine`
	selectPolicyEntries = "select machine, position, body, revision from policy_machines where policy = $1 order by " +
		"position, machine" + everyRow
	selectFirstEntries = "select machine, position, body, revision from policy_machines where policy = $1 order by " +
		"position, machine limit $2"
	listEntriesNaming = "select x.machine, x.position, x.body, x.revision from policy_machines x join policies p " +
		"on p.id = x.policy"
)

func scanPolicy(row scanner) (p access.Policy, err error) {
	err = row.Scan(&p.ID, &p.Resource, &p.Tenant, &p.Name, &p.Location, timeColumn{&p.CreatedAt},
		timeColumn{&p.UpdatedAt}, &p.Revision)
	return p, err
}

// policyEntry is what a policy says of one machine, as it is stored.
type policyEntry struct {
	machine  access.MachineID
	position int64
	body     string
	revision int64
}

func scanPolicyEntry(row scanner) (e policyEntry, err error) {
	err = row.Scan(&e.machine, &e.position, &e.body, &e.revision)
	return e, err
}

func (e policyEntry) policy() (access.MachinePolicy, error) {
	var record guardRecord
	if err := json.Unmarshal([]byte(e.body), &record); err != nil {
		return access.MachinePolicy{}, fmt.Errorf("read the policy of machine %s: %w", e.machine, err)
	}
	return record.policy(e.machine, e.revision), nil
}

func (r *reader) entries(ctx context.Context, policy access.PolicyID) ([]policyEntry, error) {
	return whole(ctx, r.q, scanPolicyEntry, selectPolicyEntries, string(policy))
}

// policies gives what entries say.
func policiesOf(entries []policyEntry) (machines []access.MachinePolicy, err error) {
	for _, e := range entries {
		m, err := e.policy()
		if err != nil {
			return nil, err
		}
		machines = append(machines, m)
	}
	return machines, nil
}

// complete adds the machines to policies.
func (r *reader) complete(ctx context.Context, policies []access.Policy) error {
	for i := range policies {
		p := &policies[i]
		entries, err := r.entries(ctx, p.ID)
		if err != nil {
			return err
		}
		if p.Machines, err = policiesOf(entries); err != nil {
			return err
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

// PolicyHead implements engine.Reader.
func (r *reader) PolicyHead(ctx context.Context, id access.ResourceID) (access.Policy, error) {
	return one(ctx, r.q, "policy", scanPolicy, selectPolicyByResource, id.Fold())
}

// PolicyEntries implements engine.Reader.
func (r *reader) PolicyEntries(ctx context.Context, id access.PolicyID, limit int) ([]access.MachinePolicy, error) {
	entries, err := all(ctx, r.q, scanPolicyEntry, selectFirstEntries, string(id), int64(limit))
	if err != nil {
		return nil, err
	}
	return policiesOf(entries)
}

// PolicyEntriesWith implements engine.Reader.
func (r *reader) PolicyEntriesWith(ctx context.Context, tenant access.TenantID, text string, after access.MachineID,
	limit int,
) ([]access.MachinePolicy, error) {
	l := from(listEntriesNaming)
	l.where("p.tenant = ?", string(tenant))
	l.where("x.machine > ?", string(after))
	l.where("lower(x.body) like ? escape '!'",
		`%"`+strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(fold(text))+`"%`)
	listed, err := page(ctx, r.q, l, engine.Page{Limit: limit}, "x.machine", scanPolicyEntry,
		func(e policyEntry) []any { return []any{e.machine} })
	if err != nil {
		return nil, err
	}
	return policiesOf(listed.Items)
}

// GuardOf implements engine.Reader. It is one statement: each is a round trip that every change behind it waits for.
func (r *reader) GuardOf(ctx context.Context, machine access.MachineID) (access.Policy, error) {
	p, err := remembered(r.memo, "policy", string(machine), func() (access.Policy, error) {
		return one(ctx, r.q, "policy", func(row scanner) (p access.Policy, err error) {
			var guard guardRecord
			var revision int64
			err = row.Scan(guardInto(&p, &guard, &revision)...)
			p.Machines = []access.MachinePolicy{guard.policy(machine, revision)}
			return p, err
		}, selectGuard, string(machine))
	})
	p.Machines = slices.Clone(p.Machines)
	return p, err
}

func guardInto(p *access.Policy, guard *guardRecord, revision *int64) []any {
	return []any{
		&p.ID, &p.Resource, &p.Tenant, &p.Name, &p.Location,
		timeColumn{&p.CreatedAt},
		timeColumn{&p.UpdatedAt},
		&p.Revision,
		jsonColumn{guard},
		revision,
	}
}

// Policies implements engine.Reader.
func (r *reader) Policies(ctx context.Context, f engine.PolicyFilter,
	p engine.Page,
) (engine.Listed[access.Policy], error) {
	l := policiesWith(listPolicies, f)
	l.after(p.Cursor, false, "p.resource_key, p.id", cursorText, cursorText)
	cursor := func(v access.Policy) []any { return []any{v.Resource.Fold(), v.ID} }
	listed, err := page(ctx, r.q, l, p, "p.resource_key, p.id", scanPolicy, cursor)
	if err != nil {
		return listed, err
	}
	for i, entries := 0, 0; i < len(listed.Items); i++ {
		if entries > mostEntries {
			listed.Items, listed.Next = listed.Items[:i], makeCursor(cursor(listed.Items[i-1]))
			break
		}
		if err := r.complete(ctx, listed.Items[i:i+1]); err != nil {
			return listed, err
		}
		entries += len(listed.Items[i].Machines)
	}
	return listed, nil
}

// mostEntries is how many machines the policies of a page name before it ends with the last of them.
const mostEntries = 10_000

// Guards implements engine.Reader.
func (r *reader) Guards(ctx context.Context, f engine.PolicyFilter,
	p engine.Page,
) (engine.Listed[engine.PolicyDetail], error) {
	l := policiesWith(listGuards, f)
	if p.Cursor != "" {
		l.after(p.Cursor, false, "p.resource_key, x.position, x.machine", cursorText, cursorNumber, cursorText)
		if l.err == nil {
			// as the condition before says too, but an index takes this one
			l.where("p.resource_key >= ?", l.args[len(l.args)-3])
		}
	}
	type row struct {
		engine.PolicyDetail

		position int64
	}
	listed, err := page(ctx, r.q, l, p, "p.resource_key, x.position, x.machine", func(s scanner) (d row, err error) {
		var guard guardRecord
		var revision int64
		into := append(guardInto(&d.Policy, &guard, &revision), &d.Entry.Machine, &d.position, &d.Machine.ID,
			&d.Machine.Resource, &d.Machine.Tenant, &d.Machine.Name)
		err = s.Scan(into...)
		d.Entry = guard.policy(d.Entry.Machine, revision)
		return d, err
	}, func(d row) []any { return []any{d.Policy.Resource.Fold(), d.position, d.Entry.Machine} })
	out := engine.Listed[engine.PolicyDetail]{Next: listed.Next}
	for _, d := range listed.Items {
		out.Items = append(out.Items, d.PolicyDetail)
	}
	return out, err
}

func policiesWith(text string, f engine.PolicyFilter) *list {
	l := from(text)
	l.tenants("p.tenant", f.Tenant, f.Beside)
	l.within("p.resource_key", f.Scope)
	equal(l, "p.location_key", fold(f.Location))
	return l
}

const (
	insertPolicy = `insert into policies (id, resource, resource_key, tenant, name, location, location_key, created_at, updated_at, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	updatePolicy = `update policies set resource = $2, resource_key = $3, tenant = $4, name = $5, location = $6, location_key = $7, created_at = $8,
updated_at = $9, revision = $10 where id = $1 and revision = $11`
	deletePolicy = "delete from policies where id = $1 and revision = $2"
	keepEntries  = `insert into former_entries (machine, body) select x.machine, x.body from policy_machines x where x.policy = $1
on conflict (machine) do update set body = excluded.body`
	keepEntry = `insert into former_entries (machine, body) select x.machine, x.body from policy_machines x where x.policy = $1 and x.machine = $2
on conflict (machine) do update set body = excluded.body`
	selectFormerEntry   = "select f.machine, f.body from former_entries f where f.machine = $1 limit 1"
	deletePolicyEntries = "delete from policy_machines where policy = $1"
	deletePolicyEntry   = "delete from policy_machines where policy = $1 and machine = $2"
	upsertPolicyEntry   = `insert into policy_machines (machine, policy, position, body, revision) values ($1, $2, $3, $4, $5)
on conflict (machine) do update set position = excluded.position, body = excluded.body, revision = excluded.revision
where policy_machines.policy = excluded.policy`
	// A machine that is new in the policy comes last; one that is there keeps its place.
	upsertOneEntry = `insert into policy_machines (machine, policy, position, body, revision)
values ($1, $2, coalesce((select max(y.position) + 1 from policy_machines y where y.policy = $2), 0), $3, $4)
on conflict (machine) do update set body = excluded.body, revision = excluded.revision where policy_machines.policy = excluded.policy`
)

func (t *tx) savePolicyHead(ctx context.Context, p access.Policy, was int64) error {
	return t.swap(ctx, "policy", p.Revision, was, insertPolicy, updatePolicy, []any{
		string(p.ID), string(p.Resource), p.Resource.Fold(), string(p.Tenant), p.Name, p.Location,
		fold(p.Location), micros(p.CreatedAt), micros(p.UpdatedAt), p.Revision,
	})
}

func namedTwice(machine access.MachineID) error {
	return access.Fault(access.KindConflict, "machineHasPolicy",
		"another policy names machine %s already; a machine has one policy", machine)
}

// SavePolicyEntry implements engine.Tx.
func (t *tx) SavePolicyEntry(ctx context.Context, p access.Policy, was int64, m access.MachinePolicy) error {
	if err := t.savePolicyHead(ctx, p, was); err != nil {
		return err
	}
	body, err := toJSON(guardOf(m))
	if err != nil {
		return err
	}
	return t.exec(ctx, "policy", namedTwice(m.Machine), upsertOneEntry, string(m.Machine), string(p.ID), body,
		m.Revision)
}

// DeletePolicyEntries implements engine.Tx.
func (t *tx) DeletePolicyEntries(ctx context.Context, p access.Policy, was int64, machines []access.MachineID) error {
	if err := t.savePolicyHead(ctx, p, was); err != nil {
		return err
	}
	for _, machine := range machines {
		if err := t.dropEntry(ctx, p.ID, machine); err != nil {
			return err
		}
	}
	return nil
}

// SavePolicy implements engine.Tx.
func (t *tx) SavePolicy(ctx context.Context, p access.Policy, was int64) error {
	if err := t.savePolicyHead(ctx, p, was); err != nil {
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
		e := policyEntry{machine: m.Machine, position: int64(i), body: body, revision: m.Revision}
		if stored[m.Machine] != e {
			if err := t.exec(ctx, "policy", namedTwice(m.Machine), upsertPolicyEntry, string(e.machine), string(p.ID),
				e.position, e.body, e.revision); err != nil {
				return err
			}
		}
		delete(stored, m.Machine)
	}
	for machine := range stored {
		if err := t.dropEntry(ctx, p.ID, machine); err != nil {
			return err
		}
	}
	return nil
}

// dropEntry takes a machine out of a policy, and keeps what the policy said of it.
func (t *tx) dropEntry(ctx context.Context, id access.PolicyID, machine access.MachineID) error {
	if err := t.exec(ctx, "policy", nil, keepEntry, string(id), string(machine)); err != nil {
		return err
	}
	return t.exec(ctx, "policy", nil, deletePolicyEntry, string(id), string(machine))
}

// FormerEntry implements engine.Reader.
func (r *reader) FormerEntry(ctx context.Context, machine access.MachineID) (access.MachinePolicy, error) {
	return one(ctx, r.q, "former entry", func(row scanner) (access.MachinePolicy, error) {
		var id access.MachineID
		var guard guardRecord
		err := row.Scan(&id, jsonColumn{&guard})
		return guard.policy(id, 0), err
	}, selectFormerEntry, string(machine))
}

// DeletePolicy implements engine.Tx.
func (t *tx) DeletePolicy(ctx context.Context, id access.PolicyID, was int64) error {
	if err := t.exec(ctx, "policy", nil, keepEntries, string(id)); err != nil {
		return err
	}
	if err := t.exec(ctx, "policy", nil, deletePolicyEntries, string(id)); err != nil {
		return err
	}
	return t.exec(ctx, "policy", changed("policy"), deletePolicy, string(id), was)
}
