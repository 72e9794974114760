//go:build linux

package nftables

import (
	"errors"
	"maps"
	"time"

	"github.com/postern-dev/postern/internal/enforce"
)

// wrote is an element that was written with what remained of it.
type wrote struct {
	at   place
	left time.Duration
}

const (
	// Written anew together, so that hardly anything can come between the reading of the clock and the kernel's.
	fewAtOnce = 64
	attempts  = 5
	tries     = 3
)

// punctual proves that no element which was written ends too late, and writes those anew that might: at first all of
// them at once, with twice as much taken off as was missing, so that they are right before any of them ends. Then they
// are written again a few at a time, with nothing more taken off than at first, so that they do not end too soon
// either: what came between on a busy machine hardly comes twice.
func (e *Enforcer) punctual(clock stopwatch) error {
	hasty, err := e.hasten(clock)
	if err != nil || len(hasty) == 0 {
		return err
	}
	now := clock.now()
	maps.DeleteFunc(hasty, func(at place, _ bool) bool { // what ends soon stays as it is
		entry := e.known.book.entries[at]
		return entry == nil || entry.want(now).until.Sub(now) < 2*enforce.Soonest
	})
	for len(hasty) > 0 {
		few := make(map[place]bool, fewAtOnce)
		for at := range hasty {
			if few[at] = true; len(few) == fewAtOnce {
				break
			}
		}
		maps.DeleteFunc(hasty, func(at place, _ bool) bool { return few[at] })
		for i := 0; i < tries && len(few) > 0; i++ {
			if err := e.anew(few, clock); err != nil {
				return err
			}
			if few, err = e.hasten(clock); err != nil {
				return err
			}
		}
	}
	e.known.generation, err = e.conn.generation()
	return err
}

// hasten makes what was just written end on time for certain, and gives what had to be written again for that.
func (e *Enforcer) hasten(clock stopwatch) (hasty map[place]bool, err error) {
	for range attempts {
		late, over := e.proven(clock.now())
		if len(late) == 0 {
			return hasty, nil
		}
		if hasty == nil {
			hasty = make(map[place]bool, len(late))
		}
		maps.Copy(hasty, late)
		clock.extra += 2 * over
		if err := e.anew(late, clock); err != nil {
			return hasty, err
		}
	}
	return hasty, errors.New("this machine is too busy to write openings that end on time")
}

// anew writes elements again, as far as they are not as they should be.
func (e *Enforcer) anew(these map[place]bool, clock stopwatch) error {
	e.wrote = e.wrote[:0]
	messages, err := e.renew(e.known.book, these, clock)
	if err != nil {
		return err
	}
	return e.conn.commit(messages)
}

// proven notes until when the kernel may hold what was just written, now that its answer is here, and gives the
// elements for which that is after their end, and by how much at most. The kernel counts what remained from some moment
// before its answer, so an element ends at the latest when that much has passed since the answer, and a tick; between
// the reading of the clock and that moment a busy machine may have done anything.
func (e *Enforcer) proven(now time.Time) (late map[place]bool, over time.Duration) {
	late = make(map[place]bool)
	for _, w := range e.wrote {
		entry := e.known.book.entries[w.at]
		if entry == nil || entry.held.IsZero() {
			continue
		}
		entry.held = now.Add(w.left + tick())
		until := entry.want(now).until
		if until.IsZero() { // its time came meanwhile
			late[w.at] = true
		} else if by := entry.held.Sub(until); by > 0 {
			late[w.at], over = true, max(over, by)
		}
	}
	return late, over
}
