package agent

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

// maxPendingDenied bounds the kinds of refused attempts that are kept while the server cannot be reached.
const maxPendingDenied = 5_000

// outbox holds what is still to be reported, coalesced: of each grant every status at most once, in the order in
// which they were last seen; counts added up; the last revision. It is used by several goroutines.
type outbox struct {
	wake chan struct{} // receives when there is something to send

	mu     sync.Mutex // protects what follows
	next   int64
	seen   map[seenKey]numbered
	denied map[deniedKey]uint64
	drift  []string
	epoch  string // of the server's states; observations of another one are left out
	// the last that was said to be in force, which after a restore of the server is less than the one before
	revision int64
}

type seenKey struct {
	grant  access.GrantID
	status access.GrantStatus
}

type numbered struct {
	number int64
	access.Observation
}

type deniedKey struct {
	machine  access.MachineID
	source   netip.Addr
	protocol access.Protocol
	port     uint16
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), seen: make(map[seenKey]numbered), denied: make(map[deniedKey]uint64)}
}

// add takes what has happened since the last call.
func (b *outbox) add(r access.Report) {
	b.mu.Lock()
	if r.Epoch == b.epoch {
		if r.Revision != 0 {
			b.revision = r.Revision
		}
		for _, o := range r.Observations {
			b.next++
			b.seen[seenKey{o.Grant, o.Status}] = numbered{b.next, o}
		}
	}
	b.addCounts(r)
	b.mu.Unlock()
	b.ring()
}

// putBack returns what could not be sent; what was added meanwhile is newer.
func (b *outbox) putBack(r access.Report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Epoch != b.epoch || r.Revision > b.revision { // it began over meanwhile
		r.Observations = nil
	}
	first := b.next + 1
	for _, n := range b.seen {
		first = min(first, n.number)
	}
	// Numbers begin high enough above zero: each returned observation had one below every number that was given since.
	for i, o := range slices.Backward(r.Observations) {
		key := seenKey{o.Grant, o.Status}
		if _, newer := b.seen[key]; !newer {
			b.seen[key] = numbered{first - int64(len(r.Observations)-i), o}
		}
	}
	b.addCounts(r)
}

// startOver drops what was seen of the grants of one epoch: what stands will be told anew. What happened on this host
// stays.
func (b *outbox) startOver(epoch string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch, b.revision = epoch, 0
	clear(b.seen)
}

func (b *outbox) addCounts(r access.Report) {
	for _, d := range r.Denied {
		key := deniedKey{d.Machine, d.Source, d.Protocol, d.Port}
		if _, known := b.denied[key]; known || len(b.denied) < maxPendingDenied {
			b.denied[key] += d.Count
		}
	}
	b.drift = append(b.drift, r.Drift...)
	if more := len(b.drift) - agentwire.MaxDrift; more > 0 {
		b.drift = slices.Delete(b.drift, 0, more) // the newest say more about what is wrong now
	}
}

// take removes as much as fits into one report. more tells whether something is left.
func (b *outbox) take() (r access.Report, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Epoch, r.Revision = b.epoch, b.revision
	pending := slices.SortedFunc(maps.Values(b.seen), func(x, y numbered) int {
		if x.number < y.number {
			return -1
		}
		return 1
	})
	for _, n := range pending[:min(len(pending), agentwire.MaxObservations)] {
		r.Observations = append(r.Observations, n.Observation)
		delete(b.seen, seenKey{n.Grant, n.Status})
	}
	for key, count := range b.denied {
		if len(r.Denied) == agentwire.MaxDenied {
			break
		}
		r.Denied = append(r.Denied,
			access.Denied{
				Machine: key.machine, Source: key.source, Protocol: key.protocol, Port: key.port,
				Count: count,
			})
		delete(b.denied, key)
	}
	r.Drift, b.drift = b.drift, nil
	return r, len(b.seen) > 0 || len(b.denied) > 0
}

// ring wakes the sender.
func (b *outbox) ring() {
	select {
	case b.wake <- struct{}{}:
	default: // it is going to look already
	}
}
