package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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

// PolicyInput is a whole policy. Its resource id says where it lies and what it is called.
type PolicyInput struct {
	Resource access.ResourceID
	Machines []access.MachinePolicy

	// PortsOnly says that Machines tell of ports alone: a machine that stays in the policy keeps everything else.
	PortsOnly bool
}

const maxPolicyMachines = 1000

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
// group. entry.Machine is ignored. With ifRevision it fails with a conflict unless the policy is still at that revision; 0
// says that no policy may name the machine yet. Grants that the new policy would not allow are revoked.
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
		next := was
		next.Machines = slices.DeleteFunc(slices.Clone(was.Machines), func(p access.MachinePolicy) bool { return p.Machine == m.ID })
		next.Machines = append(next.Machines, entry)
		if next, err = w.savePolicy(ctx, was, next, may.actor(was.Tenant)); err != nil {
			return err
		}
		d = PolicyDetail{Policy: next, Entry: entry, Machine: m}
		return w.finish(ctx)
	})
	return d, err
}

// policyToEdit gives the policy that names a machine, or else the default one of its resource group, perhaps still unsaved
// (revision 0).
func policyToEdit(ctx context.Context, tx Tx, m access.Machine, ifRevision *int64) (access.Policy, error) {
	p, err := tx.PolicyOfMachine(ctx, m.ID)
	if err != nil && !isKind(err, access.KindNotFound) {
		return access.Policy{}, fmt.Errorf("read policy: %w", err)
	}
	if err := atRevision(p, ifRevision); err != nil {
		return access.Policy{}, err
	}
	if p.ID != "" {
		return p, nil
	}
	resource := access.PolicyResource(m.Subscription(), m.ResourceGroup(), m.Location, DefaultPolicy)
	p, err = tx.PolicyByResource(ctx, resource)
	if isKind(err, access.KindNotFound) {
		return access.Policy{Resource: resource, Tenant: m.Tenant, Name: DefaultPolicy, Location: m.Location}, nil
	}
	return p, err
}

func atRevision(p access.Policy, want *int64) error {
	if want != nil && *want != p.Revision {
		return access.Fault(access.KindConflict, "policyChanged", "the policy has changed since you read it (revision %d, not %d): read it again", p.Revision, *want)
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
		p, err := tx.PolicyOfMachine(ctx, m.ID)
		if isKind(err, access.KindNotFound) {
			return notConfigured(m)
		}
		if err != nil {
			return fmt.Errorf("read policy: %w", err)
		}
		if err := atRevision(p, ifRevision); err != nil {
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

// Policies lists the policies that the caller may see, by resource id.
func (e *Engine) Policies(ctx context.Context, c Caller, f PolicyFilter, p Page) (list Listed[access.Policy], err error) {
	err = e.look(ctx, c, attempt{action: rbac.PoliciesRead, scope: f.Scope}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.PoliciesRead)
		if err != nil {
			return err
		}
		f.Tenant, f.Beside = c.Tenant, may.beside()
		list, err = visible(p, func(p Page) (Listed[access.Policy], error) { return r.Policies(ctx, f, p) },
			func(p access.Policy) (access.Policy, bool, error) { return p, covered(p.Resource, scopes), nil })
		return err
	})
	return list, err
}

// PolicyByResource gives one policy by its resource id.
func (e *Engine) PolicyByResource(ctx context.Context, c Caller, id access.ResourceID) (p access.Policy, err error) {
	err = e.look(ctx, c, attempt{action: rbac.PoliciesRead, scope: id}, func(r Reader) error {
		if _, err := e.authorize(ctx, r, c, rbac.PoliciesRead, id); err != nil {
			return err
		}
		p, err = findPolicy(ctx, r, id)
		return err
	})
	return p, err
}

// findPolicy gives a policy by its resource id, at which the caller was authorized.
func findPolicy(ctx context.Context, r Reader, id access.ResourceID) (access.Policy, error) {
	p, err := r.PolicyByResource(ctx, id)
	switch {
	case isKind(err, access.KindNotFound):
		return access.Policy{}, access.Fault(access.KindNotFound, "unknownPolicy", "there is no policy %s", clip(string(id)))
	case err != nil:
		return access.Policy{}, fmt.Errorf("read policy: %w", err)
	}
	return p, nil
}

// PutPolicy makes or replaces a whole policy. With ifRevision it fails with a conflict unless the policy is still at that
// revision, where 0 says that there must be none. Grants that the new policy would not allow are revoked.
func (e *Engine) PutPolicy(ctx context.Context, c Caller, in PolicyInput, ifRevision *int64) (p access.Policy, created bool, err error) {
	err = e.change(ctx, c, attempt{action: rbac.PoliciesWrite, scope: in.Resource}, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.PoliciesWrite, in.Resource)
		if err != nil {
			return err
		}
		was, err := findPolicy(ctx, tx, in.Resource)
		if isKind(err, access.KindNotFound) {
			was, err = e.emptyPolicy(ctx, tx, may, in.Resource)
		}
		if err != nil {
			return err
		}
		if err := atRevision(was, ifRevision); err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		for _, entry := range in.Machines {
			m, err := w.machine(ctx, entry.Machine)
			if err != nil {
				return err
			}
			if m.Tenant != was.Tenant {
				return access.Fault(access.KindNotFound, "unknownMachine", "there is no machine %q", clip(string(entry.Machine)))
			}
			if err := may.require(rbac.MachinesWrite, m.Resource); err != nil {
				return err
			}
			if other, err := tx.PolicyOfMachine(ctx, m.ID); err == nil && other.ID != was.ID {
				return access.Fault(access.KindConflict, "machineGuarded", "machine %q is named by the policy %s already: take it out there first", m.Name, other.Resource)
			} else if err != nil && !isKind(err, access.KindNotFound) {
				return fmt.Errorf("read policy: %w", err)
			}
		}
		next := was
		next.Machines = in.over(was)
		if !in.PortsOnly {
			for i, entry := range next.Machines {
				m, err := tx.Machine(ctx, entry.Machine)
				if err != nil {
					return fmt.Errorf("read machine: %w", err)
				}
				settled, reasons, err := e.settleRules(ctx, tx, may, was.Tenant, entry, askersOf(may, m))
				if err != nil {
					return err
				}
				for k := range reasons {
					reasons[k].Field = fmt.Sprintf("machines[%d].%s", i, reasons[k].Field)
				}
				if err := malformedPolicy(reasons); err != nil {
					return err
				}
				next.Machines[i] = settled
			}
		}
		if p, err = w.savePolicy(ctx, was, next, may.actor(was.Tenant)); err != nil {
			return err
		}
		created = was.Revision == 0
		return w.finish(ctx)
	})
	return p, created, err
}

// over gives what the machines of was become.
func (in PolicyInput) over(was access.Policy) []access.MachinePolicy {
	machines := slices.Clone(in.Machines)
	for i, entry := range machines {
		if old, had := was.Of(entry.Machine); had && in.PortsOnly {
			old.Ports = entry.Ports
			machines[i] = old
		}
	}
	return machines
}

// emptyPolicy gives a policy that is not saved yet, whose resource id is checked.
func (*Engine) emptyPolicy(ctx context.Context, tx Tx, may rights, id access.ResourceID) (access.Policy, error) {
	group, err := findGroup(ctx, tx, may, string(id))
	if err != nil {
		return access.Policy{}, err
	}
	name, location := id.Name(), id.Segment("locations")
	want := access.PolicyResource(group.subscription.ID, group.group.Name, location, name)
	if !id.Equal(want) {
		return access.Policy{}, access.Fault(access.KindInvalid, "malformedResourceId", "%s is not the resource id of a policy; write one such as %s", clip(string(id)), want)
	}
	if err := access.CheckName("policy", name); err != nil {
		return access.Policy{}, err
	}
	if err := access.CheckName("location", location); err != nil {
		return access.Policy{}, err
	}
	return access.Policy{Resource: id, Tenant: group.subscription.Tenant, Name: name, Location: location}, nil
}

// DeletePolicy deletes a policy and revokes what is open on its machines.
func (e *Engine) DeletePolicy(ctx context.Context, c Caller, id access.ResourceID, ifRevision *int64) error {
	return e.change(ctx, c, attempt{action: rbac.PoliciesDelete, scope: id}, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.PoliciesDelete, id)
		if err != nil {
			return err
		}
		was, err := findPolicy(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := atRevision(was, ifRevision); err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		if err := w.deletePolicy(ctx, was, may.actor(was.Tenant)); err != nil {
			return err
		}
		return w.finish(ctx)
	})
}

// savePolicy checks and saves next over was, and applies it to the grants of every machine that either names.
func (w *work) savePolicy(ctx context.Context, was, next access.Policy, by access.Actor) (access.Policy, error) {
	if err := checkPolicy(next); err != nil {
		return next, err
	}
	if was.ID == "" {
		next.ID = access.PolicyID(newID())
		next.CreatedAt = w.now
	}
	next.UpdatedAt = w.now
	next.Revision = was.Revision + 1
	if err := w.tx.SavePolicy(ctx, next, was.Revision); err != nil {
		return next, fmt.Errorf("save policy: %w", err)
	}
	details := map[string]string{"name": next.Name, "machines": fmt.Sprint(len(next.Machines))}
	networks := networkNames{r: w.tx, tenant: next.Tenant}
	for _, entry := range next.Machines {
		m, err := w.machine(ctx, entry.Machine)
		if err != nil {
			return next, err
		}
		if err := networks.check(ctx, entry); err != nil {
			return next, err
		}
		inForce, err := networks.entry(ctx, entry)
		if err != nil {
			return next, err
		}
		old, had := was.Of(entry.Machine)
		if text := describeEntry(entry); !had || text != describeEntry(old) {
			details["machine."+nameOf(m, entry.Machine)] = text
		}
		err = w.applyPolicy(ctx, m, by, func(g access.Grant) string { return outside(inForce, m.Name, g) })
		if err != nil {
			return next, err
		}
	}
	for _, entry := range was.Machines {
		if _, still := next.Of(entry.Machine); !still {
			if err := w.unguard(ctx, entry.Machine, by); err != nil {
				return next, err
			}
		}
	}
	w.event(access.Event{Kind: access.PolicyWritten, Actor: by, Tenant: next.Tenant, Scope: next.Resource, Action: rbac.PoliciesWrite, Details: details})
	return next, nil
}

// applyPolicy gives the enforcement point of a machine a new state, and revokes the grants that outside has a reason for.
func (w *work) applyPolicy(ctx context.Context, m access.Machine, by access.Actor, outside func(access.Grant) string) error {
	if m.Agent != "" {
		w.bumps[m.Agent] = true
	}
	grants, err := w.grantsOf(ctx, m.ID)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if g.State.Ended() {
			continue
		}
		if why := outside(g); why != "" {
			err := w.revokeWhere(ctx, m, by, why, func(other access.Grant) bool { return other.ID == g.ID })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// unguard applies that no policy names a machine any more.
func (w *work) unguard(ctx context.Context, id access.MachineID, by access.Actor) error {
	m, err := w.machine(ctx, id)
	if err != nil || m.ID == "" {
		return err
	}
	return w.applyPolicy(ctx, m, by, func(access.Grant) string { return "no policy guards the machine any more" })
}

// dropPolicyEntry takes a machine out of the policy that names it, if any does; a policy that then names none is deleted.
func (w *work) dropPolicyEntry(ctx context.Context, m access.Machine, by access.Actor) error {
	was, err := w.tx.PolicyOfMachine(ctx, m.ID)
	switch {
	case isKind(err, access.KindNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read policy: %w", err)
	case len(was.Machines) == 1:
		return w.deletePolicy(ctx, was, by)
	}
	next := was
	next.Machines = slices.DeleteFunc(slices.Clone(was.Machines), func(p access.MachinePolicy) bool { return p.Machine == m.ID })
	_, err = w.savePolicy(ctx, was, next, by)
	return err
}

func (w *work) deletePolicy(ctx context.Context, was access.Policy, by access.Actor) error {
	if err := w.tx.DeletePolicy(ctx, was.ID, was.Revision); err != nil {
		return fmt.Errorf("delete policy: %w", err)
	}
	for _, entry := range was.Machines {
		if err := w.unguard(ctx, entry.Machine, by); err != nil {
			return err
		}
	}
	w.event(access.Event{
		Kind: access.PolicyDeleted, Actor: by, Tenant: was.Tenant, Scope: was.Resource, Action: rbac.PoliciesDelete,
		Details: map[string]string{"name": was.Name},
	})
	return nil
}

func checkPolicy(p access.Policy) error {
	var reasons []access.Reason
	if len(p.Machines) > maxPolicyMachines {
		reasons = append(reasons, access.Reason{
			Code: "tooManyMachines", Field: "machines",
			Message: fmt.Sprintf("the policy names %d machines; %d are allowed", len(p.Machines), maxPolicyMachines),
		})
	}
	seen := map[access.MachineID]bool{}
	for i, entry := range p.Machines {
		field := fmt.Sprintf("machines[%d]", i)
		if seen[entry.Machine] {
			reasons = append(reasons, access.Reason{Code: "machineTwice", Field: field, Message: "the policy names this machine twice"})
		}
		seen[entry.Machine] = true
		for _, r := range policy.Validate(entry) {
			r.Field = strings.TrimSuffix(field+"."+r.Field, ".")
			reasons = append(reasons, r)
		}
	}
	return malformedPolicy(reasons)
}

func malformedPolicy(reasons []access.Reason) error {
	if len(reasons) == 0 {
		return nil
	}
	refusal := access.Fault(access.KindInvalid, "malformedPolicy", "the policy cannot be taken as it is: nothing was changed")
	refusal.Reasons = reasons
	return refusal
}

// outside says why a grant is not one that the entry would allow; empty where it would.
func outside(entry access.MachinePolicy, name string, g access.Grant) string {
	verdict := policy.Evaluate(policy.Input{Items: []policy.Item{{
		Machine: g.Machine, Name: name, Policy: &entry, Ports: g.Ports, Protocol: g.Protocol,
		Sources: g.Sources, Duration: max(g.End.Sub(g.Start), access.MinDuration),
	}}}, g.Start)
	for _, r := range verdict.Refusals {
		if strings.HasPrefix(r.Field, "items[") { // a justification that is required now was not when it was given
			return "the policy was changed: " + r.Message
		}
	}
	return ""
}

// describeEntry gives what a policy says of a machine as an event records it.
func describeEntry(p access.MachinePolicy) string {
	var b strings.Builder
	for _, rule := range p.Ports {
		fmt.Fprintf(&b, "%s/%s", rule.Ports, rule.Protocol)
		var sources []string
		for _, source := range rule.Sources {
			sources = append(sources, source.String())
		}
		if sources = append(sources, rule.Networks...); len(sources) > 0 {
			b.WriteString(" from " + strings.Join(sources, ","))
		}
		fmt.Fprintf(&b, " max %s; ", rule.Max)
	}
	fmt.Fprintf(&b, "sessions %s", p.Sessions)
	if p.WhenServerIsLost > 0 {
		fmt.Fprintf(&b, "; closes %s after the server is lost", p.WhenServerIsLost)
	}
	if p.Justification.Required {
		fmt.Fprintf(&b, "; justification of %d characters", p.Justification.MinLength)
	}
	if p.PendingTimeout > 0 {
		fmt.Fprintf(&b, "; waits %s", p.PendingTimeout.Truncate(time.Second))
	}
	b.WriteString(describeRules(p))
	return b.String()
}
