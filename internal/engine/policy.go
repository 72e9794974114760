package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// PolicyDetail is what guards one machine: the policy, its entry for the machine, and the machine.
type PolicyDetail struct {
	Policy  access.Policy
	Entry   access.MachinePolicy
	Machine access.Machine
}

// MachinePolicy gives what guards a machine.
func (e *Engine) MachinePolicy(ctx context.Context, c Caller, machine string) (d PolicyDetail, err error) {
	err = e.look(ctx, c, attempt{action: rbac.PoliciesRead, details: map[string]string{"machine": machine}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, r, may, machine, rbac.PoliciesRead)
		if err != nil {
			return err
		}
		p, err := r.GuardOf(ctx, m.ID)
		if isKind(err, access.KindNotFound) {
			return notConfigured(m)
		}
		p = may.policy(p)
		entry, _ := p.Of(m.ID)
		d = PolicyDetail{Policy: p, Entry: entry, Machine: m}
		return err
	})
	return d, err
}

func notConfigured(m access.Machine) error {
	return access.Fault(access.KindNotFound, "machineNotConfigured", "no policy guards machine %q: set one first", m.Name)
}

// SetMachinePolicy sets what guards a machine, in the policy that names it, or else in the policy "default" of its resource
// group. entry.Machine is ignored. With ifRevision it fails with a conflict unless what the policy says of the machine is still
// of that revision; 0 says that no policy may name the machine yet. It costs the same however many machines the policy names. Grants that the new policy would not allow are revoked.
func (e *Engine) SetMachinePolicy(ctx context.Context, c Caller, machine string, entry access.MachinePolicy, ifRevision *int64) (d PolicyDetail, err error) {
	err = e.change(ctx, c, attempt{action: rbac.PoliciesWrite, details: map[string]string{"machine": machine}}, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, tx, may, machine, rbac.PoliciesWrite)
		if err != nil {
			return err
		}
		if err := may.require(rbac.MachinesWrite, m.Resource); err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		w.machines[m.ID] = m
		entry.Machine = m.ID
		var reasons []access.Reason
		if entry, reasons, err = e.settleRules(ctx, tx, may, m.Tenant, entry, askersOf(may, m)); err != nil {
			return err
		}
		if err := malformedPolicy(append(policy.Validate(entry), reasons...)); err != nil {
			return err
		}
		was, err := policyToEdit(ctx, tx, m, ifRevision)
		if err != nil {
			return err
		}
		if err := may.require(rbac.PoliciesWrite, was.Resource); err != nil {
			return err
		}
		next, err := w.saveEntry(ctx, was, entry, m, may.actor(was.Tenant))
		if err != nil {
			return err
		}
		d = PolicyDetail{Policy: next, Entry: next.Machines[0], Machine: m}
		return w.finish(ctx)
	})
	return d, err
}

// policyToEdit gives the policy that names a machine, with what it says of that one alone, or else the default one of its
// resource group, without machines and perhaps still unsaved (revision 0).
func policyToEdit(ctx context.Context, tx Tx, m access.Machine, ifRevision *int64) (access.Policy, error) {
	p, err := tx.GuardOf(ctx, m.ID)
	if err != nil && !isKind(err, access.KindNotFound) {
		return access.Policy{}, fmt.Errorf("read policy: %w", err)
	}
	entry, _ := p.Of(m.ID)
	if err := atRevision(entry.Revision, ifRevision); err != nil {
		return access.Policy{}, err
	}
	if p.ID != "" {
		return p, nil
	}
	resource := access.PolicyResource(m.Subscription(), m.ResourceGroup(), m.Location, DefaultPolicy)
	p, err = tx.PolicyHead(ctx, resource)
	if isKind(err, access.KindNotFound) {
		return access.Policy{Resource: resource, Tenant: m.Tenant, Name: DefaultPolicy, Location: m.Location}, nil
	}
	return p, err
}

func atRevision(revision int64, want *int64) error {
	if want != nil && *want != revision {
		return access.Fault(access.KindConflict, "policyChanged", "the policy has changed since you read it (revision %d, not %d): read it again", revision, *want)
	}
	return nil
}

// DeleteMachinePolicy stops guarding a machine and revokes what is open on it.
func (e *Engine) DeleteMachinePolicy(ctx context.Context, c Caller, machine string, ifRevision *int64) error {
	return e.change(ctx, c, attempt{action: rbac.PoliciesDelete, details: map[string]string{"machine": machine}}, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, tx, may, machine, rbac.PoliciesDelete)
		if err != nil {
			return err
		}
		p, err := tx.GuardOf(ctx, m.ID)
		if isKind(err, access.KindNotFound) {
			return notConfigured(m)
		}
		if err != nil {
			return fmt.Errorf("read policy: %w", err)
		}
		if err := atRevision(p.Machines[0].Revision, ifRevision); err != nil {
			return err
		}
		if err := may.require(rbac.PoliciesDelete, p.Resource); err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		w.machines[m.ID] = m
		if err := w.dropPolicyEntry(ctx, m, may.actor(m.Tenant)); err != nil {
			return err
		}
		return w.finish(ctx)
	})
}
