package engine

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// TrialReader is the part of a Reader that changes of policies which are to be confirmed need, and what agents find.
// What is not found is access.KindNotFound.
type TrialReader interface {
	TrialOf(ctx context.Context, machine access.MachineID) (access.Undo, error)
	// DueTrials returns those that are over by now, at most limit, and when the next one is; zero where there is none.
	DueTrials(ctx context.Context, now time.Time, limit int) (due []access.Undo, next time.Time, err error)
	FoundBy(ctx context.Context, agent access.AgentID) (access.Found, error)
}

// TrialWriter writes them.
type TrialWriter interface {
	SaveTrial(ctx context.Context, u access.Undo) error // inserts, or replaces that of the machine
	DeleteTrial(ctx context.Context, machine access.MachineID) error
	SaveFound(ctx context.Context, f access.Found) error
}
