package policy

import (
	"maps"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Outcome says where the deciding of a request stands.
type Outcome string

// The outcomes of a tally.
const (
	Waiting  Outcome = "waiting"
	Approved Outcome = "approved"
	Denied   Outcome = "denied"
)

// Progress is what the decisions made so far amount to.
type Progress struct {
	Outcome Outcome
	Stage   int                  // the stage that decides now; the number of stages once approved
	Since   time.Time            // when that stage began
	Until   time.Time            // when the next stage takes over; zero when none will
	Counted []access.PrincipalID // whose approvals count in this stage, in the order they came
	Open    []access.Quorum      // quorums of this stage that are not met yet, with the count still wanted
	// whose decision counts, in whatever stage: they do not decide again; in the order of their ids
	Decided []access.PrincipalID
}

// Tally replays the decisions on a case, in the order they were made. A person counts once in all, however many groups
// they are in, and the requester never; what is surplus changes nothing. A decision counts while whoever made it may
// decide: in the quorums for which they were eligible then and still are. Where who is nil, everybody still is. A stage
// that was not met in its time gives way to the next, and takes its approvals with it: whoever gave one may decide in a
// later stage. A deny counts whoever of the stage's people gives it, and stays.
func Tally(c access.Case, requester access.PrincipalID, who People, began time.Time, decisions []access.Decision,
	now time.Time,
) Progress {
	t := tally{
		stages: c.Stages, decided: map[access.PrincipalID]bool{},
		progress: Progress{Outcome: Waiting, Since: began},
	}
	needed := max(1, c.Denies)
	denies := 0
	t.settle(began)
	for _, d := range decisions {
		t.settle(d.At)
		if t.progress.Outcome != Waiting {
			break
		}
		if t.decided[d.Person] || d.Stage != t.progress.Stage {
			continue
		}
		if d.Quorums = still(d, t.stages[d.Stage], requester, who); len(d.Quorums) == 0 {
			continue
		}
		t.decided[d.Person] = true
		if !d.Approve {
			if denies++; denies >= needed {
				t.progress.Outcome = Denied
			}
			continue
		}
		t.approvals = append(t.approvals, d)
		if wanting(t.stages[t.progress.Stage], t.approvals) == nil {
			t.next(d.At)
		}
	}
	t.settle(now)
	return t.finish()
}

// still gives the quorums for which whoever made a decision was eligible when they did, and is now; none for the
// requester.
func still(d access.Decision, s access.Stage, requester access.PrincipalID, who People) []int {
	if who == nil && d.Person != requester {
		return d.Quorums
	}
	if who == nil {
		return nil
	}
	now := EligibleFor(s, d.Person, requester, who)
	return slices.DeleteFunc(now, func(q int) bool { return !slices.Contains(d.Quorums, q) })
}

type tally struct {
	stages    []access.Stage
	approvals []access.Decision // that count in the present stage
	decided   map[access.PrincipalID]bool
	progress  Progress
}

// settle lets the stages whose time is over by at give way, and ends the replay after the last stage.
func (t *tally) settle(at time.Time) {
	for t.progress.Outcome == Waiting {
		if t.progress.Stage >= len(t.stages) {
			t.progress.Outcome = Approved
			return
		}
		ends := t.ends()
		if ends.IsZero() || ends.After(at) {
			return
		}
		for _, d := range t.approvals {
			delete(t.decided, d.Person)
		}
		t.next(ends)
	}
}

// ends gives when the present stage gives way; zero when it waits.
func (t *tally) ends() time.Time {
	s := t.stages[t.progress.Stage]
	if s.Timeout <= 0 || t.progress.Stage == len(t.stages)-1 {
		return time.Time{}
	}
	return t.progress.Since.Add(s.Timeout)
}

func (t *tally) next(at time.Time) {
	t.progress.Stage++
	t.progress.Since = at
	t.approvals = nil
	if t.progress.Stage >= len(t.stages) {
		t.progress.Outcome = Approved
	}
}

func (t *tally) finish() Progress {
	t.progress.Decided = slices.Sorted(maps.Keys(t.decided))
	if t.progress.Outcome == Waiting {
		t.progress.Until = t.ends()
		t.progress.Open = wanting(t.stages[t.progress.Stage], t.approvals)
		for _, d := range t.approvals {
			t.progress.Counted = append(t.progress.Counted, d.Person)
		}
	}
	return t.progress
}

// wanting gives the quorums of s that the approvals do not meet yet, each with the count still wanted; nil once the
// stage is met. Of AnyOf it gives all, while none is met.
func wanting(s access.Stage, approvals []access.Decision) []access.Quorum {
	eligible := make([][]int, len(approvals))
	for i, d := range approvals {
		eligible[i] = d.Quorums
	}
	if len(s.AnyOf) == 0 {
		return short(s.AllOf, assign(s.AllOf, nil, eligible))
	}
	for i := range s.AnyOf {
		chosen := len(s.AllOf) + i
		if short(append(slices.Clone(s.AllOf), s.AnyOf[i]),
			assign(s.AllOf, map[int]access.Quorum{chosen: s.AnyOf[i]}, eligible)) == nil {
			return nil
		}
	}
	open := short(s.AllOf, assign(s.AllOf, nil, eligible))
	return append(open, s.AnyOf...)
}

// short gives the quorums whose filled count is below what they ask for, with the difference as count.
func short(quorums []access.Quorum, filled []int) []access.Quorum {
	var open []access.Quorum
	for i, q := range quorums {
		if missing := q.Count - filled[i]; missing > 0 {
			q.Count = missing
			open = append(open, q)
		}
	}
	return open
}

// assign gives each person at most one place in the quorums all and, by its index, extra, so that as many places as
// possible are filled (Kuhn's augmenting paths). It gives the number filled, for each of all and then extra.
func assign(all []access.Quorum, extra map[int]access.Quorum, eligible [][]int) []int {
	places := make([]place, 0, len(all)+len(extra))
	for i, q := range all {
		places = append(places, place{quorum: i, size: q.Count})
	}
	for i, q := range extra {
		places = append(places, place{quorum: i, size: q.Count})
	}
	for person := range eligible {
		seat(places, eligible, person, make([]bool, len(places)))
	}
	filled := make([]int, len(places))
	for i, p := range places {
		filled[i] = len(p.people)
	}
	return filled
}

// place is a quorum being filled: which one, how many it takes, and who sits in it.
type place struct {
	quorum int
	size   int
	people []int
}

// seat finds person a place, moving others on where that makes room, and tells whether it could.
func seat(places []place, eligible [][]int, person int, tried []bool) bool {
	for i := range places {
		p := &places[i]
		if tried[i] || p.size <= 0 || !slices.Contains(eligible[person], p.quorum) {
			continue
		}
		tried[i] = true
		if len(p.people) < p.size {
			p.people = append(p.people, person)
			return true
		}
		for k, other := range p.people {
			if seat(places, eligible, other, tried) {
				p.people[k] = person
				return true
			}
		}
	}
	return false
}
