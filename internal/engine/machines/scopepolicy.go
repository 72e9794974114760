package machines

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// ScopePolicyInput is a policy of a scope as somebody writes it.
type ScopePolicyInput struct {
	Name          string
	ResourceGroup string // name or resource id; empty: the subscription
	Subscription  string // name, GUID or resource id; empty: the default one. It counts where ResourceGroup is empty
	Labels        map[string]string
	Order         int // of those with labels; 0 without
	Rules         access.MachinePolicy
}

// ScopePolicyDetail is a policy of a scope with how many machines it reaches, whether or not another policy comes
// before it there.
type ScopePolicyDetail struct {
	Policy   access.ScopePolicy
	Machines int
}

// ScopePolicies lists the policies of scopes that the caller may see, in the order in which they count.
func (e *Service) ScopePolicies(ctx context.Context, c engine.Caller) (list []ScopePolicyDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PoliciesRead},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.PoliciesRead); err != nil {
				return err
			}
			all, err := scopePoliciesNear(ctx, r, may)
			if err != nil {
				return err
			}
			for _, p := range all {
				if !may.May(rbac.PoliciesRead, p.Resource) {
					continue
				}
				d, err := describeScope(ctx, r, may, p)
				if err != nil {
					return err
				}
				list = append(list, d)
			}
			return nil
		})
	return list, err
}

// ScopePolicy returns a policy of a scope by its name or resource id.
func (e *Service) ScopePolicy(ctx context.Context, c engine.Caller, ref string) (d ScopePolicyDetail, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.PoliciesRead, Details: map[string]string{"policy": ref}},
		func(r engine.Reader, may engine.Rights) error {
			p, err := findScopePolicy(ctx, r, may, ref, rbac.PoliciesRead)
			if err == nil {
				d, err = describeScope(ctx, r, may, p)
			}
			return err
		})
	return d, err
}

func describeScope(ctx context.Context, r engine.Reader, may engine.Rights,
	p access.ScopePolicy,
) (ScopePolicyDetail, error) {
	d := ScopePolicyDetail{Policy: p}
	if !may.ReadsRules(p.Head()) {
		d.Policy.Rules = engine.UnnamedEntry(p.Rules)
	}
	var err error
	if d.Machines, err = r.MachinesReached(ctx, p.ID); err != nil {
		return d, fmt.Errorf("count machines: %w", err)
	}
	return d, nil
}

// scopePoliciesNear returns the policies of scopes of the caller's tenant, and of those where they are a guest, each in
// the order in which they count; whether the caller may see them is not looked at.
func scopePoliciesNear(ctx context.Context, r engine.Reader, may engine.Rights) (near []access.ScopePolicy, err error) {
	for _, tenant := range append([]access.TenantID{may.Caller.Tenant}, may.Beside()...) {
		all, err := r.ScopePolicies(ctx, tenant)
		if err != nil {
			return nil, fmt.Errorf("read policies of scopes: %w", err)
		}
		near = append(near, slices.SortedStableFunc(slices.Values(all),
			func(a, b access.ScopePolicy) int { return a.Rank() - b.Rank() })...)
	}
	return near, nil
}

// findScopePolicy finds a policy by its name or resource id, where the caller may do the action. One that the caller
// may not read is not found, whether it exists or not.
func findScopePolicy(ctx context.Context, r engine.Reader, may engine.Rights, ref, action string,
) (access.ScopePolicy, error) {
	if _, err := may.Anywhere(action, rbac.PoliciesRead); err != nil {
		return access.ScopePolicy{}, err
	}
	near, err := scopePoliciesNear(ctx, r, may)
	if err != nil {
		return access.ScopePolicy{}, err
	}
	for _, p := range near {
		if (strings.EqualFold(p.Name, ref) || strings.EqualFold(string(p.Resource), ref)) &&
			(may.May(rbac.PoliciesRead, p.Resource) || may.May(action, p.Resource)) {
			return p, may.Require(action, p.Resource)
		}
	}
	return access.ScopePolicy{}, access.Fault(access.KindNotFound, "unknownScopePolicy",
		"there is no scope policy %q that you may see", engine.Clip(ref))
}

// SetScopePolicy makes a policy of a scope, or replaces what it says. With ifRevision it fails with a conflict unless
// the policy is still at that revision, where 0 says that there must be none. Grants that what guards a machine by then
// would not allow are revoked: up to a hundred at once, and of more the others within seconds, while all are closed.
func (e *Service) SetScopePolicy(ctx context.Context, c engine.Caller, in ScopePolicyInput,
	ifRevision *int64,
) (d ScopePolicyDetail, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PoliciesWrite, Details: map[string]string{"policy": in.Name}},
		func(tx engine.Tx, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.PoliciesWrite); err != nil {
				return err
			}
			next, err := in.place(ctx, tx, may)
			if err != nil {
				return err
			}
			if err := engine.FirstError(may.Require(rbac.PoliciesWrite, next.Resource),
				may.Require(rbac.MachinesWrite, next.Scope)); err != nil {
				return err // before it is told what stands in the way
			}
			was, err := alone(ctx, tx, may, next)
			if err != nil {
				return err
			}
			if err := enabledAt(ctx, tx, next.Tenant, next.Scope); err != nil {
				return err
			}
			if err := atRevision(was.Revision, ifRevision); err != nil {
				return err
			}
			next.Rules = in.Rules
			if next, err = e.setScope(ctx, tx, may, was, access.MachinePolicy{}, next); err != nil {
				return err
			}
			d, err = describeScope(ctx, tx, may, next)
			return err
		})
	return d, err
}

// place returns the policy as it is to be, but for its rules, id and revision.
func (in ScopePolicyInput) place(ctx context.Context, r engine.Reader, may engine.Rights,
) (p access.ScopePolicy, err error) {
	if err := access.CheckName("policy", in.Name); err != nil {
		return p, err
	}
	if err := checkLabels("", in.Labels); err != nil {
		return p, err
	}
	switch {
	case len(in.Labels) == 0 && in.Order != 0:
		return p, misplaced("orderWithoutLabels", "order",
			"the order is for policies with labels: the one of a resource group comes before the one of its subscription")
	case len(in.Labels) > 0 && (in.Order < 1 || in.Order > access.MaxOrder):
		return p, misplaced("orderOutOfRange", "order",
			fmt.Sprintf("a policy with labels has an order from 1 to %d, which says which of several comes first",
				access.MaxOrder))
	}
	p = access.ScopePolicy{Name: in.Name, Labels: maps.Clone(in.Labels), Order: in.Order, Tenant: may.Caller.Tenant}
	if in.ResourceGroup != "" {
		group, err := engine.FindGroup(ctx, r, may, in.ResourceGroup)
		if err != nil {
			return p, err
		}
		p.Scope, p.Tenant = group.Scope(), group.Subscription.Tenant
	} else {
		s, err := engine.FindSubscription(ctx, r, may.Caller.Tenant, in.Subscription)
		if err != nil {
			return p, err
		}
		p.Scope = access.SubscriptionScope(s.ID)
	}
	p.Resource = access.ScopePolicyResource(p.Scope, in.Name)
	return p, nil
}

func misplaced(code, field, message string) error {
	return malformedPolicy([]access.Reason{{Code: code, Field: field, Message: message}})
}

// alone returns what next is to replace, the zero policy where it is new, and refuses where another policy has its
// name, its place in the order, or its scope.
func alone(ctx context.Context, r engine.Reader, may engine.Rights,
	next access.ScopePolicy,
) (was access.ScopePolicy, err error) {
	all, err := r.ScopePolicies(ctx, next.Tenant)
	if err != nil {
		return was, fmt.Errorf("read policies of scopes: %w", err)
	}
	for _, p := range all {
		it, at := fmt.Sprintf("the policy %q", p.Name), string(p.Scope)
		if !may.May(rbac.PoliciesRead, p.Resource) {
			it, at = "a policy that you may not see", "another scope"
		}
		switch {
		case p.Resource.Equal(next.Resource):
			was = p
		case strings.EqualFold(p.Name, next.Name):
			return was, access.Fault(access.KindConflict, "policyNameTaken",
				"there is a policy %q at %s already: choose another name, or delete that one first", p.Name, at)
		case len(next.Labels) > 0 && len(p.Labels) > 0 && p.Order == next.Order:
			return was, access.Fault(access.KindConflict, "policyOrderTaken",
				"%s has the order %d already, and one must come first: choose another number", it, p.Order)
		case len(next.Labels) == 0 && len(p.Labels) == 0 && p.Scope.Equal(next.Scope):
			return was, access.Fault(access.KindConflict, "scopeHasPolicy",
				"%s is that of %s already: change it, or give this one labels", it, p.Scope)
		}
	}
	if was.ID == "" && len(all) >= access.MaxScopePolicies {
		return was, access.Fault(access.KindConflict, "tooManyPolicies",
			"there are %d scope policies, the most that are allowed: delete one first", len(all))
	}
	return was, nil
}

// DeleteScopePolicy deletes a policy of a scope. Machines that another policy guards go on being guarded by that; on
// the others nothing is guarded any more, and what is open there is revoked.
func (e *Service) DeleteScopePolicy(ctx context.Context, c engine.Caller, ref string, ifRevision *int64) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PoliciesDelete, Details: map[string]string{"policy": ref}},
		func(tx engine.Tx, may engine.Rights) error {
			p, err := findScopePolicy(ctx, tx, may, ref, rbac.PoliciesDelete)
			if err != nil {
				return err
			}
			if err := atRevision(p.Revision, ifRevision); err != nil {
				return err
			}
			w, by := e.kernel.NewWork(tx, may.Now), may.Actor(p.Tenant)
			if err := dropScope(ctx, w, p, by); err != nil {
				return err
			}
			if err := exposed(ctx, w, p, by.ID, "without the policy "+p.Name+" before it"); err != nil {
				return err
			}
			return e.applyScope(ctx, w, p, by, "the policy "+p.Name+" was deleted")
		})
}
