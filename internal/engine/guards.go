package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// Guards reads what guards machines, and the policies of scopes once for each tenant.
type Guards struct {
	R      Reader
	scopes map[access.TenantID][]access.ScopePolicy
}

// Disabled returns the switch by which just-in-time access is disabled for a machine; the zero Switch where none is.
func (g *Guards) Disabled(ctx context.Context, m access.Machine) (access.Switch, error) {
	switches, err := g.R.Switches(ctx, m.Tenant) // which the store has at hand
	if err != nil {
		return access.Switch{}, fmt.Errorf("read switches: %w", err)
	}
	return access.DisabledBy(m, switches), nil
}

// Of returns what guards a machine, in the order in which it counts: see access.Guards.
func (g *Guards) Of(ctx context.Context, m access.Machine) ([]access.Policy, error) {
	own, err := g.R.GuardOf(ctx, m.ID)
	if err != nil && !IsKind(err, access.KindNotFound) {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return g.With(ctx, m, own)
}

// With is Of where the policy that names the machine is known; the zero Policy says that none does.
func (g *Guards) With(ctx context.Context, m access.Machine, own access.Policy) (all []access.Policy, err error) {
	if _, read := g.scopes[m.Tenant]; !read {
		if g.scopes == nil {
			g.scopes = map[access.TenantID][]access.ScopePolicy{}
		}
		if g.scopes[m.Tenant], err = g.R.ScopePolicies(ctx, m.Tenant); err != nil {
			return nil, fmt.Errorf("read policies of scopes: %w", err)
		}
	}
	return access.Guards(m, own, g.scopes[m.Tenant]), nil
}

// GuardsOf is Guards.Of for one machine.
func GuardsOf(ctx context.Context, r Reader, m access.Machine) ([]access.Policy, error) {
	return (&Guards{R: r}).Of(ctx, m)
}

// PolicyOf returns a policy of a tenant, of machines or of a scope, without what it says of machines.
func PolicyOf(ctx context.Context, r Reader, tenant access.TenantID, id access.PolicyID) (access.Policy, error) {
	p, err := r.Policy(ctx, id)
	if !IsKind(err, access.KindNotFound) {
		p.Machines = nil
		return p, err
	}
	scopes, failed := r.ScopePolicies(ctx, tenant)
	if failed != nil {
		return p, fmt.Errorf("read policies of scopes: %w", failed)
	}
	for _, s := range scopes {
		if s.ID == id {
			return s.Head(), nil
		}
	}
	return p, err
}

// PolicyAt is PolicyOf by the resource id.
func PolicyAt(ctx context.Context, r Reader, id access.ResourceID) (access.Policy, error) {
	p, err := r.PolicyHead(ctx, id)
	if !IsKind(err, access.KindNotFound) {
		return p, err
	}
	s, err := r.ScopePolicy(ctx, id)
	return s.Head(), err
}

// Guarding returns the policy that holds for ports of a machine, with what it says of that machine alone: see
// access.Ruling. It is the zero Policy where nothing guards the machine, or where it was deleted.
func Guarding(ctx context.Context, r Reader, machine access.MachineID, ports access.PortRange,
	protocol access.Protocol,
) (access.Policy, error) {
	m, err := r.Machine(ctx, machine)
	if IsKind(err, access.KindNotFound) {
		return access.Policy{}, nil
	}
	if err != nil {
		return access.Policy{}, fmt.Errorf("read machine: %w", err)
	}
	guards, err := GuardsOf(ctx, r, m)
	return access.Ruling(guards, ports, protocol), err
}
