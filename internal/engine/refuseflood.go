package engine

import (
	"context"
	"maps"
	"strconv"
	"sync"

	"github.com/postern-dev/postern/internal/core/access"
)

// maxAttemptsAnHour is how many attempts of one principal are recorded whole at once, and in each hour: so many that
// were refused, and so many sign-ins of a program. One with many details counts for several: each ten of them are one
// more.
const maxAttemptsAnHour = 1000

// attempts bounds what a principal who needs no right for it writes to the activity log: by being refused, and by
// signing in again and again.
type attempts struct {
	flood Flood[attempting]

	mu   sync.Mutex
	last map[attempting]access.Event // that found no room
}

// attempting is what is bounded by itself: so that no sign-in hides a refusal.
type attempting struct {
	principal access.PrincipalID
	signIn    bool
}

func newAttempts() attempts {
	return attempts{flood: Flood[attempting]{Most: maxAttemptsAnHour}, last: map[attempting]access.Event{}}
}

// RecordAttempt records attempts of a caller, all refused or all sign-ins, as far as there is room. Of what is beyond,
// the number is kept, and recorded with the next one that finds room, or by SettleAttempts.
func (e *Kernel) RecordAttempt(ctx context.Context, c Caller, events ...access.Event) error {
	if c.Principal == "" {
		return e.Record(ctx, events...)
	}
	cost := 0
	for _, event := range events {
		cost += 1 + len(event.Details)/10
	}
	r, of := &e.attempts, attempting{c.Principal, events[0].Kind == access.SignedIn}
	if !r.flood.Afford(nil, of, cost, e.Now()) {
		r.flood.Owe(nil, of, 1)
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, before := r.last[of]; !before {
			e.Log.WarnContext(ctx,
				"somebody is refused or signs in so often that it is counted, and not recorded each time", "principal",
				c.Principal, "kind", events[0].Kind)
		}
		r.last[of] = events[0]
		return nil
	}
	var b Bill
	if left := r.flood.Settle(&b, of); left > 0 {
		events[0].Details["leftOut"] = strconv.FormatUint(left, 10)
	}
	if err := e.Record(ctx, events...); err != nil {
		b.void()
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, of)
	return nil
}

// SettleAttempts records how many attempts found no room, of each principal for whom there is room again.
func (e *Kernel) SettleAttempts(ctx context.Context) error {
	e.attempts.mu.Lock()
	last := maps.Clone(e.attempts.last)
	e.attempts.mu.Unlock()
	for of, event := range last {
		var b Bill
		if !e.attempts.flood.Afford(&b, of, 1, e.Now()) {
			continue
		}
		if left := e.attempts.flood.Settle(&b, of); left > 0 {
			event.At, event.Details = e.Now(), map[string]string{"leftOut": strconv.FormatUint(left, 10)}
			if !of.signIn {
				event.Details["code"] = "tooManyRefused"
			}
			if err := e.Record(ctx, event); err != nil {
				b.void()
				return err
			}
		}
		e.attempts.mu.Lock()
		delete(e.attempts.last, of)
		e.attempts.mu.Unlock()
	}
	return nil
}
