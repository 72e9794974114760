package enforce

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

const (
	defaultCheck = 30 * time.Second
	defaultCount = 10 * time.Second
)

// work is what Run keeps between its turns.
type work struct {
	desired *access.DesiredState
	pending pending
}

func newWork() work { return work{pending: newPending()} }

func (l *Loop) step(ctx context.Context, in inbox) {
	if in.desired == nil {
		return
	}
	l.work.desired = in.desired
	problem := ""
	if err := l.enforcer.Apply(ctx, in.desired, l.now()); err != nil {
		problem = err.Error()
	}
	l.work.pending.state(in.desired.Revision, problem)
}

func (l *Loop) rest() time.Duration { return time.Second }

func (l *Loop) drifted(words string) { l.work.pending.drifted(words) }
