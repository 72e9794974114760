package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

// RoleChangeReader is the part of a Reader that changes of roles need. What is not found is access.KindNotFound.
type RoleChangeReader interface {
	RoleChange(ctx context.Context, id access.RoleChangeID) (access.RoleChange, error)
	RoleChanges(ctx context.Context, f RoleChangeFilter, p Page) (Listed[access.RoleChange], error) // newest first
}

// RoleChangeWriter writes them. SaveRoleChange compares and swaps as the methods of Tx do.
type RoleChangeWriter interface {
	SaveRoleChange(ctx context.Context, c access.RoleChange, was int64) error
}

// RoleChangeFilter narrows a list of changes of roles; zero fields do not narrow.
type RoleChangeFilter struct {
	Tenant    access.TenantID
	Beside    []access.TenantID // further tenants, beside Tenant
	Of        access.RoleSubject
	Principal access.PrincipalID
	Requester access.PrincipalID
	Role      access.RoleID
	Target    string // only those that wait for a change of it
	Waiting   bool   // only those that wait for a change

	NeedsMe bool // only those that the caller may give now; the engine's own, which the store does not look at
}
