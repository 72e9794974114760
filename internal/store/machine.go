package store

import (
	"context"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	machineColumns = "m.id, m.resource, m.tenant, m.name, m.location, m.os, m.labels, m.addresses, " +
		"m.agent, m.created_at, m.last_access, m.revision"
	selectMachine           = "select " + machineColumns + " from machines m where m.id = $1 limit 1"
	selectMachineByResource = "select " + machineColumns + " from machines m where m.resource_key = $1 limit 1"
	selectMachinesByName    = "select " + machineColumns +
		" from machines m where m.tenant = $1 and m.name_key = $2 order by m.name_key, m.id limit 1000"
	selectGuardedByName = "select " + machineColumns +
		`, coalesce(p.id, ''), coalesce(p.resource, ''), coalesce(p.tenant, ''), coalesce(p.name, ''), coalesce(p.location, ''),
coalesce(p.created_at, 0), coalesce(p.updated_at, 0), coalesce(p.revision, 0), coalesce(x.body, 'null'), coalesce(x.revision, 0)
from machines m left join policy_machines x on x.machine = m.id left join policies p on p.id = x.policy where m.tenant = $1 and m.name_key = $2
order by m.name_key, m.id limit 1000`
	listMachines = "select " + machineColumns + " from machines m"
)

func scanMachine(row scanner) (m access.Machine, err error) {
	err = row.Scan(machineInto(&m)...)
	return m, err
}

func machineInto(m *access.Machine) []any {
	return []any{
		&m.ID, &m.Resource, &m.Tenant, &m.Name, &m.Location, &m.OS,
		jsonColumn{&m.Labels},
		jsonColumn{&m.Addresses},
		optionalColumn[access.AgentID]{&m.Agent},
		timeColumn{&m.CreatedAt},
		timeColumn{&m.LastAccess},
		&m.Revision,
	}
}

// Machine implements engine.Reader.
func (r *reader) Machine(ctx context.Context, id access.MachineID) (access.Machine, error) {
	return remembered(r.memo, "machine", "id "+string(id), func() (access.Machine, error) {
		return one(ctx, r.q, "machine", scanMachine, selectMachine, string(id))
	})
}

// MachineByResource implements engine.Reader.
func (r *reader) MachineByResource(ctx context.Context, id access.ResourceID) (access.Machine, error) {
	return one(ctx, r.q, "machine", scanMachine, selectMachineByResource, id.Fold())
}

// MachinesByName implements engine.Reader. In a batch it reads with them what guards them: who looks for a machine by
// its name there nearly always asks for that next.
func (r *reader) MachinesByName(ctx context.Context, tenant access.TenantID, name string) ([]access.Machine, error) {
	if r.memo == nil {
		return all(ctx, r.q, scanMachine, selectMachinesByName, string(tenant), fold(name))
	}
	machines, err := remembered(r.memo, "machine", string(tenant)+"/"+fold(name), func() ([]access.Machine, error) {
		return all(ctx, r.q, func(row scanner) (m access.Machine, err error) {
			var p access.Policy
			var guard guardRecord
			var revision int64
			if err := row.Scan(append(machineInto(&m),
				guardInto(&p, &guard, &revision)...)...); err != nil || p.ID == "" {
				return m, err
			}
			p.Machines = []access.MachinePolicy{guard.policy(m.ID, revision)}
			r.memo.keep("policy", string(m.ID), p)
			return m, nil
		}, selectGuardedByName, string(tenant), fold(name))
	})
	return slices.Clone(machines), err
}

// Machines implements engine.Reader.
func (r *reader) Machines(ctx context.Context, f engine.MachineFilter,
	p engine.Page,
) (engine.Listed[access.Machine], error) {
	l := from(listMachines)
	l.machines(f)
	l.after(p.Cursor, false, "m.name_key, m.id", cursorText, cursorText)
	return page(ctx, r.q, l, p, "m.name_key, m.id", scanMachine,
		func(m access.Machine) []any { return []any{fold(m.Name), m.ID} })
}

const (
	insertMachine = `insert into machines (id, resource, resource_key, tenant, name, name_key, location, os, labels, addresses, agent, created_at, last_access, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	updateMachine = `update machines set resource = $2, resource_key = $3, tenant = $4, name = $5, name_key = $6, location = $7, os = $8, labels = $9, addresses = $10,
agent = $11, created_at = $12, last_access = $13, revision = $14 where id = $1 and revision = $15`
	moveMachines  = "update machines set agent = $2, revision = revision + 1 where agent = $1"
	deleteMachine = "delete from machines where id = $1"
)

// SaveMachine implements engine.Tx.
func (t *tx) SaveMachine(ctx context.Context, m access.Machine, was int64) error {
	labels, err := toJSON(m.Labels)
	if err != nil {
		return err
	}
	addresses, err := toJSON(m.Addresses)
	if err != nil {
		return err
	}
	return t.swap(ctx, "machine", m.Revision, was, insertMachine, updateMachine, []any{
		string(m.ID), string(m.Resource), m.Resource.Fold(), string(m.Tenant), m.Name, fold(m.Name),
		m.Location, m.OS, labels, addresses, optional(m.Agent), micros(m.CreatedAt), micros(m.LastAccess), m.Revision,
	})
}

// MoveMachines implements engine.Tx.
func (t *tx) MoveMachines(ctx context.Context, from, to access.AgentID) error {
	return t.exec(ctx, "machine", nil, moveMachines, string(from), string(to))
}

// DeleteMachine implements engine.Tx.
func (t *tx) DeleteMachine(ctx context.Context, id access.MachineID) error {
	return t.exec(ctx, "machine", missing("machine"), deleteMachine, string(id))
}
