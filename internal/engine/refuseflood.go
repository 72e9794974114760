package engine

import (
	"context"
	"maps"
	"strconv"
	"sync"

	"github.com/postern-dev/postern/internal/core/access"
)

// maxRefusedAnHour is how many refused attempts of one principal are recorded whole at once, and in each hour. One with many details
// counts for several: each ten of them are one more.
const maxRefusedAnHour = 1000

// refusals bounds what refused attempts of a principal, who needs no right for that, write to the activity log.
type refusals struct {
	flood flood[access.PrincipalID]

	mu   sync.Mutex
	last map[access.PrincipalID]access.Event // that found no room
}

// recordAttempt records refused attempts of a caller as far as there is room. Of what is beyond, the number is kept, and recorded
// with the next one that finds room, or by settleRefused.
func (e *Engine) recordAttempt(ctx context.Context, c Caller, events ...access.Event) error {
	if c.Principal == "" {
		return e.record(ctx, events...)
	}
	cost := 0
	for _, event := range events {
		cost += 1 + len(event.Details)/10
	}
	r := &e.refusals
	if !r.flood.afford(nil, c.Principal, cost, e.now()) {
		r.flood.owe(nil, c.Principal, 1)
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, before := r.last[c.Principal]; !before {
			e.log.WarnContext(ctx, "somebody is refused so often that their attempts are counted, and not recorded each", "principal", c.Principal)
		}
		r.last[c.Principal] = events[0]
		return nil
	}
	var b bill
	if left := r.flood.settle(&b, c.Principal); left > 0 {
		events[0].Details["leftOut"] = strconv.FormatUint(left, 10)
	}
	if err := e.record(ctx, events...); err != nil {
		b.void()
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, c.Principal)
	return nil
}

// settleRefused records how many attempts found no room, of each principal for whom there is room again.
func (e *Engine) settleRefused(ctx context.Context) error {
	e.refusals.mu.Lock()
	last := maps.Clone(e.refusals.last)
	e.refusals.mu.Unlock()
	for principal, event := range last {
		var b bill
		if !e.refusals.flood.afford(&b, principal, 1, e.now()) {
			continue
		}
		if left := e.refusals.flood.settle(&b, principal); left > 0 {
			event.At, event.Details = e.now(), map[string]string{"code": "tooManyRefused", "leftOut": strconv.FormatUint(left, 10)}
			if err := e.record(ctx, event); err != nil {
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
