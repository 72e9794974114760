package engine

import (
	"cmp"
	"context"

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

// DefaultQuotas gives the quotas of a server for which nothing is said. One request may be for 1,000 machines, and a
// series may have 400 windows.
func DefaultQuotas() Quotas {
	return Quotas{
		Person: Quota{Open: 1000, Scheduled: 2000, Pending: 200},
		Tenant: Quota{Open: 20_000, Scheduled: 100_000, Pending: 10_000},
	}
}

// OrDefault gives the quotas with the defaults in the place of what is 0.
func (q Quotas) OrDefault() Quotas {
	fill := func(q, d Quota) Quota {
		return Quota{
			Open: cmp.Or(q.Open, d.Open), Scheduled: cmp.Or(q.Scheduled, d.Scheduled),
			Pending: cmp.Or(q.Pending, d.Pending),
		}
	}
	d := DefaultQuotas()
	return Quotas{Person: fill(q.Person, d.Person), Tenant: fill(q.Tenant, d.Tenant)}
}

// QuotaReader reads how much there is. Triggers of the store count, so that no change goes uncounted, its own
// transaction's included; since transactions that change something are serial, what is read in one is what there is
// when it is committed.
type QuotaReader interface {
	// Usage gives what a principal has in a tenant, and what all of them have there.
	Usage(ctx context.Context, tenant access.TenantID, principal access.PrincipalID) (Quotas, error)
}

// Of returns how much there is of a kind, and how one says it.
func (q Quota) Of(kind QuotaKind) (n int, what string) {
	switch kind {
	case QuotaScheduled:
		return q.Scheduled, "scheduled"
	case QuotaPending:
		return q.Pending, "pending"
	case QuotaOpen:
	}
	return q.Open, "open at once"
}
