package engine

import (
	"context"
	"time"
)

const (
	tendEvery  = 5 * time.Second // looks at what is so, though nothing happened
	tendLeast  = time.Second     // between two looks, however much happens
	checkEvery = time.Minute     // looks at the activity log itself
)

// tendLoop raises and closes alerts, and takes routes away whose person has lost their rights, until ctx ends. Errors are
// logged, and tried again.
func (e *Engine) tendLoop(ctx context.Context) {
	changed, stop := e.store.WatchEvents()
	defer stop()
	var t tending
	for ctx.Err() == nil {
		if err := e.tend(ctx, &t); err != nil && ctx.Err() == nil {
			e.log.ErrorContext(ctx, "look for what to alert of", "error", err)
		}
		pause(ctx, tendLeast, nil)
		pause(ctx, tendEvery-tendLeast, changed)
	}
}

// tending is what one replica remembers from look to look. Nothing rests on it but work that is not done twice.
type tending struct {
	swept   sweptAt
	looked  int64     // events before this number are of no interest to any rule
	stated  time.Time // when it last looked at what is so
	checked time.Time // when it last looked at the activity log
}

// tend does one look at everything.
func (e *Engine) tend(ctx context.Context, t *tending) error {
	if err := e.sweepRoutes(ctx, &t.swept); err != nil {
		return err
	}
	if err := e.watchEvents(ctx, t); err != nil {
		return err
	}
	now := e.now()
	if now.Sub(t.stated) >= tendEvery-tendLeast || now.Before(t.stated) {
		if err := e.watchStates(ctx); err != nil {
			return err
		}
		t.stated = now
	}
	if now.Sub(t.checked) >= checkEvery || now.Before(t.checked) {
		if err := e.watchLog(ctx); err != nil {
			return err
		}
		t.checked = now
	}
	return nil
}

// Tend does at once what Run does from time to time: it looks for what to alert of, and at routes.
func (e *Engine) Tend(ctx context.Context) error { return e.tend(ctx, &tending{}) }
