package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// FormerMachines gives the machines that one of the policies may have named, and names no more: what was asked through
// it stays part of its history.
func FormerMachines(ctx context.Context, r Reader, policies []access.Policy,
	since time.Time, most int,
) ([]access.MachineID, error) {
	var scopes []access.ResourceID
	for _, p := range policies {
		scope := access.ResourceGroupScope(p.Resource.InSubscription(), p.Resource.Segment("resourceGroups"))
		if len(policies) > 1 {
			scope = access.SubscriptionScope(p.Resource.InSubscription())
		}
		if !slices.ContainsFunc(scopes, scope.Equal) {
			scopes = append(scopes, scope)
		}
	}
	var ids []access.MachineID
	for _, scope := range scopes {
		some, err := r.FormerMachines(ctx, scope, since, most)
		if err != nil {
			return nil, fmt.Errorf("read former machines: %w", err)
		}
		ids = append(ids, some...)
	}
	return ids, nil
}
