package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// rights is what one caller may do, by the directory as one transaction sees it. Scopes say which tenant is meant: one in a
// subscription is of the subscription's tenant, where the caller may be a guest; one in none, such as the root, is of the
// caller's own tenant, and nobody reaches above the subscriptions of another.
type rights struct {
	dir    *rbac.Directory
	caller Caller
	now    time.Time
}

// rights gives what the caller may do by the directory as r sees it: the snapshot that refresh made, or where r sees
// another revision, one made for this once.
func (e *Engine) rights(ctx context.Context, r Reader, c Caller) (rights, error) {
	if c.Principal == "" || c.Tenant == "" {
		return rights{}, access.Fault(access.KindUnauthenticated, "notSignedIn", "sign in first")
	}
	dir, err := e.compiled(ctx, r)
	return rights{dir: dir, caller: c, now: e.now()}, err
}

func (e *Engine) compiled(ctx context.Context, r Reader) (*rbac.Directory, error) {
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

// refresh shares the newest snapshot of the directory. Only a read transaction may do it: what it sees is committed, while
// a revision that a writing one sees may come to nothing and its number be given to other data.
func (e *Engine) refresh(ctx context.Context, r Reader) error {
	dir, err := e.compiled(ctx, r)
	if err == nil {
		e.directory.Store(dir)
	}
	return err
}

// authorize fails with access.KindForbidden unless the caller may do action at scope.
func (e *Engine) authorize(ctx context.Context, r Reader, c Caller, action string, scope access.ResourceID) (rights, error) {
	may, err := e.rights(ctx, r, c)
	if err != nil {
		return rights{}, err
	}
	return may, may.require(action, scope)
}

// may tells whether the caller may do action at scope.
func (r rights) may(action string, scope access.ResourceID) bool {
	return r.caller.Bounds.cover(action, scope) && r.dir.Check(r.caller.Principal, action, scope, r.now).Allowed
}

// require is may as an error.
func (r rights) require(action string, scope access.ResourceID) error {
	if !r.caller.Bounds.cover(action, scope) {
		return outOfBounds(action, scope)
	}
	decision := r.dir.Check(r.caller.Principal, action, scope, r.now)
	if decision.Allowed {
		return nil
	}
	return forbidden(action, scope, decision.Reason)
}

// requireOf is require for something of a tenant, as mayOf is may for it.
func (r rights) requireOf(tenant access.TenantID, action string, scope access.ResourceID) error {
	if !r.isHome(tenant) && r.dir.Owner(scope) != tenant {
		return forbidden(action, scope, "what lies in no subscription is for the tenant that it is of")
	}
	return r.require(action, scope)
}

// anywhere gives the scopes at and below which the caller may do action, and fails with access.KindForbidden where there
// is none: what lists, and what looks for a thing by a name, says so before it says what there is.
func (r rights) anywhere(actions ...string) ([]access.ResourceID, error) {
	var scopes []access.ResourceID
	for _, action := range actions {
		scopes = append(scopes, r.scopes(action)...)
	}
	if len(scopes) == 0 && r.caller.Bounds != nil {
		return nil, outOfBounds(actions[0], access.Root)
	}
	if len(scopes) == 0 {
		return nil, forbidden(actions[0], access.Root, "no role of yours has it anywhere")
	}
	return scopes, nil
}

// scopes gives the scopes at and below which the caller may do action.
func (r rights) scopes(action string) []access.ResourceID {
	return r.caller.Bounds.narrow(action, r.dir.Scopes(r.caller.Principal, action, r.now))
}

// owns tells whether something at scope is the caller's own, and action on it lies within their token's bounds: one's own
// requests and grants need no role, but a token that was made for something else does not reach them.
func (r rights) owns(owner access.PrincipalID, action string, scope access.ResourceID) bool {
	return owner == r.caller.Principal && r.caller.Bounds.cover(action, scope)
}

// covered tells whether id lies within one of the scopes that rights gave.
func covered(id access.ResourceID, scopes []access.ResourceID) bool { return rbac.Reaches(scopes, id) }

// reaches is covered for something of a tenant: where it lies in no subscription, it lies at the root of that tenant, and
// is for those alone who are at home there.
func (r rights) reaches(tenant access.TenantID, id access.ResourceID, scopes []access.ResourceID) bool {
	if r.dir.Owner(id) != tenant {
		return tenant == r.caller.Tenant && covered(access.Root, scopes)
	}
	return covered(id, scopes)
}

// mayOf is may for something of a tenant, as reaches is covered for it.
func (r rights) mayOf(tenant access.TenantID, action string, scope access.ResourceID) bool {
	return (r.isHome(tenant) || r.dir.Owner(scope) == tenant) && r.may(action, scope)
}

// isHome tells whether a tenant is the caller's own.
func (r rights) isHome(tenant access.TenantID) bool { return tenant == r.caller.Tenant }

// beside gives the tenants, beside their own, in which the caller is a guest, or was or will be.
func (r rights) beside() []access.TenantID {
	return slices.DeleteFunc(r.dir.Tenants(r.caller.Principal), r.isHome)
}

// tenantOf gives the tenant that scope is of.
func (r rights) tenantOf(scope access.ResourceID) access.TenantID {
	if owner := r.dir.Owner(scope); owner != "" {
		return owner
	}
	return r.caller.Tenant
}

// here gives scope where it is of the caller's own tenant, and else the root: a role may name scopes that are of nobody here,
// such as one that was written for Azure, and can be assigned in its own tenant alone.
func (r rights) here(scope access.ResourceID) access.ResourceID {
	if r.dir.Owner(scope) == r.caller.Tenant {
		return scope
	}
	return access.Root
}

// name gives what the caller is called in a tenant: name@tenant where they are a guest.
func (r rights) name(tenant access.TenantID) string {
	if r.isHome(tenant) {
		return r.caller.Name
	}
	return r.caller.Name + "@" + r.dir.TenantName(r.caller.Tenant)
}

// actor gives the caller as events of a tenant record it.
func (r rights) actor(tenant access.TenantID) access.Actor {
	actor := r.caller.Actor()
	actor.Name = r.name(tenant)
	return actor
}

func forbidden(action string, scope access.ResourceID, why string) *access.Error {
	e := access.Fault(access.KindForbidden, "forbidden", "you may not do this here: ask for a role that has the action %s", action)
	e.Reasons = []access.Reason{{Code: "forbidden", Message: fmt.Sprintf("%s at %s: %s", action, scope, why)}}
	return e
}

// Check tells whether the caller may do action at scope: nil, or an error of access.KindForbidden.
func (e *Engine) Check(ctx context.Context, c Caller, action string, scope access.ResourceID) error {
	return e.look(ctx, c, attempt{action: action, scope: scope}, func(r Reader) error {
		_, err := e.authorize(ctx, r, c, action, scope)
		return err
	})
}
