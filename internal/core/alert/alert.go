package alert

import (
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// ID names an alert; a UUID of version 7.
type ID string

// State is where an alert stands.
type State string

// The states of an alert.
const (
	Open         State = "open"
	Acknowledged State = "acknowledged" // somebody looks at it
	Closed       State = "closed"
)

const (
	maxEvidence = 100  // numbers of events that an alert keeps, the newest
	maxComment  = 4096 // bytes
)

// Subject is what an alert is about; most fields are empty.
type Subject struct {
	Scope     access.ResourceID // of the machine
	Machine   access.MachineID
	Agent     access.AgentID
	Principal access.PrincipalID
	Name      string // of the machine, agent or person, as it was
	Source    string // the address that attempts came from
}

// Alert is something that somebody should look at. There is one that is not closed for each tenant, rule and key at
// most: whatever happens meanwhile is added to it.
type Alert struct {
	ID        ID
	Tenant    access.TenantID
	Rule      RuleID
	Key       string // what its rule groups by
	State     State
	Severity  Severity
	Title     string
	Detail    string // what was seen, in words
	Subject   Subject
	Count     int64 // how much was seen, in the unit of the rule
	Base      int64 // what the severity counts from: ten times as much is one step worse
	Evidence  []int64
	FirstSeen time.Time
	LastSeen  time.Time
	ChangedBy string // who acknowledged or closed it; "postern" for itself
	Comment   string
	ClosedAt  time.Time // zero while it is not closed
	Revision  int64
}

// Change says what became of an alert, for those who are told.
type Change string

// The changes. More is nothing to tell anybody of.
const (
	More      Change = ""
	Raised    Change = "raised"
	Escalated Change = "escalated"
	WasClosed Change = "closed"
)

// Acknowledge says that somebody looks at it.
func (a Alert) Acknowledge(by access.Actor, comment string) (Alert, error) {
	switch {
	case a.State != Open:
		return a, access.Fault(access.KindConflict, "alertState", "this alert is %s already", a.State)
	case len(comment) > maxComment:
		return a, access.Fault(access.KindInvalid, "commentTooLong", "the comment has %d bytes; %d are allowed",
			len(comment), maxComment)
	}
	a.State, a.ChangedBy, a.Comment = Acknowledged, by.Name, comment
	a.Revision++
	return a, nil
}

// Close ends it: by a person, or by Postern itself when its cause is gone.
func (a Alert) Close(by access.Actor, comment string, now time.Time) (Alert, error) {
	switch {
	case a.State == Closed:
		return a, access.Fault(access.KindConflict, "alertState", "this alert is closed already")
	case len(comment) > maxComment:
		return a, access.Fault(access.KindInvalid, "commentTooLong", "the comment has %d bytes; %d are allowed",
			len(comment), maxComment)
	}
	a.State, a.ChangedBy, a.ClosedAt = Closed, by.Name, now
	if comment != "" {
		a.Comment = comment
	}
	a.Revision++
	return a, nil
}

// Idle tells whether nothing new came for so long that the alert closes by itself.
func (a Alert) Idle(r Rule, now time.Time) bool {
	return a.State != Closed && !r.State && r.Quiet > 0 && now.Sub(a.LastSeen) >= r.Quiet
}

// base is what ten times as much is worse than. Of the rules that learn, the threshold counts something else.
func (r Rule) base() int64 {
	if r.ID == UnusualHour || r.ID == NewNetwork {
		return 1
	}
	return max(int64(r.Threshold), 1)
}

// level is how many steps an alert is above its rule's severity: one for each factor of ten over the threshold.
func level(count, base int64) int {
	steps := 0
	for limit := max(base, 1) * 10; count >= limit && steps < len(Severities()); limit *= 10 {
		steps++
	}
	return steps
}

// Finding is what a rule saw: enough for an alert.
type Finding struct {
	Key      string
	Subject  Subject
	Detail   string
	Count    int64 // in all where it raises an alert or is of a state, else in addition
	Evidence []int64
	At       time.Time
}

// Raise opens an alert for what r found, or adds it to the one that is not closed, a; the zero a stands for none. A
// finding of a state says all that is so; others add up.
func (r Rule) Raise(a Alert, tenant access.TenantID, f Finding, newID func() ID) (Alert, Change) {
	if a.ID == "" {
		a = Alert{
			ID: newID(), Tenant: tenant, Rule: r.ID, Key: f.Key, State: Open, Severity: r.Severity, Title: r.Title,
			Subject: f.Subject, Detail: f.Detail, Count: f.Count, Base: r.base(), FirstSeen: f.At, LastSeen: f.At,
			Revision: 1,
		}
		a.Severity = r.Severity.worse(level(a.Count, a.Base))
		a.Evidence = evidence(nil, f.Evidence)
		return a, Raised
	}
	grown := a.Count + f.Count
	if r.State {
		grown = f.Count
	}
	more := evidence(a.Evidence, f.Evidence)
	if r.State && grown == a.Count && a.Detail == f.Detail && slices.Equal(more, a.Evidence) {
		return a, More // the same as before: nothing to save
	}
	was := a.Severity
	a.Count, a.Detail, a.Evidence = grown, f.Detail, more
	if f.At.After(a.LastSeen) {
		a.LastSeen = f.At
	}
	if worse := r.Severity.worse(level(a.Count,
		a.Base)); slices.Index(Severities(), worse) > slices.Index(Severities(), was) {
		a.Severity = worse
	}
	a.Revision++
	if a.Severity != was {
		return a, Escalated
	}
	return a, More
}

// evidence adds numbers of events, each once, and keeps the newest.
func evidence(known, more []int64) []int64 {
	all := append(slices.Clone(known), more...)
	slices.Sort(all)
	all = slices.Compact(all)
	return all[max(0, len(all)-maxEvidence):]
}
