package access

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// RequestState is where a request stands.
type RequestState string

// The states of a request. All but RequestPending are final.
const (
	RequestPending  RequestState = "pending"
	RequestApproved RequestState = "approved"
	RequestDenied   RequestState = "denied"
	RequestCanceled RequestState = "canceled"
	RequestTimedOut RequestState = "timedOut"
)

// Request is the ask: these targets, in this window, for this reason. They are all ports of machines, or all roles at
// one scope.
type Request struct {
	ID            RequestID
	Resource      ResourceID // under which a client of Azure's made it; empty where it has no name but its id
	Released      bool       // it is gone for clients of Azure's, and Resource may name another one
	Tags          map[string]string
	Tenant        TenantID
	Requester     PrincipalID
	RequesterName string // as it was when asked
	Address       netip.Addr
	Via           string
	Items         []Item
	Start         time.Time   // zero: at approval
	Windows       []time.Time // starts of a recurring request's windows, in order; empty: it has one
	Extends       GrantID     // it asks for a later end of this grant, not for a new one; it has one item then
	Moves         GrantID     // it asks for other sources in the place of this grant's; it has one item then
	BreakGlass    bool        // opened without approval in an emergency
	Justification string
	Ticket        string
	Approvals     []Approval // what the policies ask for, as they stood when it was asked; all must be met
	State         RequestState
	Reason        string // why it was denied or canceled
	CreatedAt     time.Time
	PendingUntil  time.Time // when it times out if nobody decides
	StageUntil    time.Time // when a stage of an approval gives way to the next; zero where none will
	RemindAt      time.Time // when whoever has not decided, and the requester, are reminded; zero where they are not
	DecidedAt     time.Time // zero while pending
	Digest        string    // of what an approver is shown; a decision names it
	Revision      int64
}

// Approval is what one case of a policy's rule asks of a request, and the items that it is asked for.
type Approval struct {
	Case  Case
	Items []int
}

// MaxWindows is how many windows a recurring request may have.
const MaxWindows = 400

// Item is one target of a request, and for how long. Exactly one of Duration and Until is set.
type Item struct {
	Target         Target
	PolicyRevision int64         // of the policy, or of the role's eligibility, that it was checked against
	Networks       []string      // names of networks that were asked for; the target's sources are what they stood for
	Duration       time.Duration // counted from the start
	Until          time.Time     // an absolute end, as Azure's clients send it
	SourceList     bool          // as in PortRule
}

// Place returns where the item would take effect; nowhere for the zero item.
func (it Item) Place() Place { return placeOf(it.Target) }

// Under returns the item as checked against what guards it now: a policy, where it asks for a port, at a revision of
// what that says of the machine, or a revision of the eligibility.
func (it Item) Under(policy PolicyID, revision int64) Item {
	it.Target, it.PolicyRevision = it.Target.under(policy), revision
	return it
}

// CarriesOn returns the grant that the request is about, to a later end or at other sources; empty where it asks for
// new ones.
func (r Request) CarriesOn() GrantID { return cmp.Or(r.Extends, r.Moves) }

// Window gives when the item would open and close if it were approved at now. A request without a start opens at
// approval; one with a start keeps it, and its end, though approved late.
func (r Request) Window(item Item, now time.Time) (start, end time.Time) {
	planned := now
	if !r.Start.IsZero() {
		planned = r.Start
	}
	start, end = planned, item.Until
	if end.IsZero() {
		end = planned.Add(item.Duration)
	}
	if start.Before(now) {
		start = now
	}
	return start, end
}

// AskedEnd returns the end up to which the request asked for what is like a target, from start on; zero where it asked
// for no such thing.
func (r Request) AskedEnd(t Target, start time.Time) (end time.Time) {
	for _, item := range r.Items {
		if !item.Target.Alike(t) {
			continue
		}
		asked := item.Until
		if asked.IsZero() {
			asked = start.Add(item.Duration)
		}
		if asked.After(end) {
			end = asked
		}
	}
	return end
}

// Span is a time from its start to its end, which is not part of it.
type Span struct{ Start, End time.Time }

// Spans returns when the item would open and close if it were approved at now: once, or for each window of a recurring
// request that has not passed.
func (r Request) Spans(item Item, now time.Time) []Span {
	var spans []Span
	for _, from := range r.starts() {
		once := r
		once.Start = from
		if start, end := once.Window(item, now); end.After(start) {
			spans = append(spans, Span{start, end})
		}
	}
	return spans
}

// NewRequest makes a pending request of r, whose identity, requester, items and texts the caller has filled in.
// wait is how long it may stay pending; 0 means DefaultPending.
func NewRequest(r Request, by Actor, wait time.Duration, now time.Time) (Request, []Event) {
	if wait <= 0 {
		wait = DefaultPending
	}
	r.State = RequestPending
	r.CreatedAt = now
	r.PendingUntil = now.Add(wait)
	r.Digest = r.digest()
	r.Revision = 1
	return r, []Event{r.event(RequestSubmitted, by, now)}
}

// Tagged gives the request other tags, all of them.
func (r Request) Tagged(by Actor, tags map[string]string, now time.Time) (Request, []Event) {
	r.Tags = maps.Clone(tags)
	r.Revision++
	e := r.event(RequestTagged, by, now)
	for key, value := range tags {
		e.Details["tag."+key] = value
	}
	return r, []Event{e}
}

// Release takes the name away by which a client of Azure's calls the request; a second time it changes nothing. It
// fails with a conflict while the request is pending, or one of its grants has not ended.
func (r Request) Release(by Actor, grants []Grant, now time.Time) (Request, []Event, error) {
	if r.State == RequestPending || slices.ContainsFunc(grants, func(g Grant) bool { return !g.State.Ended() }) {
		return r, nil, Fault(KindConflict, "requestNotOver",
			"request %s has not ended: cancel it, or end its grants, first", r.ID)
	}
	if r.Released {
		return r, nil, nil
	}
	r.Released = true
	r.Revision++
	e := r.event(RequestTagged, by, now)
	e.Details["released"] = string(r.Resource)
	return r, []Event{e}, nil
}

// Approve ends the wait with a yes and makes the grants, whose ids come from newID. It fails with a conflict where the
// request is not pending, where it has waited too long though nobody has marked it yet, or where the window of an item
// has passed meanwhile. A recurring request makes the grants of the windows that are still ahead. A request that
// extends a grant makes none: the caller extends that grant. until gives, for each item, when the right that it was
// asked by ends, zero where it does not: no grant outlasts that. nil: none ends.
func (r Request) Approve(by Actor, until []time.Time, newID func() GrantID,
	now time.Time,
) (Request, []Grant, []Event, error) {
	if r.State == RequestPending && !now.Before(r.PendingUntil) {
		return r, nil, nil,
			Fault(KindConflict, "requestTimedOut", "request %s timed out at %s without a decision; make a new request",
				r.ID, r.PendingUntil.UTC().Format(time.RFC3339))
	}
	next, err := r.move(RequestApproved, now)
	if err != nil {
		return r, nil, nil, err
	}
	events := []Event{next.event(RequestWasApproved, by, now)}
	if r.Extends != "" {
		return next, nil, events, nil
	}
	grants, err := r.grants(until, newID, now)
	if err != nil {
		return r, nil, nil, err
	}
	for _, g := range grants {
		events = append(events, g.event(GrantCreated, by, now))
	}
	return next, grants, events, nil
}

// grants makes one grant for each item, or for each item of each window that has not passed.
func (r Request) grants(until []time.Time, newID func() GrantID, now time.Time) ([]Grant, error) {
	var grants []Grant
	for _, from := range r.starts() {
		once := r
		once.Start = from
		for i, item := range r.Items {
			start, end := once.Window(item, now)
			if i < len(until) && !until[i].IsZero() && until[i].Before(end) {
				if end = until[i]; !end.After(start) {
					return nil, Fault(KindConflict, "rightEnds",
						"the role that allows this request ends at %s, before the access would begin",
						end.UTC().Format(time.RFC3339))
				}
			}
			if end.After(start) {
				grants = append(grants, newGrant(r, i, newID(), start, end, now))
				continue
			}
			if len(r.Windows) == 0 {
				e := Fault(KindConflict, "windowPassed", "the requested time has passed; make a new request")
				e.Reasons = []Reason{{
					Code: "windowPassed", Field: fmt.Sprintf("items[%d]", i),
					Message: "ended " + end.UTC().Format(time.RFC3339),
				}}
				return nil, e
			}
		}
	}
	if len(grants) == 0 {
		return nil, Fault(KindConflict, "windowPassed",
			"every requested window has passed; make a new request")
	}
	return grants, nil
}

// Decides reports whether people have to agree to item i: what is opened by breaking glass, nobody agreed to.
func (r Request) Decides(i int) bool {
	return !r.BreakGlass && slices.ContainsFunc(r.Approvals,
		func(a Approval) bool { return slices.Contains(a.Items, i) })
}

// starts gives the start of each window.
func (r Request) starts() []time.Time {
	if len(r.Windows) == 0 {
		return []time.Time{r.Start}
	}
	return r.Windows
}

// Deny ends the wait with a no.
func (r Request) Deny(by Actor, reason string, now time.Time) (Request, []Event, error) {
	return r.end(RequestDenied, RequestWasDenied, by, reason, now)
}

// Cancel takes a pending request back.
func (r Request) Cancel(by Actor, reason string, now time.Time) (Request, []Event, error) {
	return r.end(RequestCanceled, RequestWasCanceled, by, reason, now)
}

// TimeOut ends a request that nobody decided; it fails with a conflict before PendingUntil.
func (r Request) TimeOut(now time.Time) (Request, []Event, error) {
	if now.Before(r.PendingUntil) {
		return r, nil, Fault(KindConflict, "notDue", "request %s waits until %s", r.ID,
			r.PendingUntil.UTC().Format(time.RFC3339))
	}
	return r.end(RequestTimedOut, RequestDidTimeOut, System(), "nobody decided in time", now)
}

func (r Request) end(to RequestState, kind EventKind, by Actor,
	reason string, now time.Time,
) (Request, []Event, error) {
	next, err := r.move(to, now)
	if err != nil {
		return r, nil, err
	}
	next.Reason = reason
	event := next.event(kind, by, now)
	event.Details["reason"] = reason
	return next, []Event{event}, nil
}

func (r Request) move(to RequestState, now time.Time) (Request, error) {
	if r.State != RequestPending {
		return r, Fault(KindConflict, "requestNotPending", "request %s is %s already", r.ID, r.State)
	}
	r.State = to
	r.DecidedAt = now
	r.Revision++
	return r, nil
}

func (r Request) event(kind EventKind, by Actor, now time.Time) Event {
	e := Event{
		At: now, Kind: kind, Outcome: Succeeded, Actor: by, Tenant: r.Tenant, Request: r.ID,
		Details: map[string]string{"requester": r.RequesterName, "digest": r.Digest},
	}
	set(e.Details, "justification", r.Justification)
	set(e.Details, "ticket", r.Ticket)
	set(e.Details, "extends", string(r.Extends))
	set(e.Details, "moves", string(r.Moves))
	var short summary
	var first, last time.Time
	for i, it := range r.Items {
		start, end := r.Window(it, now)
		it.Target.sum(&short)
		if i == 0 || start.Before(first) {
			first = start
		}
		if end.After(last) {
			last = end
		}
		e.Details[fmt.Sprintf("item.%d",
			i)] = fmt.Sprintf("%s window %s/%s", it.Target.Text(), start.UTC().Format(time.RFC3339),
			end.UTC().Format(time.RFC3339))
	}
	e.Scope = short.scope
	if len(r.Items) > 0 { // all items in short, named as a grant's event names them
		set(e.Details, "ports", strings.Join(short.ports, ","))
		set(e.Details, "sources", strings.Join(short.sources, ","))
		set(e.Details, "role", strings.Join(short.roles, ","))
		set(e.Details, "start", first.UTC().Format(time.RFC3339Nano))
		set(e.Details, "end", last.UTC().Format(time.RFC3339Nano))
	}
	return e
}

// appendNew appends text unless it is there already.
func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
