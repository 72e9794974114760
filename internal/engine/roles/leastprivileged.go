package roles

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
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
func (e *Service) CreateLeastPrivilegedRole(ctx context.Context, c engine.Caller,
	in LeastPrivilegedInput,
) (rbac.Definition, error) {
	var subscription access.Subscription
	err := e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.RoleDefinitionsWrite, Details: map[string]string{"role": in.Name}},
		func(r engine.Reader, may engine.Rights) error {
			var err error
			if _, err := may.Anywhere(rbac.RoleDefinitionsWrite); err != nil {
				return err
			}
			subscription, err = engine.FindSubscription(ctx, r, c.Tenant, in.Subscription)
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
