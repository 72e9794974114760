package machines

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// EnrollInput is an agent's first message.
type EnrollInput struct {
	Token     string
	Name      string // the host's own name, used where the token names none
	OS        string
	Addresses []netip.Addr
	Version   string
}

// Enrolled is what an enrollment made.
type Enrolled struct {
	Agent   access.Agent
	Machine access.Machine // its zero value in gateway mode
}

// Enroll uses a token up: it makes the agent and, in host mode, its machine. A token that names a machine which is
// there already, in the token's own resource group, moves it to the new agent, and revokes the old one: see placeHost.
// sign issues the certificate for the agent's id and gives the fingerprint of its public key; it is called once,
// outside any transaction, and only for a token that is good.
func (e *Service) Enroll(ctx context.Context, addr netip.Addr, in EnrollInput,
	sign func(access.AgentID) (fingerprint string, err error),
) (out Enrolled, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		t, err := goodToken(ctx, r, in, e.kernel.Now())
		if err == nil {
			_, err = e.makerOf(ctx, r, t)
		}
		return err
	})
	if err == nil {
		err = in.check()
	}
	if err != nil {
		return Enrolled{}, e.enrolRefused(ctx, addr, in, err)
	}
	id := access.AgentID(engine.NewID())
	fingerprint, err := sign(id)
	if err != nil {
		return Enrolled{}, fmt.Errorf("sign certificate: %w", err)
	}
	err = e.kernel.Update(ctx, func(tx engine.Tx) error {
		out, err = e.enroll(ctx, tx, addr, in, access.Agent{ID: id, Fingerprint: fingerprint, Version: in.Version})
		return err
	})
	if err != nil {
		return Enrolled{}, e.enrolRefused(ctx, addr, in, err)
	}
	return out, nil
}

func (in EnrollInput) check() error {
	switch {
	case len(in.Addresses) > engine.MaxAddresses:
		return access.Fault(access.KindInvalid, "tooManyAddresses", "the host has %d addresses; %d are allowed",
			len(in.Addresses), engine.MaxAddresses)
	case len(in.Version) > engine.MaxDetail || !directory.PlainText(in.Version):
		return access.Fault(access.KindInvalid, "malformedVersion", "the version is too long or has control characters")
	}
	return nil
}

// goodToken gives the token that an agent shows, and fails with access.KindUnauthenticated where it does not count.
func goodToken(ctx context.Context, r engine.Reader, in EnrollInput, now time.Time) (engine.EnrollmentToken, error) {
	t, err := r.EnrollmentToken(ctx, directory.HashSecret(in.Token))
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return t, access.Fault(access.KindUnauthenticated, "tokenUnknown",
			"the enrollment token is not one of this server: create one with postern machine token")
	case err != nil:
		return t, fmt.Errorf("read enrollment token: %w", err)
	case !t.UsedAt.IsZero():
		return t, access.Fault(access.KindUnauthenticated, "tokenUsed",
			"the enrollment token was used at %s: create one for each agent", t.UsedAt.Format(time.RFC3339))
	case !now.Before(t.ExpiresAt):
		return t, access.Fault(access.KindUnauthenticated, "tokenExpired",
			"the enrollment token expired at %s: create a new one", t.ExpiresAt.Format(time.RFC3339))
	}
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return t, fmt.Errorf("read resource groups: %w", err)
	}
	if !slices.ContainsFunc(groups, func(g access.ResourceGroup) bool {
		return access.ResourceGroupScope(g.Subscription, g.Name).Equal(t.Scope())
	}) {
		return t, access.Fault(access.KindUnauthenticated, "tokenWithoutGroup",
			"the resource group %q of the enrollment token no longer exists: create a token for another one", t.ResourceGroup)
	}
	return t, nil
}

// makerOf gives what whoever made a token may do now, and fails where they may not enroll agents in its resource group
// any more: a token is good for days, and a role that was held for an hour does not outlast it.
func (e *Service) makerOf(ctx context.Context, r engine.Reader, t engine.EnrollmentToken) (engine.Rights, error) {
	maker, err := r.Principal(ctx, t.CreatedBy)
	if err != nil {
		return engine.Rights{}, fmt.Errorf("read principal: %w", err)
	}
	may, err := e.kernel.Rights(ctx, r, engine.Caller{Principal: maker.ID, Name: maker.Name, Tenant: maker.Tenant})
	if err == nil && !may.MayOf(t.Tenant, rbac.EnrollmentTokensWrite, t.Scope()) {
		err = access.Fault(access.KindUnauthenticated, "tokenMakerLeft",
			"the creator of the enrollment token may no longer enroll agents in the resource group %q: someone who may "+
				"has to create a new one",
			t.ResourceGroup)
	}
	return may, err
}

func (e *Service) enroll(ctx context.Context, tx engine.Tx, addr netip.Addr, in EnrollInput,
	agent access.Agent,
) (Enrolled, error) {
	now := e.kernel.Now()
	t, err := goodToken(ctx, tx, in, now)
	if err != nil {
		return Enrolled{}, err
	}
	maker, err := e.makerOf(ctx, tx, t)
	if err != nil {
		return Enrolled{}, err
	}
	name := t.Name
	if name == "" {
		name, _, _ = strings.Cut(in.Name, ".") // the host's own name, without its domain
	}
	if err := access.CheckName("machine", name); err != nil {
		return Enrolled{}, err
	}
	if err := tx.UseEnrollmentToken(ctx, t.Hash, now); err != nil {
		return Enrolled{}, fmt.Errorf("use enrollment token: %w", err)
	}
	agent.Tenant, agent.Name, agent.Mode, agent.EnrolledAt, agent.Scope = t.Tenant, name, t.Mode, now, t.Scope()
	agent.Epoch = engine.NewID()
	w := e.kernel.NewWork(tx, now)
	out := Enrolled{Agent: agent}
	p := placing{Work: w, maker: maker, token: t, agent: agent, actor: ActorOf(agent, addr)}
	scope := agent.Scope
	if t.Mode == access.ModeHost {
		if out.Machine, err = p.host(ctx, in); err != nil {
			return Enrolled{}, err
		}
		scope = out.Machine.Resource
	} else if err := p.gateway(ctx); err != nil {
		return Enrolled{}, err
	}
	w.Event(access.Event{
		Kind: access.AgentEnrolled, Actor: ActorOf(agent, addr), Tenant: t.Tenant, Scope: scope,
		Machine: out.Machine.ID, Agent: agent.ID,
		Details: map[string]string{
			"name": name, "mode": string(t.Mode), "version": in.Version, "fingerprint": agent.Fingerprint,
			"token": t.Hash[:16], "tokenBy": string(t.CreatedBy),
		},
	})
	if err := w.Finish(ctx); err != nil {
		return Enrolled{}, err
	}
	out.Agent, err = tx.Agent(ctx, agent.ID)
	return out, err
}

func (e *Service) enrolRefused(ctx context.Context, addr netip.Addr, in EnrollInput, err error) error {
	if access.KindOf(err) == access.KindInternal {
		return err
	}
	event := access.Event{
		At: e.kernel.Now(), Kind: access.AgentEnrolRefused, Outcome: access.Refused,
		Actor: access.Actor{Name: "unknown agent", Address: addr, Via: "agent"},
		Details: map[string]string{
			"reason": access.CodeOf(err), "message": engine.Clip(err.Error()),
			"name": engine.Clip(in.Name), "token": directory.HashSecret(in.Token)[:16],
		},
	}
	if recordErr := e.kernel.Record(ctx, event); recordErr != nil {
		e.kernel.Log.ErrorContext(ctx, "record refused enrollment", "error", recordErr, "refusal", err)
	}
	return err
}

// RenewAgent replaces an agent's certificate by one for the same key; the one before counts until it ends by itself,
// since the answer may be lost. Another key is refused: with that, whoever has a copy of the certificate could put the
// original out without ever being seen beside it.
func (e *Service) RenewAgent(ctx context.Context, agent access.AgentID, addr netip.Addr,
	sign func(access.AgentID) (fingerprint string, err error),
) (out Enrolled, err error) {
	if e.words.Take(nil, agent, 1, e.kernel.Now()) == 0 {
		return Enrolled{}, access.Fault(access.KindLimited, "tooManyRenewals",
			"this agent has renewed its certificate too often: it can try again in an hour")
	}
	fingerprint, err := sign(agent)
	if err != nil {
		return Enrolled{}, fmt.Errorf("sign certificate: %w", err)
	}
	err = e.kernel.Update(ctx, func(tx engine.Tx) error {
		a, err := tx.Agent(ctx, agent)
		if err != nil {
			return fmt.Errorf("read agent: %w", err)
		}
		if a.Revoked {
			return access.Fault(access.KindUnauthenticated, "agentRefused",
				"this server no longer knows the agent: enroll it again")
		}
		if a.Fingerprint != fingerprint {
			out.Agent = a
			return access.Fault(access.KindForbidden, "anotherKey",
				"a certificate is renewed for the key that it has: enroll the host anew, with --replace, to give it "+
					"another")
		}
		out = Enrolled{Agent: a}
		if a.Mode == access.ModeHost {
			if out.Machine, err = engine.OnlyMachine(ctx, tx, agent); err != nil {
				return err
			}
		}
		return tx.Append(ctx, access.Event{
			At: e.kernel.Now(), Kind: access.AgentEnrolled, Outcome: access.Succeeded, Actor: ActorOf(a, addr),
			Tenant: a.Tenant,
			Scope:  out.Machine.Resource, Machine: out.Machine.ID, Agent: a.ID,
			Details: map[string]string{"name": a.Name, "renewed": "true", "fingerprint": fingerprint},
		})
	})
	if engine.IsKind(err, access.KindForbidden) {
		e.recordRefused(ctx, out.Agent, addr, err)
	}
	return out, err
}

// recordRefused puts on record what was refused of an agent that is known; it was counted before.
func (e *Service) recordRefused(ctx context.Context, a access.Agent, addr netip.Addr, err error) {
	refusal := engine.Attempt{Kind: access.AgentRefused, Agent: a.ID}.Event(engine.Caller{Tenant: a.Tenant}, err)
	refusal.At, refusal.Actor = e.kernel.Now(), ActorOf(a, addr)
	if recordErr := e.kernel.Record(ctx, refusal); recordErr != nil {
		e.kernel.Log.ErrorContext(ctx, "record what was refused of an agent", "error", recordErr, "refusal", err)
	}
}
