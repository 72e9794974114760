package enforce

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

const (
	maxDenied   = 1000 // groups of refused attempts in one report; more are dropped, as a flood would fill the memory
	maxDrift    = 100  // sentences on drift in one report
	maxReturned = 16   // undelivered reports that wait to be merged
	denyDelay   = time.Second
)

// attempt tells one group of refused attempts from another.
type attempt struct {
	machine  access.MachineID
	source   string
	protocol access.Protocol
	port     uint16
}

// pending is the report in the making.
type pending struct {
	news         bool // something besides refused attempts
	epoch        string
	revision     int64
	problem      string
	observations map[access.GrantID]access.Observation
	drift        []string
	denied       map[attempt]access.Denied
	deniedSince  time.Time
}

func newPending() pending {
	return pending{observations: make(map[access.GrantID]access.Observation), denied: make(map[attempt]access.Denied)}
}

func (p *pending) observe(o access.Observation) {
	p.observations[o.Grant] = o
	p.news = true
}

func (p *pending) state(epoch string, revision int64, problem string) {
	if p.epoch != epoch || p.revision != revision || p.problem != problem {
		p.epoch, p.revision, p.problem, p.news = epoch, revision, problem, true
	}
}

func (p *pending) drifted(words string) {
	if len(p.drift) < maxDrift && !slices.Contains(p.drift, words) {
		p.drift = append(p.drift, words)
		p.news = true
	}
}

func (p *pending) deny(d access.Denied, now time.Time) {
	key := attempt{machine: d.Machine, source: d.Source.String(), protocol: d.Protocol, port: d.Port}
	sum, known := p.denied[key]
	if !known && len(p.denied) >= maxDenied {
		return
	}
	if len(p.denied) == 0 {
		p.deniedSince = now
	}
	d.Count += sum.Count
	p.denied[key] = d
}

// merge takes a report back that was not delivered.
func (p *pending) merge(r access.Report, now time.Time) {
	for _, o := range r.Observations {
		if _, newer := p.observations[o.Grant]; !newer {
			p.observe(o)
		}
	}
	for _, words := range r.Drift {
		p.drifted(words)
	}
	for _, d := range r.Denied {
		p.deny(d, now)
	}
	p.news = true
}

// ready tells whether there is something to report. Refused attempts alone wait a moment for others of their group.
func (p *pending) ready(now time.Time) bool {
	return p.news || len(p.denied) > 0 && now.Sub(p.deniedSince) >= denyDelay
}

func (p *pending) report() access.Report {
	r := access.Report{Epoch: p.epoch, Revision: p.revision, Problem: p.problem, Drift: slices.Clone(p.drift)}
	r.Observations = slices.SortedFunc(maps.Values(p.observations),
		func(a, b access.Observation) int { return cmp.Compare(a.Grant, b.Grant) })
	r.Denied = slices.SortedFunc(maps.Values(p.denied), func(a, b access.Denied) int {
		return cmp.Or(cmp.Compare(a.Machine, b.Machine), a.Source.Compare(b.Source),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return r
}

// clear forgets what was reported; revision and problem stay, since they are states.
func (p *pending) clear() {
	p.news = false
	clear(p.observations)
	p.drift = nil
	clear(p.denied)
}
