package policy

import (
	"reflect"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Tallies is how deciding stands, one for each of a request's approvals.
type Tallies []Progress

// TalliesOf replays the decisions on each approval of a request, of those who may decide now; where who is nil, of all
// who could when they did. Decisions on what the request was before count no more.
func TalliesOf(request access.Request, who People, decisions []access.Decision, now time.Time) Tallies {
	out := make(Tallies, len(request.Approvals))
	for i, a := range request.Approvals {
		var counted []access.Decision
		for _, d := range decisions {
			if d.Case == i && d.Digest == request.Digest {
				counted = append(counted, d)
			}
		}
		out[i] = Tally(a.Case, request.Requester, who, request.CreatedAt, counted, now)
	}
	return out
}

// Outcome sums the approvals up: one that is denied denies, and all must be approved.
func (t Tallies) Outcome() Outcome {
	out := Approved
	for _, p := range t {
		switch p.Outcome {
		case Denied:
			return Denied
		case Waiting:
			out = Waiting
		case Approved:
		}
	}
	return out
}

// Until returns when the first of the waiting stages gives way; zero where none will.
func (t Tallies) Until() time.Time {
	var first time.Time
	for _, p := range t {
		if p.Outcome == Waiting && !p.Until.IsZero() && (first.IsZero() || p.Until.Before(first)) {
			first = p.Until
		}
	}
	return first
}

// RemindAt returns when to remind those of the waiting stages who have not decided: the first such instant after now,
// of a request that waits until pending; zero where there is none.
func (t Tallies) RemindAt(pending, now time.Time) time.Time {
	var first time.Time
	for _, p := range t {
		until := p.Until
		if until.IsZero() || pending.Before(until) {
			until = pending
		}
		at := access.ReminderOf(p.Since, until)
		if p.Outcome == Waiting && at.After(now) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// Begins reports whether a stage after the first begins at now.
func (t Tallies) Begins(now time.Time) bool {
	return slices.ContainsFunc(t, func(p Progress) bool {
		return p.Outcome == Waiting && p.Stage > 0 && p.Since.Equal(now)
	})
}

// Stricter returns the approvals that a request was made under, and those that are required now where they are others:
// whoever changes the settings of an eligibility, or lets the time pass, never loosens what is waiting.
func Stricter(was, now []access.Approval) []access.Approval {
	all := slices.Clone(was)
	for _, a := range now {
		asked := slices.ContainsFunc(was, func(b access.Approval) bool {
			return reflect.DeepEqual(a.Case,
				b.Case) && !slices.ContainsFunc(a.Items, func(i int) bool { return !slices.Contains(b.Items, i) })
		})
		if !asked {
			all = append(all, a)
		}
	}
	return all
}

// Gone returns the names of those who agreed to a request and may not any more.
func Gone(request access.Request, who People, decisions []access.Decision) []string {
	var names []string
	for _, d := range decisions {
		if !d.Approve || d.Digest != request.Digest || d.Case >= len(
			request.Approvals) || d.Stage >= len(request.Approvals[d.Case].Case.Stages) {
			continue
		}
		now := EligibleFor(request.Approvals[d.Case].Case.Stages[d.Stage], d.Person, request.Requester, who)
		if !slices.ContainsFunc(d.Quorums,
			func(q int) bool { return slices.Contains(now, q) }) && !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}
