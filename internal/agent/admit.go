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
	of  map[access.OpeningKey]time.Time
	set int // how often that clock was seen to be set until then
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

// settle takes over the deadline that is held already where the end is the same one and was only measured anew, not much
// better than before, and where nobody knows and the new one is not earlier: the kernel need not be told of a few
// milliseconds. Both are bounds of the end that are not after it, so either may be held.
func settle(next, before access.DesiredState, same func(access.OpeningKey) bool) access.DesiredState {
	const tolerance = 10 * time.Millisecond
	held := make(map[access.OpeningKey]time.Time, len(before.Openings))
	for _, o := range before.Openings {
		held[o.OpeningKey] = o.Until
	}
	for i, o := range next.Openings {
		end, known := held[o.OpeningKey]
		if later := o.Until.Sub(end); known && later < tolerance && (later > 0 || same(o.OpeningKey)) {
			next.Openings[i].Until = end
		}
	}
	return next
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
