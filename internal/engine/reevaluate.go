package engine

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// reevaluate looks at a pending request again, by its policies as they are now. Where they have changed since it was
// asked for, it is put under what they ask now; where it lies outside of them, or the requester has lost the right to
// ask, it is denied. later tells the caller of either, once that is kept: what they were shown is not what there is.
func (d *deciding) reevaluate(ctx context.Context) (later, err error) {
	a, revisions, changed, refusals, err := d.present(ctx)
	if err != nil {
		return nil, err
	}
	if len(refusals) == 0 && !changed {
		return nil, nil
	}
	var found chosen
	if len(refusals) == 0 {
		if refusals, err = d.limits(ctx, &a); err != nil {
			return nil, err
		}
	}
	if len(refusals) == 0 {
		if found, err = d.engine.choose(ctx, d.tx, d.may, a, d.now); err != nil {
			return nil, err
		}
		refusals = found.refusals
		if d.request.ForRoles() {
			found.approvals = stricter(d.request.Approvals, found.approvals)
		}
	}
	if len(refusals) > 0 {
		return d.denyNow(ctx, refusals)
	}
	next, events, err := d.request.Reframe(revisions, found.approvals, d.now)
	if err != nil {
		return nil, err
	}
	if err := d.save(ctx, next, append(events, d.loosenedUse(a)...)); err != nil {
		return nil, err
	}
	if err := d.advance(ctx, access.System(), ""); err != nil {
		return nil, err
	}
	return access.Fault(access.KindConflict, "requestChanged", "the policy has changed since this was asked for: look again at the request, then decide"), nil
}

// limits tells in what a request lies outside of its policies, and finds how long what it asks for would be open.
func (d *deciding) limits(ctx context.Context, a *ask) ([]access.Reason, error) {
	if d.request.Extends != "" {
		g, err := d.tx.Grant(ctx, d.request.Extends)
		if err != nil {
			return nil, fmt.Errorf("read grant: %w", err)
		}
		a.extends = g
	}
	verdict := policy.Evaluate(d.input(*a), d.now)
	if len(verdict.Refusals) > 0 {
		return verdict.Refusals, nil
	}
	for _, covered := range verdict.Items {
		a.longest = append(a.longest, covered.Rule.Max)
	}
	var err error
	a.chains, err = chains(ctx, d.tx, *a, d.now)
	return nil, err
}

// denyNow ends a request that could not be made any more.
func (d *deciding) denyNow(ctx context.Context, refusals []access.Reason) (later, err error) {
	next, events, err := d.request.Deny(access.System(), clip("it could not be asked for any more: "+refusals[0].Message), d.now)
	if err != nil {
		return nil, err
	}
	if err := d.save(ctx, next, events); err != nil {
		return nil, err
	}
	d.notify(notice{kind: NotifyDecided, request: next, by: access.System().Name, recipients: []access.PrincipalID{next.Requester}})
	fault := access.Fault(access.KindConflict, "requestOutdated", "the request lies outside of what is allowed by now, and was denied: it needs to be made anew")
	fault.Reasons = refusals
	return fault, nil
}

// present reads what guards the items now. refusals say which could not be asked for by this requester any more.
func (d *deciding) present(ctx context.Context) (a ask, revisions []int64, changed bool, refusals []access.Reason, err error) {
	r := d.request
	a = askOf(r)
	policies := map[access.MachineID]access.Policy{}
	networks := networkNames{r: d.tx, tenant: r.Tenant}
	for i, item := range r.Items {
		if !item.Role.IsZero() {
			eligibility, refusal, err := d.presentRole(ctx, i, item.Role)
			if err != nil {
				return a, nil, false, nil, err
			}
			refusals = append(refusals, refusal...)
			changed = changed || eligibility.Revision != item.PolicyRevision
			revisions = append(revisions, eligibility.Revision)
			terms := eligibility.Terms()
			a.eligibilities = append(a.eligibilities, eligibility)
			a.entries = append(a.entries, &terms)
			a.machines = append(a.machines, siteOf(item.Role))
			continue
		}
		field := fmt.Sprintf("items[%d].machine", i)
		m, err := d.machine(ctx, item.Machine)
		if err != nil {
			return a, nil, false, nil, err
		}
		p, known := policies[item.Machine]
		if !known {
			p, err = d.tx.GuardOf(ctx, item.Machine)
			if err != nil && !isKind(err, access.KindNotFound) {
				return a, nil, false, nil, fmt.Errorf("read policy: %w", err)
			}
			policies[item.Machine] = p
		}
		entry, guarded := p.Of(item.Machine)
		if entry, err = networks.entry(ctx, entry); err != nil {
			return a, nil, false, nil, err
		}
		switch {
		case m.ID == "" || !guarded:
			refusals = append(refusals, access.Reason{Code: "machineNotConfigured", Field: field, Message: "no policy guards " + nameOf(m, item.Machine) + " any more"})
		case !d.may.dir.Check(r.Requester, rbac.PoliciesInitiate, m.Resource, d.now).Allowed:
			refusals = append(refusals, access.Reason{Code: "forbidden", Field: field, Message: r.RequesterName + " may not ask for access to " + m.Name + " any more"})
		}
		changed = changed || entry.Revision != item.PolicyRevision || p.ID != item.Policy
		revisions = append(revisions, entry.Revision)
		a.entries = append(a.entries, &entry)
		a.machines = append(a.machines, m)
	}
	return a, revisions, changed, refusals, nil
}

// input gives the request as policy.Evaluate takes it: an extension counts from the first opening, and a start that has
// passed meanwhile is no fault of anybody.
func (d *deciding) input(a ask) policy.Input {
	in := policy.Input{Justification: a.justification, Ticket: a.ticket}
	if a.start.After(d.now) {
		in.Start = a.start
	}
	for i, item := range a.items {
		one := policy.Item{
			Machine: item.Machine, Name: a.machines[i].Name, Policy: a.entries[i], Ports: item.Ports, Protocol: item.Protocol, Sources: item.Sources,
		}
		if !item.Role.IsZero() {
			one, _ = activation(a.eligibilities[i], item.Role)
		}
		one.Duration, one.Until, one.Since = item.Duration, item.Until, a.extends.Start
		in.Items = append(in.Items, one)
	}
	return in
}

// presentRole reads the eligibility that a role is asked by, as it is now.
func (d *deciding) presentRole(ctx context.Context, i int, role access.Role) (access.Eligibility, []access.Reason, error) {
	eligibility, err := d.tx.Eligibility(ctx, role.Eligibility)
	var why string
	switch {
	case isKind(err, access.KindNotFound):
		why = "the eligibility was taken away"
	case err != nil:
		return eligibility, nil, fmt.Errorf("read eligibility: %w", err)
	default:
		why = notEligible(d.may.dir, eligibility, d.request.Requester, d.now)
	}
	if why == "" {
		return eligibility, nil, nil
	}
	return eligibility, []access.Reason{{Code: "notEligible", Field: fmt.Sprintf("items[%d].role", i), Message: d.request.RequesterName + " may not activate " + role.String() + " any more: " + why}}, nil
}

// stricter gives the approvals that a request for roles was made under, and those that are asked for now where they are others:
// whoever changes the settings of an eligibility never loosens what is waiting.
func stricter(was, now []access.Approval) []access.Approval {
	all := slices.Clone(was)
	for _, a := range now {
		if !slices.ContainsFunc(was, func(b access.Approval) bool { return reflect.DeepEqual(a, b) }) {
			all = append(all, a)
		}
	}
	return all
}
