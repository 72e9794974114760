package store

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	machineTable = describe("machine", "machines", "m", "id",
		text("id", func(v *access.Machine) *access.MachineID { return &v.ID }),
		text("resource", func(v *access.Machine) *access.ResourceID { return &v.Resource }),
		derived("resource_key", func(v *access.Machine) any { return v.Resource.Fold() }),
		text("tenant", func(v *access.Machine) *access.TenantID { return &v.Tenant }),
		text("name", func(v *access.Machine) *string { return &v.Name }),
		derived("name_key", func(v *access.Machine) any { return fold(v.Name) }),
		text("location", func(v *access.Machine) *string { return &v.Location }),
		text("os", func(v *access.Machine) *string { return &v.OS }),
		nested("labels", func(v *access.Machine) *map[string]string { return &v.Labels }),
		nested("addresses", func(v *access.Machine) *[]netip.Addr { return &v.Addresses }),
		optional("agent", func(v *access.Machine) *access.AgentID { return &v.Agent }),
		when("created_at", func(v *access.Machine) *time.Time { return &v.CreatedAt }),
		when("last_access", func(v *access.Machine) *time.Time { return &v.LastAccess }),
		number("revision", func(v *access.Machine) *int64 { return &v.Revision }))

	selectMachine           = "select " + machineTable.selected + " from machines m where m.id = $1 limit 1"
	selectMachineByResource = "select " + machineTable.selected + " from machines m where m.resource_key = $1 limit 1"
	selectMachinesByName    = "select " + machineTable.selected +
		" from machines m where m.tenant = $1 and m.name_key = $2 order by m.name_key, m.id limit 1000"
	selectGuardedByName = "select " + machineTable.selected +
		", " + policyTable.outer + ", " + entryTable.outer + `
from machines m left join policy_machines x on x.machine = m.id left join policies p on p.id = x.policy where m.tenant = $1 and m.name_key = $2
order by m.name_key, m.id limit 1000`
	listMachines = "select " + machineTable.selected + " from machines m"
)

// Machine implements engine.Reader.
func (r *reader) Machine(ctx context.Context, id access.MachineID) (access.Machine, error) {
	return remembered(r.memo, "machine", "id "+string(id), func() (access.Machine, error) {
		return one(ctx, r.q, "machine", machineTable.scan, selectMachine, string(id))
	})
}

// MachineByResource implements engine.Reader.
func (r *reader) MachineByResource(ctx context.Context, id access.ResourceID) (access.Machine, error) {
	return one(ctx, r.q, "machine", machineTable.scan, selectMachineByResource, id.Fold())
}

// MachinesByName implements engine.Reader. In a batch it reads with them what guards them: who looks for a machine by
// its name there nearly always asks for that next.
func (r *reader) MachinesByName(ctx context.Context, tenant access.TenantID, name string) ([]access.Machine, error) {
	if r.memo == nil {
		return all(ctx, r.q, machineTable.scan, selectMachinesByName, string(tenant), fold(name))
	}
	machines, err := remembered(r.memo, "machine", string(tenant)+"/"+fold(name), func() ([]access.Machine, error) {
		return all(ctx, r.q, func(row scanner) (m access.Machine, err error) {
			p := access.Policy{Machines: make([]access.MachinePolicy, 1)}
			if err := row.Scan(append(machineTable.into(&m), guardInto(&p, &p.Machines[0])...)...); err != nil || p.ID == "" {
				return m, err
			}
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
	o, known := machineOrders[f.Order]
	if !known {
		return engine.Listed[access.Machine]{}, access.Fault(access.KindInvalid, "malformedOrder",
			"machines have no order %q; use name, group, lastAccess or createdAt", f.Order)
	}
	l.after(p.Cursor, f.Backwards, o.columns, o.kinds...)
	order := o.columns
	if f.Backwards {
		order = descending(order)
	}
	return page(ctx, r.q, l, p, order, machineTable.scan, o.at)
}

// machineOrders are the orders that machines are listed in: the columns, and where a machine is among them.
var machineOrders = map[engine.MachineOrder]struct {
	columns string
	kinds   []cursorKind
	at      func(access.Machine) []any
}{
	engine.ByName: {
		"m.name_key, m.id",
		[]cursorKind{cursorText, cursorText},
		func(m access.Machine) []any { return []any{fold(m.Name), m.ID} },
	},
	engine.ByPlace: {
		"m.resource_key, m.id",
		[]cursorKind{cursorText, cursorText},
		func(m access.Machine) []any { return []any{m.Resource.Fold(), m.ID} },
	},
	engine.ByLastAccess: {
		"m.last_access, m.id",
		[]cursorKind{cursorNumber, cursorText},
		func(m access.Machine) []any { return []any{micros(m.LastAccess), m.ID} },
	},
	engine.ByAge: {
		"m.created_at, m.id",
		[]cursorKind{cursorNumber, cursorText},
		func(m access.Machine) []any { return []any{micros(m.CreatedAt), m.ID} },
	},
}

const (
	moveMachines  = "update machines set agent = $2, revision = revision + 1 where agent = $1"
	deleteMachine = "delete from machines where id = $1"
)

// SaveMachine implements engine.Tx.
func (t *tx) SaveMachine(ctx context.Context, m access.Machine, was int64) error {
	return swap(ctx, t, machineTable, m, m.Revision, was)
}

// MoveMachines implements engine.Tx.
func (t *tx) MoveMachines(ctx context.Context, from, to access.AgentID) error {
	return t.exec(ctx, "machine", nil, moveMachines, string(from), string(to))
}

// DeleteMachine implements engine.Tx.
func (t *tx) DeleteMachine(ctx context.Context, id access.MachineID) error {
	return t.exec(ctx, "machine", missing("machine"), deleteMachine, string(id))
}
