package machines

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// SealedCodes gives what each of the agents verifies codes by.
func SealedCodes(ctx context.Context, r engine.Reader, agents []access.AgentID,
	now time.Time,
) (map[access.AgentID][]access.SealedCode, error) {
	codes, err := r.GlassCodesOfAgents(ctx, agents)
	if err != nil {
		return nil, fmt.Errorf("read codes: %w", err)
	}
	slices.SortFunc(codes, func(a, b engine.GlassCode) int {
		return cmp.Or(cmp.Compare(a.Machine, b.Machine), cmp.Compare(a.ID, b.ID))
	})
	sealed := map[access.AgentID][]access.SealedCode{}
	for _, c := range codes {
		if c.UsedAt.IsZero() && now.Before(c.ExpiresAt) {
			sealed[c.Agent] = append(sealed[c.Agent],
				access.SealedCode{ID: string(c.ID), Machine: c.Machine, Hash: c.Hash, Most: c.Most, Until: c.ExpiresAt})
		}
	}
	return sealed, nil
}
