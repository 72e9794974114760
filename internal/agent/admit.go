package agent

import (
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// settle takes over the deadline that is held already where a new one differs from it by less than half a second and
// is not earlier: what remains is measured anew with each message, and the kernel need not be told of a few milliseconds.
func settle(next, before access.DesiredState) access.DesiredState {
	const tolerance = 500 * time.Millisecond
	ends := make(map[access.OpeningKey]time.Time, len(before.Openings))
	for _, o := range before.Openings {
		ends[o.OpeningKey] = o.Until
	}
	for i, o := range next.Openings {
		end, known := ends[o.OpeningKey]
		if later := o.Until.Sub(end); known && later > 0 && later < tolerance {
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
