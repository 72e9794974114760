package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
)

// DecisionReader reads what deciding left.
type DecisionReader interface {
	// Decisions gives the decisions on a request, in the order they were made.
	Decisions(ctx context.Context, request access.RequestID) ([]access.Decision, error)

	Review(ctx context.Context, id access.ReviewID) (access.Review, error)
	Reviews(ctx context.Context, f ReviewFilter, p Page) (Listed[access.Review], error) // newest first
	// OpenReviews gives the open debts of a person; at most 100.
	OpenReviews(ctx context.Context, person access.PrincipalID) ([]access.Review, error)
}

// DecisionWriter writes it. SaveReview compares and swaps as the methods of Tx do.
type DecisionWriter interface {
	// AddDecision adds a decision as number position of its request, from 0; conflict if there is one already.
	AddDecision(ctx context.Context, position int, d access.Decision) error
	SaveReview(ctx context.Context, v access.Review, was int64) error
	SaveCodeUse(ctx context.Context, u CodeUse) error // with its request, once
}

// ReviewFilter narrows a list of reviews; zero fields do not narrow.
type ReviewFilter struct {
	Tenant access.TenantID
	Beside []access.TenantID // further tenants, beside Tenant
	Person access.PrincipalID
	Open   bool // only debts that nobody has closed
}
