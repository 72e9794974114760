package engine

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// WaitRequest is Request, but waits up to most while the request is pending.
func (e *Engine) WaitRequest(ctx context.Context, c Caller, id access.RequestID, most time.Duration) (RequestDetail, error) {
	changed, stop := e.store.WatchEvents()
	defer stop()
	over := time.NewTimer(most)
	defer over.Stop()
	for {
		d, err := e.Request(ctx, c, id)
		if err != nil || d.Request.State != access.RequestPending {
			return d, err
		}
		select {
		case <-changed:
		case <-over.C:
			return d, nil
		case <-ctx.Done():
			return d, ctx.Err()
		}
	}
}
