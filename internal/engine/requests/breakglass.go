package requests

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// mayBreakGlass refuses unless every item's policy lets the caller open it in an emergency, for as long as is asked,
// and the caller has no review to wait for. It puts what holds in an emergency in the place of the policies' demands: a
// justification always, and no ticket, since the system that keeps tickets may be what is down.
func (*Service) mayBreakGlass(ctx context.Context, tx engine.Tx, may engine.Rights, in SubmitInput,
	asked *policy.Input,
) error {
	me := may.Caller.Principal
	var reasons []access.Reason
	add := func(code, field, format string, args ...any) {
		reasons = append(reasons, access.Reason{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if !in.Start.IsZero() {
		add("breakGlassLater", "start", "an emergency opens at once: leave the start out")
	}
	if strings.TrimSpace(in.Justification) == "" {
		add("justificationRequired", "justification", "say what the emergency is: whoever reviews it reads this")
	}
	named := false
	for i, item := range asked.Items {
		if item.Policy == nil {
			continue // what follows says so
		}
		rule := item.Policy.BreakGlass
		field := fmt.Sprintf("items[%d]", i)
		switch {
		case rule == nil:
			add("breakGlassNotAllowed", field, "the policy of %s lets nobody break glass", item.Name)
			continue
		case !may.Dir.IsPerson(me) || !slices.Contains(rule.People,
			me) && !slices.ContainsFunc(rule.Groups, func(g access.PrincipalID) bool { return may.Dir.InGroup(me, g) }):
			add("breakGlassNotAllowed", field, "the policy of %s does not let you break glass", item.Name)
			continue
		}
		named = true
		length := item.Duration
		if !item.Until.IsZero() {
			length = item.Until.Sub(may.Now)
		}
		if length > rule.Max {
			add("breakGlassTooLong", field, "%s is too long for an emergency; the policy of %s allows %s",
				engine.Span(length), item.Name, engine.Span(rule.Max))
		}
		entry := *item.Policy
		entry.Ticket = access.TicketRule{}
		asked.Items[i].Policy = &entry
	}
	if len(reasons) > 0 {
		kind := access.KindInvalid
		if !named {
			kind = access.KindForbidden
		}
		refusal := access.Fault(kind, reasons[0].Code, "this is not a valid break-glass request: nothing was opened")
		refusal.Reasons = reasons
		return refusal
	}
	open, err := tx.OpenReviews(ctx, me)
	if err != nil {
		return fmt.Errorf("read reviews: %w", err)
	}
	if len(open) > 0 {
		return access.Fault(access.KindForbidden, "reviewOpen",
			"your break-glass access of %s has not been reviewed: an approver has to close review %s first",
			open[0].CreatedAt.UTC().Format("2006-01-02 15:04 UTC"), open[0].ID)
	}
	return nil
}

// everyApproval gives all cases of the items' rules that have stages: whoever may decide in one of them is told, and
// may review.
func everyApproval(entries []*access.MachinePolicy) []access.Approval {
	var out chosen
	for i, entry := range entries {
		for k, c := range entry.Approval.Cases {
			same := func(other access.Case) bool { return reflect.DeepEqual(other, c) }
			if len(c.Stages) > 0 && !slices.ContainsFunc(entry.Approval.Cases[:k], same) {
				out.add(c, i)
			}
		}
	}
	return out.approvals
}

// namedInApprovals gives the groups and people that approvals name, each once.
func namedInApprovals(approvals []access.Approval) []access.PrincipalID {
	var named []access.PrincipalID
	for _, a := range approvals {
		for _, s := range a.Case.Stages {
			named = append(named, engine.NamedIn(s)...)
		}
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// breakGlass opens at once, leaves the debt, and tells everybody who could have decided.
func (d *deciding) breakGlass(ctx context.Context) error {
	c := d.may.Caller
	if err := d.approve(ctx, d.may.Actor(d.request.Tenant)); err != nil {
		return err
	}
	review := access.Review{
		ID: access.ReviewID(engine.NewID()), Tenant: d.request.Tenant, Person: c.Principal,
		PersonName: d.request.RequesterName, Request: d.request.ID, CreatedAt: d.Now, Revision: 1,
	}
	if err := d.Tx.SaveReview(ctx, review, 0); err != nil {
		return fmt.Errorf("save review: %w", err)
	}
	d.Notify(engine.Notice{
		Kind: engine.NotifyBreakGlass, Request: d.request, By: c.Name, Actor: c.Principal,
		Recipients: namedInApprovals(d.request.Approvals),
	})
	event := access.Event{
		At: d.Now, Kind: access.GlassBroken, Outcome: access.Succeeded, Actor: d.may.Actor(d.request.Tenant),
		Tenant: d.request.Tenant, Request: d.request.ID,
		Details: map[string]string{"review": string(review.ID), "justification": engine.Clip(d.request.Justification)},
	}
	return d.locate(ctx, []access.Event{event})
}

// ReviewDetail is a debt of review and, where there is one, the request that left it.
type ReviewDetail struct {
	Review  access.Review
	Request *RequestDetail // nil where glass was broken offline
	Mine    bool           // the caller may close it
}

// Reviews lists the debts of review that the caller may see, newest first: their own, and those of requests that they
// may see.
func (e *Service) Reviews(ctx context.Context, c engine.Caller, f engine.ReviewFilter,
	p engine.Page,
) (list engine.Listed[ReviewDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RequestsRead},
		func(r engine.Reader, may engine.Rights) error {
			f.Tenant, f.Beside = c.Tenant, may.Beside()
			names := engine.NameCache{R: r}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[access.Review], error) { return r.Reviews(ctx, f, p) },
				func(v access.Review) (ReviewDetail, bool, error) { return describeReview(ctx, r, may, &names, v) })
			return err
		})
	return list, err
}

// describeReview gives a review with its request, and whether the caller may see it.
func describeReview(ctx context.Context, r engine.Reader, may engine.Rights, names *engine.NameCache,
	v access.Review,
) (ReviewDetail, bool, error) {
	shown, err := may.Border(r, v.Tenant).Review(ctx, v)
	if err != nil {
		return ReviewDetail{}, false, err
	}
	d := ReviewDetail{Review: shown}
	if v.Request == "" {
		d.Mine = v.ClosedAt.IsZero() && v.Person != may.Caller.Principal && may.MayOf(v.Tenant, rbac.RequestsDecide,
			access.Root)
		return d,
			v.Person == may.Caller.Principal && may.Caller.Bounds == nil || may.MayOf(v.Tenant, rbac.RequestsRead,
				access.Root) || d.Mine, nil
	}
	request, err := r.Request(ctx, v.Request)
	if err != nil {
		return d, false, fmt.Errorf("read request: %w", err)
	}
	d.Mine, err = mayReview(ctx, may, names, v, request)
	if err != nil {
		return d, false, err
	}
	seen, err := sees(ctx, may, names, request)
	if err != nil || !seen && !d.Mine {
		return d, false, err
	}
	whole, err := describeRequest(ctx, r, may, names, request)
	d.Request = &whole
	d.Mine = d.Mine && v.ClosedAt.IsZero()
	return d, true, err
}

// mayReview tells whether the caller may close a review: an approver of the request, or whoever may decide on all of
// its machines, and never the person.
func mayReview(ctx context.Context, may engine.Rights, names *engine.NameCache, v access.Review,
	request access.Request,
) (bool, error) {
	if v.Person == may.Caller.Principal || !may.IsHome(v.Tenant) || !may.Dir.IsPerson(may.Caller.Principal) {
		return false, nil
	}
	approver := isApprover(may.Dir, request, may.Caller.Principal)
	for _, item := range request.Items {
		m, err := names.Machine(ctx, item.Place().Machine)
		if err != nil {
			return false, err
		}
		if approver && may.Caller.Bounds.Cover(rbac.RequestsDecide, engine.ScopeOf(m)) {
			continue
		}
		if !may.May(rbac.RequestsDecide, engine.ScopeOf(m)) {
			return false, nil
		}
	}
	return true, nil
}

// CloseReview pays a debt of review, with a comment that says what was found. An approver does that, and never the
// person who broke the glass.
func (e *Service) CloseReview(ctx context.Context, c engine.Caller, id access.ReviewID,
	comment string,
) (d ReviewDetail, err error) {
	a := engine.Attempt{
		Kind: access.DecisionRefused, Action: rbac.RequestsDecide, All: true,
		Details: map[string]string{"review": string(id), "comment": comment},
	}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		unknown := access.Fault(access.KindNotFound, "unknownReview", "there is no review %q that you may see",
			engine.Clip(string(id)))
		v, err := tx.Review(ctx, id)
		if engine.IsKind(err, access.KindNotFound) {
			return unknown
		}
		if err != nil {
			return fmt.Errorf("read review: %w", err)
		}
		names := engine.NameCache{R: tx}
		was, seen, err := describeReview(ctx, tx, may, &names, v)
		switch {
		case err != nil:
			return err
		case !seen:
			return unknown
		}
		next, events, err := v.Close(may.Actor(v.Tenant), strings.TrimSpace(comment), may.Now)
		if err != nil {
			return err
		}
		if !was.Mine {
			return access.Fault(access.KindForbidden, "notAnApprover",
				"you cannot close this review: only approvers of the machine's policy can")
		}
		if err := tx.SaveReview(ctx, next, v.Revision); err != nil {
			return fmt.Errorf("save review: %w", err)
		}
		d, _, err = describeReview(ctx, tx, may, &names, next)
		if err != nil {
			return err
		}
		return tx.Append(ctx, events...)
	})
	return d, err
}
