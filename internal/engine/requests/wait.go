package requests

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// WaitRequest is Request, but waits up to most while the request is pending.
func (e *Service) WaitRequest(ctx context.Context, c engine.Caller, id access.RequestID,
	most time.Duration,
) (RequestDetail, error) {
	changed, stop := e.kernel.Store.WatchEvents()
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
