//go:build linux

package nftables

import (
	"errors"
	"time"
)

// wrote is an element that was written with what remained of it.
type wrote struct {
	at   place
	left time.Duration
}

// punctual proves that no element which was written ends too late, and writes those anew that might. The kernel counts what
// remained from some moment before its answer, so an element ends at the latest when that much has passed since the answer,
// and a tick; between the reading of the clock and that moment a busy machine may have done anything.
func (e *Enforcer) punctual(clock stopwatch) error {
	const attempts = 5
	b := e.known.book
	for range attempts {
		now := clock.now()
		late, least := make(map[place]bool), time.Duration(0)
		for _, w := range e.wrote {
			entry := b.entries[w.at]
			if entry == nil || entry.held.IsZero() {
				continue
			}
			entry.held = now.Add(w.left + tick())
			until := entry.want(now).until
			if until.IsZero() { // its time came meanwhile
				late[w.at] = true
			} else if over := entry.held.Sub(until); over > 0 {
				late[w.at], least = true, max(least, over)
			}
		}
		if len(late) == 0 {
			return nil
		}
		clock.extra += 2 * least
		e.wrote = e.wrote[:0]
		messages, err := e.renew(b, late, clock)
		if err == nil {
			err = e.conn.commit(messages)
		}
		if err != nil {
			return err
		}
		if e.known.generation, err = e.conn.generation(); err != nil {
			return err
		}
	}
	return errors.New("this machine is too busy to write openings that end on time")
}
