package engine

import (
	"context"
	"time"
)

// Pause waits for d, for a wake-up, or for the end of ctx.
func Pause(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}
