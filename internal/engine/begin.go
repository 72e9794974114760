package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

// mayNotBegin ends a scheduled grant that is not to open: it is recalled, or would not be given any more. What has not begun is not
// the past, so it is judged by the rights, the policy and the approval rule as they are now.
func (w *work) mayNotBegin(ctx context.Context, j *judge, g access.Grant) (ended bool, err error) {
	recalls, err := w.tx.Recalls(ctx)
	if err != nil {
		return false, fmt.Errorf("read recalls: %w", err)
	}
	by := access.System()
	order, why, err := j.recalled(ctx, recalls, g)
	switch {
	case err != nil:
		return false, err
	case order != nil:
		by = j.orderedBy(*order, g.Tenant)
	default:
		if why, err = j.outlawed(ctx, g); err == nil && why == "" {
			why, err = j.unapproved(ctx, g)
		}
		if err != nil || why == "" {
			return false, err
		}
	}
	_, err = w.endGrant(ctx, g, by, why)
	return true, err
}

// lapsed introduces why a grant has no approval any more.
const lapsed = "its approval no longer holds: "

// unapproved says why a grant that was approved for later has no approval any more, now that it is to begin; empty where it has.
func (j *judge) unapproved(ctx context.Context, g access.Grant) (why string, err error) {
	if !g.Decided {
		return j.reconsidered(ctx, g)
	}
	why, known := j.approval[g.Request]
	if !known {
		if why, err = j.outvoted(ctx, g); err != nil {
			return "", err
		}
		j.approval[g.Request] = why
	}
	if why != "" {
		return why, nil
	}
	// What has not begun is extended where nobody needs to agree alone, so what was added rests on the rule.
	request, err := j.request(ctx, g.Request)
	if err != nil || !g.End.After(agreedEnd(request, g)) {
		return "", err
	}
	if why, err = j.reconsidered(ctx, g); why != "" {
		why += " (people agreed to less than was added since)"
	}
	return why, err
}

// agreedEnd gives the end up to which a request asked for what became a grant; zero where it asked for no such thing.
func agreedEnd(request access.Request, g access.Grant) (end time.Time) {
	for _, item := range request.Items {
		if siteKey(item) != access.SiteOf(g.Machine, g.Role) || item.Ports != g.Ports || item.Protocol != g.Protocol {
			continue
		}
		asked := item.Until
		if asked.IsZero() {
			asked = g.Start.Add(item.Duration)
		}
		if asked.After(end) {
			end = asked
		}
	}
	return end
}

// outvoted counts the votes by which a grant was approved once more. A vote counts while its voter may vote: somebody who was
// disabled or left the group since agrees to nothing.
func (j *judge) outvoted(ctx context.Context, g access.Grant) (why string, err error) {
	request, err := j.request(ctx, g.Request)
	if err != nil {
		return "", err
	}
	decisions, err := j.r.Decisions(ctx, g.Request)
	if err != nil {
		return "", fmt.Errorf("read decisions: %w", err)
	}
	if verdictOf(tallies(request, people{dir: j.dir}, decisions, request.DecidedAt)) != policy.Approved {
		why = lapsed + "not as many as it needs of those who approved it may decide on it still"
		if requester, err := j.r.Principal(ctx, request.Requester); err != nil {
			return "", fmt.Errorf("read principal: %w", err)
		} else if requester.Tenant == request.Tenant { // a guest is not told who approves
			why = lapsed + strings.Join(gone(request, people{dir: j.dir}, decisions), ", ") + " may not decide on it any more"
		}
	}
	return why, nil
}

// reconsidered chooses anew, for a grant that its rule approved by itself, the cases under which it falls: by the rule, the requester's
// groups and the machine's labels as they are now, for the moment at which it was asked for and for its window. What the rule asks
// of the asking, such as a sign-in with a passkey, was had then.
func (j *judge) reconsidered(ctx context.Context, g access.Grant) (why string, err error) {
	a, err := j.again(ctx, g)
	if err != nil || a.entries[0] == nil || !asks(a.entries[0].Approval) {
		return "", err
	}
	request, err := j.request(ctx, g.Request)
	if err != nil {
		return "", err
	}
	kept := askOf(request)
	a.requesterName, a.address, a.justification, a.ticket, a.asked = kept.requesterName, kept.address, kept.justification, kept.ticket, request.CreatedAt
	chain, err := j.chain(ctx, g, a)
	if err != nil {
		return "", err
	}
	a.chains = []Chain{chain}
	groups, err := j.groupsOf(ctx, a)
	if err != nil {
		return "", err
	}
	j.inquiry.Renew()
	choice, err := j.inquiry.Choose(a.entries[0].Approval, a.facts(0, groups, j.now))
	if reason, refused := a.unmet(0, choice, err, j.now); refused {
		return lapsed + reason.Message, nil
	}
	i := slices.IndexFunc(choice.Cases, func(c access.Case) bool { return len(c.Stages) > 0 })
	if i < 0 {
		return "", nil
	}
	why = lapsed + "by now it falls under a case of the approval rule for " + a.machines[0].Name + " that people decide"
	if name := choice.Cases[i].Name; name != "" {
		why += ": " + name
	}
	return why, nil
}

// asks reports whether a rule may have people decide, or refuse.
func asks(rule access.Rule) bool {
	return rule.Depends() || slices.ContainsFunc(rule.Cases, func(c access.Case) bool { return len(c.Stages) > 0 })
}

// again gives what a grant would be asked for by, with what guards it now; nil where nothing does.
func (j *judge) again(ctx context.Context, g access.Grant) (a ask, err error) {
	item := access.Item{Role: g.Role, Machine: g.Machine, Ports: g.Ports, Protocol: g.Protocol, Sources: g.Sources, Until: g.End}
	a = ask{tenant: g.Tenant, requester: g.Principal, items: []access.Item{item}, start: g.Start}
	m, err := j.names.site(ctx, g.Role, g.Machine)
	if err != nil {
		return a, err
	}
	a.machines = []access.Machine{m}
	if g.Role.IsZero() {
		entry, err := j.entry(ctx, m)
		if err == nil && entry != nil {
			a.longest = []time.Duration{policy.Longest(*entry, item.Ports, item.Protocol, item.Sources)}
		}
		a.entries = []*access.MachinePolicy{entry}
		return a, err
	}
	eligibility, err := eligibilityOf(ctx, j.r, g.Tenant, g.Role)
	if err != nil {
		return a, fmt.Errorf("read eligibility: %w", err)
	}
	terms := eligibility.Terms()
	a.entries, a.longest = []*access.MachinePolicy{&terms}, []time.Duration{eligibility.Max}
	return a, nil
}

// chain finds the chain that a grant is part of. What people agreed to is left out: they were shown what it is joined to.
func (j *judge) chain(ctx context.Context, g access.Grant, a ask) (Chain, error) {
	out := Chain{Longest: a.longest[0], Gap: a.entries[0].Apart(), Own: g.End.Sub(g.Start)}
	found, err := j.r.Windows(ctx, a.around(0, g.Start, g.End))
	if err != nil {
		return out, fmt.Errorf("read windows: %w", err)
	}
	if !found.Whole { // as chainOf takes it
		f := a.around(0, g.Start, g.End)
		found.Held = append(found.Held, policy.Window{Start: f.After, End: f.Before})
	}
	held := slices.DeleteFunc(found.Held, func(w policy.Window) bool { return w.Decided })
	out.Chain = policy.ChainOf([]policy.Window{{Start: g.Start, End: g.End}}, held, out.Gap)
	return out, nil
}

// request reads a request once.
func (j *judge) request(ctx context.Context, id access.RequestID) (access.Request, error) {
	if known, ok := j.requests[id]; ok {
		return known, nil
	}
	request, err := j.r.Request(ctx, id)
	if err != nil {
		return request, fmt.Errorf("read request: %w", err)
	}
	j.requests[id] = request
	return request, nil
}

// groupsOf is groupNames, read once for each requester and tenant.
func (j *judge) groupsOf(ctx context.Context, a ask) ([]string, error) {
	key := guest{tenant: a.tenant, principal: a.requester}
	if known, ok := j.groups[key]; ok {
		return known, nil
	}
	names, err := groupNames(ctx, j.r, j.dir, a)
	if err == nil {
		j.groups[key] = names
	}
	return names, err
}

// guest is a principal as a tenant sees it.
type guest struct {
	tenant    access.TenantID
	principal access.PrincipalID
}

// gone gives the names of those who agreed to a request and may not any more.
func gone(request access.Request, who policy.People, decisions []access.Decision) []string {
	var names []string
	for _, d := range decisions {
		if !d.Approve || d.Digest != request.Digest || d.Case >= len(request.Approvals) || d.Stage >= len(request.Approvals[d.Case].Case.Stages) {
			continue
		}
		now := policy.EligibleFor(request.Approvals[d.Case].Case.Stages[d.Stage], d.Person, request.Requester, who)
		if !slices.ContainsFunc(d.Quorums, func(q int) bool { return slices.Contains(now, q) }) && !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}
