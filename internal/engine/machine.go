package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// MachineDetail is a machine and how it is guarded.
type MachineDetail struct {
	Machine        access.Machine
	Standing       access.Standing
	StandingReason string
	Agent          *access.Agent         // nil where no agent guards it
	Policy         *access.MachinePolicy // nil where no policy names it
	PolicyResource access.ResourceID     // of the policy that names it
	PolicyName     string
	Activity       *MachineActivity // nil where it was not asked for, or the caller may not see it
}

// AddMachineInput is a machine that cannot run an agent.
type AddMachineInput struct {
	Name          string
	Gateway       string // name or id of the agent that guards it, which must be in gateway mode
	Addresses     []netip.Addr
	ResourceGroup string // name; empty is the default one
	Location      string // empty is that of the resource group
	OS            string
	Labels        map[string]string
}

// Limits on what is said of a machine.
const (
	maxAddresses = 64
	maxLabels    = 50
)

// Machine gives one machine by its name, id or resource id.
func (e *Engine) Machine(ctx context.Context, c Caller, ref string) (MachineDetail, error) {
	return e.MachineFor(ctx, c, ref, rbac.MachinesRead)
}

// MachineFor gives a machine, by its name, id or resource id, on which the caller may do one of the actions, the first of which the
// call is about: what is shown of it is for the caller of this to choose.
func (e *Engine) MachineFor(ctx context.Context, c Caller, ref string, actions ...string) (d MachineDetail, err error) {
	err = e.look(ctx, c, attempt{action: actions[0], details: map[string]string{"machine": ref}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, r, may, ref, actions...)
		if err != nil {
			return err
		}
		d, err = describeMachine(ctx, r, m)
		return err
	})
	return d, err
}

// Machines lists the machines that the caller may see, by name.
func (e *Engine) Machines(ctx context.Context, c Caller, f MachineFilter, p Page) (Listed[MachineDetail], error) {
	return e.MachinesFor(ctx, c, f, p, rbac.MachinesRead)
}

// MachinesFor is MachineFor for a list.
func (e *Engine) MachinesFor(ctx context.Context, c Caller, f MachineFilter, p Page, actions ...string) (list Listed[MachineDetail], err error) {
	err = e.look(ctx, c, attempt{action: actions[0], scope: f.Scope}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := f.narrow(ctx, r, may, actions...)
		if err != nil {
			return err
		}
		list, err = visible(p, func(p Page) (Listed[access.Machine], error) { return r.Machines(ctx, f, p) },
			func(m access.Machine) (MachineDetail, bool, error) {
				if !covered(m.Resource, scopes) {
					return MachineDetail{}, false, nil
				}
				d, err := describeMachine(ctx, r, m)
				return d, true, err
			})
		return err
	})
	return list, err
}

// AddMachine adds a machine behind a gateway.
func (e *Engine) AddMachine(ctx context.Context, c Caller, in AddMachineInput) (d MachineDetail, err error) {
	a := attempt{action: rbac.MachinesWrite, details: map[string]string{"name": in.Name, "gateway": in.Gateway}}
	err = e.change(ctx, c, a, func(tx Tx) error {
		may, group, err := e.authorizeGroup(ctx, tx, c, rbac.MachinesWrite, in.ResourceGroup)
		if err != nil {
			return err
		}
		in.Location = cmp.Or(in.Location, group.group.Location)
		if err := in.check(); err != nil {
			return err
		}
		gateway, err := findGateway(ctx, tx, may, group.subscription.Tenant, in.Gateway)
		if err != nil {
			return err
		}
		m := access.Machine{
			ID: access.MachineID(newID()), Resource: access.MachineResource(group.subscription.ID, group.group.Name, in.Name),
			Tenant: group.subscription.Tenant, Name: in.Name, Location: in.Location, OS: in.OS, Labels: maps.Clone(in.Labels),
			Addresses: plainAddresses(in.Addresses), Agent: gateway.ID, CreatedAt: may.now, Revision: 1,
		}
		if err := saveNewMachine(ctx, tx, m, may.actor(m.Tenant), gateway); err != nil {
			return err
		}
		d, err = describeMachine(ctx, tx, m)
		return err
	})
	return d, err
}

func (in AddMachineInput) check() error {
	if err := access.CheckName("machine", in.Name); err != nil {
		return err
	}
	if err := access.CheckName("location", in.Location); err != nil {
		return err
	}
	if len(in.Addresses) == 0 || len(in.Addresses) > maxAddresses {
		return access.Fault(access.KindInvalid, "addressesMissing", "a machine behind a gateway needs 1 to %d addresses, by which the gateway knows it", maxAddresses)
	}
	for i, a := range in.Addresses {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			e := access.Fault(access.KindInvalid, "addressUnusable", "an address of the machine cannot be one behind a gateway")
			e.Reasons = []access.Reason{{Code: "addressUnusable", Field: fmt.Sprintf("addresses[%d]", i), Message: fmt.Sprintf("%s is not the address of one machine", a)}}
			return e
		}
	}
	return checkLabels(in.OS, in.Labels)
}

func saveNewMachine(ctx context.Context, tx Tx, m access.Machine, by access.Actor, agent access.Agent) error {
	_, err := tx.MachineByResource(ctx, m.Resource)
	switch {
	case err == nil:
		return access.Fault(access.KindConflict, "machineExists", "there is a machine %q in this resource group already: choose another name, or delete it first", m.Name)
	case !isKind(err, access.KindNotFound):
		return fmt.Errorf("read machine: %w", err)
	}
	if err := freeAddresses(ctx, tx, agent, m); err != nil {
		return err
	}
	if err := tx.SaveMachine(ctx, m, 0); err != nil {
		return fmt.Errorf("save machine: %w", err)
	}
	event := access.Event{
		At: m.CreatedAt, Kind: access.MachineAdded, Outcome: access.Succeeded, Actor: by, Tenant: m.Tenant, Scope: m.Resource,
		Machine: m.ID, Agent: agent.ID, Details: map[string]string{"name": m.Name, "agent": agent.Name, "mode": string(agent.Mode), "addresses": joinAddresses(m.Addresses)},
	}
	if err := tx.BumpAgent(ctx, agent.ID); err != nil {
		return fmt.Errorf("bump agent: %w", err)
	}
	return tx.Append(ctx, event)
}

// DeleteMachine revokes what is open on a machine and forgets it; the agent on it, in host mode, is revoked. What it had
// is named in the event. The enforcement point of a deleted machine removes the openings with the machine, and nobody
// reports them closed. Roles and eligibilities at the machine go with it, so that they are not in force at another machine of
// its name.
func (e *Engine) DeleteMachine(ctx context.Context, c Caller, ref string) error {
	a := attempt{action: rbac.MachinesDelete, details: map[string]string{"machine": ref}}
	return e.change(ctx, c, a, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, tx, may, ref, rbac.MachinesDelete)
		if err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		const reason = "the machine was deleted"
		if err := w.leave(ctx, m, may.actor(m.Tenant), reason); err != nil {
			return err
		}
		if err := w.endEligibleWithin(ctx, m.Tenant, m.Resource, may.actor(m.Tenant), reason); err != nil {
			return err
		}
		if err := w.finish(ctx); err != nil {
			return err
		}
		if err := e.unassignWithin(ctx, tx, may, m.Resource); err != nil {
			return err
		}
		if err := tx.DeleteMachine(ctx, m.ID); err != nil {
			return fmt.Errorf("delete machine: %w", err)
		}
		return nil
	})
}

// leave revokes what is open on a machine, takes it out of its policy, and revokes the agent on it, in host mode: the caller
// deletes it once the events are written.
func (w *work) leave(ctx context.Context, m access.Machine, by access.Actor, reason string) error {
	w.machines[m.ID] = m
	if err := w.revokeOn(ctx, m, by, reason, false, func(access.Grant) (string, bool) { return reason, true }); err != nil {
		return err
	}
	if err := w.dropPolicyEntry(ctx, m, by); err != nil {
		return err
	}
	details := map[string]string{"name": m.Name, "agent": string(m.Agent), "addresses": joinAddresses(m.Addresses)}
	if err := w.retireAgent(ctx, m.Agent, reason); err != nil {
		return err
	}
	w.event(access.Event{Kind: access.MachineDeleted, Actor: by, Tenant: m.Tenant, Scope: m.Resource, Machine: m.ID, Agent: m.Agent, Details: details})
	return nil
}

// findMachine gives the machine that ref names among those on which the caller may do one of the actions, the first of
// which the call is about. Where the caller may not know of a machine it is not found, whether it exists or not. A name
// means one of the caller's own tenant before it means one of a tenant where they are a guest.
func findMachine(ctx context.Context, r Reader, may rights, ref string, actions ...string) (access.Machine, error) {
	scopes, err := may.anywhere(append(actions, rbac.MachinesRead)...)
	if err != nil {
		return access.Machine{}, err
	}
	candidates, err := machinesNamed(ctx, r, may, ref, scopes)
	if err != nil {
		return access.Machine{}, err
	}
	switch len(candidates) {
	case 0:
		return access.Machine{}, access.Fault(access.KindNotFound, "unknownMachine", "there is no machine %q that you may see", clip(ref))
	case 1:
	default:
		e := access.Fault(access.KindInvalid, "ambiguousMachine", "there are %d machines %q: name one by its id or resource id", len(candidates), clip(ref))
		for _, m := range candidates[:min(len(candidates), 10)] {
			e.Reasons = append(e.Reasons, access.Reason{Code: "candidate", Message: string(m.Resource)})
		}
		return access.Machine{}, e
	}
	m := candidates[0]
	for _, action := range actions {
		if may.may(action, m.Resource) {
			return m, nil
		}
	}
	return access.Machine{}, may.require(actions[0], m.Resource)
}

// machinesNamed gives the machines within the scopes that ref may mean. One by its name is looked for in the caller's own tenant,
// and then in those where they are a guest: what the machines of other tenants are called hides none.
func machinesNamed(ctx context.Context, r Reader, may rights, ref string, scopes []access.ResourceID) ([]access.Machine, error) {
	within := func(list []access.Machine) []access.Machine {
		return slices.DeleteFunc(list, func(m access.Machine) bool { return !covered(m.Resource, scopes) })
	}
	one := func(m access.Machine, err error) ([]access.Machine, error) {
		switch {
		case isKind(err, access.KindNotFound):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read machine: %w", err)
		}
		return within([]access.Machine{m}), nil
	}
	if strings.HasPrefix(ref, "/") {
		id, err := access.ParseResourceID(ref)
		if err != nil {
			return nil, err
		}
		return one(r.MachineByResource(ctx, id))
	}
	if err := access.CheckName("machine", ref); err != nil {
		return nil, err
	}
	if uuid.Validate(ref) == nil {
		if found, err := one(r.Machine(ctx, access.MachineID(strings.ToLower(ref)))); err != nil || len(found) > 0 {
			return found, err
		}
	}
	machines, err := r.MachinesByName(ctx, may.caller.Tenant, ref)
	if machines = within(machines); err == nil && len(machines) == 0 {
		for _, tenant := range may.beside() {
			var some []access.Machine
			if some, err = r.MachinesByName(ctx, tenant, ref); err != nil {
				break
			}
			machines = append(machines, within(some)...)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read machines by name: %w", err)
	}
	return machines, nil
}

func describeMachine(ctx context.Context, r Reader, m access.Machine) (MachineDetail, error) {
	d := MachineDetail{Machine: m}
	if m.Agent != "" {
		agent, err := r.Agent(ctx, m.Agent)
		if err != nil {
			return MachineDetail{}, fmt.Errorf("read agent: %w", err)
		}
		d.Agent = &agent
	}
	policy, err := r.GuardOf(ctx, m.ID)
	switch {
	case isKind(err, access.KindNotFound):
	case err != nil:
		return MachineDetail{}, fmt.Errorf("read policy: %w", err)
	default:
		if entry, ok := policy.Of(m.ID); ok {
			d.Policy, d.PolicyResource, d.PolicyName = &entry, policy.Resource, policy.Name
		}
	}
	d.Standing, d.StandingReason = access.StandingOf(m, d.Policy != nil)
	return d, nil
}

func plainAddresses(addresses []netip.Addr) []netip.Addr {
	plain := make([]netip.Addr, 0, len(addresses))
	for _, a := range addresses {
		if a = a.Unmap().WithZone(""); !slices.Contains(plain, a) {
			plain = append(plain, a)
		}
	}
	return plain
}

func joinAddresses(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}
