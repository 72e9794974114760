package fleet

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// ScopeRef names a resource group, or a subscription where Group is empty.
type ScopeRef struct {
	Group        string // name or resource id
	Subscription string // name, GUID or resource id; empty: the default one
}

// place returns the scope that is meant, and its tenant.
func (s ScopeRef) place(ctx context.Context, r engine.Reader, may engine.Rights,
) (scope access.ResourceID, tenant access.TenantID, err error) {
	if s.Group != "" {
		group, err := engine.FindGroup(ctx, r, may, s.Group)
		return group.Scope(), group.Subscription.Tenant, err
	}
	found, err := engine.FindSubscription(ctx, r, may.Caller.Tenant, s.Subscription)
	return access.SubscriptionScope(found.ID), found.Tenant, err
}

func (s ScopeRef) attempt(action string) engine.Attempt {
	details := map[string]string{}
	for name, ref := range map[string]string{"resourceGroup": s.Group, "subscription": s.Subscription} {
		if ref != "" {
			details[name] = ref
		}
	}
	return engine.Attempt{Action: action, Details: details}
}

// ScopeEffect is what there is on the machines of a scope when just-in-time access is disabled or enabled for it.
type ScopeEffect struct {
	Scope    access.ResourceID
	Disabled access.Switch // of the scope itself; its zero value where it never was off
	Machines int
	Guarded  int                  // of them, whose ports stay closed
	Standing []engine.GrantDetail // what is open or scheduled, the first to begin first; at most 100, and More
	More     bool
	Pending  int // requests that wait for a decision
}

// DisabledScopes lists the scopes for which just-in-time access is disabled, where the caller may see it.
func (e *Service) DisabledScopes(ctx context.Context, c engine.Caller) (list []access.Switch, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.SecurityPoliciesRead},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.SecurityPoliciesRead); err != nil {
				return err
			}
			list = nil
			for _, tenant := range append([]access.TenantID{may.Caller.Tenant}, may.Beside()...) {
				all, err := r.Switches(ctx, tenant)
				if err != nil {
					return fmt.Errorf("read switches: %w", err)
				}
				for _, s := range all {
					if s.Off && may.May(rbac.SecurityPoliciesRead, s.Scope) {
						list = append(list, switchFor(may, s))
					}
				}
			}
			return nil
		})
	return list, err
}

// switchFor returns a switch as the caller may see it: who turned it is not for guests.
func switchFor(may engine.Rights, s access.Switch) access.Switch {
	s.Loosened = nil
	if !may.IsHome(s.Tenant) {
		s.By = access.Actor{}
	}
	return s
}

// ScopeEffect tells what there is on the machines of a scope, for who thinks of disabling just-in-time access there.
func (e *Service) ScopeEffect(ctx context.Context, c engine.Caller, ref ScopeRef) (out ScopeEffect, err error) {
	err = e.kernel.Look(ctx, c, ref.attempt(rbac.SecurityPoliciesRead),
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.SecurityPoliciesRead); err != nil {
				return err
			}
			scope, tenant, err := ref.place(ctx, r, may)
			if err != nil {
				return err
			}
			if err := may.Require(rbac.SecurityPoliciesRead, scope); err != nil {
				return err
			}
			out, err = effectOf(ctx, r, may, tenant, scope)
			return err
		})
	return out, err
}

func effectOf(ctx context.Context, r engine.Reader, may engine.Rights, tenant access.TenantID,
	scope access.ResourceID,
) (out ScopeEffect, err error) {
	out.Scope = scope
	was, err := switchOf(ctx, r, tenant, scope)
	if err != nil {
		return out, err
	}
	out.Disabled = switchFor(may, was)
	if out.Machines, out.Guarded, err = r.GuardedWithin(ctx, tenant, scope); err != nil {
		return out, fmt.Errorf("count machines: %w", err)
	}
	if out.Pending, err = r.PendingWithin(ctx, tenant, scope); err != nil {
		return out, fmt.Errorf("count requests: %w", err)
	}
	if !may.May(rbac.GrantsRead, scope) {
		return out, nil
	}
	grants, err := r.Standing(ctx, engine.StandingFilter{Tenant: tenant, Within: scope}, engine.ActChunk+1)
	if err != nil {
		return out, fmt.Errorf("read grants: %w", err)
	}
	if out.More = len(grants) > engine.ActChunk; out.More {
		grants = grants[:engine.ActChunk]
	}
	names := engine.NameCache{R: r}
	for _, g := range grants {
		m, err := names.Site(ctx, g.Target)
		if err != nil {
			return out, err
		}
		out.Standing = append(out.Standing, engine.DetailOf(g, m))
	}
	return out, nil
}

// switchOf returns the switch of a scope itself, not of one around it; of revision 0 where there is none.
func switchOf(ctx context.Context, r engine.Reader, tenant access.TenantID,
	scope access.ResourceID,
) (access.Switch, error) {
	all, err := r.Switches(ctx, tenant)
	if err != nil {
		return access.Switch{}, fmt.Errorf("read switches: %w", err)
	}
	for _, s := range all {
		if s.Scope.Equal(scope) {
			return s, nil
		}
	}
	return access.Switch{Scope: scope, Tenant: tenant}, nil
}

// DisableInput disables just-in-time access for a scope.
type DisableInput struct {
	ScopeRef

	Reason string // for people; may be empty
	End    bool   // what is open or scheduled there ends; otherwise it runs to its end, and nothing scheduled begins
}

// maxDisableReason is how many bytes the reason may have: it stands in each list of machines.
const maxDisableReason = 256

// DisableScope disables just-in-time access for the machines of a subscription or a resource group, those that come
// later among them: nobody can ask for them or configure them until it is enabled again. What guards them stays in
// force, so nothing opens, and nothing that is open ends unless in.End says so.
func (e *Service) DisableScope(ctx context.Context, c engine.Caller, in DisableInput) (access.Switch, error) {
	return e.turn(ctx, c, in.ScopeRef, func(ctx context.Context, w *engine.Work, was access.Switch,
		by access.Actor,
	) (access.Switch, error) {
		reason := strings.TrimSpace(in.Reason)
		if len(reason) > maxDisableReason {
			return was, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed",
				len(reason), maxDisableReason)
		}
		next := was.Turned(true, reason, by, w.Now)
		if err := saveSwitch(ctx, w, was, next, access.PolicyDisabled, map[string]string{
			"reach": next.Reach(), "reason": reason, "ends": fmt.Sprint(in.End),
		}); err != nil || !in.End {
			return next, err
		}
		return next, w.RevokeIn(ctx, next.Tenant, next.Scope, by, next.Text(), false,
			func(access.Grant) (string, bool) { return next.Text(), true })
	})
}

// EnableScope enables just-in-time access for a scope again. Where it is enabled already, that is no error.
func (e *Service) EnableScope(ctx context.Context, c engine.Caller, ref ScopeRef) (access.Switch, error) {
	return e.turn(ctx, c, ref, func(ctx context.Context, w *engine.Work, was access.Switch,
		by access.Actor,
	) (access.Switch, error) {
		if !was.Off {
			return was, nil
		}
		next := was.Turned(false, "", by, w.Now)
		return next, saveSwitch(ctx, w, was, next, access.PolicyEnabled, map[string]string{"reach": next.Reach()})
	})
}

// turn has a change of a switch made by who may.
func (e *Service) turn(ctx context.Context, c engine.Caller, ref ScopeRef,
	change func(context.Context, *engine.Work, access.Switch, access.Actor) (access.Switch, error),
) (next access.Switch, err error) {
	err = e.kernel.Change(ctx, c, ref.attempt(rbac.SecurityPoliciesWrite),
		func(tx engine.Tx, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.SecurityPoliciesWrite); err != nil {
				return err
			}
			scope, tenant, err := ref.place(ctx, tx, may)
			if err != nil {
				return err
			}
			if err := may.Require(rbac.SecurityPoliciesWrite, scope); err != nil {
				return err
			}
			was, err := switchOf(ctx, tx, tenant, scope)
			if err != nil {
				return err
			}
			w := e.kernel.NewWork(tx, may.Now)
			if next, err = change(ctx, w, was, may.Actor(tenant)); err != nil {
				return err
			}
			next = switchFor(may, next)
			return w.Finish(ctx)
		})
	return next, err
}

func saveSwitch(ctx context.Context, w *engine.Work, was, next access.Switch, kind access.EventKind,
	details map[string]string,
) error {
	if err := w.Tx.SaveSwitch(ctx, next, was.Revision); err != nil {
		return fmt.Errorf("save switch: %w", err)
	}
	w.Event(access.Event{
		Kind: kind, Actor: next.By, Tenant: next.Tenant, Scope: next.Scope, Action: rbac.SecurityPoliciesWrite,
		Details: details,
	})
	return nil
}
