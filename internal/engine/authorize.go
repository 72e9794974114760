package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Rights is what one caller may do, by the directory as one transaction sees it. Scopes say which tenant is meant: one
// in a subscription is of the subscription's tenant, where the caller may be a guest; one in none, such as the root, is
// of the caller's own tenant, and nobody reaches above the subscriptions of another.
type Rights struct {
	Dir    *rbac.Directory
	Caller Caller
	Now    time.Time
}

// Rights gives what the caller may do by the directory as r sees it: the snapshot that refresh made, or where r sees
// another revision, one made for this once.
func (e *Kernel) Rights(ctx context.Context, r Reader, c Caller) (Rights, error) {
	if c.Principal == "" || c.Tenant == "" {
		return Rights{}, access.Fault(access.KindUnauthenticated, "notSignedIn", "sign in first")
	}
	dir, err := e.Compiled(ctx, r)
	return Rights{Dir: dir, Caller: c, Now: e.Now()}, err
}

// Compiled returns the directory as r sees it, compiled for checks: the shared snapshot where that is of the same
// revision.
func (e *Kernel) Compiled(ctx context.Context, r Reader) (*rbac.Directory, error) {
	revision, err := r.DirectoryRevision(ctx)
	if err != nil {
		return nil, fmt.Errorf("read revision of the directory: %w", err)
	}
	if dir := e.directory.Load(); dir != nil && dir.Revision() == revision {
		return dir, nil
	}
	data, err := r.Directory(ctx)
	if err != nil {
		return nil, fmt.Errorf("load directory: %w", err)
	}
	return rbac.Compile(data), nil
}

// Refresh shares the newest snapshot of the directory. Only a read transaction may do it: what it sees is committed,
// while a revision that a writing one sees may come to nothing and its number be given to other data.
func (e *Kernel) Refresh(ctx context.Context, r Reader) error {
	dir, err := e.Compiled(ctx, r)
	if err == nil {
		e.directory.Store(dir)
	}
	return err
}

// Authorize fails with access.KindForbidden unless the caller may do action at scope.
func (e *Kernel) Authorize(ctx context.Context, r Reader, c Caller, action string,
	scope access.ResourceID,
) (Rights, error) {
	may, err := e.Rights(ctx, r, c)
	if err != nil {
		return Rights{}, err
	}
	return may, may.Require(action, scope)
}

// May tells whether the caller may do action at scope.
func (r Rights) May(action string, scope access.ResourceID) bool {
	return r.Caller.Bounds.Cover(action, scope) && r.Dir.Check(r.Caller.Principal, action, scope, r.Now).Allowed
}

// Require is may as an error.
func (r Rights) Require(action string, scope access.ResourceID) error {
	if !r.Caller.Bounds.Cover(action, scope) {
		return OutOfBounds(action, scope)
	}
	decision := r.Dir.Check(r.Caller.Principal, action, scope, r.Now)
	if decision.Allowed {
		return nil
	}
	return Forbidden(action, scope, decision.Reason)
}

// RequireOf is require for something of a tenant, as MayOf is may for it.
func (r Rights) RequireOf(tenant access.TenantID, action string, scope access.ResourceID) error {
	if !r.IsHome(tenant) && r.Dir.Owner(scope) != tenant {
		return Forbidden(action, scope, "what lies in no subscription is for the tenant that it is of")
	}
	return r.Require(action, scope)
}

// Anywhere gives the scopes at and below which the caller may do action, and fails with access.KindForbidden where
// there is none: what lists, and what looks for a thing by a name, says so before it says what there is.
func (r Rights) Anywhere(actions ...string) ([]access.ResourceID, error) {
	var scopes []access.ResourceID
	for _, action := range actions {
		scopes = append(scopes, r.Scopes(action)...)
	}
	if len(scopes) == 0 && r.Caller.Bounds != nil {
		return nil, OutOfBounds(actions[0], access.Root)
	}
	if len(scopes) == 0 {
		return nil, Forbidden(actions[0], access.Root, "no role of yours has it anywhere")
	}
	return scopes, nil
}

// Scopes gives the scopes at and below which the caller may do action.
func (r Rights) Scopes(action string) []access.ResourceID {
	return r.Caller.Bounds.narrow(action, r.Dir.Scopes(r.Caller.Principal, action, r.Now))
}

// Owns tells whether something at scope is the caller's own, and action on it lies within their token's bounds: one's
// own requests and grants need no role, but a token that was made for something else does not reach them.
func (r Rights) Owns(owner access.PrincipalID, action string, scope access.ResourceID) bool {
	return owner == r.Caller.Principal && r.Caller.Bounds.Cover(action, scope)
}

// Covered tells whether id lies within one of the scopes that rights gave.
func Covered(id access.ResourceID, scopes []access.ResourceID) bool { return rbac.Reaches(scopes, id) }

// Reaches is covered for something of a tenant: where it lies in no subscription, it lies at the root of that tenant,
// and is for those alone who are at home there.
func (r Rights) Reaches(tenant access.TenantID, id access.ResourceID, scopes []access.ResourceID) bool {
	if r.Dir.Owner(id) != tenant {
		return tenant == r.Caller.Tenant && Covered(access.Root, scopes)
	}
	return Covered(id, scopes)
}

// MayOf is may for something of a tenant, as reaches is covered for it.
func (r Rights) MayOf(tenant access.TenantID, action string, scope access.ResourceID) bool {
	return (r.IsHome(tenant) || r.Dir.Owner(scope) == tenant) && r.May(action, scope)
}

// IsHome tells whether a tenant is the caller's own.
func (r Rights) IsHome(tenant access.TenantID) bool { return tenant == r.Caller.Tenant }

// Beside gives the tenants, beside their own, in which the caller is a guest, or was or will be.
func (r Rights) Beside() []access.TenantID {
	return slices.DeleteFunc(r.Dir.Tenants(r.Caller.Principal), r.IsHome)
}

// TenantOf gives the tenant that scope is of.
func (r Rights) TenantOf(scope access.ResourceID) access.TenantID {
	if owner := r.Dir.Owner(scope); owner != "" {
		return owner
	}
	return r.Caller.Tenant
}

// Here gives scope where it is of the caller's own tenant, and else the root: a role may name scopes that are of nobody
// here, such as one that was written for Azure, and can be assigned in its own tenant alone.
func (r Rights) Here(scope access.ResourceID) access.ResourceID {
	if r.Dir.Owner(scope) == r.Caller.Tenant {
		return scope
	}
	return access.Root
}

// Name gives what the caller is called in a tenant: name@tenant where they are a guest.
func (r Rights) Name(tenant access.TenantID) string {
	if r.IsHome(tenant) {
		return r.Caller.Name
	}
	return r.Caller.Name + "@" + r.Dir.TenantName(r.Caller.Tenant)
}

// Actor gives the caller as events of a tenant record it.
func (r Rights) Actor(tenant access.TenantID) access.Actor {
	actor := r.Caller.Actor()
	actor.Name = r.Name(tenant)
	return actor
}

// Forbidden returns the refusal of an action at a scope, with the reason in the words of the directory.
func Forbidden(action string, scope access.ResourceID, why string) *access.Error {
	e := access.Fault(access.KindForbidden, "forbidden",
		"you may not do this here: ask for a role that has the action %s", action)
	e.Reasons = []access.Reason{{Code: "forbidden", Message: fmt.Sprintf("%s at %s: %s", action, scope, why)}}
	return e
}
