package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

// ScopePolicyReader is the part of a Reader that policies of scopes need. What is not found is access.KindNotFound.
type ScopePolicyReader interface {
	ScopePolicy(ctx context.Context, id access.ResourceID) (access.ScopePolicy, error)
	// ScopePolicies returns all of a tenant, by id. They are shared: nobody changes them, or their order.
	ScopePolicies(ctx context.Context, tenant access.TenantID) ([]access.ScopePolicy, error)
	// MachinesReached counts the machines that a policy reaches, whether or not another one comes before it there.
	MachinesReached(ctx context.Context, id access.PolicyID) (int, error)
}

// ScopePolicyWriter writes them.
type ScopePolicyWriter interface {
	SaveScopePolicy(ctx context.Context, p access.ScopePolicy, was int64) error
	DeleteScopePolicy(ctx context.Context, id access.PolicyID, was int64) error
	// BumpWithin moves the revisions of the agents of all machines of a tenant within a scope.
	BumpWithin(ctx context.Context, tenant access.TenantID, scope access.ResourceID) error
}
