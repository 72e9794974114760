package agent

import (
	"slices"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// ends says when openings end by the server's own clock: exactly when they do, whatever is known of the way from there. It
// serves to tell an end that has moved from one that was only measured anew.
type ends struct {
	of     map[access.OpeningKey]time.Time
	server string // whose clock it is
	set    int    // how often that clock was seen to be set until then
}

func endsOf(d api.Desired, server time.Time) map[access.OpeningKey]time.Time {
	of := make(map[access.OpeningKey]time.Time, len(d.Openings))
	for _, w := range d.Openings {
		if o, err := openingFromWire(w, server); err == nil {
			of[o.OpeningKey] = o.Until
		}
	}
	return of
}

// same tells whether an opening ends when it did before. What remains is said in whole milliseconds, rounded down.
func (e ends) same(before ends, k access.OpeningKey) bool {
	now, is := e.of[k]
	was, was1 := before.of[k]
	return is && was1 && e.set == before.set && now.Sub(was).Abs() <= time.Millisecond
}

// surely gives the deadline of something that remains for a time: from now until then the clocks may run apart.
func surely(until, now time.Time) time.Time { return until.Add(-runApart(until.Sub(now))) }

// settle takes over the deadline that is held already where the end is the same one and was only measured anew, not much
// better than before or shortly before it, and where nobody knows and the new one is not earlier: the kernel need not be told
// of a few milliseconds, nor of a little of what clocks may run apart until the end. Both are bounds of the end that are not
// after it, so either may be held.
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

// measuredAnew gives a state with the deadlines that a server's ends have by what is known of its clock now, where that is
// much better than before; ok is false where it is nowhere. low is the early bound of that clock.
func measuredAnew(d access.DesiredState, of map[access.OpeningKey]time.Time, low time.Duration, now time.Time) (next access.DesiredState, ok bool) {
	next = d
	next.Openings = slices.Clone(d.Openings)
	for i, o := range next.Openings {
		if end, known := of[o.OpeningKey]; known {
			next.Openings[i].Until = surely(end.Add(low), now)
		}
	}
	next = settle(next, d, now, func(access.OpeningKey) bool { return true })
	return next, !slices.EqualFunc(next.Openings, d.Openings, func(a, b access.Opening) bool { return a.Until.Equal(b.Until) })
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
