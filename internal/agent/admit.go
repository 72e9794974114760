package agent

import (
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

// ends says when openings end by the server's own clock: exactly when they do, whatever is known of the way from there.
// It serves to tell an end that has moved from one that was only measured anew.
type ends struct {
	of     map[access.OpeningKey]time.Time
	server string // whose clock it is
	set    int    // how often that clock was seen to be set until then
}

// admit returns the desired state of a message that was sent when the server's clock showed server and ours sent, with
// ends that are certain on our clock, and when its openings end by the server's. It fails where the whole cannot be
// believed: it is for another agent, or breaks a limit. problems says what is left out of it, and why.
func admit(w agentwire.Desired, self Identity, server, sent time.Time) (
	d access.DesiredState, of map[access.OpeningKey]time.Time, problems []string, err error,
) {
	d, problems, err = agentwire.DecodeDesired(w, sent)
	switch {
	case err != nil:
		return d, nil, nil, err
	case d.Agent != self.Agent:
		return d, nil, nil, fmt.Errorf("the desired state is for agent %.80q, and this is %q", d.Agent, self.Agent)
	case d.Mode != self.Mode:
		return d, nil, nil, fmt.Errorf("the desired state is for mode %.80q, and this agent enrolled as %q", d.Mode,
			self.Mode)
	}
	of = make(map[access.OpeningKey]time.Time, len(d.Openings))
	for i, o := range d.Openings {
		of[o.OpeningKey] = server.Add(o.Until.Sub(sent))
		d.Openings[i].Until = surely(o.Until, sent)
	}
	return d, of, problems, nil
}

// same tells whether an opening ends when it did before. What remains is said in whole milliseconds, rounded down.
func (e ends) same(before ends, k access.OpeningKey) bool {
	now, is := e.of[k]
	was, was1 := before.of[k]
	return is && was1 && e.set == before.set && now.Sub(was).Abs() <= time.Millisecond
}

// surely gives the deadline of something that remains for a time: from now until then the clocks may run apart.
func surely(until, now time.Time) time.Time { return until.Add(-runApart(until.Sub(now))) }

// settle takes over the deadline that is held already where the end is the same one and was only measured anew, not
// much better than before or shortly before it, and where nobody knows and the new one is not earlier: the kernel need
// not be told of a few milliseconds, nor of a little of what clocks may run apart until the end. Both are bounds of the
// end that are not after it, so either may be held.
func settle(next, before access.DesiredState, now time.Time, same func(access.OpeningKey) bool) access.DesiredState {
	const tolerance, soon = 3 * time.Millisecond, time.Second
	held := make(map[access.OpeningKey]time.Time, len(before.Openings))
	for _, o := range before.Openings {
		held[o.OpeningKey] = o.Until
	}
	for i, o := range next.Openings {
		end, known := held[o.OpeningKey]
		left, later, again := o.Until.Sub(now), o.Until.Sub(end), same(o.OpeningKey)
		little := later < max(tolerance, runApart(left)/2)
		if known && (little && (later > 0 || again) || again && left < soon) {
			next.Openings[i].Until = end
		}
	}
	return next
}

// measuredAnew gives a state with the deadlines that a server's ends have by what is known of its clock now, where that
// is much better than before; ok is false where it is nowhere. low is the early bound of that clock.
func measuredAnew(d access.DesiredState, of map[access.OpeningKey]time.Time, low time.Duration,
	now time.Time,
) (next access.DesiredState, ok bool) {
	next = d
	next.Openings = slices.Clone(d.Openings)
	for i, o := range next.Openings {
		if end, known := of[o.OpeningKey]; known {
			next.Openings[i].Until = surely(end.Add(low), now)
		}
	}
	next = settle(next, d, now, func(access.OpeningKey) bool { return true })
	return next, !slices.EqualFunc(next.Openings, d.Openings,
		func(a, b access.Opening) bool { return a.Until.Equal(b.Until) })
}

// onlyClose gives what may be put in force while the agent must not open: of the openings that next asks for those
// that are held, each until the earlier of both ends. refused are the grants of which something is kept closed by that.
func onlyClose(next, holding access.DesiredState) (d access.DesiredState, refused []access.GrantID) {
	holds := make(map[access.OpeningKey]access.Opening, len(holding.Openings))
	for _, o := range holding.Openings {
		holds[o.OpeningKey] = o
	}
	d = next
	d.Openings = nil
	for _, o := range next.Openings {
		present, held := holds[o.OpeningKey]
		if !held {
			refused = append(refused, o.Grants...)
			continue
		}
		if present.Until.Before(o.Until) {
			o.Until = present.Until
		}
		d.Openings = append(d.Openings, o)
	}
	slices.Sort(refused)
	return d, slices.Compact(refused)
}
