package machines

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strconv"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// saveScope saves next over was, tells the agents, and revokes what is not allowed any more.
func (e *Service) saveScope(ctx context.Context, w *engine.Work, was, next access.ScopePolicy,
	by access.Actor,
) (access.ScopePolicy, error) {
	next.ID, next.CreatedAt, next.UpdatedAt, next.Revision = was.ID, was.CreatedAt, w.Now, was.Revision+1
	how := policy.Loosened(was.Rules, next.Rules)
	if was.ID == "" {
		next.ID, next.CreatedAt = access.PolicyID(engine.NewID()), w.Now
	} else {
		if !maps.Equal(was.Labels, next.Labels) {
			how = append(how, "for other machines")
		}
		if next.Order < was.Order {
			how = append(how, "before other policies")
		}
	}
	next.Rules = next.Rules.Remember(was.Rules, by.ID, how, w.Now)
	next.Rules.Revision = was.Rules.Revision
	if !reflect.DeepEqual(was.Rules, next.Rules) || was.Order != next.Order || !maps.Equal(was.Labels, next.Labels) {
		next.Rules.Revision = next.Revision
	}
	if err := w.Tx.SaveScopePolicy(ctx, next, was.Revision); err != nil {
		return next, fmt.Errorf("save policy: %w", err)
	}
	details := map[string]string{"name": next.Name, "reach": next.Reach(), "rules": describeEntry(next.Rules)}
	if next.Order > 0 {
		details["order"] = strconv.Itoa(next.Order)
	}
	w.Event(access.Event{
		Kind: access.PolicyWritten, Actor: by, Tenant: next.Tenant, Scope: next.Resource, Action: rbac.PoliciesWrite,
		Details: details,
	})
	if was.ID != "" && (next.Order > was.Order || !maps.Equal(was.Labels, next.Labels) ||
		access.Leaves(was.Rules.Ports, next.Rules.Ports)) {
		if err := exposed(ctx, w, was, by.ID, "without the policy "+was.Name+" as it was before it"); err != nil {
			return next, err
		}
	}
	return next, e.applyScope(ctx, w, next, by, "the policy "+next.Name+" was changed")
}

// enabledAt refuses to say what guards the machines of a scope for all of which just-in-time access is disabled.
func enabledAt(ctx context.Context, r engine.Reader, tenant access.TenantID, scope access.ResourceID) error {
	all, err := r.Switches(ctx, tenant)
	if err != nil {
		return fmt.Errorf("read switches: %w", err)
	}
	for _, s := range all {
		if s.Off && scope.Within(s.Scope) {
			return access.Fault(access.KindConflict, policy.Disabled, "no policy can be set there: %s", s.Text())
		}
	}
	return nil
}

// applyScope gives the agents of all machines in the scope of a policy a new state, and revokes the grants that what
// guards their machines by now would not allow.
func (e *Service) applyScope(ctx context.Context, w *engine.Work, p access.ScopePolicy, by access.Actor,
	reason string,
) error {
	if err := w.Tx.BumpWithin(ctx, p.Tenant, p.Scope); err != nil {
		return fmt.Errorf("bump agents: %w", err)
	}
	j, err := e.NewJudge(ctx, w.Tx, w.Now)
	if err != nil {
		return err
	}
	var failed error
	err = w.RevokeIn(ctx, p.Tenant, p.Resource, by, reason, true, func(g access.Grant) (string, bool) {
		if failed != nil {
			return "", false
		}
		var why string
		why, failed = j.Outlawed(ctx, g)
		return why, why != ""
	})
	if err := engine.FirstError(err, failed); err != nil {
		return err
	}
	return w.Finish(ctx)
}

// ForgetScopes deletes the policies of a scope that goes away, and of all within it, with its machines.
func ForgetScopes(ctx context.Context, w *engine.Work, tenant access.TenantID, scope access.ResourceID,
	by access.Actor,
) error {
	all, err := w.Tx.ScopePolicies(ctx, tenant)
	if err != nil {
		return fmt.Errorf("read policies of scopes: %w", err)
	}
	for _, p := range all {
		if !p.Scope.Within(scope) {
			continue
		}
		if err := dropScope(ctx, w, p, by); err != nil {
			return err
		}
	}
	return nil
}

// dropScope deletes a policy of a scope, and records it; what follows for machines is left to the caller.
func dropScope(ctx context.Context, w *engine.Work, p access.ScopePolicy, by access.Actor) error {
	if err := w.Tx.DeleteScopePolicy(ctx, p.ID, p.Revision); err != nil {
		return fmt.Errorf("delete policy: %w", err)
	}
	w.Event(access.Event{
		Kind: access.PolicyDeleted, Actor: by, Tenant: p.Tenant, Scope: p.Resource, Action: rbac.PoliciesDelete,
		Details: map[string]string{"name": p.Name, "reach": p.Reach()},
	})
	return nil
}

// exposed remembers, in each policy that may count now where another came before it, who took that away or let it step
// back, if it allows more.
func exposed(ctx context.Context, w *engine.Work, deleted access.ScopePolicy, by access.PrincipalID,
	how string,
) error {
	all, err := w.Tx.ScopePolicies(ctx, deleted.Tenant)
	if err != nil {
		return fmt.Errorf("read policies of scopes: %w", err)
	}
	for _, p := range all {
		if p.ID == deleted.ID || p.Rank() < deleted.Rank() ||
			!p.Scope.Within(deleted.Scope) && !deleted.Scope.Within(p.Scope) ||
			len(policy.Loosened(deleted.Rules, p.Rules)) == 0 {
			continue
		}
		if err := rememberScope(ctx, w, p.Resource, by, []string{how}); err != nil {
			return err
		}
	}
	return nil
}

// rememberScope remembers in a policy of a scope who loosened what it says of a machine, by something else than a
// change of it: what it says stays as it is.
func rememberScope(ctx context.Context, w *engine.Work, id access.ResourceID, by access.PrincipalID,
	how []string,
) error {
	was, err := w.Tx.ScopePolicy(ctx, id)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	next := was
	next.Rules, next.Revision = was.Rules.Remember(was.Rules, by, how, w.Now), was.Revision+1
	if err := w.Tx.SaveScopePolicy(ctx, next, was.Revision); err != nil {
		return fmt.Errorf("save policy: %w", err)
	}
	return nil
}
