package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
	group, err := findGroup(ctx, r, may, ref)
	if err != nil {
		return rights{}, placedGroup{}, err
	}
	return may, group, may.require(action, group.scope())
}

// findGroup gives the resource group that ref names: by name, by resource id, or the default one where ref is empty. It is
// one of the caller's own tenant, or one in, above or at which they have a role as a guest; a name that several have is
// taken from the caller's own, and of those from the first by the names of their subscriptions.
func findGroup(ctx context.Context, r Reader, may rights, ref string) (placedGroup, error) {
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
	slices.SortStableFunc(subscriptions, func(a, b access.Subscription) int {
		switch home := may.isHome(a.Tenant); {
		case home == may.isHome(b.Tenant):
			return 0
		case home:
			return -1
		}
		return 1
	})
	places := may.dir.Places(may.caller.Principal, may.now)
	for _, s := range subscriptions {
		if within != "" && !strings.EqualFold(string(within), string(s.ID)) {
			continue
		}
		for _, g := range groups {
			found := placedGroup{subscription: s, group: g}
			if g.Subscription == s.ID && strings.EqualFold(g.Name, name) && (may.isHome(s.Tenant) || touches(found.scope(), places)) {
				return found, nil
			}
		}
	}
	return placedGroup{}, noSuchGroup(cmp.Or(name, ref))
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
