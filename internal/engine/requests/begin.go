package requests

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// MayNotBegin ends a scheduled grant that is not to open: it is recalled, or would not be given any more. What has not
// begun is not the past, so it is judged by the rights, the policy and the approval rule as they are now.
func MayNotBegin(ctx context.Context, w *engine.Work, j *machines.Judge, g access.Grant) (ended bool, err error) {
	recalls, err := w.Tx.Recalls(ctx)
	if err != nil {
		return false, fmt.Errorf("read recalls: %w", err)
	}
	by := access.System()
	order, why, err := j.Recalled(ctx, recalls, g)
	switch {
	case err != nil:
		return false, err
	case order != nil:
		by = j.OrderedBy(*order, g.Tenant)
	default:
		if why, err = j.Outlawed(ctx, g); err == nil && why == "" {
			why, err = j.Disabled(ctx, g)
		}
		if err == nil && why == "" {
			why, err = unapproved(ctx, j, g)
		}
		if err != nil || why == "" {
			return false, err
		}
	}
	_, err = w.EndGrant(ctx, g, by, why)
	return true, err
}

// lapsed introduces why a grant has no approval any more.
const lapsed = "its approval no longer holds: "

// unapproved says why a grant that was approved for later has no approval any more, now that it is to begin; empty
// where it has.
func unapproved(ctx context.Context, j *machines.Judge, g access.Grant) (why string, err error) {
	if !g.Decided {
		return reconsidered(ctx, j, g)
	}
	why, known := j.Approval[g.Request]
	if !known {
		if why, err = outvoted(ctx, j, g); err != nil {
			return "", err
		}
		j.Approval[g.Request] = why
	}
	if why != "" {
		return why, nil
	}
	// What has not begun is extended where nobody needs to agree alone, so what was added rests on the rule.
	request, err := request(ctx, j, g.Request)
	if err != nil || !g.End.After(request.AskedEnd(g.Target, g.Start)) {
		return "", err
	}
	if why, err = reconsidered(ctx, j, g); why != "" {
		why += " (people agreed to less than was added since)"
	}
	return why, err
}

// outvoted counts the votes by which a grant was approved once more. A vote counts while its voter may vote: somebody
// who was disabled or left the group since agrees to nothing.
func outvoted(ctx context.Context, j *machines.Judge, g access.Grant) (why string, err error) {
	request, err := request(ctx, j, g.Request)
	if err != nil {
		return "", err
	}
	decisions, err := j.R.Decisions(ctx, g.Request)
	if err != nil {
		return "", fmt.Errorf("read decisions: %w", err)
	}
	if policy.TalliesOf(request, engine.People{Dir: j.Dir}, decisions, request.DecidedAt).Outcome() != policy.Approved {
		why = lapsed + "not as many as it needs of those who approved it may decide on it still"
		if requester, err := j.R.Principal(ctx, request.Requester); err != nil {
			return "", fmt.Errorf("read principal: %w", err)
		} else if requester.Tenant == request.Tenant { // a guest is not told who approves
			why = lapsed + strings.Join(policy.Gone(request, engine.People{Dir: j.Dir}, decisions),
				", ") + " may not decide on it any more"
		}
	}
	return why, nil
}

// reconsidered chooses anew, for a grant that its rule approved by itself, the cases under which it falls: by the rule,
// the requester's groups and the machine's labels as they are now, for the moment at which it was asked for and for its
// window. What the rule asks of the asking, such as a sign-in with a passkey, was had then.
func reconsidered(ctx context.Context, j *machines.Judge, g access.Grant) (why string, err error) {
	a, err := again(ctx, j, g)
	if err != nil || a.entries[0] == nil || !a.entries[0].Approval.Asks() {
		return "", err
	}
	request, err := request(ctx, j, g.Request)
	if err != nil {
		return "", err
	}
	kept := askOf(request)
	a.requesterName, a.address, a.justification = kept.requesterName, kept.address, kept.justification
	a.ticket, a.asked = kept.ticket, request.CreatedAt
	chain, err := chain(ctx, j, g, a)
	if err != nil {
		return "", err
	}
	a.chains = []Chain{chain}
	groups, err := groupsOf(ctx, j, a)
	if err != nil {
		return "", err
	}
	j.Inquiry.Renew()
	choice, err := j.Inquiry.Choose(a.entries[0].Approval, a.facts(0, groups, j.Now))
	if reason, refused := a.unmet(0, choice, err, j.Now); refused {
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

// again gives what a grant would be asked for by, with what guards it now; nil where nothing does.
func again(ctx context.Context, j *machines.Judge, g access.Grant) (a ask, err error) {
	item := access.Item{Target: g.Target, Until: g.End}
	a = ask{tenant: g.Tenant, requester: g.Principal, items: []access.Item{item}, start: g.Start}
	site, err := j.Names.Site(ctx, g.Target)
	if err != nil {
		return a, err
	}
	terms, longest, err := standing(ctx, j, g, site)
	a.machines, a.entries, a.longest = []access.Machine{site}, []*access.MachinePolicy{terms}, []time.Duration{longest}
	return a, err
}

// chain finds the chain that a grant is part of. What people agreed to is left out: they were shown what it is joined
// to.
func chain(ctx context.Context, j *machines.Judge, g access.Grant, a ask) (Chain, error) {
	out := Chain{Longest: a.longest[0], Gap: a.entries[0].Apart(), Own: g.End.Sub(g.Start)}
	found, err := j.R.Windows(ctx, a.around(0, g.Start, g.End))
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
func request(ctx context.Context, j *machines.Judge, id access.RequestID) (access.Request, error) {
	if known, ok := j.Requests[id]; ok {
		return known, nil
	}
	request, err := j.R.Request(ctx, id)
	if err != nil {
		return request, fmt.Errorf("read request: %w", err)
	}
	j.Requests[id] = request
	return request, nil
}

// groupsOf is groupNames, read once for each requester and tenant.
func groupsOf(ctx context.Context, j *machines.Judge, a ask) ([]string, error) {
	key := machines.Guest{Tenant: a.tenant, Principal: a.requester}
	if known, ok := j.Groups[key]; ok {
		return known, nil
	}
	names, err := groupNames(ctx, j.R, j.Dir, a)
	if err == nil {
		j.Groups[key] = names
	}
	return names, err
}
