package enforce

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// check tells whether what was seen after an Apply is what it should have made.
func (w *work) check(gone []access.OpeningKey, came []access.Opening, all bool, now time.Time) error {
	for _, key := range gone {
		if w.isHeld(key) {
			return fmt.Errorf("%s %s/%s is still open after it was taken away", key.Source, key.Ports, key.Protocol)
		}
	}
	for _, o := range came {
		_, refused := w.refused[o.OpeningKey]
		if !refused && !w.isHeld(o.OpeningKey) && o.Until.After(now.Add(notHeld)) {
			return fmt.Errorf("%s %s/%s is not open after it was opened", o.Source, o.Ports, o.Protocol)
		}
	}
	if !all {
		return nil
	}
	for key := range w.held {
		if _, ok := w.ends[key]; !ok {
			return fmt.Errorf("%s %s/%s is open though nobody granted it, even after it was taken away", key.Source,
				key.Ports, key.Protocol)
		}
	}
	return nil
}

func (w *work) isHeld(key access.OpeningKey) bool {
	_, ok := w.held[key]
	return ok
}

// look reads what the target holds of some keys.
func (l *Loop) look(ctx context.Context, keys []access.OpeningKey, now time.Time) error {
	if len(keys) == 0 {
		return nil
	}
	w := &l.work
	held, err := l.enforcer.Held(ctx, keys, now)
	if err != nil {
		return err
	}
	for _, key := range keys {
		delete(w.held, key)
		w.touch(key)
	}
	w.see(held)
	return nil
}

// lookAtEverything reads all that the target holds.
func (l *Loop) lookAtEverything(ctx context.Context, now time.Time) error {
	w := &l.work
	began := time.Now()
	held, err := l.enforcer.Held(ctx, nil, now)
	if err != nil {
		return err
	}
	clear(w.held)
	w.see(held)
	w.all = false
	w.nextFull = now.Add(max(l.check, fullShare*time.Since(began)))
	return nil
}

func (w *work) see(held []Held) {
	for _, h := range held {
		w.held[h.Key] = h
		w.counts(h)
	}
}

// lookAll looks at everything, and makes the next turn mend what is not as it should be.
func (l *Loop) lookAll(ctx context.Context, now time.Time) error {
	w := &l.work
	if err := l.lookAtEverything(ctx, now); err != nil {
		return err
	}
	for _, o := range w.applied {
		h, held := w.held[o.OpeningKey]
		if _, refused := w.refused[o.OpeningKey]; refused || !o.Until.After(now.Add(notHeld)) {
			continue
		}
		switch {
		case !held:
			w.apply = true
			w.lost(o.OpeningKey, "it was not in force; it is being put back")
		case h.Until.After(o.Until.Add(sooner)):
			w.apply = true
		}
	}
	for key := range w.held {
		if _, ok := w.ends[key]; !ok {
			w.apply, w.recheck = true, true
			w.pending.drifted(fmt.Sprintf("%s was open on %s/%s though nobody granted it", key.Source, key.Ports,
				key.Protocol))
		}
	}
	return nil
}

// readCounters reads the counters of what is open, now and then and shortly before an end. Of very many, it reads a
// part in each turn.
func (l *Loop) readCounters(ctx context.Context, now time.Time) error {
	w := &l.work
	var keys []access.OpeningKey
	if !now.Before(w.readNext) {
		end := min(w.readFrom+fewCounters, len(w.applied))
		for _, o := range w.applied[min(w.readFrom, end):end] {
			keys = append(keys, o.OpeningKey)
		}
		w.readFrom, w.readNext = end, now
		if end == len(w.applied) {
			w.readFrom, w.readNext = 0, now.Add(l.count)
		}
	}
	if !w.nextEnd.IsZero() && w.nextEnd.Sub(now) <= lastLook {
		for _, o := range w.applied {
			if o.Until.Sub(now) <= lastLook {
				keys = append(keys, o.OpeningKey)
			}
		}
	}
	if err := l.look(ctx, keys, now); err != nil {
		return err
	}
	for _, key := range keys {
		_, refused := w.refused[key]
		if !refused && !w.isHeld(key) && w.ends[key].After(l.now().Add(notHeld)) {
			w.apply, w.all = true, true // somebody took it away without our being told
			w.lost(key, "it was not in force; it is being put back")
		}
	}
	w.judge(now)
	return nil
}
