package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

// ScopePolicyReader is the part of a Reader that policies of scopes need. What is not found is access.KindNotFound.
type ScopePolicyReader interface {
	ScopePolicy(ctx context.Context, id access.ResourceID) (access.ScopePolicy, error)
	ScopePolicies(ctx context.Context, tenant access.TenantID) ([]access.ScopePolicy, error) // all, by id
}

// ScopePolicyWriter writes them.
type ScopePolicyWriter interface {
	SaveScopePolicy(ctx context.Context, p access.ScopePolicy, was int64) error
	DeleteScopePolicy(ctx context.Context, id access.PolicyID, was int64) error
	// BumpWithin moves the revisions of the agents of all machines of a tenant within a scope.
	BumpWithin(ctx context.Context, tenant access.TenantID, scope access.ResourceID) error
}
