package machines

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/records"
)

// MachineDetail is a machine and how it is guarded.
type MachineDetail struct {
	Machine        access.Machine
	Standing       access.Standing
	StandingReason string
	Agent          *access.Agent    // nil where no agent guards it
	Guards         []access.Policy  // what guards it, in the order in which it counts: see access.Guards
	Disabled       access.Switch    // by which just-in-time access is disabled for it; the zero Switch: it is not
	Activity       *MachineActivity // nil where it was not asked for, or the caller may not see it

	Subscription string            // name of the subscription that it lies in
	Ports        []access.PortRule // that are guarded; none where the caller may neither read policies nor ask there
}

// MachineActivity is what happened on a machine lately, and what is open on it.
type MachineActivity struct {
	Approved int    // requests of the last seven days that were approved
	LastUser string // name; empty where nobody had it open yet
	Live     []access.Grant
	// NotClosed may be open though it is not live: see Kernel.NotClosed.
	NotClosed []records.Access
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

// Machine gives one machine by its name, id or resource id.
func (e *Service) Machine(ctx context.Context, c engine.Caller, ref string) (MachineDetail, error) {
	return e.MachineFor(ctx, c, ref, rbac.MachinesRead)
}

// MachineFor gives a machine, by its name, id or resource id, on which the caller may do one of the actions, the first
// of which the call is about: what is shown of it is for the caller of this to choose.
func (e *Service) MachineFor(ctx context.Context, c engine.Caller, ref string,
	actions ...string,
) (d MachineDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: actions[0], Details: map[string]string{"machine": ref}},
		func(r engine.Reader, may engine.Rights) error {
			m, err := engine.FindMachine(ctx, r, may, ref, actions...)
			if err != nil {
				return err
			}
			if d, err = describeMachine(ctx, r, m); err != nil {
				return err
			}
			around := engine.Surroundings{R: r, May: may}
			d.Ports = around.Ports(m, d.Guards)
			d.Subscription, err = around.Subscription(ctx, m)
			return err
		})
	return d, err
}

// Machines lists the machines that the caller may see, in the order of the filter.
func (e *Service) Machines(ctx context.Context, c engine.Caller, f engine.MachineFilter,
	p engine.Page,
) (engine.Listed[MachineDetail], error) {
	return e.MachinesFor(ctx, c, f, p, rbac.MachinesRead)
}

// MachinesFor is MachineFor for a list.
func (e *Service) MachinesFor(ctx context.Context, c engine.Caller, f engine.MachineFilter, p engine.Page,
	actions ...string,
) (list engine.Listed[MachineDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: actions[0], Scope: f.Scope},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := f.Narrow(ctx, r, may, actions...)
			if err != nil {
				return err
			}
			guards, around := engine.Guards{R: r}, engine.Surroundings{R: r, May: may}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[access.Machine], error) { return r.Machines(ctx, f, p) },
				func(m access.Machine) (MachineDetail, bool, error) {
					if !engine.Covered(m.Resource, scopes) {
						return MachineDetail{}, false, nil
					}
					d, err := describeMachines(ctx, &guards, m)
					if err != nil {
						return d, false, err
					}
					d.Ports = around.Ports(m, d.Guards)
					d.Subscription, err = around.Subscription(ctx, m)
					return d, true, err
				})
			return err
		})
	return list, err
}

// AddMachine adds a machine behind a gateway.
func (e *Service) AddMachine(ctx context.Context, c engine.Caller, in AddMachineInput) (d MachineDetail, err error) {
	a := engine.Attempt{Action: rbac.MachinesWrite, Details: map[string]string{"name": in.Name, "gateway": in.Gateway}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, _ engine.Rights) error {
		may, group, err := e.directory.AuthorizeGroup(ctx, tx, c, rbac.MachinesWrite, in.ResourceGroup)
		if err != nil {
			return err
		}
		in.Location = cmp.Or(in.Location, group.Group.Location)
		if err := in.check(); err != nil {
			return err
		}
		gateway, err := findGateway(ctx, tx, may, group.Subscription.Tenant, in.Gateway)
		if err != nil {
			return err
		}
		m := access.Machine{
			ID:       access.MachineID(engine.NewID()),
			Resource: access.MachineResource(group.Subscription.ID, group.Group.Name, in.Name),
			Tenant:   group.Subscription.Tenant, Name: in.Name, Location: in.Location, OS: in.OS,
			Labels:    maps.Clone(in.Labels),
			Addresses: plainAddresses(in.Addresses), Agent: gateway.ID, CreatedAt: may.Now, Revision: 1,
		}
		if err := mayLabel(ctx, tx, may, m); err != nil {
			return err
		}
		if err := saveNewMachine(ctx, tx, m, may.Actor(m.Tenant), gateway); err != nil {
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
	if len(in.Addresses) == 0 || len(in.Addresses) > engine.MaxAddresses {
		return access.Fault(access.KindInvalid, "addressesMissing",
			"a machine behind a gateway needs 1 to %d addresses, by which the gateway recognizes it", engine.MaxAddresses)
	}
	for i, a := range in.Addresses {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			e := access.Fault(access.KindInvalid, "addressUnusable",
				"the address cannot be that of a machine behind a gateway")
			e.Reasons = []access.Reason{
				{
					Code: "addressUnusable", Field: fmt.Sprintf("addresses[%d]", i),
					Message: fmt.Sprintf("%s is not the address of one machine", a),
				},
			}
			return e
		}
	}
	return checkLabels(in.OS, in.Labels)
}

func saveNewMachine(ctx context.Context, tx engine.Tx, m access.Machine, by access.Actor, agent access.Agent) error {
	_, err := tx.MachineByResource(ctx, m.Resource)
	switch {
	case err == nil:
		return access.Fault(access.KindConflict, "machineExists",
			"there is a machine %q in this resource group already: choose another name, or delete it first", m.Name)
	case !engine.IsKind(err, access.KindNotFound):
		return fmt.Errorf("read machine: %w", err)
	}
	if err := freeAddresses(ctx, tx, agent, m); err != nil {
		return err
	}
	if err := tx.SaveMachine(ctx, m, 0); err != nil {
		return fmt.Errorf("save machine: %w", err)
	}
	event := access.Event{
		At: m.CreatedAt, Kind: access.MachineAdded, Outcome: access.Succeeded, Actor: by, Tenant: m.Tenant,
		Scope:   m.Resource,
		Machine: m.ID, Agent: agent.ID,
		Details: map[string]string{
			"name": m.Name, "agent": agent.Name, "mode": string(agent.Mode),
			"addresses": joinAddresses(m.Addresses),
		},
	}
	if err := tx.BumpAgent(ctx, agent.ID); err != nil {
		return fmt.Errorf("bump agent: %w", err)
	}
	return tx.Append(ctx, event)
}

// DeleteMachine revokes what is open on a machine and forgets it; the agent on it, in host mode, is revoked. What it
// had is named in the event. The enforcement point of a deleted machine removes the openings with the machine, and
// nobody reports them closed. Roles and eligibilities at the machine go with it, so that they are not in force at
// another machine of its name.
func (e *Service) DeleteMachine(ctx context.Context, c engine.Caller, ref string) error {
	a := engine.Attempt{Action: rbac.MachinesDelete, Details: map[string]string{"machine": ref}}
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		m, err := engine.FindMachine(ctx, tx, may, ref, rbac.MachinesDelete)
		if err != nil {
			return err
		}
		w := e.kernel.NewWork(tx, may.Now)
		const reason = "the machine was deleted"
		if err := Leave(ctx, w, m, may.Actor(m.Tenant), reason); err != nil {
			return err
		}
		if err := directory.EndEligibleWithin(ctx, w, m.Tenant, m.Resource, may.Actor(m.Tenant), reason); err != nil {
			return err
		}
		if err := w.Finish(ctx); err != nil {
			return err
		}
		if err := e.directory.UnassignWithin(ctx, tx, may, m.Resource); err != nil {
			return err
		}
		if err := tx.DeleteMachine(ctx, m.ID); err != nil {
			return fmt.Errorf("delete machine: %w", err)
		}
		return nil
	})
}

// Leave revokes what is open on a machine, takes it out of its policy, and revokes the agent on it, in host mode: the
// caller deletes it once the events are written.
func Leave(ctx context.Context, w *engine.Work, m access.Machine, by access.Actor, reason string) error {
	w.Machines[m.ID] = m
	if err := w.RevokeOn(ctx, m, by, reason, false,
		func(access.Grant) (string, bool) { return reason, true }); err != nil {
		return err
	}
	w.Leaving = m.ID
	if err := dropPolicyEntry(ctx, w, m, by); err != nil {
		return err
	}
	details := map[string]string{"name": m.Name, "agent": string(m.Agent), "addresses": joinAddresses(m.Addresses)}
	if err := w.RetireAgent(ctx, m.Agent, reason); err != nil {
		return err
	}
	w.Event(access.Event{
		Kind: access.MachineDeleted, Actor: by, Tenant: m.Tenant, Scope: m.Resource, Machine: m.ID,
		Agent: m.Agent, Details: details,
	})
	return nil
}

func describeMachine(ctx context.Context, r engine.Reader, m access.Machine) (MachineDetail, error) {
	return describeMachines(ctx, &engine.Guards{R: r}, m)
}

func describeMachines(ctx context.Context, g *engine.Guards, m access.Machine) (MachineDetail, error) {
	d := MachineDetail{Machine: m}
	if m.Agent != "" {
		agent, err := g.R.Agent(ctx, m.Agent)
		if err != nil {
			return MachineDetail{}, fmt.Errorf("read agent: %w", err)
		}
		d.Agent = &agent
	}
	guards, err := g.Of(ctx, m)
	if err != nil {
		return MachineDetail{}, err
	}
	d.Guards = guards
	if d.Disabled, err = g.Disabled(ctx, m); err != nil {
		return MachineDetail{}, err
	}
	d.Standing, d.StandingReason = access.StandingOf(m, len(guards) > 0, d.Disabled)
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
