package access

import (
	"slices"
	"time"
)

// Predecessor is an agent that was replaced while something was open on its host. Its kernel ends that at the latest at
// Until; before, only it can say that it is gone.
type Predecessor struct {
	Agent AgentID
	Since time.Time // when it was replaced: it knows of no grant that was made later
	Until time.Time
}

// Leaving tells whether an agent that was replaced is still to be told that nothing may be open, and to be heard when
// it says so.
func (a Agent) Leaving(now time.Time) bool {
	return a.Revoked && a.Successor != "" && now.Before(a.HoldsUntil)
}

// Replace gives old as it is once next has taken its place, and next as it knows what old may hold: that ends when the
// last grant ends which has begun on its machine and was not seen gone.
func Replace(old, next Agent, lastEnd, now time.Time) (Agent, Agent) {
	old.Revoked, old.Successor, old.Problem = true, next.ID, "another agent took its place"
	old.HoldsUntil = time.Time{}
	if lastEnd.After(now) {
		old.HoldsUntil = lastEnd
	}
	next.Predecessors = slices.DeleteFunc(slices.Clone(old.Predecessors),
		func(p Predecessor) bool { return !now.Before(p.Until) })
	if !old.HoldsUntil.IsZero() {
		next.Predecessors = append(next.Predecessors, Predecessor{Agent: old.ID, Since: now, Until: old.HoldsUntil})
	}
	return old, next
}

// Released gives the agent without a predecessor that holds nothing any more, and without those whose time is over.
// changed tells whether there was one.
func (a Agent) Released(by AgentID, now time.Time) (next Agent, changed bool) {
	before := len(a.Predecessors)
	a.Predecessors = slices.DeleteFunc(slices.Clone(a.Predecessors),
		func(p Predecessor) bool { return p.Agent == by || !now.Before(p.Until) })
	return a, len(a.Predecessors) != before
}

// MayHold tells whether a predecessor of the agent may hold a grant open, whatever the agent itself sees.
func (a Agent) MayHold(g Grant, now time.Time) bool {
	return now.Before(g.End) && slices.ContainsFunc(a.Predecessors, func(p Predecessor) bool {
		return now.Before(p.Until) && !g.CreatedAt.After(p.Since)
	})
}

// Emptied gives what a replaced agent is to hold: what its successor guards stays guarded, and nothing is open.
func Emptied(old Agent, successor DesiredState) DesiredState {
	return DesiredState{
		Agent: old.ID, Epoch: old.Epoch, Revision: old.Revision, Mode: old.Mode, Machines: successor.Machines,
		Protected: successor.Protected, Trials: successor.Trials, Stream: old.Stream,
	}
}
