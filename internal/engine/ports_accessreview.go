package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/review"
)

// AccessReviewReader is the part of a Reader that access reviews need. What is not found is access.KindNotFound.
type AccessReviewReader interface {
	AccessReview(ctx context.Context, id review.ID) (review.Review, error)
	AccessReviewByName(ctx context.Context, tenant access.TenantID, name string) (review.Review, error)
	AccessReviews(ctx context.Context, f AccessReviewFilter, p Page) (Listed[review.Review], error) // newest first

	AccessReviewItem(ctx context.Context, id review.ID, number int) (review.Item, error)
	AccessReviewItems(ctx context.Context, f AccessReviewItemFilter, p Page) (Listed[review.Item], error) // by number
	AccessReviewTally(ctx context.Context, id review.ID) (review.Tally, error)
}

// AccessReviewWriter writes them. Both compare and swap as the methods of Tx do.
type AccessReviewWriter interface {
	SaveAccessReview(ctx context.Context, r review.Review, was int64) error
	SaveAccessReviewItem(ctx context.Context, it review.Item, was int64) error
}

// AccessReviewFilter narrows a list of access reviews; zero fields do not narrow.
type AccessReviewFilter struct {
	Tenant access.TenantID
	State  review.State
	Live   bool // only those of which something is still to come
}

// AccessReviewItemFilter narrows the items of one access review; zero fields but Review do not narrow.
type AccessReviewItemFilter struct {
	Review    review.ID
	Kind      review.Kind
	Principal access.PrincipalID
	Decision  review.Decision
	Undecided bool // only those that nobody has decided yet
	Unsettled bool // only those of which nothing has become yet
}
