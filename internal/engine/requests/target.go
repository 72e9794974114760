package requests

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// What asking for a target takes beyond what the target knows, for each kind: what guards it now, whether somebody may
// still ask for it and until when, how it is extended, and what conditions may look at.

// guard is what a target is asked by now.
type guard struct {
	terms       access.MachinePolicy // with prefixes in the place of names of networks
	eligibility *access.Eligibility  // of a role
	policy      access.PolicyID      // of a port
	revision    int64                // of what the policy says of the machine, or of the eligibility
	missing     bool                 // nothing guards it any more
	disabled    string               // says that just-in-time access is disabled there; empty where it is not
	longest     time.Duration        // that is allowed; 0 where the target is not
	moves       bool                 // it may ask for something else by now, though it is the same
	holds       bool                 // what was asked of a request stays asked, whatever becomes of the guard
}

// eligibilityOf returns the eligibility by which a role is asked for; empty for a port.
func eligibilityOf(t access.Target) access.EligibilityID {
	return access.Match(t,
		func(access.PortTarget) access.EligibilityID { return "" },
		func(role access.RoleTarget) access.EligibilityID { return role.Eligibility })
}

// guards reads what guards targets of one tenant: each policy and network once.
type guards struct {
	networks machines.NetworkNames
	machine  func(context.Context, access.MachineID) (access.Machine, error) // the zero one where it was deleted
	policies map[access.MachineID][]access.Policy                            // what guards each
	disabled map[access.MachineID]string                                     // by what each is disabled
}

func guardsOf(r engine.Reader, tenant access.TenantID) guards {
	return guards{
		networks: machines.NetworkNames{R: r, Tenant: tenant}, machine: (&engine.NameCache{R: r}).Machine,
		policies: map[access.MachineID][]access.Policy{}, disabled: map[access.MachineID]string{},
	}
}

func (g *guards) of(ctx context.Context, t access.Target) (guard, error) {
	return access.Try(t,
		func(port access.PortTarget) (guard, error) { return g.ofPort(ctx, port) },
		func(role access.RoleTarget) (guard, error) { return g.ofRole(ctx, role) })
}

func (g *guards) ofPort(ctx context.Context, port access.PortTarget) (guard, error) {
	if _, known := g.policies[port.Machine]; !known {
		m, err := g.machine(ctx, port.Machine)
		if err == nil && m.ID != "" {
			g.policies[port.Machine], err = g.networks.GuardsAsNamed(ctx, m)
		}
		if err == nil {
			g.disabled[port.Machine], err = g.networks.Disabled(ctx, m)
		}
		if err != nil {
			return guard{}, err
		}
	}
	p := access.Ruling(g.policies[port.Machine], port.Ports, port.Protocol)
	entry, guarded := p.Of(port.Machine)
	moves := entry.Approval.Depends() ||
		slices.ContainsFunc(entry.Ports, func(r access.PortRule) bool { return len(r.Networks) > 0 })
	entry, err := g.networks.Entry(ctx, entry)
	return guard{
		terms: entry, policy: p.ID, revision: entry.Revision, missing: !guarded, moves: moves,
		longest: policy.Longest(entry, port), disabled: g.disabled[port.Machine],
	}, err
}

func (g *guards) ofRole(ctx context.Context, role access.RoleTarget) (guard, error) {
	e, err := engine.EligibilityOf(ctx, g.networks.R, g.networks.Tenant, role)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return guard{}, fmt.Errorf("read eligibility: %w", err)
	}
	return guard{
		terms: e.Terms(), eligibility: &e, revision: e.Revision, missing: err != nil, longest: e.Max,
		moves: e.Approval.Depends() || !e.End.IsZero(), holds: true,
	}, nil
}

// outdated says why the requester could not ask for item i any more, which takes effect at site; nothing where they
// could.
func (d *deciding) outdated(i int, t access.Target, site access.Machine, g guard) []access.Reason {
	r := d.request
	reason := func(code, field, format string, args ...any) []access.Reason {
		return []access.Reason{{
			Code: code, Field: fmt.Sprintf("items[%d].%s", i, field), Message: fmt.Sprintf(format, args...),
		}}
	}
	return access.Match(t,
		func(port access.PortTarget) []access.Reason {
			switch {
			case site.ID == "" || g.missing:
				return reason("machineNotConfigured", "machine", "no policy guards %s any more",
					engine.NameOf(site, port.Machine))
			case g.disabled != "":
				return reason(policy.Disabled, "machine", "access to %s cannot be requested any more: %s", site.Name, g.disabled)
			case !d.may.Dir.Check(r.Requester, rbac.PoliciesInitiate, site.Resource, d.Now).Allowed:
				return reason("forbidden", "machine", "%s may not ask for access to %s any more", r.RequesterName,
					site.Name)
			}
			return nil
		},
		func(role access.RoleTarget) []access.Reason {
			why := "the eligibility was taken away"
			if !g.missing {
				why = engine.NotEligible(d.may.Dir, *g.eligibility, r.Requester, d.Now)
			}
			if why == "" {
				return nil
			}
			return reason("notEligible", "role", "%s may not activate %s any more: %s", r.RequesterName, role, why)
		})
}

// rightEnd returns when the right of the requester to ask for a target ends; zero where no end is set. An opening that
// rests on a role which is held for a while ends with it, in the kernel too; an eligibility bounds what is asked by it.
func (d *deciding) rightEnd(ctx context.Context, t access.Target) (time.Time, error) {
	return access.Try(t,
		func(port access.PortTarget) (time.Time, error) {
			m, err := d.Machine(ctx, port.Machine)
			return d.may.Dir.Until(d.request.Requester, rbac.PoliciesInitiate, engine.ScopeOf(m), d.Now), err
		},
		func(access.RoleTarget) (time.Time, error) { return time.Time{}, nil })
}

// standing returns what guards what a grant is of now, as a judge has read it; nil where nothing does.
func standing(ctx context.Context, j *machines.Judge, g access.Grant,
	site access.Machine,
) (*access.MachinePolicy, time.Duration, error) {
	var longest time.Duration
	terms, err := access.Try(g.Target,
		func(port access.PortTarget) (*access.MachinePolicy, error) {
			entry, err := j.Entry(ctx, site, port.Ports, port.Protocol)
			if err == nil && entry != nil {
				longest = policy.Longest(*entry, port)
			}
			return entry, err
		},
		func(role access.RoleTarget) (*access.MachinePolicy, error) {
			e, err := engine.EligibilityOf(ctx, j.R, g.Tenant, role)
			if err != nil {
				return nil, fmt.Errorf("read eligibility: %w", err)
			}
			longest = e.Max
			terms := e.Terms()
			return &terms, nil
		})
	return terms, longest, err
}

// judgedAnew returns what a grant is of as it is judged where more time is asked for, by what guards it now; it takes
// effect at site. It fails where the caller may not ask for that any more.
func judgedAnew(ctx context.Context, r engine.Reader, may engine.Rights, g access.Grant, site access.Machine,
	until time.Time,
) (policy.Item, error) {
	item, err := access.Try(g.Target,
		func(port access.PortTarget) (policy.Item, error) {
			found, err := resolveMachine(ctx, r, may, string(site.ID))
			if err == nil && found.refusal != nil {
				err = found.refusal
			}
			return found.judge(access.Item{}, port), err
		},
		func(role access.RoleTarget) (policy.Item, error) { return activatedAnew(ctx, r, may, g, role, until) })
	item.Since = g.From()
	return item, err
}

func activatedAnew(ctx context.Context, r engine.Reader, may engine.Rights, g access.Grant, role access.RoleTarget,
	until time.Time,
) (policy.Item, error) {
	if !may.Caller.Bounds.Cover(rbac.RoleActivate, role.Scope) {
		return policy.Item{}, engine.OutOfBounds(rbac.RoleActivate, role.Scope)
	}
	e, err := engine.EligibilityOf(ctx, r, g.Tenant, role)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return policy.Item{}, notEligibleFor(may, EligibleRole{Role: role.String()})
	case err != nil:
		return policy.Item{}, fmt.Errorf("read eligibility: %w", err)
	}
	if !e.End.IsZero() && until.After(e.End) {
		return policy.Item{}, access.Fault(access.KindInvalid, "eligibilityEnds",
			"you are eligible for %s until %s: ask for no more than that", role, e.End.UTC().Format(time.RFC3339))
	}
	return activation(e, role), nil
}

// factsOf returns what conditions may look at of a target.
func factsOf(t access.Target) policy.Facts {
	return access.Match(t,
		func(port access.PortTarget) policy.Facts {
			f := policy.Facts{Ports: port.Ports, Protocol: port.Protocol}
			for _, s := range port.Sources {
				f.Sources = append(f.Sources, s.String())
			}
			return f
		},
		func(access.RoleTarget) policy.Facts { return policy.Facts{} })
}
