package access

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// GrantState is where a grant stands.
type GrantState string

// The states of a grant.
const (
	GrantScheduled  GrantState = "scheduled"  // its start lies ahead
	GrantOpening    GrantState = "opening"    // it should be in force; no enforcer has said so yet
	GrantActive     GrantState = "active"     // an enforcer reported it in force, or in part: see InPart
	GrantExpired    GrantState = "expired"    // its end came
	GrantRevoked    GrantState = "revoked"    // somebody ended it early
	GrantSuperseded GrantState = "superseded" // a later grant to the same principal covers it
	GrantFailed     GrantState = "failed"     // the enforcer said that it cannot put it in force: nothing of it is open
)

// grantMoves is the whole state machine: what may follow what.
var grantMoves = map[GrantState][]GrantState{ //nolint:gochecknoglobals // a constant table; Go has no constant maps
	GrantScheduled:  {GrantOpening, GrantExpired, GrantRevoked, GrantSuperseded},
	GrantOpening:    {GrantActive, GrantExpired, GrantRevoked, GrantSuperseded, GrantFailed},
	GrantActive:     {GrantOpening, GrantExpired, GrantRevoked, GrantSuperseded, GrantFailed},
	GrantFailed:     {GrantActive, GrantExpired, GrantRevoked, GrantSuperseded},
	GrantExpired:    nil,
	GrantRevoked:    nil,
	GrantSuperseded: nil,
}

// GrantMoves gives the states that may follow s, in a new slice.
func GrantMoves(s GrantState) []GrantState { return slices.Clone(grantMoves[s]) }

// NotEnded gives the states that are not final, in a new slice.
func NotEnded() []GrantState {
	return []GrantState{GrantScheduled, GrantOpening, GrantActive, GrantFailed}
}

// Ended tells whether s is final.
func (s GrantState) Ended() bool {
	return s == GrantExpired || s == GrantRevoked || s == GrantSuperseded
}

// Grant is the time-bounded right that an approved request creates, one for each target. That of a role is enforced by
// the role assignment that has its id.
type Grant struct {
	ID            GrantID
	Request       RequestID
	Tenant        TenantID
	Principal     PrincipalID
	PrincipalName string // as it was when asked
	Target        Target
	Start         time.Time
	End           time.Time
	Decided       bool      // people agreed to it: its window begins a chain
	Moved         GrantID   // the grant whose place it took at other sources; empty where it took none
	Since         time.Time // when the access began that it so carries on; zero where it carries on none
	State         GrantState
	Reason        string // why it ended or failed; of an active grant what of it is not in force, and why
	CreatedAt     time.Time
	OpenedAt      time.Time // when an enforcer first reported it in force; zero before
	EndedAt       time.Time // when it expired, was revoked or superseded; zero before
	ClosedAt      time.Time // when it was seen gone; zero before
	WarnedAt      time.Time // when its holder was told that it will end soon; zero before
	Packets       uint64    // counted by the kernel, as last reported
	Bytes         uint64
	Revision      int64
}

func newGrant(r Request, i int, id GrantID, start, end, now time.Time) Grant {
	item := r.Items[i]
	g := Grant{
		ID: id, Request: r.ID, Tenant: r.Tenant, Principal: r.Requester, PrincipalName: r.RequesterName,
		Target: item.Target.clone(), Start: start, End: end, Decided: r.Decides(i), State: GrantScheduled,
		CreatedAt: now, Revision: 1,
	}
	if !start.After(now) {
		g.State = GrantOpening
	}
	return g
}

// Settled puts the grant of a role in force, or sees it gone, at once: what enforces it is the check of rights itself,
// which reads what the transaction that saves the grant writes. The grant of a port stays as it is.
func (g Grant) Settled(now time.Time) (Grant, []Event, error) {
	switch {
	case !g.Target.settles():
		return g, nil, nil
	case g.State.Ended():
		return g.Closed(System(), now)
	case g.State == GrantOpening && g.Live(now):
		return g.Opened(System(), "", now)
	}
	return g, nil, nil
}

// Place returns where the grant takes effect; nowhere for the zero grant.
func (g Grant) Place() Place { return placeOf(g.Target) }

// From returns when the access began that limits are held against: a grant that was moved goes on counting from the
// first of them.
func (g Grant) From() time.Time {
	if g.Since.IsZero() {
		return g.Start
	}
	return g.Since
}

// Over returns when its window ends, or ended early.
func (g Grant) Over() time.Time {
	if g.State.Ended() {
		return g.EndedAt
	}
	return g.End
}

// Live tells whether the grant should be in force at now. What was approved for later is in force from when it began,
// and not from its start alone: whoever begins it looks first whether it would still be approved.
func (g Grant) Live(now time.Time) bool {
	return !g.State.Ended() && g.State != GrantScheduled && !now.Before(g.Start) && now.Before(g.End)
}

// Begin moves a scheduled grant to opening; it fails with a conflict before its start.
func (g Grant) Begin(now time.Time) (Grant, []Event, error) {
	if err := g.begun(now); err != nil {
		return g, nil, err
	}
	return g.move(GrantOpening, GrantBegan, System(), "", now)
}

// InPart reports whether only some of the openings that the grant is made of are in force; Reason says which are not.
func (g Grant) InPart() bool { return g.State == GrantActive && g.Reason != "" }

// Opened records that an enforcer has it in force, but for what missing says, which is empty where that is all of it;
// never of one that has not begun. Of an active grant it records that something else is missing now. It fails with a
// conflict outside its window: once the end has come, such a report is late and the grant has expired.
func (g Grant) Opened(by Actor, missing string, now time.Time) (Grant, []Event, error) {
	if err := g.due(now); err != nil {
		return g, nil, err
	}
	if g.State == GrantActive && g.Reason != missing {
		g.State = GrantOpening // the same move, seen again
	}
	next, events, err := g.move(GrantActive, GrantOpened, by, missing, now)
	if err == nil && next.OpenedAt.IsZero() {
		next.OpenedAt = now
	}
	return next, events, err
}

// Drifted records that an enforcer found it gone though it should be in force; it is opening again. It fails with a
// conflict outside its window.
func (g Grant) Drifted(by Actor, detail string, now time.Time) (Grant, []Event, error) {
	if err := g.due(now); err != nil {
		return g, nil, err
	}
	return g.move(GrantOpening, GrantDrifted, by, detail, now)
}

// Failed records that an enforcer cannot put it in force. It fails with a conflict outside its window.
func (g Grant) Failed(by Actor, detail string, now time.Time) (Grant, []Event, error) {
	if err := g.due(now); err != nil {
		return g, nil, err
	}
	return g.move(GrantFailed, GrantDidFail, by, detail, now)
}

// Expire ends it by time, at its end however late that was noticed; it fails with a conflict before its end.
func (g Grant) Expire(now time.Time) (Grant, []Event, error) {
	return g.expire(g.End, now)
}

// EarlyEnd is how long before its end by the server's clock an enforcer may say that the time of a grant is over. It
// counts from the earliest instant at which it can have been told what remains, and so ends early by up to a journey of
// the network.
const EarlyEnd = 5 * time.Second

// IsOver records that an enforcer which counts for itself saw it gone since its time is over, at most EarlyEnd before
// its end; it fails with a conflict before that.
func (g Grant) IsOver(now time.Time) (Grant, []Event, error) {
	return g.expire(g.End.Add(-EarlyEnd), now)
}

func (g Grant) expire(from, now time.Time) (Grant, []Event, error) {
	if now.Before(from) {
		return g, nil, Fault(KindConflict, "notDue", "grant %s ends at %s", g.ID, g.End.UTC().Format(time.RFC3339))
	}
	return g.move(GrantExpired, GrantDidExpire, System(), "its time was over", now)
}

// Revoke ends it early; it fails with a conflict once its end has come.
func (g Grant) Revoke(by Actor, reason string, now time.Time) (Grant, []Event, error) {
	if err := g.notOver(now); err != nil {
		return g, nil, err
	}
	return g.move(GrantRevoked, GrantWasRevoked, by, reason, now)
}

// Supersede ends it in favour of a later grant that covers it; it fails with a conflict once its end has come.
func (g Grant) Supersede(by Actor, later GrantID, now time.Time) (Grant, []Event, error) {
	if err := g.notOver(now); err != nil {
		return g, nil, err
	}
	return g.move(GrantSuperseded, GrantWasSuperseded, by, "covered by grant "+string(later), now)
}

// Extend gives the same grant a later end. It fails with a conflict where the grant has ended, and is invalid where
// end is not later than the present one.
func (g Grant) Extend(by Actor, end, now time.Time) (Grant, []Event, error) {
	if err := g.notOver(now); err != nil {
		return g, nil, err
	}
	if !end.After(g.End) {
		return g, nil, Fault(KindInvalid, "notLater", "grant %s ends at %s already; an extension must end later", g.ID,
			g.End.UTC().Format(time.RFC3339))
	}
	g.End = end
	g.WarnedAt = time.Time{}
	g.Revision++
	return g, []Event{g.event(GrantExtended, by, now)}, nil
}

// Warned records that its holder was told that it will end soon. An extension takes that back.
func (g Grant) Warned(now time.Time) (Grant, []Event, error) {
	if err := g.notOver(now); err != nil {
		return g, nil, err
	}
	if !g.WarnedAt.IsZero() {
		return g, nil, Fault(KindConflict, "grantState", "the holder of grant %s has been told already", g.ID)
	}
	g.WarnedAt = now
	g.Revision++
	return g, []Event{g.event(GrantWarned, System(), now)}, nil
}

// Closed records that an ended grant was seen gone. Seen again, it changes nothing and gives no event.
func (g Grant) Closed(by Actor, now time.Time) (Grant, []Event, error) {
	if !g.State.Ended() {
		return g, nil, Fault(KindConflict, "grantNotEnded", "grant %s is %s: it cannot be closed yet", g.ID, g.State)
	}
	if !g.ClosedAt.IsZero() {
		return g, nil, nil
	}
	g.ClosedAt = now
	g.Revision++
	return g, []Event{g.event(GrantClosed, by, now)}, nil
}

// Covers reports whether g leaves nothing of older to be kept: g is in force at now and ends no sooner, for the same
// principal and target.
func (g Grant) Covers(older Grant, now time.Time) bool {
	return g.ID != older.ID && g.Principal == older.Principal && g.Target.covers(older.Target) &&
		g.Live(now) && g.State != GrantFailed && !older.State.Ended() && !g.End.Before(older.End)
}

// sameSources tells whether a and b hold the same prefixes, in whatever order.
func sameSources(a, b []netip.Prefix) bool {
	within := func(a, b []netip.Prefix) bool {
		return !slices.ContainsFunc(a, func(p netip.Prefix) bool { return !slices.Contains(b, p) })
	}
	return within(a, b) && within(b, a)
}

// due fails with a conflict outside the grant's window.
func (g Grant) due(now time.Time) error {
	if err := g.begun(now); err != nil {
		return err
	}
	if g.State == GrantScheduled {
		return Fault(KindConflict, "notDue", "grant %s has not begun", g.ID)
	}
	return g.notOver(now)
}

// begun fails with a conflict before the grant's start.
func (g Grant) begun(now time.Time) error {
	if now.Before(g.Start) {
		return Fault(KindConflict, "notDue", "grant %s starts at %s", g.ID, g.Start.UTC().Format(time.RFC3339))
	}
	return nil
}

// notOver fails with a conflict where the grant has ended, or its end has come and nobody has marked it yet.
func (g Grant) notOver(now time.Time) error {
	if g.State.Ended() || !now.Before(g.End) {
		return Fault(KindConflict, "grantEnded", "grant %s has ended; make a new request", g.ID)
	}
	return nil
}

func (g Grant) move(to GrantState, kind EventKind, by Actor, reason string, now time.Time) (Grant, []Event, error) {
	if !slices.Contains(grantMoves[g.State], to) {
		return g, nil, Fault(KindConflict, "grantState", "grant %s is %s and cannot become %s", g.ID, g.State, to)
	}
	g.State = to
	g.Reason = reason
	g.Revision++
	if to.Ended() {
		g.EndedAt = now
		if now.After(g.End) {
			g.EndedAt = g.End
		}
	}
	event := g.event(kind, by, now)
	set(event.Details, "reason", reason)
	return g, []Event{event}, nil
}

func (g Grant) event(kind EventKind, by Actor, now time.Time) Event {
	e := Event{
		At: now, Kind: kind, Outcome: Succeeded, Actor: by, Tenant: g.Tenant, Request: g.Request, Grant: g.ID,
		Details: map[string]string{
			"principal": g.PrincipalName, "start": g.Start.UTC().Format(time.RFC3339Nano),
			"end": g.End.UTC().Format(time.RFC3339Nano),
		},
	}
	g.Target.record(&e, g.Principal)
	return e
}

func joinPrefixes(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

func set(m map[string]string, key, value string) {
	if value != "" {
		m[key] = value
	}
}
