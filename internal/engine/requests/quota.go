package requests

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// hold refuses the transaction where its subject has more of any of the kinds by now than it may have. An emergency is
// held to the person's quota alone: what others have open must not keep it out.
func (e *Service) hold(ctx context.Context, tx engine.Tx, r access.Request, kinds ...engine.QuotaKind) error {
	used, err := tx.Usage(ctx, r.Tenant, r.Requester)
	if err != nil {
		return fmt.Errorf("read usage: %w", err)
	}
	for _, kind := range kinds {
		mine, _ := used.Person.Of(kind)
		if most, what := e.quotas.Person.Of(kind); mine > most {
			return access.Fault(access.KindConflict, "quotaExceeded",
				"%s may have %d %s, and would have more: end or cancel some first, or ask who runs the server for a "+
					"higher quota",
				r.RequesterName, most, what)
		}
		all, _ := used.Tenant.Of(kind)
		if most, what := e.quotas.Tenant.Of(kind); all > most && !r.BreakGlass {
			return access.Fault(access.KindConflict, "tenantQuotaExceeded",
				"this tenant may have %d %s in all, and would have more: wait until some have ended, or ask who "+
					"runs the server for a higher quota",
				most, what)
		}
	}
	return nil
}

// holdGrants is hold for the grants that a request has made.
func (e *Service) holdGrants(ctx context.Context, tx engine.Tx, r access.Request, grants []access.Grant) error {
	var kinds []engine.QuotaKind
	for _, g := range grants {
		kind := engine.QuotaOpen
		if g.State == access.GrantScheduled {
			kind = engine.QuotaScheduled
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	return e.hold(ctx, tx, r, kinds...)
}
