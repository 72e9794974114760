package engine

import (
	"cmp"
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// QuotaKind says what a quota bounds.
type QuotaKind string

// The kinds of quota.
const (
	QuotaOpen      QuotaKind = "open"      // grants that are open, or should be
	QuotaScheduled QuotaKind = "scheduled" // grants whose start lies ahead; each window of a series is one
	QuotaPending   QuotaKind = "pending"   // requests that nobody has decided yet
)

// Quota is how much there is, or may be, of each kind.
type Quota struct {
	Open      int
	Scheduled int
	Pending   int
}

// Quotas is how much one principal may have in a tenant, and all of them together.
type Quotas struct {
	Person Quota
	Tenant Quota
}

// DefaultQuotas gives the quotas of a server for which nothing is said. One request may be for 1,000 machines, and a series
// may have 400 windows.
func DefaultQuotas() Quotas {
	return Quotas{Person: Quota{Open: 1000, Scheduled: 2000, Pending: 200}, Tenant: Quota{Open: 20_000, Scheduled: 100_000, Pending: 10_000}}
}

// orDefault gives the quotas with the defaults in the place of what is 0.
func (q Quotas) orDefault() Quotas {
	fill := func(q, d Quota) Quota {
		return Quota{Open: cmp.Or(q.Open, d.Open), Scheduled: cmp.Or(q.Scheduled, d.Scheduled), Pending: cmp.Or(q.Pending, d.Pending)}
	}
	d := DefaultQuotas()
	return Quotas{Person: fill(q.Person, d.Person), Tenant: fill(q.Tenant, d.Tenant)}
}

// QuotaReader reads how much there is. Triggers of the store count, so that no change goes uncounted.
type QuotaReader interface {
	// Usage gives what a principal has in a tenant; with no principal, what all of them have there.
	Usage(ctx context.Context, tenant access.TenantID, principal access.PrincipalID) (Quota, error)
}

// QuotaWriter holds changes to quotas.
type QuotaWriter interface {
	// HoldQuota fails with refusal where there is more of a kind by now than most, perhaps only when the transaction ends; the
	// principal is empty for all of the tenant. There is some of the kind.
	HoldQuota(ctx context.Context, tenant access.TenantID, principal access.PrincipalID, kind QuotaKind, most int, refusal error) error
}

// hold refuses the transaction where its subject has more of a kind than it may have. An emergency is held to the person's quota
// alone: what others have open must not keep it out.
func (e *Engine) hold(ctx context.Context, tx Tx, r access.Request, kind QuotaKind) error {
	mine, all := e.quotas.Person, e.quotas.Tenant
	what, personal, total := "", 0, 0
	switch kind {
	case QuotaOpen:
		what, personal, total = "open at once", mine.Open, all.Open
	case QuotaScheduled:
		what, personal, total = "scheduled", mine.Scheduled, all.Scheduled
	case QuotaPending:
		what, personal, total = "pending", mine.Pending, all.Pending
	}
	refusal := access.Fault(access.KindConflict, "quotaExceeded", "%s may have %d %s, and would have more: end or cancel some first, or ask who runs the server for a higher quota",
		r.RequesterName, personal, what)
	if err := tx.HoldQuota(ctx, r.Tenant, r.Requester, kind, personal, refusal); err != nil {
		return fmt.Errorf("hold quota: %w", err)
	}
	if r.BreakGlass {
		return nil
	}
	refusal = access.Fault(access.KindConflict, "tenantQuotaExceeded", "this tenant may have %d %s in all, and would have more: wait until some have ended, or ask who runs the server for a higher quota",
		total, what)
	if err := tx.HoldQuota(ctx, r.Tenant, "", kind, total, refusal); err != nil {
		return fmt.Errorf("hold quota: %w", err)
	}
	return nil
}

// holdGrants is hold for the grants that a request has made.
func (e *Engine) holdGrants(ctx context.Context, tx Tx, r access.Request, grants []access.Grant) error {
	kinds := map[QuotaKind]bool{}
	for _, g := range grants {
		kinds[QuotaScheduled] = kinds[QuotaScheduled] || g.State == access.GrantScheduled
		kinds[QuotaOpen] = kinds[QuotaOpen] || g.State != access.GrantScheduled
	}
	for _, kind := range []QuotaKind{QuotaOpen, QuotaScheduled} {
		if !kinds[kind] {
			continue
		}
		if err := e.hold(ctx, tx, r, kind); err != nil {
			return err
		}
	}
	return nil
}
