package machines

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// reportLeaving hears an agent that was replaced. Once it has the state in force in which nothing is open, it holds
// nothing that anybody waits for, and is refused from then on.
func (e *Service) reportLeaving(ctx context.Context, tx engine.Tx, old access.Agent, addr netip.Addr,
	r access.Report,
) error {
	w := e.kernel.NewWork(tx, e.kernel.Now())
	old.LastSeenAt, old.ReportedAt, old.Reported = w.Now, w.Now, max(old.Reported, r.Revision)
	if r.Revision < old.Revision {
		return engine.KeepAgent(ctx, tx, old)
	}
	heir, err := tx.Agent(ctx, old.Successor)
	if err != nil {
		return fmt.Errorf("read agent: %w", err)
	}
	where := access.Machine{Resource: old.Scope} // of a gateway
	if old.Mode == access.ModeHost {
		if where, err = engine.OnlyMachine(ctx, tx, heir.ID); err != nil {
			return err
		}
	}
	in := reporting{Work: w, agent: heir}
	in.forgetPredecessors(old.ID)
	old.HoldsUntil = w.Now
	w.Bumps[old.ID] = true // which ends its stream
	for _, a := range []access.Agent{old, in.agent} {
		if err := engine.KeepAgent(ctx, tx, a); err != nil {
			return err
		}
	}
	w.Event(access.Event{
		Kind: access.AgentReleased, Actor: ActorOf(old, addr), Tenant: old.Tenant, Scope: where.Resource,
		Machine: where.ID, Agent: old.ID,
		Details: map[string]string{"name": old.Name, "successor": string(heir.ID)},
	})
	return w.Finish(ctx)
}

// forgetPredecessors drops the one that was released, and those whose time is over, and has the agent look again at
// what has ended: it may be closed now.
func (in *reporting) forgetPredecessors(released access.AgentID) {
	next, changed := in.agent.Released(released, in.Now)
	if changed {
		in.agent = next
		in.Bumps[next.ID] = true
	}
}
