package alerts

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/notices"
)

const (
	tendEvery  = 5 * time.Second // looks at what is so, though nothing happened
	tendLeast  = time.Second     // between two looks, however much happens
	checkEvery = time.Minute     // looks at the activity log itself
)

// TendLoop raises and closes alerts, and takes routes away whose person has lost their rights, until ctx ends. Errors
// are logged, and tried again.
func (e *Service) TendLoop(ctx context.Context) {
	changed, stop := e.kernel.Store.WatchEvents()
	defer stop()
	var t tending
	for ctx.Err() == nil {
		if err := e.tend(ctx, &t); err != nil && ctx.Err() == nil {
			e.kernel.Log.ErrorContext(ctx, "look for what to alert of", "error", err)
		}
		engine.Pause(ctx, tendLeast, nil)
		engine.Pause(ctx, tendEvery-tendLeast, changed)
	}
}

// tending is what one replica remembers from look to look. Nothing rests on it but work that is not done twice.
type tending struct {
	swept   notices.SweptAt
	looked  int64     // events before this number are of no interest to any rule
	stated  time.Time // when it last looked at what is so
	checked time.Time // when it last looked at the activity log
}

// tend does one look at everything.
func (e *Service) tend(ctx context.Context, t *tending) error {
	if err := e.notices.SweepRoutes(ctx, &t.swept); err != nil {
		return err
	}
	if err := e.watchEvents(ctx, t); err != nil {
		return err
	}
	now := e.kernel.Now()
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
func (e *Service) Tend(ctx context.Context) error { return e.tend(ctx, &tending{}) }
