package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// LeastPrivilegedInput asks for the role that Microsoft's script Set-JitLeastPrivilegedRole makes.
type LeastPrivilegedInput struct {
	Subscription string // name or GUID; empty: the default one
	Name         string // empty: LeastPrivilegedName
	APIOnly      bool   // without what the Azure portal reads besides
}

// LeastPrivilegedName is what that role is called where nobody says otherwise.
const LeastPrivilegedName = "JIT Access Role"

// CreateLeastPrivilegedRole makes a custom role with the least that requesting access needs, for one subscription: the
// actions, name and description are those of Microsoft's script. It assigns it to nobody.
func (e *Engine) CreateLeastPrivilegedRole(ctx context.Context, c Caller, in LeastPrivilegedInput) (rbac.Definition, error) {
	var subscription access.Subscription
	err := e.look(ctx, c, attempt{action: rbac.RoleDefinitionsWrite, details: map[string]string{"role": in.Name}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if _, err := may.anywhere(rbac.RoleDefinitionsWrite); err != nil {
			return err
		}
		subscription, err = findSubscription(ctx, r, c.Tenant, in.Subscription)
		return err
	})
	if err != nil {
		return rbac.Definition{}, err
	}
	if in.Name == "" {
		in.Name = LeastPrivilegedName
	}
	actions := []string{rbac.PoliciesRead, rbac.PoliciesInitiate, rbac.SecurityPoliciesRead, rbac.PublicIPsRead}
	if !in.APIOnly {
		actions = append(actions, rbac.MachinesRead, "Microsoft.Network/*/read")
	}
	return e.PutRole(ctx, c, RoleInput{
		Name: in.Name, Description: "Users that can enable access to Virtual Machines.",
		Permissions:      []rbac.Permission{{Actions: actions}},
		AssignableScopes: []access.ResourceID{access.SubscriptionScope(subscription.ID)},
	})
}

// findSubscription gives the subscription of a tenant that ref names by name, GUID or resource id; empty is the default one.
func findSubscription(ctx context.Context, r Reader, tenant access.TenantID, ref string) (access.Subscription, error) {
	if ref == "" {
		return defaultSubscription(ctx, r, tenant)
	}
	id := ref
	if strings.HasPrefix(ref, "/") {
		scope, err := access.ParseResourceID(ref)
		if err != nil {
			return access.Subscription{}, err
		}
		id = scope.Segment("subscriptions")
	}
	all, err := r.Subscriptions(ctx)
	if err != nil {
		return access.Subscription{}, fmt.Errorf("read subscriptions: %w", err)
	}
	for _, s := range all {
		if s.Tenant == tenant && (strings.EqualFold(string(s.ID), id) || strings.EqualFold(s.Name, ref)) {
			return s, nil
		}
	}
	return access.Subscription{}, access.Fault(access.KindNotFound, "unknownSubscription", "there is no subscription %q", clip(ref))
}
