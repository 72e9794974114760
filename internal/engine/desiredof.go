package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

// DesiredOf is Desired for several agents in one read transaction, which costs a third less for each. states and errs
// are as long as agents; where an agent's error is not nil, there is no state for it.
func (e *Engine) DesiredOf(ctx context.Context, agents []access.AgentID) (states []access.DesiredState, errs []error) {
	states, errs = make([]access.DesiredState, len(agents)), make([]error, len(agents))
	err := e.store.View(ctx, func(r Reader) error {
		for i, id := range agents {
			scene, err := sceneOf(ctx, r, id)
			if errs[i] = err; err == nil {
				states[i] = access.Desired(scene, e.now())
			}
		}
		return nil
	})
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return states, errs
}
