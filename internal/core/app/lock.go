package app

import (
	"slices"

	"github.com/postern-dev/postern/internal/core/rbac"
)

// GroupDelete deletes a resource group, with everything in it.
const GroupDelete = "Microsoft.Resources/subscriptions/resourceGroups/delete"

// kept are the actions that no lock takes from a customer: to look, to decide on what is asked for, to end it, and to
// bring machines under guard. A lock protects what the publisher runs; it never keeps open what the customer wants
// closed.
func kept() []string {
	return []string{
		"*/read", rbac.RequestsDecide, rbac.RequestsCancel, rbac.GrantsRevoke, rbac.EnrollmentTokensWrite,
		rbac.AlertsWrite,
	}
}

// Locks gives the deny assignments on the managed resource group, without their ids. The first, where the lock level
// asks for one, takes from everybody but the publisher's principals all but what is kept and allowed. The second always
// stands, and the third where there are principals: the group goes with its application and not before, and the
// publisher's principals give no roles there, or an activation of one hour could make itself permanent.
func (a Application) Locks() []rbac.DenyAssignment {
	var locks []rbac.DenyAssignment
	publisher := a.Principals()
	lock := rbac.DenyAssignment{
		Tenant: a.Tenant, Scope: a.Managed, Name: "Lock of managed application " + a.Name(), Exclude: publisher,
		Origin: a.Resource, CreatedAt: a.CreatedAt,
		Description: "The managed resource group belongs to what the publisher runs.",
	}
	if a.Terms.Unmanaged {
		lock.Exclude = nil
	}
	switch a.Terms.Lock {
	case LockReadOnly:
		lock.Permissions = []rbac.Permission{{
			Actions: []string{"*"}, NotActions: slices.Concat(kept(), a.Terms.Allowed),
			DataActions: []string{"*"}, NotDataActions: slices.Clone(a.Terms.AllowedData),
		}}
		locks = append(locks, lock)
	case LockCanNotDelete:
		lock.Permissions = []rbac.Permission{{Actions: []string{"*/delete"}, NotActions: slices.Clone(a.Terms.Allowed)}}
		locks = append(locks, lock)
	case LockNone:
	}
	locks = append(locks, rbac.DenyAssignment{
		Tenant: a.Tenant, Scope: a.Managed, Name: "Guard of managed application " + a.Name(), Origin: a.Resource,
		CreatedAt:   a.CreatedAt,
		Description: "The group is deleted with its application alone.",
		Permissions: []rbac.Permission{{Actions: []string{GroupDelete}}},
	})
	if len(publisher) > 0 {
		locks = append(locks, rbac.DenyAssignment{
			Tenant: a.Tenant, Scope: a.Managed, Name: "Bound of managed application " + a.Name(), Principals: publisher,
			Origin: a.Resource, CreatedAt: a.CreatedAt,
			Description: "The publisher's principals use their roles and give none.",
			Permissions: []rbac.Permission{{Actions: []string{
				"Microsoft.Authorization/*/write", "Microsoft.Authorization/*/delete", rbac.GlassCodesWrite,
			}}},
		})
	}
	return locks
}
