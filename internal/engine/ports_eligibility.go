package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

// EligibilityReader is the part of a Reader that eligibilities need. What is not found is access.KindNotFound.
type EligibilityReader interface {
	Eligibility(ctx context.Context, id access.EligibilityID) (access.Eligibility, error)
	// whether there was one of that id, and is none any more
	EligibilitySpent(ctx context.Context, id access.EligibilityID) (bool, error)
	// by id, so by age
	Eligibilities(ctx context.Context, f EligibilityFilter, p Page) (Listed[access.Eligibility], error)
}

// EligibilityWriter writes them. SaveEligibility compares and swaps as the methods of Tx do; DeleteEligibility is a
// conflict where the stored revision is not was. Both bump the directory, since what is in force may rest on it.
type EligibilityWriter interface {
	SaveEligibility(ctx context.Context, e access.Eligibility, was int64) error
	DeleteEligibility(ctx context.Context, id access.EligibilityID, was int64) error
}

// EligibilityFilter narrows a list of eligibilities; zero fields do not narrow.
type EligibilityFilter struct {
	Tenant    access.TenantID
	Beside    []access.TenantID // further tenants, beside Tenant
	Principal access.PrincipalID
	Role      access.RoleID
	Scope     access.ResourceID // at or below
	Origin    access.ResourceID
}
