package requests

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// ApprovalProgress is how the deciding of one of a request's approvals stands.
type ApprovalProgress struct {
	policy.Progress

	Case         access.Case
	Items        []int
	Deciders     []access.PrincipalID // who may decide now and has not; the first of them
	DeciderCount int
}

const maxDeciders = 50 // that a detail names

// describeWhole is describeRequest with how the deciding stands.
func (*Service) describeWhole(ctx context.Context, r engine.Reader, may engine.Rights, names *engine.NameCache,
	request access.Request,
) (RequestDetail, error) {
	d, err := describeRequest(ctx, r, may, names, request)
	if err != nil || len(request.Approvals) == 0 {
		return d, err
	}
	if d.Decisions, err = r.Decisions(ctx, request.ID); err != nil {
		return RequestDetail{}, fmt.Errorf("read decisions: %w", err)
	}
	if request.BreakGlass {
		return requestAbroad(may.Border(r, request.Tenant), d), nil // its approvals say who reviews it
	}
	now, who := may.Now, policy.People(engine.People{Dir: may.Dir})
	if request.State != access.RequestPending {
		now, who = request.DecidedAt, nil // as it was when it was decided
	}
	var ids []access.PrincipalID
	progress := policy.TalliesOf(request, who, d.Decisions, now)
	for i, p := range progress {
		a := ApprovalProgress{Progress: p, Case: request.Approvals[i].Case, Items: request.Approvals[i].Items}
		if request.State == access.RequestPending && p.Outcome == policy.Waiting {
			only := slices.Repeat([]policy.Progress{{Outcome: policy.Approved}}, len(progress))
			only[i] = p
			a.Deciders = DecidersOf(may.Dir, request, only)
			a.DeciderCount = len(a.Deciders)
			a.Deciders = a.Deciders[:min(len(a.Deciders), maxDeciders)]
			d.Mine = d.Mine || MayDecide(may, request, i, p)
		}
		for _, s := range a.Case.Stages {
			ids = append(ids, engine.NamedIn(s)...)
		}
		ids = append(append(ids, a.Deciders...), p.Counted...)
		d.Progress = append(d.Progress, a)
	}
	d.Names, err = engine.NamesOf(ctx, r, may, ids)
	return requestAbroad(may.Border(r, request.Tenant), d), err
}

// MayDecide tells whether the caller may decide the i'th approval now.
func MayDecide(may engine.Rights, request access.Request, i int, p policy.Progress) bool {
	me := may.Caller.Principal
	return p.Outcome == policy.Waiting && may.Caller.Bounds.Allow(rbac.RequestsDecide) &&
		len(policy.EligibleFor(request.Approvals[i].Case.Stages[p.Stage], me, request.Requester,
			engine.People{Dir: may.Dir})) > 0 &&
		!slices.Contains(p.Decided, me)
}

// needsMe lists the pending requests that the caller may decide now.
func (e *Service) needsMe(ctx context.Context, r engine.Reader, may engine.Rights, f engine.RequestFilter,
	p engine.Page,
) (engine.Listed[RequestDetail], error) {
	f.Tenant, f.State = may.Caller.Tenant, access.RequestPending
	names := engine.NameCache{R: r}
	return engine.Visible(p,
		func(p engine.Page) (engine.Listed[access.Request], error) { return r.Requests(ctx, f, p) },
		func(request access.Request) (RequestDetail, bool, error) {
			if !may.Now.Before(request.PendingUntil) || !isApprover(may.Dir, request, may.Caller.Principal) {
				return RequestDetail{}, false, nil
			}
			seen, err := sees(ctx, may, &names, request)
			if err != nil || !seen {
				return RequestDetail{}, false, err
			}
			d, err := e.describeWhole(ctx, r, may, &names, request)
			return d, d.Mine, err
		})
}
