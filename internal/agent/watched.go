package agent

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// watched is an enforcer of which is known when it was used.
type watched struct {
	enforce.Enforcer

	first   sync.Once
	applied chan struct{} // closed when something was applied for the first time, well or not
	used    atomic.Int64  // when it last finished something, on the monotonic clock
}

// Apply implements enforce.Enforcer.
func (w *watched) Apply(ctx context.Context, d *access.DesiredState, now time.Time) error {
	err := w.Enforcer.Apply(ctx, d, now)
	w.used.Store(int64(monotonicNow()))
	w.first.Do(func() { close(w.applied) })
	return err
}

// Held implements enforce.Enforcer.
func (w *watched) Held(ctx context.Context, keys []access.OpeningKey, now time.Time) ([]enforce.Held, error) {
	held, err := w.Enforcer.Held(ctx, keys, now)
	w.used.Store(int64(monotonicNow()))
	return held, err
}

// idle tells for how long it was not used.
func (w *watched) idle() time.Duration { return monotonicNow() - time.Duration(w.used.Load()) }
