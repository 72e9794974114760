package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	policyTable = describe("policy", "policies", "p", "id",
		text("id", func(v *access.Policy) *access.PolicyID { return &v.ID }),
		text("resource", func(v *access.Policy) *access.ResourceID { return &v.Resource }),
		derived("resource_key", func(v *access.Policy) any { return v.Resource.Fold() }),
		text("tenant", func(v *access.Policy) *access.TenantID { return &v.Tenant }),
		text("name", func(v *access.Policy) *string { return &v.Name }),
		text("location", func(v *access.Policy) *string { return &v.Location }),
		derived("location_key", func(v *access.Policy) any { return fold(v.Location) }),
		when("created_at", func(v *access.Policy) *time.Time { return &v.CreatedAt }),
		when("updated_at", func(v *access.Policy) *time.Time { return &v.UpdatedAt }),
		number("revision", func(v *access.Policy) *int64 { return &v.Revision }))

	// What a policy says of one machine; the policy and the place in it are not part of that.
	entryTable = describe("policy", "policy_machines", "x", "machine",
		text("machine", func(v *access.MachinePolicy) *access.MachineID { return &v.Machine }),
		others[access.MachinePolicy]("body", parts{}),
		number("revision", func(v *access.MachinePolicy) *int64 { return &v.Revision }))

	selectPolicy           = "select " + policyTable.selected + " from policies p where p.id = $1 limit 1"
	selectPolicyByResource = "select " + policyTable.selected + " from policies p where p.resource_key = $1 limit 1"
	listPolicies           = "select " + policyTable.selected + " from policies p"
	selectGuard            = "select " + policyTable.selected + ", " + entryTable.selected +
		" from policies p join policy_machines x on x.policy = p.id where x.machine = $1 limit 1"
	listGuards = "select " + policyTable.selected +
		", " + entryTable.selected + `, x.position, coalesce(m.id, ''), coalesce(m.resource, ''), coalesce(m.tenant, ''),
coalesce(m.name, '') from policies p join policy_machines x on x.policy = p.id left join machines m on m.id = x.machine`
	listEntries         = "select " + entryTable.selected + " from policy_machines x"
	selectPolicyEntries = listEntries + " where x.policy = $1 order by x.position, x.machine" + everyRow
	selectFirstEntries  = listEntries + " where x.policy = $1 order by x.position, x.machine limit $2"
	listEntriesNaming   = listEntries + " join policies p on p.id = x.policy"
	selectFormerEntry   = "select f.machine, f.body, 0 from former_entries f where f.machine = $1 limit 1"
	// What is written is compared with what is there, as text.
	selectWritten = "select x.machine, x.position, x.body, x.revision from policy_machines x where x.policy = $1 " +
		"order by x.machine" + everyRow
)

// written is what is there of a policy's entry for one machine.
type written struct {
	machine  access.MachineID
	position int64
	body     string
	revision int64
}

func scanWritten(row scanner) (w written, err error) {
	err = row.Scan(&w.machine, &w.position, &w.body, &w.revision)
	return w, err
}

// complete adds the machines to policies.
func (r *reader) complete(ctx context.Context, policies []access.Policy) (err error) {
	for i := range policies {
		p := &policies[i]
		if p.Machines, err = whole(ctx, r.q, entryTable.scan, selectPolicyEntries, string(p.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) policy(ctx context.Context, text, key string) (access.Policy, error) {
	p, err := one(ctx, r.q, "policy", policyTable.scan, text, key)
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
	return one(ctx, r.q, "policy", policyTable.scan, selectPolicyByResource, id.Fold())
}

// PolicyEntries implements engine.Reader.
func (r *reader) PolicyEntries(ctx context.Context, id access.PolicyID, limit int) ([]access.MachinePolicy, error) {
	return all(ctx, r.q, entryTable.scan, selectFirstEntries, string(id), int64(limit))
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
	listed, err := page(ctx, r.q, l, engine.Page{Limit: limit}, "x.machine", entryTable.scan,
		func(m access.MachinePolicy) []any { return []any{m.Machine} })
	return listed.Items, err
}

// GuardOf implements engine.Reader. It is one statement: each is a round trip that every change behind it waits for.
func (r *reader) GuardOf(ctx context.Context, machine access.MachineID) (access.Policy, error) {
	p, err := remembered(r.memo, "policy", string(machine), func() (access.Policy, error) {
		return one(ctx, r.q, "policy", func(row scanner) (p access.Policy, err error) {
			p.Machines = make([]access.MachinePolicy, 1)
			err = row.Scan(guardInto(&p, &p.Machines[0])...)
			return p, err
		}, selectGuard, string(machine))
	})
	p.Machines = slices.Clone(p.Machines)
	return p, err
}

func guardInto(p *access.Policy, m *access.MachinePolicy) []any {
	return append(policyTable.into(p), entryTable.into(m)...)
}

// Policies implements engine.Reader.
func (r *reader) Policies(ctx context.Context, f engine.PolicyFilter,
	p engine.Page,
) (engine.Listed[access.Policy], error) {
	l := policiesWith(listPolicies, f)
	l.after(p.Cursor, false, "p.resource_key, p.id", cursorText, cursorText)
	cursor := func(v access.Policy) []any { return []any{v.Resource.Fold(), v.ID} }
	listed, err := page(ctx, r.q, l, p, "p.resource_key, p.id", policyTable.scan, cursor)
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
		err = s.Scan(append(guardInto(&d.Policy, &d.Entry), &d.position, &d.Machine.ID, &d.Machine.Resource,
			&d.Machine.Tenant, &d.Machine.Name)...)
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
	deletePolicy = "delete from policies where id = $1 and revision = $2"
	keepEntries  = `insert into former_entries (machine, body) select x.machine, x.body from policy_machines x where x.policy = $1
on conflict (machine) do update set body = excluded.body`
	keepEntry = `insert into former_entries (machine, body) select x.machine, x.body from policy_machines x where x.policy = $1 and x.machine = $2
on conflict (machine) do update set body = excluded.body`
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
	return swap(ctx, t, policyTable, p, p.Revision, was)
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
	body, err := entryTable.json("body", &m)
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
	stored := map[access.MachineID]written{}
	if was != 0 {
		entries, err := whole(ctx, t.q, scanWritten, selectWritten, string(p.ID))
		if err != nil {
			return err
		}
		for _, w := range entries {
			stored[w.machine] = w
		}
	}
	for i, m := range p.Machines {
		body, err := entryTable.json("body", &m)
		if err != nil {
			return err
		}
		w := written{machine: m.Machine, position: int64(i), body: body, revision: m.Revision}
		if stored[m.Machine] != w {
			if err := t.exec(ctx, "policy", namedTwice(m.Machine), upsertPolicyEntry, string(w.machine), string(p.ID),
				w.position, w.body, w.revision); err != nil {
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
	return one(ctx, r.q, "former entry", entryTable.scan, selectFormerEntry, string(machine))
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
