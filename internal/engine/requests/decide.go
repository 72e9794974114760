package requests

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

// Decide approves or denies a request. Whoever is eligible in the present stage of one of its approvals may, whatever
// their roles, and never the requester. digest is that of the request as it was shown: where the request or a policy of
// it is not the same any more, nothing is decided and the error says to look again. The decisions of two approvers at
// one instant have one outcome, and both are on the activity log.
func (e *Service) Decide(ctx context.Context, c engine.Caller, id access.RequestID, approve bool,
	comment, digest string,
) (d RequestDetail, err error) {
	verb := "deny"
	if approve {
		verb = "approve"
	}
	a := engine.Attempt{
		Kind: access.DecisionRefused, Action: rbac.RequestsDecide, Request: id, All: true,
		Details: map[string]string{"decision": verb, "comment": comment, "shown": digest},
	}
	var later error // what is told once the transaction is kept
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		later = nil
		deciding, err := e.openDeciding(ctx, tx, may, id)
		if err != nil {
			return err
		}
		if later, err = deciding.reevaluate(ctx); err != nil {
			return err
		}
		if later == nil {
			if err := deciding.decide(ctx, approve, comment, digest); err != nil {
				return err
			}
		}
		if d, err = e.describeWhole(ctx, tx, may, &engine.NameCache{R: tx}, deciding.request); err != nil {
			return err
		}
		return deciding.Finish(ctx)
	})
	if err == nil && later != nil {
		return RequestDetail{}, e.kernel.Refused(ctx, c, a, later)
	}
	if err != nil {
		return RequestDetail{}, err
	}
	return d, nil
}

// deciding is one decision on its way.
type deciding struct {
	*engine.Work

	engine    *Service
	may       engine.Rights
	action    string // of the events
	was       int64  // the revision that is stored; 0 for a new request
	request   access.Request
	decisions []access.Decision
	approved  []access.Grant // what approving made
}

// openDeciding reads what a decision rests on, and refuses who cannot decide however the request stands.
func (e *Service) openDeciding(ctx context.Context, tx engine.Tx, may engine.Rights,
	id access.RequestID,
) (*deciding, error) {
	request, err := FindRequest(ctx, tx, may, id)
	if err != nil {
		return nil, err
	}
	d := &deciding{
		Work: e.kernel.NewWork(tx, may.Now), engine: e, may: may, action: rbac.RequestsDecide,
		was: request.Revision, request: request,
	}
	if request.Requester == may.Caller.Principal {
		return nil, access.Fault(access.KindForbidden, "ownRequest",
			"nobody can decide their own request, whatever their roles; ask another approver")
	}
	if !may.IsHome(request.Tenant) {
		return nil, access.Fault(access.KindForbidden, "guestsDecideNothing",
			"only people of its own tenant can decide this request, whatever roles a guest has there")
	}
	for _, item := range request.Items {
		m, err := d.Site(ctx, item.Target)
		if err != nil {
			return nil, err
		}
		if !may.Caller.Bounds.Cover(rbac.RequestsDecide, engine.ScopeOf(m)) {
			return nil, engine.OutOfBounds(rbac.RequestsDecide, engine.ScopeOf(m))
		}
	}
	if d.decisions, err = tx.Decisions(ctx, id); err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	if request.State != access.RequestPending {
		return nil, decidedAlready(request, d.decisions)
	}
	return d, d.notTakenBack(ctx)
}

// notTakenBack refuses what comes of a request that is just being canceled with everything that its requester asked
// for.
func (d *deciding) notTakenBack(ctx context.Context) error {
	recalls, err := d.Tx.Recalls(ctx)
	if err != nil {
		return fmt.Errorf("read recalls: %w", err)
	}
	for _, c := range recalls {
		if c.Principal == d.request.Requester && !c.Judge && !d.request.CreatedAt.After(c.At) {
			return access.Fault(access.KindConflict, "requestRecalled",
				"request %s is being canceled, with everything that %s requested: there is nothing left to decide",
				d.request.ID, d.request.RequesterName)
		}
	}
	return nil
}

// decidedAlready says how a request stands, and who decided last.
func decidedAlready(request access.Request, decisions []access.Decision) error {
	by := ""
	if n := len(decisions); n > 0 && (request.State == access.RequestApproved ||
		request.State == access.RequestDenied) {
		by = " by " + decisions[n-1].Name
	}
	return access.Fault(access.KindConflict, "requestNotPending",
		"request %s was %s%s already: there is nothing left to decide", request.ID, request.State, by)
}

// decide counts the caller's decision, and carries out what it leads to.
func (d *deciding) decide(ctx context.Context, approve bool, comment, digest string) error {
	if digest != d.request.Digest {
		return access.Fault(access.KindConflict, "requestChanged",
			"the request or its policy has changed since it was shown to you: look again, then decide")
	}
	made, err := d.eligible(approve, comment)
	if err != nil {
		return err
	}
	next, events, err := d.request.Decide(d.may.Actor(d.request.Tenant), made, d.Now)
	if err != nil {
		return err
	}
	for i, decision := range made {
		if err := d.Tx.AddDecision(ctx, len(d.decisions)+i, decision); err != nil {
			return fmt.Errorf("save decision: %w", err)
		}
	}
	d.request = next
	d.decisions = append(slices.Clone(d.decisions), made...)
	if err := d.locate(ctx, events); err != nil {
		return err
	}
	return d.advance(ctx, d.may.Actor(d.request.Tenant), comment)
}

// locate adds events about the whole request, with the machine where it is about one.
func (d *deciding) locate(ctx context.Context, events []access.Event) error {
	first := d.request.Items[0].Place().Machine // of roles none, and the scope is that of them all
	one := !slices.ContainsFunc(d.request.Items,
		func(it access.Item) bool { return it.Place().Machine != first })
	m, err := d.Site(ctx, d.request.Items[0].Target)
	if err != nil {
		return err
	}
	for i := range events {
		if one && events[i].Machine == "" {
			events[i].Machine, events[i].Scope, events[i].Agent = first, m.Resource, m.Agent
		}
		if events[i].Action == "" {
			events[i].Action = d.action
		}
	}
	d.Events = append(d.Events, events...)
	return nil
}

// eligible gives the caller's decision for each approval in whose present stage they may decide.
func (d *deciding) eligible(approve bool, comment string) ([]access.Decision, error) {
	c := d.may.Caller
	var made []access.Decision
	var before, elsewhere, stepUp bool
	for i, p := range policy.TalliesOf(d.request, engine.People{Dir: d.may.Dir}, d.decisions, d.Now) {
		if p.Outcome != policy.Waiting {
			continue
		}
		rule := d.request.Approvals[i].Case
		if slices.Contains(p.Decided, c.Principal) {
			before = true
			continue
		}
		quorums := policy.EligibleFor(rule.Stages[p.Stage], c.Principal, d.request.Requester,
			engine.People{Dir: d.may.Dir})
		if len(quorums) == 0 {
			elsewhere = elsewhere || isApprover(d.may.Dir, d.request, c.Principal)
			continue
		}
		stepUp = stepUp || rule.StepUp
		made = append(made, access.Decision{
			Request: d.request.ID, Person: c.Principal, Name: c.Name, Approve: approve, Comment: comment,
			Digest: d.request.Digest, At: d.Now,
			Quorums: quorums, Stage: p.Stage, Case: i, SteppedUp: c.SteppedUp(d.Now),
		})
	}
	switch {
	case len(made) == 0 && before:
		return nil, access.Fault(access.KindConflict, "alreadyDecided",
			"you have decided this request already; each person counts once")
	case len(made) == 0 && elsewhere:
		return nil, access.Fault(access.KindForbidden, "notThisStage",
			"this request is in another stage of its approval; yours may come later")
	case len(made) == 0:
		return nil, access.Fault(access.KindForbidden, "notAnApprover",
			"this request is not yours to decide: its policy names other people")
	case stepUp && !c.SteppedUp(d.Now):
		return nil, engine.StepUpRequired("deciding this request")
	}
	return made, nil
}

// advance carries out what the decisions amount to, and saves the request.
func (d *deciding) advance(ctx context.Context, by access.Actor, reason string) error {
	progress := policy.TalliesOf(d.request, engine.People{Dir: d.may.Dir}, d.decisions, d.Now)
	var events []access.Event
	var err error
	next := d.request
	switch progress.Outcome() {
	case policy.Denied:
		next, events, err = next.Deny(by, reason, d.Now)
	case policy.Approved:
		return d.approve(ctx, by)
	case policy.Waiting:
		next = next.Staged(progress.Until())
		if d.was == 0 || progress.Begins(d.Now) {
			next = next.RemindedAt(progress.RemindAt(next.PendingUntil, d.Now))
			d.Notify(engine.Notice{
				Kind: engine.NotifyNeedsDecision, Request: next,
				Recipients: DecidersOf(d.may.Dir, next, progress), Named: NamedNow(next, progress),
			})
		}
	}
	if err != nil {
		return err
	}
	if next.State != access.RequestPending {
		d.Notify(engine.Notice{
			Kind: engine.NotifyDecided, Request: next, By: by.Name, Actor: by.ID,
			Recipients: []access.PrincipalID{next.Requester},
		})
	}
	return d.save(ctx, next, events)
}

// approve makes the grants of a request that has all its approvals, or extends the grant that it asks to extend.
func (d *deciding) approve(ctx context.Context, by access.Actor) error {
	until, err := d.rightsEnd(ctx)
	if err != nil {
		return err
	}
	next, grants, events, err := d.request.Approve(by, until,
		func() access.GrantID { return access.GrantID(engine.NewID()) }, d.Now)
	if err != nil {
		return err
	}
	if err := d.save(ctx, next, nil); err != nil {
		return err
	}
	d.approved = grants
	d.Notify(engine.Notice{
		Kind: engine.NotifyDecided, Request: next, By: by.Name, Actor: by.ID,
		Recipients: []access.PrincipalID{next.Requester},
	})
	for i := range events {
		if events[i].Grant == "" {
			continue
		}
		events[i].Action = next.Items[0].Target.Action()
		if events[i].Machine == "" {
			continue // it says itself where
		}
		m, err := d.Machine(ctx, events[i].Machine)
		if err != nil {
			return err
		}
		events[i].Scope, events[i].Agent = m.Resource, m.Agent
	}
	if err := d.locate(ctx, events); err != nil {
		return err
	}
	switch {
	case next.Extends != "":
		return d.extendGrant(ctx, by)
	case next.Moves != "":
		if err := d.moveGrant(ctx, grants); err != nil {
			return err
		}
	}
	if err := makeGrants(ctx, d.Work, grants, nil, d.may.Actor(next.Tenant)); err != nil {
		return err
	}
	return d.engine.holdGrants(ctx, d.Tx, next, grants) // behind what they supersede
}

// rightsEnd returns, for each item, when the right of its requester to ask for it ends; zero where no end is set.
func (d *deciding) rightsEnd(ctx context.Context) ([]time.Time, error) {
	ends := make([]time.Time, len(d.request.Items))
	for i, item := range d.request.Items {
		var err error
		if ends[i], err = d.rightEnd(ctx, item.Target); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

// save writes the request over what was read, once or more in the transaction.
func (d *deciding) save(ctx context.Context, next access.Request, events []access.Event) error {
	if next.Revision != d.was {
		if err := d.Tx.SaveRequest(ctx, next, d.was); err != nil {
			return fmt.Errorf("save request: %w", err)
		}
		d.was = next.Revision
	}
	d.request = next
	return d.locate(ctx, events)
}

// NamedNow gives the groups and people whom the waiting stages name.
func NamedNow(request access.Request, progress []policy.Progress) []access.PrincipalID {
	var out []access.PrincipalID
	for i, p := range progress {
		if p.Outcome == policy.Waiting {
			out = append(out, engine.NamedIn(request.Approvals[i].Case.Stages[p.Stage])...)
		}
	}
	return out
}

// DecidersOf gives who is to be asked for a decision now: those of the waiting stages who have not decided yet.
func DecidersOf(dir *rbac.Directory, request access.Request, progress []policy.Progress) []access.PrincipalID {
	var out []access.PrincipalID
	for i, p := range progress {
		if p.Outcome != policy.Waiting {
			continue
		}
		stage := request.Approvals[i].Case.Stages[p.Stage]
		for _, person := range engine.Addressed(stage, request.Requester, engine.People{Dir: dir}) {
			if !slices.Contains(p.Decided, person) {
				out = append(out, person)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
