package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// placedGroup is a resource group with its subscription.
type placedGroup struct {
	subscription access.Subscription
	group        access.ResourceGroup
}

func (p placedGroup) scope() access.ResourceID {
	return access.ResourceGroupScope(p.subscription.ID, p.group.Name)
}

// authorizeGroup finds the resource group that ref names, and fails with access.KindForbidden unless the caller may do
// action there. Whoever may do it nowhere does not learn which groups there are.
func (e *Engine) authorizeGroup(ctx context.Context, r Reader, c Caller, action, ref string) (rights, placedGroup, error) {
	may, err := e.rights(ctx, r, c)
	if err != nil {
		return rights{}, placedGroup{}, err
	}
	if _, err := may.anywhere(action); err != nil {
		return rights{}, placedGroup{}, err
	}
	group, err := findGroup(ctx, r, c.Tenant, ref)
	if err != nil {
		return rights{}, placedGroup{}, err
	}
	return may, group, may.require(action, group.scope())
}

// findGroup gives the resource group of a tenant that ref names: by name, by resource id, or the default one where ref is
// empty. A name that several subscriptions have is taken from the oldest.
func findGroup(ctx context.Context, r Reader, tenant access.TenantID, ref string) (placedGroup, error) {
	name, within := ref, access.SubscriptionID("")
	if strings.HasPrefix(ref, "/") {
		id, err := access.ParseResourceID(ref)
		if err != nil {
			return placedGroup{}, err
		}
		name, within = id.Segment("resourceGroups"), access.SubscriptionID(id.Segment("subscriptions"))
	}
	if ref == "" {
		name = DefaultResourceGroup
	}
	subscriptions, err := r.Subscriptions(ctx)
	if err != nil {
		return placedGroup{}, fmt.Errorf("read subscriptions: %w", err)
	}
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return placedGroup{}, fmt.Errorf("read resource groups: %w", err)
	}
	for _, s := range subscriptions {
		if s.Tenant != tenant || within != "" && !strings.EqualFold(string(within), string(s.ID)) {
			continue
		}
		for _, g := range groups {
			if g.Subscription == s.ID && strings.EqualFold(g.Name, name) {
				return placedGroup{subscription: s, group: g}, nil
			}
		}
	}
	return placedGroup{}, access.Fault(access.KindNotFound, "unknownResourceGroup", "there is no resource group %q", clip(ref))
}

// defaultSubscription gives the subscription of a tenant that is meant where none is named.
func defaultSubscription(ctx context.Context, r Reader, tenant access.TenantID) (access.Subscription, error) {
	subscriptions, err := r.Subscriptions(ctx)
	if err != nil {
		return access.Subscription{}, fmt.Errorf("read subscriptions: %w", err)
	}
	for _, s := range subscriptions {
		if s.Tenant == tenant {
			return s, nil
		}
	}
	return access.Subscription{}, access.Fault(access.KindNotFound, "noSubscription", "the tenant has no subscription")
}
