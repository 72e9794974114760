package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// eligibilityEnds says what follows where an eligibility has other terms.
func (a *app) eligibilityEnds(ctx context.Context, cl *api.Client, was api.Eligibility,
	will api.EligibilityTerms,
) ([]string, error) {
	asPolicy := func(t api.EligibilityTerms) api.MachinePolicy {
		return api.MachinePolicy{
			Justification: t.Justification, Ticket: t.Ticket, Approval: t.Approval,
			PendingTimeoutSeconds: t.PendingTimeoutSeconds, GapSeconds: t.GapSeconds,
		}
	}
	lines := lost(asPolicy(was.EligibilityTerms), asPolicy(will))
	usual := int64(access.DefaultActivation / time.Second)
	before, after := cmp.Or(was.MaxSeconds, usual), cmp.Or(will.MaxSeconds, usual)
	switch {
	case after > before:
		lines = append(lines, fmt.Sprintf("  - may be active for %s (was: %s)", seconds(after), seconds(before)))
	case after < before:
		held, err := api.All(cl.Grants(ctx, api.GrantQuery{States: live()}))
		if err != nil && !missing(err) {
			return nil, err
		}
		held = slices.DeleteFunc(held, func(g api.Grant) bool {
			return g.Role == nil || g.Role.Eligibility != was.ID || int64(g.End.Sub(g.Start).Seconds()) <= after
		})
		if len(held) > 0 {
			lines = append(lines, fmt.Sprintf("  - may be active for %s (was: %s)", seconds(after), seconds(before)))
			lines = append(lines, a.ends(held)...)
		}
	}
	if was.End != nil && will.End == nil {
		lines = append(lines, "  - never ends (was: "+a.style().time(*was.End)+")")
	}
	if len(lines) == 0 {
		return nil, nil
	}
	return append([]string{"Changing the eligibility of " + was.Principal + " for " + was.Role + ":"}, lines...), nil
}
