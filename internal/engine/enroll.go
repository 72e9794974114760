package engine

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// EnrollInput is an agent's first message.
type EnrollInput struct {
	Token     string
	Name      string // the host's own name, used where the token names none
	OS        string
	Addresses []netip.Addr
	Version   string
}

// Enrolled is what an enrolment made.
type Enrolled struct {
	Agent   access.Agent
	Machine access.Machine // its zero value in gateway mode
}

// Enroll uses a token up: it makes the agent and, in host mode, its machine. A token that names a machine which is there
// already moves it to the new agent, and revokes the old one. sign issues the certificate for the agent's id and gives the
// fingerprint of its public key; it is called once, outside any transaction, and only for a token that is good.
func (e *Engine) Enroll(ctx context.Context, addr netip.Addr, in EnrollInput, sign func(access.AgentID) (fingerprint string, err error)) (out Enrolled, err error) {
	err = e.store.View(ctx, func(r Reader) error {
		_, err := goodToken(ctx, r, in, e.now())
		return err
	})
	if err == nil {
		err = in.check()
	}
	if err != nil {
		return Enrolled{}, e.enrolRefused(ctx, addr, in, err)
	}
	id := access.AgentID(newID())
	fingerprint, err := sign(id)
	if err != nil {
		return Enrolled{}, fmt.Errorf("sign certificate: %w", err)
	}
	err = e.update(ctx, func(tx Tx) error {
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
	case len(in.Addresses) > maxAddresses:
		return access.Fault(access.KindInvalid, "tooManyAddresses", "the host has %d addresses; %d are allowed", len(in.Addresses), maxAddresses)
	case len(in.Version) > maxDetail || !plainText(in.Version):
		return access.Fault(access.KindInvalid, "malformedVersion", "the version is too long or has control characters")
	}
	return nil
}

// goodToken gives the token that an agent shows, and fails with access.KindUnauthenticated where it does not count.
func goodToken(ctx context.Context, r Reader, in EnrollInput, now time.Time) (EnrollmentToken, error) {
	t, err := r.EnrollmentToken(ctx, hashSecret(in.Token))
	switch {
	case isKind(err, access.KindNotFound):
		return t, access.Fault(access.KindUnauthenticated, "tokenUnknown", "the enrolment token is not one of this server: make a new one with postern machine token")
	case err != nil:
		return t, fmt.Errorf("read enrolment token: %w", err)
	case !t.UsedAt.IsZero():
		return t, access.Fault(access.KindUnauthenticated, "tokenUsed", "the enrolment token was used at %s: make a new one for each agent", t.UsedAt.Format(time.RFC3339))
	case !now.Before(t.ExpiresAt):
		return t, access.Fault(access.KindUnauthenticated, "tokenExpired", "the enrolment token was good until %s: make a new one", t.ExpiresAt.Format(time.RFC3339))
	}
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return t, fmt.Errorf("read resource groups: %w", err)
	}
	if !slices.ContainsFunc(groups, func(g access.ResourceGroup) bool {
		return access.ResourceGroupScope(g.Subscription, g.Name).Equal(t.scope())
	}) {
		return t, access.Fault(access.KindUnauthenticated, "tokenWithoutGroup", "the resource group %q of the enrolment token is gone: make a new token for another one", t.ResourceGroup)
	}
	return t, nil
}

func (e *Engine) enroll(ctx context.Context, tx Tx, addr netip.Addr, in EnrollInput, agent access.Agent) (Enrolled, error) {
	now := e.now()
	t, err := goodToken(ctx, tx, in, now)
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
		return Enrolled{}, fmt.Errorf("use enrolment token: %w", err)
	}
	agent.Tenant, agent.Name, agent.Mode, agent.EnrolledAt = t.Tenant, name, t.Mode, now
	w := e.newWork(tx, now)
	out := Enrolled{Agent: agent}
	if err := w.takeOver(ctx, t, name); err != nil {
		return Enrolled{}, err
	}
	if err := tx.SaveAgent(ctx, agent); err != nil {
		return Enrolled{}, fmt.Errorf("save agent: %w", err)
	}
	w.bumps[agent.ID] = true
	scope := access.ResourceGroupScope(t.Subscription, t.ResourceGroup)
	if t.Mode == access.ModeHost {
		if out.Machine, err = w.placeHost(ctx, t, in, agent, addr); err != nil {
			return Enrolled{}, err
		}
		scope = out.Machine.Resource
	}
	w.event(access.Event{
		Kind: access.AgentEnrolled, Actor: actorOf(agent, addr), Tenant: t.Tenant, Scope: scope, Machine: out.Machine.ID, Agent: agent.ID,
		Details: map[string]string{
			"name": name, "mode": string(t.Mode), "version": in.Version, "fingerprint": agent.Fingerprint,
			"token": t.Hash[:16], "tokenBy": string(t.CreatedBy),
		},
	})
	if err := w.finish(ctx); err != nil {
		return Enrolled{}, err
	}
	out.Agent, err = tx.Agent(ctx, agent.ID)
	return out, err
}

// takeOver revokes the agent that has the name already, where the token names it: whoever made the token knew. A host
// that merely calls itself so is refused.
func (w *work) takeOver(ctx context.Context, t EnrollmentToken, name string) error {
	old, err := agentNamed(ctx, w.tx, t.Tenant, name)
	if err != nil || old.ID == "" || old.Revoked {
		return err
	}
	if t.Name == "" || old.Mode != t.Mode || t.Mode == access.ModeGateway {
		return access.Fault(access.KindConflict, "agentExists", "there is an agent %q already: choose another name, or for a host make a token that names it with --name", name)
	}
	old.Revoked = true
	old.Problem = "another agent took its place"
	if err := w.tx.SaveAgent(ctx, old); err != nil {
		return fmt.Errorf("save agent: %w", err)
	}
	w.bumps[old.ID] = true
	return nil
}

// placeHost makes the machine of a host's agent, or gives it the one of its name that lost its agent or is being taken over.
func (w *work) placeHost(ctx context.Context, t EnrollmentToken, in EnrollInput, agent access.Agent, addr netip.Addr) (access.Machine, error) {
	resource := access.MachineResource(t.Subscription, t.ResourceGroup, agent.Name)
	m, err := w.tx.MachineByResource(ctx, resource)
	switch {
	case isKind(err, access.KindNotFound):
		m = access.Machine{ID: access.MachineID(newID()), Resource: resource, Tenant: t.Tenant, Name: agent.Name, Location: LocalLocation, CreatedAt: w.now}
	case err != nil:
		return m, fmt.Errorf("read machine: %w", err)
	}
	if m.Agent != "" {
		old, err := w.tx.Agent(ctx, m.Agent)
		if err != nil {
			return m, fmt.Errorf("read agent: %w", err)
		}
		if !old.Revoked {
			return m, access.Fault(access.KindConflict, "machineExists", "there is a machine %q already that agent %q guards: delete it first, or choose another name", m.Name, old.Name)
		}
		w.bumps[m.Agent] = true
	}
	was := m.Revision
	m.OS, m.Addresses, m.Agent, m.Revision = in.OS, plainAddresses(in.Addresses), agent.ID, was+1
	if checkLabels(m.OS, nil) != nil {
		m.OS = ""
	}
	if err := w.tx.SaveMachine(ctx, m, was); err != nil {
		return m, fmt.Errorf("save machine: %w", err)
	}
	if was == 0 {
		w.event(access.Event{
			Kind: access.MachineAdded, Actor: actorOf(agent, addr), Tenant: m.Tenant, Scope: m.Resource, Machine: m.ID, Agent: agent.ID,
			Details: map[string]string{"name": m.Name, "agent": agent.Name, "mode": string(agent.Mode), "addresses": joinAddresses(m.Addresses)},
		})
	}
	return m, nil
}

// agentNamed gives the agent of a tenant that has a name and is in service, or else one that was revoked, or else the zero
// value.
func agentNamed(ctx context.Context, r Reader, tenant access.TenantID, name string) (access.Agent, error) {
	agents, err := r.AgentsByName(ctx, name)
	if err != nil {
		return access.Agent{}, fmt.Errorf("read agents by name: %w", err)
	}
	var found access.Agent
	for _, a := range agents {
		if a.Tenant == tenant && (found.ID == "" || found.Revoked) {
			found = a
		}
	}
	return found, nil
}

func (e *Engine) enrolRefused(ctx context.Context, addr netip.Addr, in EnrollInput, err error) error {
	if access.KindOf(err) == access.KindInternal {
		return err
	}
	event := access.Event{
		At: e.now(), Kind: access.AgentEnrolRefused, Outcome: access.Refused, Actor: access.Actor{Name: "unknown agent", Address: addr, Via: "agent"},
		Details: map[string]string{"reason": access.CodeOf(err), "message": clip(err.Error()), "name": clip(in.Name), "token": hashSecret(in.Token)[:16]},
	}
	if recordErr := e.record(ctx, event); recordErr != nil {
		e.log.ErrorContext(ctx, "record refused enrolment", "error", recordErr, "refusal", err)
	}
	return err
}

// RenewAgent replaces an agent's certificate. The one before counts until it ends by itself, since the answer may be lost.
func (e *Engine) RenewAgent(ctx context.Context, agent access.AgentID, addr netip.Addr, sign func(access.AgentID) (fingerprint string, err error)) (out Enrolled, err error) {
	fingerprint, err := sign(agent)
	if err != nil {
		return Enrolled{}, fmt.Errorf("sign certificate: %w", err)
	}
	err = e.update(ctx, func(tx Tx) error {
		a, err := tx.Agent(ctx, agent)
		if err != nil {
			return fmt.Errorf("read agent: %w", err)
		}
		if a.Revoked {
			return access.Fault(access.KindUnauthenticated, "agentRefused", "this agent is not known here any more: enrol it again")
		}
		if a.Fingerprint != fingerprint {
			if err := tx.SaveSetting(ctx, keyBefore(agent), []byte(a.Fingerprint)); err != nil {
				return fmt.Errorf("save the agent's key before: %w", err)
			}
			a.Fingerprint = fingerprint
			if err := tx.SaveAgent(ctx, a); err != nil {
				return fmt.Errorf("save agent: %w", err)
			}
		}
		out = Enrolled{Agent: a}
		if a.Mode == access.ModeHost {
			machines, err := tx.MachinesOfAgent(ctx, agent)
			if err != nil {
				return fmt.Errorf("read machines: %w", err)
			}
			if len(machines) > 0 {
				out.Machine = machines[0]
			}
		}
		return tx.Append(ctx, access.Event{
			At: e.now(), Kind: access.AgentEnrolled, Outcome: access.Succeeded, Actor: actorOf(a, addr), Tenant: a.Tenant,
			Scope: out.Machine.Resource, Machine: out.Machine.ID, Agent: a.ID, Details: map[string]string{"name": a.Name, "renewed": "true", "fingerprint": fingerprint},
		})
	})
	return out, err
}
