package requests

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// reevaluate looks at a pending request again, by its policies and by the time as they are now. Where it falls under
// another rule than when it was asked for, it is put under what they ask now; where it lies outside of them, or the
// requester has lost the right to ask, it is denied. later tells the caller of either, once that is kept: what they
// were shown is not what there is.
func (d *deciding) reevaluate(ctx context.Context) (later, err error) {
	p, err := d.present(ctx)
	if err != nil {
		return nil, err
	}
	if len(p.refusals) == 0 && !p.changed && !p.look {
		return nil, nil
	}
	var found chosen
	if len(p.refusals) == 0 {
		if p.refusals, err = d.limits(ctx, &p.ask); err != nil {
			return nil, err
		}
	}
	if len(p.refusals) == 0 {
		if found, err = d.engine.choose(ctx, d.Tx, d.may, p.ask, d.Now); err != nil {
			return nil, err
		}
		p.refusals = found.refusals
		if d.request.ForRoles() || !p.changed {
			found.approvals = stricter(d.request.Approvals, found.approvals)
		}
	}
	if len(p.refusals) > 0 {
		return d.denyNow(ctx, p.refusals)
	}
	next, events, err := d.request.Reframe(p.items, found.approvals, d.Now)
	if err != nil {
		return nil, err
	}
	if next.Digest == d.request.Digest {
		return nil, nil // it falls under what it was shown with
	}
	used, err := d.loosenedUse(ctx, p.ask)
	if err != nil {
		return nil, err
	}
	if err := d.save(ctx, next, append(events, used...)); err != nil {
		return nil, err
	}
	if err := d.advance(ctx, access.System(), ""); err != nil {
		return nil, err
	}
	return access.Fault(access.KindConflict, "requestChanged",
		"another rule holds for this request than when it was asked for: look again at the request, then decide"), nil
}

// present is what guards a pending request now.
type present struct {
	ask

	items    []access.Item // those of the request, under what guards them now
	changed  bool          // that is not what it was when it was asked for
	look     bool          // that is the same, and may ask for something else by now
	refusals []access.Reason
}

// mayDiffer reports whether a rule may ask for something else than it did, though it is the same.
func mayDiffer(rule access.Rule, ports []access.PortRule) bool {
	return rule.Depends() || slices.ContainsFunc(ports, func(p access.PortRule) bool { return len(p.Networks) > 0 })
}

// limits tells in what a request lies outside of its policies, and finds how long what it asks for would be open.
func (d *deciding) limits(ctx context.Context, a *ask) ([]access.Reason, error) {
	if d.request.Extends != "" {
		g, err := d.Tx.Grant(ctx, d.request.Extends)
		if err != nil {
			return nil, fmt.Errorf("read grant: %w", err)
		}
		a.extends = g
	}
	verdict := policy.Evaluate(d.input(*a), d.Now)
	if len(verdict.Refusals) > 0 {
		return verdict.Refusals, nil
	}
	for _, covered := range verdict.Items {
		a.longest = append(a.longest, covered.Rule.Max)
	}
	var err error
	a.chains, err = chains(ctx, d.Tx, *a, d.Now)
	return nil, err
}

// denyNow ends a request that could not be made any more.
func (d *deciding) denyNow(ctx context.Context, refusals []access.Reason) (later, err error) {
	next, events, err := d.request.Deny(access.System(),
		engine.Clip("it could not be asked for any more: "+refusals[0].Message), d.Now)
	if err != nil {
		return nil, err
	}
	if err := d.save(ctx, next, events); err != nil {
		return nil, err
	}
	d.Notify(engine.Notice{
		Kind: engine.NotifyDecided, Request: next, By: access.System().Name,
		Recipients: []access.PrincipalID{next.Requester},
	})
	fault := access.Fault(access.KindConflict, "requestOutdated",
		"the request lies outside of what is allowed by now, and was denied: it needs to be made anew")
	fault.Reasons = refusals
	return fault, nil
}

// present reads what guards the items now. refusals say which could not be asked for by this requester any more.
func (d *deciding) present(ctx context.Context) (p present, err error) {
	r := d.request
	p = present{ask: askOf(r), items: slices.Clone(r.Items)}
	p.asked = r.CreatedAt
	policies := map[access.MachineID]access.Policy{}
	networks := machines.NetworkNames{R: d.Tx, Tenant: r.Tenant}
	for i, item := range r.Items {
		p.look = p.look || !r.Decides(i) // what was approved by itself is held to what there is beside it by now
		if !item.Role.IsZero() {
			eligibility, refusal, err := d.presentRole(ctx, i, item.Role)
			if err != nil {
				return p, err
			}
			p.refusals = append(p.refusals, refusal...)
			p.changed = p.changed || eligibility.Revision != item.PolicyRevision
			p.look = p.look || mayDiffer(eligibility.Approval, nil) || !eligibility.End.IsZero()
			p.items[i].PolicyRevision = eligibility.Revision
			terms := eligibility.Terms()
			p.eligibilities = append(p.eligibilities, eligibility)
			p.entries = append(p.entries, &terms)
			p.machines = append(p.machines, engine.SiteOf(item.Role))
			continue
		}
		field := fmt.Sprintf("items[%d].machine", i)
		m, err := d.Machine(ctx, item.Machine)
		if err != nil {
			return p, err
		}
		guard, known := policies[item.Machine]
		if !known {
			guard, err = d.Tx.GuardOf(ctx, item.Machine)
			if err != nil && !engine.IsKind(err, access.KindNotFound) {
				return p, fmt.Errorf("read policy: %w", err)
			}
			policies[item.Machine] = guard
		}
		entry, guarded := guard.Of(item.Machine)
		p.look = p.look || mayDiffer(entry.Approval, entry.Ports)
		if entry, err = networks.Entry(ctx, entry); err != nil {
			return p, err
		}
		switch {
		case m.ID == "" || !guarded:
			p.refusals = append(p.refusals,
				access.Reason{
					Code: "machineNotConfigured", Field: field,
					Message: "no policy guards " + engine.NameOf(m, item.Machine) + " any more",
				})
		case !d.may.Dir.Check(r.Requester, rbac.PoliciesInitiate, m.Resource, d.Now).Allowed:
			p.refusals = append(p.refusals,
				access.Reason{
					Code: "forbidden", Field: field,
					Message: r.RequesterName + " may not ask for access to " + m.Name + " any more",
				})
		}
		p.changed = p.changed || entry.Revision != item.PolicyRevision || guard.ID != item.Policy
		p.items[i].Policy, p.items[i].PolicyRevision = guard.ID, entry.Revision
		p.entries = append(p.entries, &entry)
		p.machines = append(p.machines, m)
	}
	return p, nil
}

// input gives the request as policy.Evaluate takes it: an extension counts from the first opening, and a start that has
// passed meanwhile is no fault of anybody.
func (d *deciding) input(a ask) policy.Input {
	in := policy.Input{Justification: a.justification, Ticket: a.ticket}
	if a.start.After(d.Now) {
		in.Start = a.start
	}
	for i, item := range a.items {
		one := policy.Item{
			Machine: item.Machine, Name: a.machines[i].Name, Policy: a.entries[i], Ports: item.Ports,
			Protocol: item.Protocol, Sources: item.Sources,
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
func (d *deciding) presentRole(ctx context.Context, i int,
	role access.Role,
) (access.Eligibility, []access.Reason, error) {
	eligibility, err := engine.EligibilityOf(ctx, d.Tx, d.request.Tenant, role)
	var why string
	switch {
	case engine.IsKind(err, access.KindNotFound):
		why = "the eligibility was taken away"
	case err != nil:
		return eligibility, nil, fmt.Errorf("read eligibility: %w", err)
	default:
		why = engine.NotEligible(d.may.Dir, eligibility, d.request.Requester, d.Now)
	}
	if why == "" {
		return eligibility, nil, nil
	}
	return eligibility,
		[]access.Reason{{
			Code: "notEligible", Field: fmt.Sprintf("items[%d].role", i),
			Message: d.request.RequesterName + " may not activate " + role.String() + " any more: " + why,
		}}, nil
}

// stricter gives the approvals that a request was made under, and those that are asked for now where they are others:
// whoever changes the settings of an eligibility, or lets the time pass, never loosens what is waiting.
func stricter(was, now []access.Approval) []access.Approval {
	all := slices.Clone(was)
	for _, a := range now {
		asked := slices.ContainsFunc(was, func(b access.Approval) bool {
			return reflect.DeepEqual(a.Case,
				b.Case) && !slices.ContainsFunc(a.Items, func(i int) bool { return !slices.Contains(b.Items, i) })
		})
		if !asked {
			all = append(all, a)
		}
	}
	return all
}
