package engine

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
)

// reportLeaving hears an agent that was replaced. Once it has the state in force in which nothing is open, it holds nothing
// that anybody waits for, and is refused from then on.
func (e *Engine) reportLeaving(ctx context.Context, tx Tx, old access.Agent, addr netip.Addr, r access.Report) error {
	w := e.newWork(tx, e.now())
	old.LastSeenAt, old.ReportedAt, old.Reported = w.now, w.now, max(old.Reported, r.Revision)
	if r.Revision < old.Revision {
		return keepAgent(ctx, tx, old)
	}
	heir, err := tx.Agent(ctx, old.Successor)
	if err != nil {
		return fmt.Errorf("read agent: %w", err)
	}
	where := access.Machine{Resource: old.Scope} // of a gateway
	if old.Mode == access.ModeHost {
		if where, err = onlyMachine(ctx, tx, heir.ID); err != nil {
			return err
		}
	}
	in := reporting{work: w, agent: heir}
	in.forgetPredecessors(old.ID)
	old.HoldsUntil = w.now
	w.bumps[old.ID] = true // which ends its stream
	for _, a := range []access.Agent{old, in.agent} {
		if err := keepAgent(ctx, tx, a); err != nil {
			return err
		}
	}
	w.event(access.Event{
		Kind: access.AgentReleased, Actor: actorOf(old, addr), Tenant: old.Tenant, Scope: where.Resource, Machine: where.ID, Agent: old.ID,
		Details: map[string]string{"name": old.Name, "successor": string(heir.ID)},
	})
	return w.finish(ctx)
}

func keepAgent(ctx context.Context, tx Tx, a access.Agent) error {
	if err := tx.SaveAgent(ctx, a); err != nil {
		return fmt.Errorf("save agent: %w", err)
	}
	return nil
}

// forgetPredecessors drops the one that was released, and those whose time is over, and has the agent look again at what
// has ended: it may be closed now.
func (in *reporting) forgetPredecessors(released access.AgentID) {
	next, changed := in.agent.Released(released, in.now)
	if changed {
		in.agent = next
		in.bumps[next.ID] = true
	}
}
