package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Subscriptions lists the subscriptions in, above or at which a role is assigned to the caller, as Azure does, those of
// tenants where they are a guest included: whoever may do anything there may know that there is one.
func (e *Service) Subscriptions(ctx context.Context, c engine.Caller) (list []access.Subscription, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.SubscriptionsRead},
		func(r engine.Reader, _ engine.Rights) error {
			may, all, err := e.allSubscriptions(ctx, r, c)
			if err != nil {
				return err
			}
			scopes := places(may)
			list = slices.DeleteFunc(all, func(s access.Subscription) bool {
				return !engine.Touches(access.SubscriptionScope(s.ID), scopes)
			})
			return nil
		})
	return list, err
}

// Subscription gives one of them.
func (e *Service) Subscription(ctx context.Context, c engine.Caller,
	id access.SubscriptionID,
) (access.Subscription, error) {
	list, err := e.Subscriptions(ctx, c)
	if err != nil {
		return access.Subscription{}, err
	}
	for _, s := range list {
		if strings.EqualFold(string(s.ID), string(id)) {
			return s, nil
		}
	}
	return access.Subscription{}, subscriptionNotFound(id)
}

// SubscriptionName gives the name of a subscription to whoever has a role in, above or at it, or may activate one
// there: what they are eligible for names it, though they see it in no list before they do.
func (e *Service) SubscriptionName(ctx context.Context, c engine.Caller,
	id access.SubscriptionID,
) (name string, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.SubscriptionsRead},
		func(r engine.Reader, _ engine.Rights) error {
			may, all, err := e.allSubscriptions(ctx, r, c)
			if err != nil {
				return err
			}
			n := slices.IndexFunc(all,
				func(s access.Subscription) bool { return strings.EqualFold(string(s.ID), string(id)) })
			if n < 0 {
				return subscriptionNotFound(id)
			}
			name = all[n].Name
			scope := access.SubscriptionScope(all[n].ID)
			if engine.Touches(scope, places(may)) {
				return nil
			}
			eligible, err := engine.EligibleNow(ctx, r, may)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(eligible, func(d engine.EligibilityDetail) bool {
				e := d.Eligibility // the root of one tenant is none of another's
				return e.Tenant == all[n].Tenant && (e.Scope.Within(scope) || scope.Within(e.Scope))
			}) {
				return subscriptionNotFound(id)
			}
			return nil
		})
	if err != nil {
		return "", err
	}
	return name, nil
}

// allSubscriptions gives all subscriptions there are, and what the caller may do.
func (e *Service) allSubscriptions(ctx context.Context, r engine.Reader,
	c engine.Caller,
) (may engine.Rights, all []access.Subscription, err error) {
	if may, err = e.kernel.Rights(ctx, r, c); err != nil {
		return engine.Rights{}, nil, err
	}
	if all, err = r.Subscriptions(ctx); err != nil {
		return engine.Rights{}, nil, fmt.Errorf("read subscriptions: %w", err)
	}
	return may, all, nil
}

func subscriptionNotFound(id access.SubscriptionID) error {
	return access.Fault(access.KindNotFound, "unknownSubscription", "there is no subscription %q that you may see",
		engine.Clip(string(id)))
}

// ResourceGroups lists the resource groups of a subscription in, above or at which a role is assigned to the caller.
func (e *Service) ResourceGroups(ctx context.Context, c engine.Caller,
	subscription access.SubscriptionID,
) (list []access.ResourceGroup, err error) {
	if _, err := e.Subscription(ctx, c, subscription); err != nil {
		return nil, err
	}
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.ResourceGroupsRead},
		func(r engine.Reader, may engine.Rights) error {
			all, err := r.ResourceGroups(ctx)
			if err != nil {
				return fmt.Errorf("read resource groups: %w", err)
			}
			scopes := places(may)
			list = slices.DeleteFunc(all, func(g access.ResourceGroup) bool {
				return !strings.EqualFold(string(g.Subscription),
					string(subscription)) || !engine.Touches(access.ResourceGroupScope(g.Subscription, g.Name), scopes)
			})
			return nil
		})
	return list, err
}

// Locations gives the locations in a subscription, sorted: of the resource groups that the caller may know of, and of
// the machines that they may see.
func (e *Service) Locations(ctx context.Context, c engine.Caller,
	subscription access.SubscriptionID,
) (names []string, err error) {
	groups, err := e.ResourceGroups(ctx, c, subscription)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		names = append(names, g.Location)
	}
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.MachinesRead},
		func(r engine.Reader, may engine.Rights) error {
			f := engine.MachineFilter{Scope: access.SubscriptionScope(subscription)}
			if len(may.Scopes(rbac.MachinesRead)) == 0 {
				return nil
			}
			if _, err := f.Narrow(ctx, r, may, rbac.MachinesRead); err != nil {
				return err
			}
			more, err := r.MachineLocations(ctx, f)
			names = append(names, more...)
			return err
		})
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.CompactFunc(names, strings.EqualFold), err
}

// Tenant gives the caller's own tenant.
func (e *Service) Tenant(ctx context.Context, c engine.Caller) (access.Tenant, error) {
	return e.FindTenant(ctx, string(c.Tenant))
}

// places gives the scopes at which the caller may do anything.
func places(r engine.Rights) []access.ResourceID {
	var scopes []access.ResourceID
	for _, action := range rbac.Actions() {
		for _, s := range r.Scopes(action) {
			if !slices.Contains(scopes, s) {
				scopes = append(scopes, s)
			}
		}
	}
	return scopes
}
