package machines

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Unname takes a principal out of what the policy that names a machine says of it, by without, as a change of that
// policy. A rule that nobody could satisfy any more is refused, as it is where somebody writes it, unless nobody could
// satisfy it before either: what is wrong already keeps nobody's access.
func (e *Service) Unname(ctx context.Context, tx engine.Tx, may engine.Rights, machine access.MachineID,
	without func(access.MachinePolicy) access.MachinePolicy,
) error {
	m, err := tx.Machine(ctx, machine)
	if err != nil {
		return fmt.Errorf("read machine: %w", err)
	}
	was, err := tx.GuardOf(ctx, m.ID)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	entry, _ := was.Of(m.ID)
	w := e.kernel.NewWork(tx, may.Now)
	w.Machines[m.ID] = m
	if _, err = e.setMachine(ctx, w, may, m, entry, without(entry), nil, 0); err != nil {
		return err
	}
	return w.Finish(ctx)
}

// UnnameScope is Unname for a policy of a scope.
func (e *Service) UnnameScope(ctx context.Context, tx engine.Tx, may engine.Rights, id access.ResourceID,
	without func(access.MachinePolicy) access.MachinePolicy,
) error {
	was, err := tx.ScopePolicy(ctx, id)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	next := was
	next.Rules = without(was.Rules)
	_, err = e.setScope(ctx, tx, may, was, was.Rules, next)
	return err
}

// setMachine authorizes and saves what guards a machine. What is wrong with it, and was with before too, does not
// matter. With a time in which it is to be confirmed it is a trial. The caller finishes.
func (e *Service) setMachine(ctx context.Context, w *engine.Work, may engine.Rights, m access.Machine,
	before, entry access.MachinePolicy, ifRevision *int64, within time.Duration,
) (d engine.PolicyDetail, err error) {
	was, entry, err := e.plan(ctx, w.Tx, may, m, before, entry, ifRevision)
	if err != nil {
		return d, err
	}
	if entry.Trial, err = tryEntry(ctx, w, m, was, within, may.Caller.Principal); err != nil {
		return d, err
	}
	next, err := saveEntry(ctx, w, was, entry, m, may.Actor(was.Tenant))
	if err != nil {
		return d, err
	}
	return engine.PolicyDetail{Policy: next, Entry: next.Machines[0], Machine: m}, nil
}

// plan is setMachine without saving: it returns the policy that is written over, and the entry as it is to be saved.
func (e *Service) plan(ctx context.Context, r engine.Reader, may engine.Rights, m access.Machine,
	before, entry access.MachinePolicy, ifRevision *int64,
) (was access.Policy, next access.MachinePolicy, err error) {
	if err := engine.FirstError(may.Require(rbac.PoliciesWrite, m.Resource),
		may.Require(rbac.MachinesWrite, m.Resource)); err != nil {
		return was, next, err
	}
	entry.Machine = m.ID
	if next, err = e.noWorse(ctx, r, may, m.Tenant, before, entry, askersOf(may, m)); err != nil {
		return was, next, err
	}
	if was, err = policyToEdit(ctx, r, m, ifRevision); err != nil {
		return was, next, err
	}
	return was, next, may.Require(rbac.PoliciesWrite, was.Resource)
}

// setScope is setMachine for a policy of a scope, which is saved over was, the zero policy where it is new.
func (e *Service) setScope(ctx context.Context, tx engine.Tx, may engine.Rights, was access.ScopePolicy,
	before access.MachinePolicy, next access.ScopePolicy,
) (access.ScopePolicy, error) {
	if err := engine.FirstError(may.Require(rbac.PoliciesWrite, next.Resource),
		may.Require(rbac.MachinesWrite, next.Scope)); err != nil {
		return next, err
	}
	var err error
	next.Rules, err = e.noWorse(ctx, tx, may, next.Tenant, before, next.Rules, Askers{
		What: next.Reach(), All: may.Dir.Holders(rbac.PoliciesInitiate, next.Scope, may.Now),
	})
	if err != nil {
		return next, err
	}
	networks := NetworkNames{R: tx, Tenant: next.Tenant}
	if err := networks.check(ctx, next.Rules); err != nil {
		return next, err
	}
	return e.saveScope(ctx, e.kernel.NewWork(tx, may.Now), was, next, may.Actor(next.Tenant))
}

// noWorse returns an entry with the ids behind the names in it, and refuses one with which something is wrong that was
// not wrong with before.
func (e *Service) noWorse(ctx context.Context, r engine.Reader, may engine.Rights, tenant access.TenantID,
	before, entry access.MachinePolicy, who Askers,
) (access.MachinePolicy, error) {
	entry, reasons, err := e.SettleRules(ctx, r, may, tenant, entry, who)
	if err != nil {
		return entry, err
	}
	reasons = append(policy.Validate(entry), reasons...)
	if len(reasons) == 0 || before.Revision == 0 {
		return entry, malformedPolicy(reasons)
	}
	_, known, err := e.SettleRules(ctx, r, may, tenant, before, who)
	if err != nil {
		return entry, err
	}
	known = append(known, policy.Validate(before)...)
	return entry, malformedPolicy(slices.DeleteFunc(reasons,
		func(one access.Reason) bool { return slices.Contains(known, one) }))
}
