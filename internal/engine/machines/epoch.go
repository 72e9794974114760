package machines

import (
	"context"
	"fmt"
	"strconv"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// An epoch is what revisions of one agent's desired state are compared within. A server that is restored from a backup,
// of whatever kind of database and however, goes on with revisions that its agents have seen already, with another
// content. Nothing beside the database has to say so: the agents are ahead, and the first word of each, or the stream
// that is still open to it, tells. For that agent a new epoch begins, whose states it takes at once, and it tells anew
// what it holds.

// StartEpoch begins a new epoch for an agent that was told of a revision which the database has not come to.
func (e *Service) StartEpoch(ctx context.Context, agent access.AgentID, ahead int64) error {
	return e.kernel.Billed(ctx, func(tx engine.Tx, b *engine.Bill) error {
		a, err := tx.Agent(ctx, agent)
		if err != nil {
			return fmt.Errorf("read agent: %w", err)
		}
		if ahead <= a.Revision { // another has done it
			return nil
		}
		return e.startEpoch(ctx, tx, b, a, ahead)
	})
}

// startEpoch begins a new epoch, beyond the revision that the agent is at: one that knows of no epochs compares
// revisions.
func (e *Service) startEpoch(ctx context.Context, tx engine.Tx, b *engine.Bill, a access.Agent, ahead int64) error {
	if e.words.Take(b, a.ID, 1, e.kernel.Now()) == 0 {
		return access.Fault(access.KindLimited, "tooManyEpochs",
			"this agent has been ahead of the server too often: it can report that again in an hour")
	}
	if err := tx.StartEpoch(ctx, a.ID, engine.NewID(), ahead); err != nil {
		return fmt.Errorf("start an epoch: %w", err)
	}
	w := e.kernel.NewWork(tx, e.kernel.Now())
	event := access.Event{
		Kind: access.AgentAhead, Outcome: access.Failed, Actor: access.System(), Tenant: a.Tenant, Scope: a.Scope,
		Agent: a.ID,
		Details: map[string]string{
			"name": a.Name, "agentRevision": strconv.FormatInt(ahead, 10),
			"serverRevision": strconv.FormatInt(a.Revision, 10),
		},
	}
	only, err := engine.OnlyMachine(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	if only.ID != "" {
		event.Scope, event.Machine = only.Resource, only.ID
	}
	w.Event(event)
	return w.Finish(ctx)
}

func anotherEpoch() error {
	return access.Fault(access.KindConflict, "anotherEpoch",
		"this report describes a state from before the server was restored: report again after the next desired state")
}
