package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

// RequestRefused records an attempt at access that a façade refused before Submit, because it could not be read. scope is what it was
// sent to, where the façade knows.
func (e *Engine) RequestRefused(ctx context.Context, c Caller, scope access.ResourceID, reasons []access.Reason) error {
	refusal := access.Fault(access.KindInvalid, "invalidInput", "the request could not be read")
	refusal.Reasons = reasons
	event := attempt{kind: access.RequestRefused, scope: scope}.event(c, refusal)
	event.At = e.now()
	return e.recordAttempt(ctx, c, event)
}
