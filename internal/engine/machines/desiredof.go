package machines

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// DesiredOf is Desired for several agents, read together with a few statements for each hundred of them. states and
// errs are as long as agents, among which one may be twice, as when it connects anew; where an agent's error is not
// nil, there is no state for it.
func (e *Service) DesiredOf(ctx context.Context, agents []access.AgentID) (states []access.DesiredState, errs []error) {
	states, errs = make([]access.DesiredState, len(agents)), make([]error, len(agents))
	err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
		scenes, err := r.Scenes(ctx, agents)
		if err != nil {
			return err
		}
		if err := e.withoutRecalled(ctx, r, scenes); err != nil {
			return err
		}
		codes, err := SealedCodes(ctx, r, slices.Collect(maps.Keys(scenes)), e.kernel.Now())
		if err != nil {
			return err
		}
		for i, agent := range agents {
			scene := scenes[agent]
			if scene.Agent.Leaving(e.kernel.Now()) {
				if states[i], errs[i], err = e.emptied(ctx, r, scene.Agent); err != nil {
					return err
				}
				continue
			}
			if errs[i] = Known(scene.Agent); errs[i] == nil {
				states[i] = access.Desired(scene, e.kernel.Now())
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

// emptied gives what an agent that was replaced is to hold; refusal is for the agent, err ends everything.
func (e *Service) emptied(ctx context.Context, r engine.Reader,
	old access.Agent,
) (d access.DesiredState, refusal, err error) {
	scenes, err := r.Scenes(ctx, []access.AgentID{old.Successor})
	if err != nil {
		return d, nil, err
	}
	next := scenes[old.Successor]
	if refusal := Known(next.Agent); refusal != nil || len(next.Machines) == 0 {
		return d, Known(old), nil // nothing says what to guard, and what the agent guards must stay so
	}
	return access.Emptied(old, access.Desired(next, e.kernel.Now())), nil, nil
}

// withoutRecalled takes out of the scenes the grants that are recalled, and so closes what the job has yet to end.
func (e *Service) withoutRecalled(ctx context.Context, r engine.Reader, scenes map[access.AgentID]access.Scene) error {
	recalls, err := r.Recalls(ctx)
	if err != nil || len(recalls) == 0 {
		return err
	}
	j, err := e.NewJudge(ctx, r, e.kernel.Now())
	if err != nil {
		return err
	}
	for agent, scene := range scenes {
		scene.Grants = slices.DeleteFunc(scene.Grants, func(g access.Grant) bool {
			order, _, failed := j.Recalled(ctx, recalls, g)
			err = cmp.Or(err, failed)
			return order != nil
		})
		scenes[agent] = scene
	}
	return err
}
