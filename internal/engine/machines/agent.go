package machines

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Agents lists the agents in service that the caller may see, by name.
func (e *Service) Agents(ctx context.Context, c engine.Caller,
	p engine.Page,
) (list engine.Listed[access.Agent], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.AgentsRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.AgentsRead)
			if err != nil {
				return err
			}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[access.Agent], error) { return r.Agents(ctx, p) },
				func(a access.Agent) (access.Agent, bool, error) {
					seen, err := seesAgent(ctx, r, may, a, scopes)
					return a, seen && !a.Revoked, err
				})
			return err
		})
	return list, err
}

// seesAgent tells whether an agent lies within the scopes: it lies in the resource group that it enrolled for, and
// where the machines are that it guards.
func seesAgent(ctx context.Context, r engine.Reader, may engine.Rights, a access.Agent,
	scopes []access.ResourceID,
) (bool, error) {
	if may.Reaches(a.Tenant, access.Root, scopes) || a.Scope != "" && may.Reaches(a.Tenant, a.Scope, scopes) {
		return true, nil
	}
	machines, err := engine.GuardedWithin(ctx, r, a.ID, scopes, 1)
	return len(machines) > 0, err
}

// AuthenticateAgent checks that an agent's certificate, whose signature and validity identity has checked, still
// counts. It fails with access.KindUnauthenticated, and the reason says why; who calls it records that with
// AgentRefused, and bounds how often.
func (e *Service) AuthenticateAgent(ctx context.Context, agent access.AgentID,
	fingerprint string,
) (a access.Agent, err error) {
	refused := func(why, message string) error {
		refusal := access.Fault(access.KindUnauthenticated, "agentRefused",
			"this server no longer knows the agent: enroll it again")
		refusal.Reasons = []access.Reason{{Code: why, Message: message}}
		return refusal
	}
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		a, err = r.Agent(ctx, agent)
		switch {
		case engine.IsKind(err, access.KindNotFound):
			return refused("unknownAgent", "there is no such agent")
		case err != nil:
			return fmt.Errorf("read agent: %w", err)
		case a.Revoked && !a.Leaving(e.kernel.Now()):
			return refused("revoked", "the agent was revoked")
		case a.Fingerprint != fingerprint:
			return refused("replaced", "the agent has another key")
		}
		return nil
	})
	if err != nil {
		return access.Agent{}, err
	}
	return a, nil
}

// AgentRefused records that somebody showed a certificate that does not count.
func (e *Service) AgentRefused(ctx context.Context, addr netip.Addr, reason string, details map[string]string) error {
	event := access.Event{
		At: e.kernel.Now(), Kind: access.AgentRefused, Outcome: access.Refused,
		Actor:   access.Actor{Name: "unknown agent", Address: addr, Via: "agent"},
		Details: map[string]string{"reason": reason},
	}
	for name, text := range details {
		event.Details[name] = engine.Clip(text)
	}
	return e.kernel.Record(ctx, event)
}

// Desired gives everything that should hold at the agent now; instants are of the server's wall clock.
func (e *Service) Desired(ctx context.Context, agent access.AgentID) (access.DesiredState, error) {
	states, errs := e.DesiredOf(ctx, []access.AgentID{agent})
	return states[0], errs[0]
}

// Known refuses an agent that is not there, or counts no longer.
func Known(a access.Agent) error {
	if a.ID == "" || a.Revoked {
		return access.Fault(access.KindUnauthenticated, "agentRefused",
			"this server no longer knows the agent: enroll it again")
	}
	return nil
}

// WatchDesired gives a channel that receives, coalesced, when Desired may have changed; now and then it receives
// without.
func (e *Service) WatchDesired(agent access.AgentID) (changed <-chan struct{}, stop func()) {
	return e.kernel.Store.Watch(agent)
}

// ActorOf returns an agent as the actor of what it reports.
func ActorOf(a access.Agent, addr netip.Addr) access.Actor {
	return access.Actor{Name: "agent:" + a.Name, Address: addr, Via: "agent"}
}
