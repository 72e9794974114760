package roles

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// SaveEligibility saves an eligibility over was, the zero one where it is new, and remembers who loosened it. What is
// in force by it and longer than it allows now, or begins before it does, is revoked.
func SaveEligibility(ctx context.Context, w *engine.Work, was, e access.Eligibility, by access.Actor) error {
	e.Loosened = e.Terms().Remember(was.Terms(), by.ID, policy.LoosenedEligibility(was, e), w.Now).Loosened
	if err := w.Tx.SaveEligibility(ctx, e, was.Revision); err != nil {
		return fmt.Errorf("save eligibility: %w", err)
	}
	w.Event(engine.EligibilityEvent(access.EligibilityWritten, e, by))
	if was.Revision == 0 {
		return nil
	}
	err := w.RevokeBy(ctx, e.ID, by, func(g access.Grant) (string, bool) {
		why := engine.Beyond(e, g, w.Now)
		return why, why != ""
	})
	if err != nil {
		return err
	}
	if err := w.Tx.DeleteActivationsBeyond(ctx, e.ID, e.Max, engine.Begins(e, w.Now), e.End); err != nil {
		return fmt.Errorf("delete role assignments: %w", err)
	}
	return nil
}

func findEligibility(ctx context.Context, r engine.Reader, may engine.Rights,
	id access.EligibilityID,
) (engine.EligibilityDetail, error) {
	unknown := access.Fault(access.KindNotFound, "unknownEligibility", "there is no eligibility %q that you may see",
		engine.Clip(string(id)))
	one, err := r.Eligibility(ctx, access.EligibilityID(strings.ToLower(string(id))))
	if engine.IsKind(err, access.KindNotFound) {
		return engine.EligibilityDetail{}, unknown
	}
	if err != nil {
		return engine.EligibilityDetail{}, fmt.Errorf("read eligibility: %w", err)
	}
	mine := engine.NotEligible(may.Dir, one, may.Caller.Principal,
		may.Now) == "" && may.Caller.Bounds.Cover(rbac.EligibilitiesRead, one.Scope)
	if !mine && !may.MayOf(one.Tenant, rbac.EligibilitiesRead, one.Scope) {
		return engine.EligibilityDetail{}, unknown
	}
	return engine.DescribeEligibility(ctx, r, may, one)
}
