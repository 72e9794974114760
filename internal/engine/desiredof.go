package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// DesiredOf is Desired for several agents, read together with a few statements for each hundred of them. states and errs
// are as long as agents; where an agent's error is not nil, there is no state for it.
func (e *Engine) DesiredOf(ctx context.Context, agents []access.AgentID) (states []access.DesiredState, errs []error) {
	states, errs = make([]access.DesiredState, len(agents)), make([]error, len(agents))
	err := e.store.View(ctx, func(r Reader) error {
		scenes, err := r.Scenes(ctx, agents)
		if err != nil {
			return err
		}
		codes, err := sealedCodes(ctx, r, agents, e.now())
		if err != nil {
			return err
		}
		for i, scene := range scenes {
			if errs[i] = known(scene); errs[i] == nil {
				states[i] = access.Desired(scene, e.now())
				states[i].Codes = codes[scene.Agent.ID]
			}
		}
		return nil
	})
	if err != nil {
		for i := range errs {
			errs[i] = fmt.Errorf("read the scene of an agent: %w", err)
		}
	}
	return states, errs
}
