package machines

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// ClaimStream decides whether a connection is served with an agent's desired state. Where the answer is
// access.ClaimWaits, claim again, with the same id, when WatchDesired says something, or after a moment.
func (e *Service) ClaimStream(ctx context.Context, agent access.AgentID,
	by access.Stream,
) (outcome access.Claimed, err error) {
	err = e.kernel.Update(ctx, func(tx engine.Tx) error {
		a, err := tx.Agent(ctx, agent)
		if err != nil {
			return fmt.Errorf("read agent: %w", err)
		}
		now := e.kernel.Now()
		next, claimed, told := a.Stream.Claim(by, now)
		outcome = claimed
		if next == a.Stream {
			return nil
		}
		if err := tx.SaveStream(ctx, a.ID, next); err != nil {
			return fmt.Errorf("save stream: %w", err)
		}
		if !told {
			return nil
		}
		address, _ := netip.ParseAddr(by.From)
		w := e.kernel.NewWork(tx, now)
		event := access.Event{
			Kind: access.AgentTwice, Outcome: access.Refused, Actor: ActorOf(a, address), Tenant: a.Tenant,
			Scope: a.Scope, Agent: a.ID,
			Details: map[string]string{"name": a.Name, "served": a.Stream.From, "refused": by.From},
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
	})
	return outcome, err
}

// Twice is the refusal of a second one.
func Twice(s access.Stream) error {
	return access.Fault(access.KindConflict, "agentTwice",
		"another program with this agent's certificate is connected from %s: one of the two is a copy, and this one "+
			"is not served. Stop the copy and enroll the host anew with --replace",
		s.From)
}

// KeepStream says that the connection id is still there, or with gone that it has ended.
func (e *Service) KeepStream(ctx context.Context, agent access.AgentID, id string, gone bool) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		a, err := tx.Agent(ctx, agent)
		if err != nil {
			return fmt.Errorf("read agent: %w", err)
		}
		next := a.Stream.Answer(id, e.kernel.Now())
		if gone {
			next = a.Stream.Left(id)
		}
		if next == a.Stream {
			return nil
		}
		if err := tx.SaveStream(ctx, a.ID, next); err != nil {
			return fmt.Errorf("save stream: %w", err)
		}
		return nil
	})
}
