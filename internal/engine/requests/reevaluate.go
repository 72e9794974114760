package requests

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
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
		if p.holds || !p.changed {
			found.approvals = policy.Stricter(d.request.Approvals, found.approvals)
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
		"the rule for this request has changed since it was made: look at it again, then decide"), nil
}

// present is what guards a pending request now.
type present struct {
	ask

	items    []access.Item // those of the request, under what guards them now
	changed  bool          // that is not what it was when it was asked for
	look     bool          // that is the same, and may ask for something else by now
	holds    bool          // what was asked of the request stays asked
	refusals []access.Reason
}

// limits tells in what a request lies outside of its policies, and finds how long what it asks for would be open.
func (d *deciding) limits(ctx context.Context, a *ask) ([]access.Reason, error) {
	if id := d.request.CarriesOn(); id != "" {
		g, err := d.Tx.Grant(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("read grant: %w", err)
		}
		a.carries = g
	}
	verdict := policy.Evaluate(d.input(*a), d.Now)
	if len(verdict.Refusals) > 0 {
		return verdict.Refusals, nil
	}
	for _, judged := range verdict.Items {
		a.longest = append(a.longest, judged.Longest)
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
		"the request no longer satisfies its policy, and was denied: make a new request")
	fault.Reasons = refusals
	return fault, nil
}

// present reads what guards the items now. refusals say which could not be asked for by this requester any more.
func (d *deciding) present(ctx context.Context) (p present, err error) {
	r := d.request
	p = present{ask: askOf(r), items: slices.Clone(r.Items)}
	p.asked = r.CreatedAt
	guards := guardsOf(d.Tx, r.Tenant)
	guards.machine = d.Machine
	for i, item := range r.Items {
		p.look = p.look || !r.Decides(i) // what was approved by itself is held to what there is beside it by now
		site, err := d.Site(ctx, item.Target)
		if err != nil {
			return p, err
		}
		guard, err := guards.of(ctx, item.Target)
		if err != nil {
			return p, err
		}
		p.refusals = append(p.refusals, d.outdated(i, item.Target, site, guard)...)
		p.changed = p.changed || guard.revision != item.PolicyRevision || guard.policy != item.Target.Guard().Policy
		p.look, p.holds = p.look || guard.moves, p.holds || guard.holds
		p.items[i] = item.Under(guard.policy, guard.revision)
		p.entries = append(p.entries, &guard.terms)
		p.eligibilities = append(p.eligibilities, guard.eligibility)
		p.machines = append(p.machines, site)
	}
	return p, nil
}

// input gives the request as policy.Evaluate takes it: what is carried on counts from the first opening, and a start
// that has passed meanwhile is no fault of anybody.
func (d *deciding) input(a ask) policy.Input {
	in := askedAgain(d.request)
	if a.start.After(d.Now) {
		in.Start = a.start
	}
	for i, item := range a.items {
		one := policy.Item{
			Item: item, Name: a.machines[i].Name, Policy: a.entries[i], Eligibility: a.eligibilities[i],
			Since: a.carries.From(),
		}
		in.Items = append(in.Items, one)
	}
	return in
}
