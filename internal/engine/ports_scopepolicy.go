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

	// Switches returns all of a tenant, by scope: those that are off, and those that were. They are shared: nobody
	// changes them, or their order.
	Switches(ctx context.Context, tenant access.TenantID) ([]access.Switch, error)
	// GuardedWithin counts the machines of a tenant within a scope, and those of them that a policy guards.
	GuardedWithin(ctx context.Context, tenant access.TenantID, scope access.ResourceID) (all, guarded int, err error)
	// PendingWithin counts the pending requests that name a machine of a tenant within a scope.
	PendingWithin(ctx context.Context, tenant access.TenantID, scope access.ResourceID) (int, error)
}

// ScopePolicyWriter writes them.
type ScopePolicyWriter interface {
	SaveScopePolicy(ctx context.Context, p access.ScopePolicy, was int64) error
	DeleteScopePolicy(ctx context.Context, id access.PolicyID, was int64) error
	SaveSwitch(ctx context.Context, s access.Switch, was int64) error // compares and swaps
	// BumpWithin moves the revisions of the agents of all machines of a tenant within a scope.
	BumpWithin(ctx context.Context, tenant access.TenantID, scope access.ResourceID) error
}
