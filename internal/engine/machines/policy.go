package machines

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// MachineGuards is what guards a machine, in the order in which it counts: the policy that names it before those of
// scopes that reach it. For each port one of them holds whole; see access.Guards.
type MachineGuards struct {
	Guards  []engine.PolicyDetail // at least one
	Instead []engine.PolicyDetail // what would guard the machine if no policy named it; nothing where none does
	InForce time.Time             // of a trial: since when the agent has it in force, as access.Undo says
}

// MachinePolicy returns what guards a machine.
func (e *Service) MachinePolicy(ctx context.Context, c engine.Caller, machine string) (out MachineGuards, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.PoliciesRead, Details: map[string]string{"machine": machine}},
		func(r engine.Reader, may engine.Rights) error {
			m, err := engine.FindMachine(ctx, r, may, machine, rbac.PoliciesRead)
			if err != nil {
				return err
			}
			guards := engine.Guards{R: r}
			all, err := guards.Of(ctx, m)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return notConfigured(m)
			}
			out = MachineGuards{Guards: details(may, m, all)}
			if all[0].Machines[0].Trial != nil {
				u, err := r.TrialOf(ctx, m.ID)
				if err != nil && !engine.IsKind(err, access.KindNotFound) {
					return fmt.Errorf("read trial: %w", err)
				}
				out.InForce = u.InForce
			}
			if all[0].Reach != "" {
				return nil
			}
			instead, err := guards.With(ctx, m, access.Policy{})
			out.Instead = details(may, m, instead)
			return err
		})
	return out, err
}

// details returns what guards a machine as the caller may see it.
func details(may engine.Rights, m access.Machine, guards []access.Policy) (all []engine.PolicyDetail) {
	for _, p := range guards {
		p = may.Policy(p)
		all = append(all, engine.PolicyDetail{Policy: p, Entry: p.Machines[0], Machine: m})
	}
	return all
}

func notConfigured(m access.Machine) error {
	return access.Fault(access.KindNotFound, "machineNotConfigured", "no policy guards machine %q: set one first",
		m.Name)
}

// notNamed refuses to take a machine out of a policy where none names it.
func notNamed(ctx context.Context, r engine.Reader, m access.Machine) error {
	guards, err := engine.GuardsOf(ctx, r, m)
	if err != nil {
		return err
	}
	if len(guards) == 0 {
		return notConfigured(m)
	}
	return access.Fault(access.KindNotFound, "machineNotNamed",
		"machine %q has no policy of its own: the policy %q guards it, by %s; change that one, or set a policy of "+
			"the machine",
		m.Name, guards[0].Name, guards[0].Reach)
}

// SetMachinePolicy sets what guards a machine, in the policy that names it, or else in the policy "default" of its
// resource group. entry.Machine is ignored. With ifRevision it fails with a conflict unless what the policy says of the
// machine is still of that revision; 0 says that no policy may name the machine yet. It costs the same however many
// machines the policy names. Grants that the new policy would not allow are revoked.
func (e *Service) SetMachinePolicy(ctx context.Context, c engine.Caller, machine string, entry access.MachinePolicy,
	ifRevision *int64,
) (d engine.PolicyDetail, err error) {
	return e.setMachinePolicy(ctx, c, machine, entry, ifRevision, 0)
}

// TryMachinePolicy is SetMachinePolicy until a time is over: unless somebody confirms it by then, with
// ConfirmMachinePolicy, what was said of the machine before holds again. The agent ends it by itself, whether or not
// it reaches the server.
func (e *Service) TryMachinePolicy(ctx context.Context, c engine.Caller, machine string, entry access.MachinePolicy,
	ifRevision *int64, within time.Duration,
) (d engine.PolicyDetail, err error) {
	return e.setMachinePolicy(ctx, c, machine, entry, ifRevision, within)
}

func (e *Service) setMachinePolicy(ctx context.Context, c engine.Caller, machine string, entry access.MachinePolicy,
	ifRevision *int64, within time.Duration,
) (d engine.PolicyDetail, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PoliciesWrite, Details: map[string]string{"machine": machine}},
		func(tx engine.Tx, may engine.Rights) error {
			w := e.kernel.NewWork(tx, may.Now)
			if d, err = e.setPolicyIn(ctx, w, may, machine, entry, ifRevision, within); err != nil {
				return err
			}
			return w.Finish(ctx)
		})
	return d, err
}

// SetPolicyIn is SetMachinePolicy as a part of a transaction, which the caller finishes.
func (e *Service) SetPolicyIn(ctx context.Context, w *engine.Work, may engine.Rights, machine string,
	entry access.MachinePolicy, ifRevision *int64,
) (d engine.PolicyDetail, err error) {
	return e.setPolicyIn(ctx, w, may, machine, entry, ifRevision, 0)
}

func (e *Service) setPolicyIn(ctx context.Context, w *engine.Work, may engine.Rights, machine string,
	entry access.MachinePolicy, ifRevision *int64, within time.Duration,
) (d engine.PolicyDetail, err error) {
	m, err := toConfigure(ctx, w.Tx, may, machine)
	if err != nil {
		return d, err
	}
	w.Machines[m.ID] = m
	return e.setMachine(ctx, w, may, m, access.MachinePolicy{}, entry, ifRevision, within)
}

// toConfigure finds a machine for whose policy the caller may write, and for which just-in-time access is not disabled.
func toConfigure(ctx context.Context, r engine.Reader, may engine.Rights, ref string) (access.Machine, error) {
	m, err := engine.FindMachine(ctx, r, may, ref, rbac.PoliciesWrite)
	if err != nil {
		return m, err
	}
	return m, (&NetworkNames{R: r, Tenant: m.Tenant}).MayConfigure(ctx, m)
}

// policyToEdit gives the policy that names a machine, with what it says of that one alone, or else the default one of
// its resource group, without machines and perhaps still unsaved (revision 0).
func policyToEdit(ctx context.Context, r engine.Reader, m access.Machine, ifRevision *int64) (access.Policy, error) {
	p, err := r.GuardOf(ctx, m.ID)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return access.Policy{}, fmt.Errorf("read policy: %w", err)
	}
	entry, _ := p.Of(m.ID)
	if err := atRevision(entry.Revision, ifRevision); err != nil {
		return access.Policy{}, err
	}
	if p.ID != "" {
		return p, nil
	}
	resource := access.PolicyResource(m.Subscription(), m.ResourceGroup(), m.Location, engine.DefaultPolicy)
	p, err = r.PolicyHead(ctx, resource)
	if engine.IsKind(err, access.KindNotFound) {
		return access.Policy{
			Resource: resource, Tenant: m.Tenant, Name: engine.DefaultPolicy,
			Location: m.Location,
		}, nil
	}
	return p, err
}

func atRevision(revision int64, want *int64) error {
	if want != nil && *want != revision {
		return access.Fault(access.KindConflict, "policyChanged",
			"the policy has changed since you read it (revision %d, not %d): read it again", revision, *want)
	}
	return nil
}

// DeleteMachinePolicy stops guarding a machine and revokes what is open on it.
func (e *Service) DeleteMachinePolicy(ctx context.Context, c engine.Caller, machine string, ifRevision *int64) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PoliciesDelete, Details: map[string]string{"machine": machine}},
		func(tx engine.Tx, may engine.Rights) error {
			m, err := engine.FindMachine(ctx, tx, may, machine, rbac.PoliciesDelete)
			if err != nil {
				return err
			}
			p, err := tx.GuardOf(ctx, m.ID)
			if engine.IsKind(err, access.KindNotFound) {
				return notNamed(ctx, tx, m)
			}
			if err != nil {
				return fmt.Errorf("read policy: %w", err)
			}
			if err := atRevision(p.Machines[0].Revision, ifRevision); err != nil {
				return err
			}
			if err := may.Require(rbac.PoliciesDelete, p.Resource); err != nil {
				return err
			}
			w := e.kernel.NewWork(tx, may.Now)
			w.Machines[m.ID] = m
			if err := dropPolicyEntry(ctx, w, m, may.Actor(m.Tenant)); err != nil {
				return err
			}
			return w.Finish(ctx)
		})
}
