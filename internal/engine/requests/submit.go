package requests

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// SubmitInput asks for access.
type SubmitInput struct {
	Items          []ItemInput
	Start          time.Time // zero: at approval
	Justification  string
	Ticket         string
	IdempotencyKey string // empty: none; at most 255 bytes
	Digest         string // SHA-256 of the body, for the key; empty: the engine makes one of the input

	// Repeat makes a series: an RRULE of RFC 5545, whose occurrences from Start on, in Zone (an IANA name; empty: UTC),
	// are the starts of windows. Each window becomes a grant of its own; the whole is approved once.
	Repeat string
	Zone   string

	// BreakGlass opens at once, without approval, where the policies let the caller do that in an emergency.
	BreakGlass bool

	// Policy, where it is not empty, is the only policy that the request may go through.
	Policy access.ResourceID
}

// ItemInput is an item for a port, with the words that say of which machine, or machines, the port is.
type ItemInput struct {
	access.Item // without its target

	// Port is what it asks for, without the machine. No protocol: what the policy guards the ports for; no sources, and
	// no networks in the item: the caller's own address.
	Port access.PortTarget

	Machine string // name, id or resource id; empty with a selector or a group
	// labels, such as env=prod,role=web: every machine that has them all and that the caller may ask for
	Selector string
	Group    string // name of a resource group, whose machines are meant; with a selector, those that it picks
}

// Submit asks for access, and where the policy approves by itself makes the grants in the same transaction. The same
// key with the same body leads to the same request, however often it comes; with another body it is a conflict.
func (e *Service) Submit(ctx context.Context, c engine.Caller, in SubmitInput) (d RequestDetail, err error) {
	a := engine.Attempt{
		Kind: access.RequestRefused, Action: rbac.PoliciesInitiate, Scope: in.scope(), All: true,
		Details: in.describe(),
	}
	if err := longKey(in.IdempotencyKey); err != nil {
		return d, e.kernel.Refused(ctx, c, a, err)
	}
	windows, err := e.windows(in) // it may take a while, which no transaction should
	if err != nil {
		return d, e.kernel.Refused(ctx, c, a, err)
	}
	return e.asking(ctx, c, a, func(tx engine.Tx, may engine.Rights, checked *ticketCheck) (RequestDetail, error) {
		return once(ctx, tx, may, in.IdempotencyKey, in.digest(), func() (RequestDetail, error) {
			return e.submit(ctx, tx, may, in, windows, checked)
		})
	})
}

func (e *Service) submit(ctx context.Context, tx engine.Tx, may engine.Rights, in SubmitInput, windows []time.Time,
	checked *ticketCheck,
) (d RequestDetail, err error) {
	if in.Items, err = pickMachines(ctx, tx, may, in.Items); err != nil {
		return RequestDetail{}, err
	}
	asked, sites, err := resolve(ctx, tx, may, in)
	if err != nil {
		return RequestDetail{}, err
	}
	if len(windows) > 0 {
		asked.Start = windows[0]
	}
	if in.BreakGlass {
		if err := e.mayBreakGlass(ctx, tx, may, in, &asked); err != nil {
			return RequestDetail{}, err
		}
	}
	verdict, err := e.judge(asked, checked, may)
	if err != nil {
		return RequestDetail{}, err
	}
	if err := oneTenant(sites); err != nil {
		return RequestDetail{}, err
	}
	request := newRequest(may, sites[0].Tenant, asked, verdict)
	request.ID, request.Windows, request.BreakGlass = access.RequestID(engine.NewID()), windows, in.BreakGlass
	return e.file(ctx, tx, may, request, asked, sites, verdict)
}

// file puts a request that lies within its policies on record: approved at once where every case is automatic, or else
// pending, with those who decide told.
func (e *Service) file(ctx context.Context, tx engine.Tx, may engine.Rights, request access.Request, asked policy.Input,
	sites []access.Machine, verdict policy.Verdict,
) (RequestDetail, error) {
	a := askOf(request)
	a.machines = sites
	for i, item := range asked.Items {
		a.entries, a.eligibilities = append(a.entries, item.Policy), append(a.eligibilities, item.Eligibility)
		a.longest = append(a.longest, verdict.Items[i].Longest)
	}
	if request.BreakGlass {
		request.Approvals = everyApproval(a.entries)
	} else {
		approvals, err := e.approvalsOf(ctx, tx, may, &a, request)
		if err != nil {
			return RequestDetail{}, err
		}
		request.Approvals = approvals
	}
	request, events := access.NewRequest(request, may.Actor(request.Tenant), verdict.Wait, may.Now)
	recordChains(events, a.chains)
	d := &deciding{
		Work: e.kernel.NewWork(tx, may.Now), engine: e, may: may, action: request.Items[0].Target.Action(),
		request: request,
	}
	d.Alone = len(a.chains) > 0 && !slices.ContainsFunc(a.chains, func(c Chain) bool { return !c.alone })
	names := engine.NameCache{R: tx, Seen: map[access.MachineID]access.Machine{}}
	for _, site := range sites {
		if site.ID != "" {
			d.Machines[site.ID], names.Seen[site.ID] = site, site
		}
	}
	used, err := d.loosenedUse(ctx, a)
	if err != nil {
		return RequestDetail{}, err
	}
	if err := d.locate(ctx, append(events, used...)); err != nil {
		return RequestDetail{}, err
	}
	switch {
	case request.BreakGlass:
		err = d.breakGlass(ctx)
	case len(request.Approvals) == 0:
		d.Notify(engine.Notice{Kind: engine.NotifyRequested, Request: request, Actor: request.Requester})
		err = d.approve(ctx, access.System())
	default:
		d.Notify(engine.Notice{Kind: engine.NotifyRequested, Request: request, Actor: request.Requester})
		if err = d.advance(ctx, access.System(), ""); err == nil && d.request.State == access.RequestPending {
			err = e.hold(ctx, tx, d.request, engine.QuotaPending)
		}
	}
	if err != nil {
		return RequestDetail{}, err
	}
	out := RequestDetail{Request: d.request, Grants: d.approved, Machines: map[access.MachineID]string{}}
	for id, m := range names.Seen {
		out.Machines[id] = m.Name
	}
	if d.request.State == access.RequestPending {
		if out, err = e.describeWhole(ctx, tx, may, &names, d.request); err != nil {
			return RequestDetail{}, err
		}
	}
	out.Chains = joined(a.chains)
	return out, d.Finish(ctx)
}

// approvalsOf gives the approvals that a request needs, which lies within its policies; none where it is approved at
// once. What is asked for is cut where it is a little too long with what there is beside it.
func (e *Service) approvalsOf(ctx context.Context, tx engine.Tx, may engine.Rights, a *ask,
	request access.Request,
) (approvals []access.Approval, err error) {
	if id := request.CarriesOn(); id != "" {
		if a.carries, err = tx.Grant(ctx, id); err != nil {
			return nil, fmt.Errorf("read grant: %w", err)
		}
	}
	if a.chains, err = chains(ctx, tx, *a, may.Now); err != nil {
		return nil, err
	}
	a.trim(may.Now)
	found, err := e.choose(ctx, tx, may, *a, may.Now)
	switch {
	case err != nil:
		return nil, err
	case len(found.refusals) > 0:
		return nil, outsidePolicy(found.refusals)
	case a.carries.State == access.GrantScheduled && len(found.approvals) > 0:
		return nil, access.Fault(access.KindConflict, "grantNotBegun",
			"grant %s begins at %s, when its approvals are counted again: extend it once it has begun, or make another request",
			a.carries.ID, a.carries.Start.UTC().Format(time.RFC3339))
	case found.stepUp && !may.Caller.SteppedUp(may.Now):
		return nil, engine.StepUpRequired("asking for this access")
	}
	return found.approvals, nil
}

// recordChains puts on record which items are part of a longer chain.
func recordChains(events []access.Event, chains []Chain) {
	for _, c := range joined(chains) {
		events[0].Details[fmt.Sprintf("chain.%d",
			c.Item)] = c.Start.UTC().Format(time.RFC3339) + "/" + c.End.UTC().Format(time.RFC3339)
	}
}

// newRequest returns what a caller asks for of a tenant, as it was judged: whatever is asked for in whichever way comes
// here from one Input. What is left out either is not asked for, or is for one way of asking alone.
func newRequest(may engine.Rights, tenant access.TenantID, asked policy.Input, verdict policy.Verdict) access.Request {
	c := may.Caller
	return access.Request{
		Tenant: tenant, Requester: c.Principal, RequesterName: may.Name(tenant), Address: c.Address, Via: c.Via,
		Start: access.Instant(asked.Start), Justification: asked.Justification, Ticket: asked.Ticket,
		Items: kept(verdict),
	}
}

// askedAgain returns what a request asked, but for its items and its start, to be judged by what guards them by now.
func askedAgain(r access.Request) policy.Input {
	return policy.Input{Justification: r.Justification, Ticket: r.Ticket}
}

// kept returns the items of a verdict as they are recorded: with times in microseconds.
func kept(verdict policy.Verdict) []access.Item {
	items := make([]access.Item, len(verdict.Items))
	for i, judged := range verdict.Items {
		items[i] = judged.Item
		items[i].Duration, items[i].Until = judged.Duration.Truncate(time.Microsecond), access.Instant(judged.Until)
	}
	return items
}

// makeGrants saves new grants, which become what was saved; those that are in force now supersede what they cover.
func makeGrants(ctx context.Context, w *engine.Work, grants []access.Grant, events []access.Event,
	by access.Actor,
) error {
	w.Events = append(w.Events, events...)
	for i, g := range grants {
		kept, err := w.KeepGrant(ctx, g, 0, nil, !g.Live(w.Now))
		if err != nil {
			return err
		}
		grants[i] = kept
	}
	// Now, and not at the end: what is written up to here goes to the database together with what supersede reads.
	if err := w.Bump(ctx); err != nil {
		return err
	}
	for _, g := range grants {
		if g.Live(w.Now) && !w.Alone {
			if err := w.Supersede(ctx, g, by); err != nil {
				return err
			}
		}
	}
	return nil
}

// asked returns the input as it is judged, but for its items.
func (in SubmitInput) asked() policy.Input {
	return policy.Input{Start: in.Start, Justification: in.Justification, Ticket: in.Ticket}
}

// scope gives the machine that all items name by its resource id, for the event of a refusal; empty where they do not.
func (in SubmitInput) scope() access.ResourceID {
	for _, it := range in.Items {
		if !strings.EqualFold(it.Machine, in.Items[0].Machine) {
			return ""
		}
	}
	if len(in.Items) == 0 || !strings.HasPrefix(in.Items[0].Machine, "/") {
		return ""
	}
	id, err := access.ParseResourceID(in.Items[0].Machine)
	if err != nil {
		return ""
	}
	return id
}

// describe gives what was asked for as a refusal records it.
func (in SubmitInput) describe() map[string]string {
	details := map[string]string{
		"justification": in.Justification, "ticket": in.Ticket,
		"items": strconv.Itoa(len(in.Items)),
	}
	if !in.Start.IsZero() {
		details["start"] = in.Start.UTC().Format(time.RFC3339)
	}
	if in.Repeat != "" {
		details["repeat"] = in.Repeat
	}
	if in.BreakGlass {
		details["breakGlass"] = "true"
	}
	for i, it := range in.Items[:min(len(in.Items), 20)] {
		var sources []string
		for _, s := range it.Port.Sources {
			sources = append(sources, s.String())
		}
		sources = append(sources, it.Networks...)
		name := it.Machine
		if name == "" {
			name = strings.Trim(it.Group+"?"+it.Selector, "?")
		}
		text := fmt.Sprintf("machine %q ports %s/%s from %s for %s", name, it.Port.Ports, it.Port.Protocol,
			strings.Join(sources, ","), it.Duration)
		if !it.Until.IsZero() {
			text += " until " + it.Until.UTC().Format(time.RFC3339)
		}
		details[fmt.Sprintf("item.%d", i)] = text
	}
	return details
}
