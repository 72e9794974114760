package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// ownerGuard is a transaction that keeps somebody who can act as Owner in each tenant: without one nobody could give
// rights, or let anybody in again. It watches every write that can take the last one away, whichever use case makes it.
type ownerGuard struct {
	Tx

	engine  *Kernel
	before  *rbac.Directory // as it was when it was first needed
	touched bool            // something that makes an Owner was taken away
}

func (g *ownerGuard) directory(ctx context.Context) (*rbac.Directory, error) {
	var err error
	if g.before == nil {
		g.before, err = g.engine.Compiled(ctx, g.Tx)
	}
	return g.before, err
}

// leads notes a write that takes away what makes those in a group, or the principal itself, Owner.
func (g *ownerGuard) leads(ctx context.Context, id access.PrincipalID) error {
	dir, err := g.directory(ctx)
	if err == nil && dir.LeadsToOwner(id) {
		g.touched = true
	}
	return err
}

// SavePrincipal implements Tx.
func (g *ownerGuard) SavePrincipal(ctx context.Context, p access.Principal, was int64) error {
	if p.Disabled {
		if err := g.leads(ctx, p.ID); err != nil {
			return err
		}
	}
	return g.Tx.SavePrincipal(ctx, p, was)
}

// RemoveMember implements Tx.
func (g *ownerGuard) RemoveMember(ctx context.Context, group, member access.PrincipalID) error {
	if err := g.leads(ctx, group); err != nil {
		return err
	}
	return g.Tx.RemoveMember(ctx, group, member)
}

// DeleteGroup implements Tx.
func (g *ownerGuard) DeleteGroup(ctx context.Context, id access.PrincipalID, was int64) error {
	if err := g.leads(ctx, id); err != nil {
		return err
	}
	return g.Tx.DeleteGroup(ctx, id, was)
}

// DeleteRoleAssignment implements Tx.
func (g *ownerGuard) DeleteRoleAssignment(ctx context.Context, id rbac.AssignmentID) error {
	dir, err := g.directory(ctx)
	if err != nil {
		return err
	}
	if a, ok := dir.Assignment(id); ok && a.MakesOwner() {
		g.touched = true
	}
	return g.Tx.DeleteRoleAssignment(ctx, id)
}

// finish refuses the transaction where a tenant that had an Owner who can act has none any more.
func (g *ownerGuard) finish(ctx context.Context) error {
	if !g.touched {
		return nil
	}
	data, err := g.Directory(ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	after := rbac.Compile(data)
	for _, t := range data.Tenants {
		if len(g.before.Owners(t.ID)) > 0 && len(after.Owners(t.ID)) == 0 {
			return lastOwner()
		}
	}
	return nil
}

func lastOwner() *access.Error {
	return access.Fault(access.KindConflict, "lastOwner",
		"nobody could act as Owner of everything any more: make somebody else Owner first, at the root and without "+
			"an end, who is enabled")
}

// Without gives a directory's data less a membership.
func Without(data rbac.Data, gone rbac.Membership) rbac.Data {
	data.Memberships = slices.DeleteFunc(slices.Clone(data.Memberships),
		func(m rbac.Membership) bool { return m == gone })
	return data
}

// LosesOwner reports whether a tenant that had somebody who can act as Owner has nobody any more.
func LosesOwner(before, after rbac.Data, tenant access.TenantID) bool {
	return len(rbac.Compile(after).Owners(tenant)) == 0 && len(rbac.Compile(before).Owners(tenant)) > 0
}
