package engine

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Agents lists the agents in service that the caller may see, by name.
func (e *Engine) Agents(ctx context.Context, c Caller, p Page) (list Listed[access.Agent], err error) {
	err = e.look(ctx, c, attempt{action: rbac.AgentsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.AgentsRead)
		if err != nil {
			return err
		}
		list, err = visible(p, func(p Page) (Listed[access.Agent], error) { return r.Agents(ctx, p) },
			func(a access.Agent) (access.Agent, bool, error) {
				seen, err := seesAgent(ctx, r, may, a, scopes)
				return a, seen && !a.Revoked, err
			})
		return err
	})
	return list, err
}

// seesAgent tells whether an agent lies within the scopes: it lies in the resource group that it enrolled for, and where the
// machines are that it guards.
func seesAgent(ctx context.Context, r Reader, may rights, a access.Agent, scopes []access.ResourceID) (bool, error) {
	if may.reaches(a.Tenant, access.Root, scopes) || a.Scope != "" && may.reaches(a.Tenant, a.Scope, scopes) {
		return true, nil
	}
	machines, err := guardedWithin(ctx, r, a.ID, scopes, 1)
	return len(machines) > 0, err
}

// guardedWithin gives the first machines of an agent, by name, that covered says to lie within the scopes.
func guardedWithin(ctx context.Context, r Reader, agent access.AgentID, scopes []access.ResourceID, limit int) ([]access.Machine, error) {
	within := inSubscriptions(scopes)
	if len(within) == 0 {
		return nil, nil // which as a filter would not bound anything
	}
	machines, err := r.Machines(ctx, MachineFilter{Agent: agent, Scopes: within}, Page{Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("read machines: %w", err)
	}
	return machines.Items, nil
}

// onlyMachine gives the machine of an agent that guards one alone, or the zero Machine.
func onlyMachine(ctx context.Context, r Reader, agent access.AgentID) (access.Machine, error) {
	machines, err := r.Machines(ctx, MachineFilter{Agent: agent}, Page{Limit: 2})
	switch {
	case err != nil:
		return access.Machine{}, fmt.Errorf("read machines: %w", err)
	case len(machines.Items) != 1:
		return access.Machine{}, nil
	}
	return machines.Items[0], nil
}

// AuthenticateAgent checks that an agent's certificate, whose signature and validity identity has checked, still counts. It
// fails with access.KindUnauthenticated, and the reason says why; who calls it records that with AgentRefused, and bounds
// how often.
func (e *Engine) AuthenticateAgent(ctx context.Context, agent access.AgentID, fingerprint string) (a access.Agent, err error) {
	refused := func(why, message string) error {
		refusal := access.Fault(access.KindUnauthenticated, "agentRefused", "this agent is not known here any more: enroll it again")
		refusal.Reasons = []access.Reason{{Code: why, Message: message}}
		return refusal
	}
	err = e.store.View(ctx, func(r Reader) error {
		a, err = r.Agent(ctx, agent)
		switch {
		case isKind(err, access.KindNotFound):
			return refused("unknownAgent", "there is no such agent")
		case err != nil:
			return fmt.Errorf("read agent: %w", err)
		case a.Revoked && !a.Leaving(e.now()):
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
func (e *Engine) AgentRefused(ctx context.Context, addr netip.Addr, reason string, details map[string]string) error {
	event := access.Event{
		At: e.now(), Kind: access.AgentRefused, Outcome: access.Refused, Actor: access.Actor{Name: "unknown agent", Address: addr, Via: "agent"},
		Details: map[string]string{"reason": reason},
	}
	for name, text := range details {
		event.Details[name] = clip(text)
	}
	return e.record(ctx, event)
}

// Desired gives everything that should hold at the agent now; instants are of the server's wall clock.
func (e *Engine) Desired(ctx context.Context, agent access.AgentID) (access.DesiredState, error) {
	states, errs := e.DesiredOf(ctx, []access.AgentID{agent})
	return states[0], errs[0]
}

// known refuses an agent that is not there, or counts no longer.
func known(a access.Agent) error {
	if a.ID == "" || a.Revoked {
		return access.Fault(access.KindUnauthenticated, "agentRefused", "this agent is not known here any more: enroll it again")
	}
	return nil
}

// WatchDesired gives a channel that receives, coalesced, when Desired may have changed; now and then it receives without.
func (e *Engine) WatchDesired(agent access.AgentID) (changed <-chan struct{}, stop func()) {
	return e.store.Watch(agent)
}

func actorOf(a access.Agent, addr netip.Addr) access.Actor {
	return access.Actor{Name: "agent:" + a.Name, Address: addr, Via: "agent"}
}
