package agent

import (
	"sync"
	"time"
)

const (
	maxLag  = 30 * time.Second // beyond it a message was held up for so long that a new connection is better
	drift   = 200              // parts of a million by which two clocks may run apart, one being adjusted
	rounded = 2 * time.Microsecond
	servers = 8 // whose clocks are remembered
)

// bounds holds between what two values the offset of our boot-time clock to one server's wall clock lies. Whatever a
// server says at an instant of its own was said after we asked and before it arrived:
//
//	asked ≤ said ≤ arrived, so asked - said ≤ offset ≤ arrived - said
//
// Each exchange narrows both sides; each message, the upper one. Without news they widen, since clocks run apart. What
// a server sends counts as sent at the early bound: never after it really was, however long it was on its way, and
// before it by no more than the fastest exchange and what the clocks ran apart since.
type bounds struct {
	known     bool
	low, high time.Duration // our boot-time clock less the server's wall clock
	at        time.Time     // on our boot-time clock: when they were right
	set       int           // how often the server's clock was seen to be set
}

// age widens the bounds up to now.
func (b *bounds) age(now time.Time) {
	apart := runApart(now.Sub(b.at))
	b.low, b.high, b.at = b.low-apart, b.high+apart, now
}

// runApart gives how far two clocks may run apart in a time.
func runApart(d time.Duration) time.Duration { return (max(d, 0)/1e6 + 1) * drift }

// exchanged takes in an answer that the server began to make at an instant of its own clock, between two of ours. Where
// that contradicts what was known, the server's clock was set, and what was known counts no longer.
func (b *bounds) exchanged(asked, server, arrived time.Time) {
	apart := rounded + runApart(arrived.Sub(asked))
	low, high := asked.Sub(server)-apart, arrived.Sub(server)+apart
	if b.known {
		b.age(arrived)
		if low > b.high || high < b.low {
			b.known = false
			b.set++
		}
	}
	if !b.known {
		b.known, b.low, b.high, b.at = true, low, high, arrived
		return
	}
	b.low, b.high = max(b.low, low), min(b.high, high)
}

// heard takes in a message and gives the latest instant at which it was sent for certain not later. ok is false where
// nothing is known, or the message contradicts it: the server's clock was set.
func (b *bounds) heard(server, arrived time.Time) (sent time.Time, ok bool) {
	if !b.known {
		return sent, false
	}
	b.age(arrived)
	trip := arrived.Sub(server) + rounded
	if trip < b.low {
		b.known = false
		b.set++
		return sent, false
	}
	b.high = min(b.high, trip)
	return server.Add(b.low), true
}

// serverNow gives the best guess of what the server's clock shows when ours shows now.
func (b *bounds) serverNow(now time.Time) time.Time { return now.Add(-(b.low/2 + b.high/2)) }

// clocks holds the bounds of each server that answers under the one address. It is used by several goroutines.
type clocks struct {
	mu sync.Mutex // protects what follows
	of map[string]*bounds
}

// exchanged is that of the server's bounds; one without an id is not remembered.
func (c *clocks) exchanged(server string, asked, at, arrived time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bounds(server).exchanged(asked, at, arrived)
}

func (c *clocks) bounds(server string) *bounds {
	if c.of == nil || len(c.of) >= servers && c.of[server] == nil {
		c.of = make(map[string]*bounds)
	}
	if c.of[server] == nil {
		c.of[server] = &bounds{}
	}
	return c.of[server]
}

// early gives the early bound at now, and how often that clock was seen to be set; ok is false where nothing is known
// of it.
func (c *clocks) early(server string, now time.Time) (low time.Duration, set int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bounds(server)
	if b.known {
		b.age(now)
	}
	return b.low, b.set, b.known
}

// journey tells when the messages of one connection were sent, on our boot-time clock.
type journey struct {
	clocks *clocks
	server string    // empty from a server that does not say when it began to answer: then the first message tells
	asked  time.Time // when the request was about to be written: no message was sent before
	any    bool
}

// arrived tells when a message was sent that arrived at now with the server's wall clock showing server, and how far
// our wall clock was ahead of the server's then. stale says that it was held up, or that the server's clock was set:
// the connection should be made anew.
func (j *journey) arrived(server time.Time, now reading) (sent time.Time, skew time.Duration, stale bool) {
	j.clocks.mu.Lock()
	defer j.clocks.mu.Unlock()
	b := j.clocks.bounds(j.server)
	if !j.any && j.server == "" {
		*b = bounds{set: b.set} // it may be another server than the last time
		b.exchanged(j.asked, server, now.boot)
	}
	j.any = true
	sent, ok := b.heard(server, now.boot)
	if !ok { // nothing is certain but that it was asked for
		b.exchanged(j.asked, server, now.boot)
	}
	if !ok || sent.Before(j.asked) {
		sent = j.asked
	}
	return sent, now.wall.Sub(b.serverNow(
		now.boot)), !ok || now.boot.Sub(sent) > maxLag && now.boot.Sub(j.asked) > maxLag
}

// settings tells how often a clock was seen to be set.
func (j *journey) settings() int {
	j.clocks.mu.Lock()
	defer j.clocks.mu.Unlock()
	return j.clocks.bounds(j.server).set
}
