package engine

import (
	"context"
	"maps"
	"strconv"
	"sync"

	"github.com/postern-dev/postern/internal/core/access"
)

// maxRefusedAnHour is how many refused attempts of one principal are recorded whole at once, and in each hour. One with
// many details counts for several: each ten of them are one more.
const maxRefusedAnHour = 1000

// refusals bounds what refused attempts of a principal, who needs no right for that, write to the activity log.
type refusals struct {
	flood Flood[access.PrincipalID]

	mu   sync.Mutex
	last map[access.PrincipalID]access.Event // that found no room
}

func newRefusals() refusals {
	return refusals{
		flood: Flood[access.PrincipalID]{Most: maxRefusedAnHour},
		last:  map[access.PrincipalID]access.Event{},
	}
}

// RecordAttempt records refused attempts of a caller as far as there is room. Of what is beyond, the number is kept,
// and recorded with the next one that finds room, or by SettleRefused.
func (e *Kernel) RecordAttempt(ctx context.Context, c Caller, events ...access.Event) error {
	if c.Principal == "" {
		return e.Record(ctx, events...)
	}
	cost := 0
	for _, event := range events {
		cost += 1 + len(event.Details)/10
	}
	r := &e.refusals
	if !r.flood.Afford(nil, c.Principal, cost, e.Now()) {
		r.flood.Owe(nil, c.Principal, 1)
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, before := r.last[c.Principal]; !before {
			e.Log.WarnContext(ctx,
				"somebody is refused so often that their attempts are counted, and not recorded each", "principal",
				c.Principal)
		}
		r.last[c.Principal] = events[0]
		return nil
	}
	var b Bill
	if left := r.flood.Settle(&b, c.Principal); left > 0 {
		events[0].Details["leftOut"] = strconv.FormatUint(left, 10)
	}
	if err := e.Record(ctx, events...); err != nil {
		b.void()
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, c.Principal)
	return nil
}

// SettleRefused records how many attempts found no room, of each principal for whom there is room again.
func (e *Kernel) SettleRefused(ctx context.Context) error {
	e.refusals.mu.Lock()
	last := maps.Clone(e.refusals.last)
	e.refusals.mu.Unlock()
	for principal, event := range last {
		var b Bill
		if !e.refusals.flood.Afford(&b, principal, 1, e.Now()) {
			continue
		}
		if left := e.refusals.flood.Settle(&b, principal); left > 0 {
			event.At, event.Details = e.Now(), map[string]string{
				"code":    "tooManyRefused",
				"leftOut": strconv.FormatUint(left, 10),
			}
			if err := e.Record(ctx, event); err != nil {
				b.void()
				return err
			}
		}
		e.refusals.mu.Lock()
		delete(e.refusals.last, principal)
		e.refusals.mu.Unlock()
	}
	return nil
}
