package access

import (
	"slices"
	"time"
)

// Rule says which decisions approve a request: the first case that applies to it. A rule without cases approves by
// itself; one with cases of which none applies refuses.
type Rule struct {
	Cases []Case
}

// Automatic tells whether every request inside the policy's limits is approved at once.
func (r Rule) Automatic() bool { return len(r.Cases) == 0 }

// Depends reports whether which case applies to a request may differ from one moment to another: it depends on the
// time, on who asks or on the machine.
func (r Rule) Depends() bool {
	return slices.ContainsFunc(r.Cases, func(c Case) bool { return c.When != "" || !c.Hours.Always() })
}

// Without returns a rule in which no quorum names a principal. A quorum that named nobody else names nobody then, and
// is no rule that could be saved.
func (r Rule) Without(id PrincipalID) Rule {
	others := func(ids []PrincipalID) []PrincipalID {
		return slices.DeleteFunc(slices.Clone(ids), func(p PrincipalID) bool { return p == id })
	}
	quorums := func(all []Quorum) []Quorum {
		all = slices.Clone(all)
		for i := range all {
			all[i].Groups, all[i].People = others(all[i].Groups), others(all[i].People)
		}
		return all
	}
	r.Cases = slices.Clone(r.Cases)
	for i := range r.Cases {
		stages := slices.Clone(r.Cases[i].Stages)
		for k := range stages {
			stages[k].AllOf, stages[k].AnyOf = quorums(stages[k].AllOf), quorums(stages[k].AnyOf)
		}
		r.Cases[i].Stages = stages
	}
	return r
}

// Asks reports whether the rule may have people decide, or refuse.
func (r Rule) Asks() bool {
	return r.Depends() || slices.ContainsFunc(r.Cases, func(c Case) bool { return len(c.Stages) > 0 })
}

// Case is what a rule asks for where its condition and its hours hold.
type Case struct {
	Name   string  // for people: "office hours", "production"
	When   string  // a CEL expression over request, requester, machine, ticket and time; empty always holds
	Hours  Hours   // the zero hours always hold
	Stages []Stage // in order; none approves at once
	Denies int     // denies that end the request; 0 means 1
	StepUp bool    // requesting and deciding need a fresh sign-in with a passkey
}

// Hours is a weekly span of a time zone, such as Monday to Friday, 8:00 to 18:00.
type Hours struct {
	Zone string         // IANA name, such as Europe/Berlin
	Days []time.Weekday // none means every day
	From int            // minutes after midnight, inclusive
	To   int            // exclusive; not after From means over midnight, counted to the day it begins on
}

// Always tells whether h is the zero value, which holds at any time.
func (h Hours) Always() bool { return h.Zone == "" && len(h.Days) == 0 && h.From == 0 && h.To == 0 }

// Stage is met when every quorum of AllOf and, where there are any, one of AnyOf is met by distinct people: whoever
// counts for one quorum counts for no other.
type Stage struct {
	AllOf []Quorum
	AnyOf []Quorum
	// not met so long after it began, the next stage decides in its place; 0 waits. The last stage has none
	Timeout time.Duration
}

// Quorum asks for a number of distinct people.
type Quorum struct {
	Count  int
	Groups []PrincipalID // whoever is in one of them, directly or not
	People []PrincipalID
}

// Decision is one approver's approve or deny of a request.
type Decision struct {
	Request   RequestID
	Person    PrincipalID
	Name      string // as it was then
	Approve   bool
	Comment   string
	Digest    string // of what was shown; it must be the request's
	At        time.Time
	Quorums   []int // which quorums of the stage the person was eligible for then: AllOf first, AnyOf after
	Stage     int   // the stage that was being decided
	Case      int   // which of the request's approvals this counts for
	SteppedUp bool
}
