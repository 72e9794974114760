package machines

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// placing puts an agent that enrolls in its place: on a machine of the token's own resource group, or into that
// resource group as a gateway. What it acts on it finds by the resource id, never by a name that another resource group
// may have too.
type placing struct {
	*engine.Work

	maker engine.Rights // of the token, now
	token engine.EnrollmentToken
	agent access.Agent
	actor access.Actor
}

// gateway keeps the agent. Where its resource group has a gateway of its name in service, a token that names it
// replaces that one, and all machines behind it are behind the new one.
func (p *placing) gateway(ctx context.Context) error {
	old, err := inService(ctx, p.Tx, p.agent.Tenant, p.agent.Scope, p.agent.Name)
	if err != nil {
		return err
	}
	if old.ID == "" {
		return p.save(ctx)
	}
	if p.token.Name == "" || old.Mode != access.ModeGateway {
		return agentExists(old)
	}
	if action := lacksToReplace(p.maker, old); action != "" {
		return access.Fault(access.KindConflict, "mayNotReplace",
			"there is a gateway %q already, and whoever made the token may not replace it: they need the action %s there",
			old.Name, action)
	}
	if old.EnrolledAt.After(p.token.CreatedAt) {
		return access.Fault(access.KindConflict, "mayNotReplace",
			"gateway %q enrolled after this token was made, and the token does not replace it: make a new one, with "+
				"postern machine token NAME --gateway",
			old.Name)
	}
	holds, err := p.Tx.LastEndOf(ctx, old.ID, p.Now) // of what it may hold open
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	if err := p.succeed(ctx, old, holds, access.Event{Scope: old.Scope}); err != nil {
		return err
	}
	if err := p.save(ctx); err != nil {
		return err
	}
	if err := p.Tx.MoveMachines(ctx, old.ID, p.agent.ID); err != nil {
		return fmt.Errorf("move machines: %w", err)
	}
	return nil
}

// lacksToReplace gives the action that somebody lacks to replace a gateway; empty where they may. What lies behind it
// may be of other resource groups, whose owners left it to those of the gateway.
func lacksToReplace(may engine.Rights, gateway access.Agent) string {
	for _, action := range []string{rbac.GatewaysJoin, rbac.MachinesWrite} {
		if !may.MayOf(gateway.Tenant, action, engine.OrRoot(gateway.Scope)) {
			return action
		}
	}
	return ""
}

// inService gives the agent in service that has a name in a resource group; the zero Agent where none has.
func inService(ctx context.Context, r engine.Reader, tenant access.TenantID, scope access.ResourceID,
	name string,
) (access.Agent, error) {
	agents, err := r.AgentsByName(ctx, tenant, name)
	if err != nil {
		return access.Agent{}, fmt.Errorf("read agents by name: %w", err)
	}
	for _, a := range agents {
		if a.Scope.Equal(scope) && !a.Revoked {
			return a, nil
		}
	}
	return access.Agent{}, nil
}

func agentExists(a access.Agent) error {
	return access.Fault(access.KindConflict, "agentExists",
		"there is an agent %q in this resource group already: choose another name, or to replace it make a token "+
			"that names it, with postern machine token NAME, for a gateway with --gateway",
		a.Name)
}

// free fails where an agent in service has the name in the resource group.
func (p *placing) free(ctx context.Context) error {
	old, err := inService(ctx, p.Tx, p.agent.Tenant, p.agent.Scope, p.agent.Name)
	if err == nil && old.ID != "" {
		err = agentExists(old)
	}
	return err
}

func (p *placing) save(ctx context.Context) error {
	if err := engine.KeepAgent(ctx, p.Tx, p.agent); err != nil {
		return err
	}
	p.Bumps[p.agent.ID] = true
	return nil
}

// host makes the machine of a host's agent, or gives it the one of its resource id. Where an agent in service guards
// that one, a token that names it replaces the agent; a host that merely calls itself so is refused.
func (p *placing) host(ctx context.Context, in EnrollInput) (access.Machine, error) {
	t := p.token
	resource := access.MachineResource(t.Subscription, t.ResourceGroup, p.agent.Name)
	m, err := p.Tx.MachineByResource(ctx, resource)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		m = access.Machine{
			ID: access.MachineID(engine.NewID()), Resource: resource, Tenant: t.Tenant,
			Name: p.agent.Name, CreatedAt: p.Now,
		}
		if m.Location, err = locationOf(ctx, p.Tx, t.Subscription, t.ResourceGroup); err != nil {
			return m, err
		}
	case err != nil:
		return m, fmt.Errorf("read machine: %w", err)
	}
	if m.Agent != "" {
		if err := p.replace(ctx, m); err != nil {
			return m, err
		}
	}
	if err := p.free(ctx); err != nil {
		return m, err
	}
	if err := p.save(ctx); err != nil {
		return m, err
	}
	was := m.Revision
	m.OS, m.Addresses, m.Agent, m.Revision = in.OS, plainAddresses(in.Addresses), p.agent.ID, was+1
	if checkLabels(m.OS, nil) != nil {
		m.OS = ""
	}
	if err := p.Tx.SaveMachine(ctx, m, was); err != nil {
		return m, fmt.Errorf("save machine: %w", err)
	}
	if was == 0 {
		p.Event(access.Event{
			Kind: access.MachineAdded, Actor: p.actor, Tenant: m.Tenant, Scope: m.Resource, Machine: m.ID,
			Agent: p.agent.ID,
			Details: map[string]string{
				"name": m.Name, "agent": p.agent.Name, "mode": string(p.agent.Mode),
				"addresses": joinAddresses(m.Addresses),
			},
		})
	}
	return m, nil
}

// locationOf gives the location of a resource group, in which its machines lie too where nobody says otherwise.
func locationOf(ctx context.Context, r engine.Reader, subscription access.SubscriptionID, name string) (string, error) {
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return "", fmt.Errorf("read resource groups: %w", err)
	}
	for _, g := range groups {
		if g.Subscription == subscription && strings.EqualFold(g.Name, name) {
			return g.Location, nil
		}
	}
	return "", engine.NoSuchGroup(name)
}

// replace takes a machine from the agent that guards it. Until that one has said that it holds nothing open any more,
// or the time of what it held is over, it is told so and no grant of before counts as closed.
func (p *placing) replace(ctx context.Context, m access.Machine) error {
	old, err := p.Tx.Agent(ctx, m.Agent)
	if err != nil {
		return fmt.Errorf("read agent: %w", err)
	}
	if !old.Revoked {
		if p.token.Name == "" || old.Mode != access.ModeHost {
			return access.Fault(access.KindConflict, "machineExists",
				"there is a machine %q in this resource group already, which agent %q guards: choose another name, "+
					"or make a token that names it, with postern machine token NAME",
				m.Name, old.Name)
		}
		if err := p.mayReplace(m, old); err != nil {
			return err
		}
	}
	holds, err := p.Tx.LastEnd(ctx, m.ID, p.Now) // of what it may hold open
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	return p.succeed(ctx, old, holds, access.Event{Scope: m.Resource, Machine: m.ID})
}

// succeed has the agent take the place of another, which may hold something open until then. where says of what that is
// recorded.
func (p *placing) succeed(ctx context.Context, old access.Agent, holds time.Time, where access.Event) error {
	old, p.agent = access.Replace(old, p.agent, holds, p.Now)
	if err := engine.KeepAgent(ctx, p.Tx, old); err != nil {
		return err
	}
	p.Bumps[old.ID] = true
	for _, before := range p.agent.Predecessors { // they are emptied by what their heir guards
		if before.Agent == old.ID {
			continue
		}
		a, err := p.Tx.Agent(ctx, before.Agent)
		if err != nil {
			return fmt.Errorf("read agent: %w", err)
		}
		a.Successor = p.agent.ID
		if err := engine.KeepAgent(ctx, p.Tx, a); err != nil {
			return err
		}
		p.Bumps[a.ID] = true
	}
	details := map[string]string{
		"name": old.Name, "by": string(p.agent.ID), "enrolled": old.EnrolledAt.UTC().Format(time.RFC3339),
		"token": p.token.PublicID(), "tokenBy": string(p.token.CreatedBy),
	}
	if !old.HoldsUntil.IsZero() {
		details["mayHoldUntil"] = old.HoldsUntil.UTC().Format(time.RFC3339)
	}
	where.Kind, where.Actor, where.Tenant = access.AgentReplaced, p.actor, old.Tenant
	where.Agent, where.Details = old.ID, details
	p.Event(where)
	return nil
}

// mayReplace fails unless whoever made the token may still change the machine, and the agent was there when they made
// it: a machine that is there is worth more than a name, and only of what was there does the making say that they
// might.
func (p *placing) mayReplace(m access.Machine, old access.Agent) error {
	if !p.maker.MayOf(m.Tenant, rbac.MachinesWrite, m.Resource) {
		return access.Fault(access.KindConflict, "mayNotReplace",
			"there is a machine %q already, and whoever made the token may not replace its agent: they need the "+
				"action %s there",
			m.Name, rbac.MachinesWrite)
	}
	if old.EnrolledAt.After(p.token.CreatedAt) {
		return access.Fault(access.KindConflict, "mayNotReplace",
			"machine %q got its agent after this token was made, and the token does not replace it: make a new one, "+
				"with postern machine token NAME",
			m.Name)
	}
	return nil
}

// mayName refuses a token for a machine or a gateway that is there, unless the caller may change that: its agent would
// be replaced.
func mayName(ctx context.Context, r engine.Reader, may engine.Rights, group engine.PlacedGroup, in TokenInput) error {
	name := in.Name
	if name == "" {
		return nil
	}
	if in.Mode == access.ModeGateway {
		old, err := inService(ctx, r, group.Subscription.Tenant, group.Scope(), name)
		if err != nil || old.ID == "" || old.Mode != access.ModeGateway {
			return err
		}
		if action := lacksToReplace(may, old); action != "" {
			return may.RequireOf(old.Tenant, action, engine.OrRoot(old.Scope))
		}
		return nil
	}
	m, err := r.MachineByResource(ctx, access.MachineResource(group.Subscription.ID, group.Group.Name, name))
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read machine: %w", err)
	}
	return may.RequireOf(m.Tenant, rbac.MachinesWrite, m.Resource)
}

// findGateway gives the gateway in service that ref names, by its name or id, where the caller may put machines behind
// it: machines of one resource group may be guarded by the gateway of another, whose owners have a say in that.
func findGateway(ctx context.Context, r engine.Reader, may engine.Rights, tenant access.TenantID,
	ref string,
) (access.Agent, error) {
	named, err := agentsNamed(ctx, r, tenant, ref)
	if err != nil {
		return access.Agent{}, err
	}
	scopes := may.Scopes(rbac.AgentsRead)
	var usable []access.Agent
	var refusal error = access.Fault(access.KindNotFound, "unknownAgent", "there is no agent %q that you may see",
		engine.Clip(ref))
	for _, a := range named {
		scope := engine.OrRoot(a.Scope)
		switch seen, err := seesAgent(ctx, r, may, a, scopes); {
		case err != nil:
			return access.Agent{}, err
		case a.Mode == access.ModeGateway && may.MayOf(tenant, rbac.GatewaysJoin, scope):
			usable = append(usable, a)
		case seen && a.Mode != access.ModeGateway:
			refusal = access.Fault(access.KindInvalid, "notAGateway",
				"agent %q is not a gateway in service: enroll one with a token of postern machine token --gateway",
				a.Name)
		case seen:
			refusal = may.RequireOf(tenant, rbac.GatewaysJoin, scope)
		}
	}
	switch len(usable) {
	case 0:
		return access.Agent{}, refusal
	case 1:
		return usable[0], nil
	}
	ambiguous := access.Fault(access.KindInvalid, "ambiguousAgent", "there are %d gateways %q: name one by its id",
		len(usable), engine.Clip(ref))
	for _, a := range usable[:min(len(usable), engine.MaxReasons)] {
		ambiguous.Reasons = append(ambiguous.Reasons,
			access.Reason{Code: "candidate", Message: string(a.ID) + " in " + string(engine.OrRoot(a.Scope))})
	}
	return access.Agent{}, ambiguous
}

// freeAddresses refuses addresses that another machine behind the gateway has: an opening of one machine would open the
// other, whatever the other's policy says.
func freeAddresses(ctx context.Context, r engine.Reader, gateway access.Agent, m access.Machine) error {
	for i, mine := range m.Addresses {
		// perhaps this one, and another
		having, err := r.Machines(ctx, engine.MachineFilter{Agent: gateway.ID, Address: mine}, engine.Page{Limit: 2})
		if err != nil {
			return fmt.Errorf("read machines: %w", err)
		}
		if slices.ContainsFunc(having.Items, func(other access.Machine) bool { return other.ID != m.ID }) {
			taken := access.Fault(access.KindConflict, "addressTaken",
				"another machine behind this gateway has an address of this one")
			taken.Reasons = []access.Reason{
				{
					Code: "addressTaken", Field: fmt.Sprintf("addresses[%d]", i),
					Message: mine.String() + " is the address of another machine behind the gateway",
				},
			}
			return taken
		}
	}
	return nil
}

// agentsNamed gives the agents of a tenant that are in service and have a name or id.
func agentsNamed(ctx context.Context, r engine.Reader, tenant access.TenantID, ref string) ([]access.Agent, error) {
	agents, err := r.AgentsByName(ctx, tenant, ref)
	if err != nil {
		return nil, fmt.Errorf("read agents by name: %w", err)
	}
	a, err := r.Agent(ctx, access.AgentID(strings.ToLower(ref)))
	switch {
	case err == nil:
		agents = append(agents, a)
	case !engine.IsKind(err, access.KindNotFound):
		return nil, fmt.Errorf("read agent: %w", err)
	}
	var named []access.Agent
	for _, a := range agents {
		if a.Tenant == tenant && !a.Revoked {
			named = append(named, a)
		}
	}
	return named, nil
}
