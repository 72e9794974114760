package machines

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// lostRight says why the holder of a grant has no right to it any more; empty where they have.
func lostRight(ctx context.Context, r engine.Reader, dir *rbac.Directory, g access.Grant, m access.Machine,
	now time.Time,
) (string, error) {
	if g.Role.IsZero() {
		check := dir.Check(g.Principal, rbac.PoliciesInitiate, m.Resource, now)
		if !check.Allowed {
			return check.Reason, nil
		}
		// Grants are cut to the end of the right when they are made, so the right was shortened since. It would take a
		// job to end this one with it.
		if until := dir.Until(g.Principal, rbac.PoliciesInitiate, m.Resource,
			now); !until.IsZero() && until.Before(g.End) {
			return "their right to it ends before it does, at " + until.UTC().Format(time.RFC3339), nil
		}
		return "", nil
	}
	eligibility, err := engine.EligibilityOf(ctx, r, g.Tenant, g.Role)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return "the eligibility was taken away", nil
	case err != nil:
		return "", fmt.Errorf("read eligibility: %w", err)
	}
	if why := engine.NotEligible(dir, eligibility, g.Principal, now); why != "" {
		return why, nil
	}
	return engine.Beyond(eligibility, g, now), nil
}
