package agent

import (
	"context"
	"time"
)

// keepHearing looks after what the enforcer hears of refused packets, until ctx ends: where it hears nothing, nobody
// would learn that somebody tries to come in, and each report says so.
func (a *agent) keepHearing(ctx context.Context) {
	ears, has := a.target.Enforcer.(interface{ Hear() error })
	for has && ctx.Err() == nil {
		text := ""
		if err := ears.Hear(); err != nil {
			text = "refused attempts are not counted: " + err.Error()
		}
		a.setProblem(ctx, "refusals", text)
		select {
		case <-ctx.Done():
		case <-time.After(a.timing.deaf):
		}
	}
}
