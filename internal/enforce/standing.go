package enforce

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// standing is how one grant stands, as far as the loop knows.
type standing struct {
	parts  []part // its openings as last desired
	listed bool   // it is part of an opening that is desired
	status access.GrantStatus
	detail string
	told   bool // status and counters are reported
}

// part is one opening of a grant, with what it has counted.
type part struct {
	key     access.OpeningKey
	packets uint64
	bytes   uint64
}

func (g *standing) observation(id access.GrantID) access.Observation {
	o := access.Observation{Grant: id, Status: g.status, Detail: g.detail}
	for _, p := range g.parts {
		o.Packets += p.packets
		o.Bytes += p.bytes
	}
	return o
}

func (g *standing) become(status access.GrantStatus, detail string) {
	if g.status != status || g.detail != detail {
		g.status, g.detail, g.told = status, detail, false
	}
}

// note takes in a new desired state: which grant is part of which openings.
func (w *work) note(next *access.DesiredState) {
	var before []access.Opening
	if w.desired != nil {
		before = w.desired.Openings
	}
	gone, came, sorted := Changes(before, next.Openings)
	next.Openings = sorted
	for _, key := range gone {
		w.touch(key) // until the next Apply it is still open, and counts for its owners
	}
	for i := range came {
		w.list(&came[i])
	}
	w.desired = next
	for _, id := range next.Ended {
		g := w.grants[id]
		if g == nil {
			// Of a life before ours: we do not know what it was made of, so nothing may be there that nobody granted.
			g = &standing{}
			w.grants[id] = g
			w.all = true
		}
		g.told = false
		w.touched[id] = struct{}{}
	}
}

// list makes the grants of an opening that is desired know it, and those that it has lost be judged.
func (w *work) list(o *access.Opening) {
	w.touch(o.OpeningKey)
	w.owners[o.OpeningKey] = o.Grants
	for _, id := range o.Grants {
		g := w.grants[id]
		if g == nil {
			g = &standing{}
			w.grants[id] = g
		}
		if !slices.ContainsFunc(g.parts, func(p part) bool { return p.key == o.OpeningKey }) {
			g.parts = append(g.parts, part{key: o.OpeningKey})
		}
		g.listed = true
		w.touched[id] = struct{}{}
	}
}

func (w *work) touch(key access.OpeningKey) {
	for _, id := range w.owners[key] {
		w.touched[id] = struct{}{}
	}
}

// counts notes what an opening has counted, for each of its grants. Counters begin again when somebody else deleted
// the element, so they never go back here.
func (w *work) counts(h Held) {
	for _, id := range w.owners[h.Key] {
		g := w.grants[id]
		if g == nil {
			continue
		}
		for i := range g.parts {
			if p := &g.parts[i]; p.key == h.Key && (h.Packets > p.packets || h.Bytes > p.bytes) {
				p.packets, p.bytes = max(p.packets, h.Packets), max(p.bytes, h.Bytes)
				g.told = false
			}
		}
		w.touched[id] = struct{}{}
	}
}

// lost reports that an opening was gone too soon.
func (w *work) lost(key access.OpeningKey, detail string) {
	for _, id := range w.owners[key] {
		if g := w.grants[id]; g != nil && g.status == access.StatusOpen {
			g.become(access.StatusDrifted, detail)
			w.tell(id, g)
		}
	}
}

// fail reports what could not be opened. What is open stays open, and a grant of which anything is was not refused: it
// is open in part. Of what was written and not seen since nothing is said, for nobody knows.
func (w *work) fail(detail string) {
	if w.unseen {
		return
	}
	for id, g := range w.grants {
		if !g.listed || g.status != "" && g.status != access.StatusFailed && g.status != access.StatusDrifted {
			continue
		}
		open, missing := false, make(map[access.OpeningKey]string)
		for _, p := range g.parts {
			switch {
			case !w.isPart(id, p.key):
			case w.isHeld(p.key):
				open = true
			default:
				missing[p.key] = detail
			}
		}
		if open {
			g.become(access.StatusOpen, inWords(missing))
		} else {
			g.become(access.StatusFailed, detail)
		}
		w.tell(id, g)
	}
}

func (w *work) tell(id access.GrantID, g *standing) {
	if !g.told && g.status != "" {
		w.pending.observe(g.observation(id))
		g.told = true
	}
}

// judge derives how the touched grants stand from what was seen. It is called when what is desired is in force.
func (w *work) judge(now time.Time) {
	for id := range w.touched {
		g := w.grants[id]
		if g == nil {
			continue
		}
		g.listed = slices.ContainsFunc(g.parts, func(p part) bool { return w.isPart(id, p.key) })
		if !g.listed {
			g.become(access.StatusClosed, "")
			w.tell(id, g)
			w.forget(id, g)
			continue
		}
		g.become(w.statusOf(g, now))
		w.tell(id, g)
	}
	clear(w.touched)
}

// isPart tells whether a grant is behind a desired opening.
func (w *work) isPart(id access.GrantID, key access.OpeningKey) bool {
	o := w.opening(key)
	return o != nil && slices.Contains(o.Grants, id)
}

// opening finds a desired opening.
func (w *work) opening(key access.OpeningKey) *access.Opening {
	i, ok := slices.BinarySearchFunc(w.desired.Openings, key,
		func(o access.Opening, key access.OpeningKey) int { return CompareKeys(o.OpeningKey, key) })
	if !ok {
		return nil
	}
	return &w.desired.Openings[i]
}

// statusOf says how a grant stands that is part of openings.
func (w *work) statusOf(g *standing, now time.Time) (access.GrantStatus, string) {
	var open, missing, lost, over bool
	refused := make(map[access.OpeningKey]string)
	for _, p := range g.parts {
		o := w.opening(p.key)
		if o == nil {
			continue // it has lost this one
		}
		if why, cannot := w.refused[p.key]; cannot && o.Until.After(now) {
			refused[p.key] = why
			continue
		}
		switch _, due := w.ends[p.key]; {
		case due && !w.isHeld(p.key):
			missing = true
		case due:
			open = true
		case o.Until.After(now):
			lost = true
		default:
			over = true
		}
	}
	switch {
	case missing:
		return g.status, g.detail
	case lost:
		return access.StatusDrifted, "closed, because the server was not heard of for too long"
	case open:
		return access.StatusOpen, inWords(refused)
	case len(refused) > 0:
		return access.StatusFailed, slices.Sorted(maps.Values(refused))[0]
	case over:
		return access.StatusClosed, ""
	}
	return access.StatusOpen, ""
}

// maxNamed is how many openings a sentence about missing ones names.
const maxNamed = 3

// inWords says which openings are missing, and why; it is empty where none is.
func inWords(missing map[access.OpeningKey]string) string {
	var words []string
	for i, key := range slices.SortedFunc(maps.Keys(missing), CompareKeys) {
		if i == maxNamed {
			words = append(words, fmt.Sprintf("and %d more", len(missing)-maxNamed))
			break
		}
		words = append(words, fmt.Sprintf("from %s to %s/%s: %s", key.Source, key.Ports, key.Protocol, missing[key]))
	}
	if len(words) == 0 {
		return ""
	}
	return "not in force " + strings.Join(words, "; ")
}

// forget drops a grant that was reported closed, and the keys that nobody else has.
func (w *work) forget(id access.GrantID, g *standing) {
	delete(w.grants, id)
	for _, p := range g.parts {
		if w.opening(p.key) == nil {
			delete(w.owners, p.key)
		}
	}
}
