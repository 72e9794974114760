package requests

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// GlassUse is what an agent says of a code that was used while the server was out of reach.
type GlassUse struct {
	Code     engine.GlassCodeID
	Ports    access.PortRange
	Protocol access.Protocol
	Source   netip.Prefix
	Opened   time.Time // by the agent's wall clock
	Duration time.Duration
	Reason   string
}

// GlassUsed records that a machine was opened with a code while the server was out of reach, and leaves the debt of
// review with whom the code was issued to. What was recorded already is not recorded again.
func (e *Service) GlassUsed(ctx context.Context, agent access.AgentID, address netip.Addr, u GlassUse) error {
	if len(u.Reason) > access.MaxText || u.Duration <= 0 || u.Duration > access.MaxDuration || !u.Ports.Valid() {
		return access.Fault(access.KindInvalid, "malformedUse", "the report of a used code is not valid")
	}
	err := e.kernel.Billed(ctx, func(tx engine.Tx, b *engine.Bill) error {
		now := e.kernel.Now()
		w := e.kernel.NewWork(tx, now)
		code, err := tx.GlassCode(ctx, u.Code)
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
			return fmt.Errorf("read code: %w", err)
		}
		m, machineErr := w.Machine(ctx, code.Machine)
		switch {
		case machineErr != nil:
			return machineErr
		// of a machine that another agent guards it says nothing
		case err != nil, code.Agent != agent && m.Agent != agent:
			return e.forgottenCode(ctx, tx, b, agent, address, u)
		case !code.UsedAt.IsZero():
			return nil
		}
		if err := tx.UseGlassCode(ctx, code.ID, now); err != nil {
			return err
		}
		issuer, err := tx.Principal(ctx, code.IssuedBy)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		w.Bumps[cmp.Or(m.Agent, agent)] = true
		dir, err := e.kernel.Compiled(ctx, tx)
		if err != nil {
			return err
		}
		tenant := cmp.Or(m.Tenant, issuer.Tenant) // that of the machine, unless it was deleted
		issuer.Name = engine.Rights{Dir: dir, Caller: engine.Caller{Name: issuer.Name, Tenant: issuer.Tenant}}.Name(
			tenant)
		actor := access.Actor{ID: issuer.ID, Name: issuer.Name, Address: address, Via: "agent"}
		approvals, told, err := approversOf(ctx, tx, code.Machine, u)
		if err != nil {
			return err
		}
		request, _ := access.NewRequest(access.Request{
			ID: access.RequestID(engine.NewID()), Tenant: tenant, Requester: issuer.ID, RequesterName: issuer.Name,
			Via: "agent", BreakGlass: true, Approvals: approvals,
			Justification: u.Reason, Start: access.Instant(u.Opened),
			Items: []access.Item{{
				Target: access.PortTarget{
					Machine: code.Machine, Ports: u.Ports, Protocol: u.Protocol, Sources: []netip.Prefix{u.Source},
				},
				Duration: u.Duration.Truncate(time.Microsecond),
			}},
		}, actor, 0, now)
		request.State, request.DecidedAt = access.RequestApproved, now // on the machine, by the code
		if err := tx.SaveRequest(ctx, request, 0); err != nil {
			return fmt.Errorf("save request: %w", err)
		}
		use := engine.CodeUse{Request: request, Opened: request.Start}
		if use.Opened.After(now) {
			use.Opened = now // by a clock that is ahead: it cannot have been later
		}
		use.Over = use.Opened.Add(request.Items[0].Duration)
		if err := tx.SaveCodeUse(ctx, use); err != nil {
			return fmt.Errorf("save use of a code: %w", err)
		}
		if m.ID != "" && use.Opened.After(m.LastAccess) {
			was := m.Revision
			m.LastAccess, m.Revision = use.Opened, was+1
			if err := tx.SaveMachine(ctx, m, was); err != nil {
				return fmt.Errorf("save machine: %w", err)
			}
		}
		review := access.Review{
			ID: access.ReviewID(engine.NewID()), Tenant: tenant, Person: issuer.ID, PersonName: issuer.Name,
			Request: request.ID, Offline: true, CreatedAt: now, Revision: 1,
		}
		if err := tx.SaveReview(ctx, review, 0); err != nil {
			return fmt.Errorf("save review: %w", err)
		}
		w.Notify(engine.Notice{Kind: engine.NotifyBreakGlass, Request: request, CodeOf: issuer.Name, Recipients: told})
		w.Event(access.Event{
			Kind: access.GlassBroken, Actor: actor, Tenant: tenant, Scope: m.Resource, Machine: code.Machine,
			Agent: agent, Request: request.ID,
			Details: map[string]string{
				"offline": "true", "code": string(code.ID), "review": string(review.ID),
				"ports":  u.Ports.String() + "/" + string(u.Protocol),
				"source": u.Source.String(), "opened": u.Opened.UTC().Format(time.RFC3339),
				"duration": u.Duration.String(), "justification": engine.Clip(u.Reason),
			},
		})
		return w.Finish(ctx)
	})
	if err == nil {
		e.kernel.Poke()
	}
	return err
}

// approversOf gives what the rule for what was opened asks for, and whom it names; nothing where no policy guards the
// machine.
func approversOf(ctx context.Context, r engine.Reader, machine access.MachineID,
	u GlassUse,
) ([]access.Approval, []access.PrincipalID, error) {
	p, err := engine.Guarding(ctx, r, machine, u.Ports, u.Protocol)
	if err != nil {
		return nil, nil, err
	}
	entry, _ := p.Of(machine)
	approvals := everyApproval([]*access.MachinePolicy{&entry})
	return approvals, namedInApprovals(approvals), nil
}

// forgottenCode records the use of a code that was issued so long ago that nothing is known of it any more.
func (e *Service) forgottenCode(ctx context.Context, tx engine.Tx, b *engine.Bill, id access.AgentID,
	address netip.Addr, u GlassUse,
) error {
	agent, err := tx.Agent(ctx, id)
	if err != nil {
		return fmt.Errorf("read agent: %w", err)
	}
	if e.strangeUses.Take(b, id, 1, e.kernel.Now()) == 0 {
		return access.Fault(access.KindLimited, "tooManyUses",
			"this agent has reported %d uses of unknown codes: it can report more in an hour",
			maxForgottenUses)
	}
	w := e.kernel.NewWork(tx, e.kernel.Now())
	w.Event(access.Event{
		Kind: access.GlassBroken, Actor: machines.ActorOf(agent, address), Tenant: agent.Tenant, Agent: id,
		Details: map[string]string{
			"offline": "true", "code": engine.Clip(string(u.Code)), "forgotten": "true",
			"ports":  u.Ports.String() + "/" + string(u.Protocol),
			"source": u.Source.String(), "opened": u.Opened.UTC().Format(time.RFC3339), "duration": u.Duration.String(),
			"justification": engine.Clip(u.Reason),
		},
	})
	return w.Finish(ctx)
}

// maxForgottenUses is how many uses of codes that nobody knows any more one agent may write at once, and in each hour.
// A machine has a few in a year.
const maxForgottenUses = 20
