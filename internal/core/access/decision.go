package access

import (
	"strconv"
	"time"
)

// Decide puts decisions of one person, one for each of the request's approvals that they count for, on a pending
// request. Its revision moves with them, so that of two decisions at one instant the later sees the earlier. It fails
// with a conflict where the request is not pending or has waited too long, and where what was shown is not what it is
// now; nobody decides their own request.
func (r Request) Decide(by Actor, decisions []Decision, now time.Time) (Request, []Event, error) {
	if len(decisions) == 0 {
		return r, nil, Fault(KindForbidden, "notAnApprover", "this is not yours to decide now")
	}
	d := decisions[0]
	switch {
	case r.State != RequestPending:
		return r, nil, Fault(KindConflict, "requestNotPending", "request %s is %s already", r.ID, r.State)
	case !now.Before(r.PendingUntil):
		return r, nil,
			Fault(KindConflict, "requestTimedOut",
				"request %s timed out at %s without a decision; make a new request",
				r.ID, r.PendingUntil.UTC().Format(time.RFC3339))
	case d.Person == r.Requester || by.ID != d.Person:
		return r, nil, Fault(KindForbidden, "ownRequest",
			"nobody can decide their own request, whatever their roles; ask another approver")
	case d.Digest != r.Digest:
		return r, nil, Fault(KindConflict, "requestChanged",
			"the request or its policy has changed since it was shown to you; look again, then decide")
	case len(d.Comment) > MaxText:
		return r, nil, Fault(KindInvalid, "commentTooLong", "the comment has %d bytes; %d are allowed", len(d.Comment),
			MaxText)
	}
	r.Revision++
	verb := "deny"
	if d.Approve {
		verb = "approve"
	}
	e := Event{
		At: now, Kind: DecisionMade, Outcome: Succeeded, Actor: by, Tenant: r.Tenant, Request: r.ID,
		Details: map[string]string{"requester": r.RequesterName, "decision": verb, "digest": d.Digest},
	}
	set(e.Details, "comment", d.Comment)
	for _, d := range decisions {
		e.Details["approval."+strconv.Itoa(d.Case)] = "stage " + strconv.Itoa(d.Stage+1)
	}
	return r, []Event{e}, nil
}

// Staged records until when the present stages wait; a zero instant says that no stage gives way. It gives no event.
func (r Request) Staged(until time.Time) Request {
	if !r.StageUntil.Equal(until) {
		r.StageUntil = until
		r.Revision++
	}
	return r
}

// neverReminded is the shortest wait of which somebody is reminded: of less, too little would be left to act on it.
const neverReminded = 4 * time.Minute

// ReminderOf gives when to remind of a wait: when three quarters of it are over; zero where it is too short.
func ReminderOf(since, until time.Time) time.Time {
	wait := until.Sub(since)
	if wait < neverReminded {
		return time.Time{}
	}
	return since.Add(wait / 4 * 3)
}

// RemindedAt records when to remind of the request the next time; a zero instant says never. It gives no event.
func (r Request) RemindedAt(next time.Time) Request {
	if !r.RemindAt.Equal(next) {
		r.RemindAt = next
		r.Revision++
	}
	return r
}

// Reminded gives the event that people were reminded.
func (r Request) Reminded(now time.Time) Event {
	e := r.event(RequestReminded, System(), now)
	e.Details = map[string]string{"requester": r.RequesterName, "digest": r.Digest}
	return e
}

// WaitsUntil gives when the wait of a pending request ends, in its present stages or altogether.
func (r Request) WaitsUntil() time.Time {
	if !r.StageUntil.IsZero() && r.StageUntil.Before(r.PendingUntil) {
		return r.StageUntil
	}
	return r.PendingUntil
}

// StageOver gives the event that a stage was not met in its time, and the next one decides.
func (r Request) StageOver(now time.Time) Event {
	e := r.event(RequestStageOver, System(), now)
	e.Details = map[string]string{"requester": r.RequesterName, "digest": r.Digest}
	return e
}

// Reframe puts a pending request under what guards it now: items differ from the present ones in the policy and its
// revision alone, and approvals are what these ask for. Where any of it is another one the digest changes, so whoever
// was shown the request before is refused, and decisions that were made before count no more.
func (r Request) Reframe(items []Item, approvals []Approval, now time.Time) (Request, []Event, error) {
	if r.State != RequestPending {
		return r, nil, Fault(KindConflict, "requestNotPending", "request %s is %s already", r.ID, r.State)
	}
	r.Items, r.Approvals = items, approvals
	before := r.Digest
	r.Digest = r.digest()
	r.Revision++
	e := r.event(RequestReframed, System(), now)
	e.Details["before"] = before
	return r, []Event{e}, nil
}

// Warning times: the holder is told so long before the end, and of short grants a tenth of their length; of those of
// under a minute never, since nobody could act on it.
const (
	warnBefore  = 10 * time.Minute
	warnShort   = 100 * time.Minute
	neverWarned = time.Minute
)

// WarnAt gives when its holder is to be told that it ends soon; zero where there is nothing to tell, or they were told.
func (g Grant) WarnAt() time.Time {
	length := g.End.Sub(g.Start)
	switch {
	case g.State.Ended() || !g.WarnedAt.IsZero() || length < neverWarned:
		return time.Time{}
	case length < warnShort:
		return g.End.Add(-length / 10)
	default:
		return g.End.Add(-warnBefore)
	}
}
