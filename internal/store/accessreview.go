package store

import (
	"context"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	accessReviewTable = describe("access review", "access_reviews", "v", "id",
		text("id", func(v *review.Review) *review.ID { return &v.ID }),
		text("tenant", func(v *review.Review) *access.TenantID { return &v.Tenant }),
		text("name", func(v *review.Review) *string { return &v.Name }),
		derived("name_key", func(v *review.Review) any { return strings.ToLower(v.Name) }),
		oneOf("state", func(v *review.Review) *review.State { return &v.State },
			review.Starting, review.Open, review.Closing, review.Closed, review.Canceled),
		when("created_at", func(v *review.Review) *time.Time { return &v.CreatedAt }),
		others[review.Review]("body", parts{}),
		number("revision", func(v *review.Review) *int64 { return &v.Revision }))

	accessReviewItemTable = describe("access review item", "access_review_items", "i", "review, number",
		text("review", func(v *review.Item) *review.ID { return &v.Review }),
		number("number", func(v *review.Item) *int { return &v.Number }),
		derived("kind", func(v *review.Item) any { return string(v.Facts.Kind) }),
		derived("principal", func(v *review.Item) any { return string(v.Facts.Principal) }),
		oneOf("decision", func(v *review.Item) *review.Decision { return &v.Decision }, "", review.Keep, review.Remove),
		oneOf("outcome", func(v *review.Item) *review.Outcome { return &v.Outcome }, "", review.Removed, review.Gone,
			review.Failed),
		others[review.Item]("body", parts{}),
		number("revision", func(v *review.Item) *int64 { return &v.Revision }))

	selectAccessReview       = "select " + accessReviewTable.selected + " from access_reviews v where v.id = $1 limit 1"
	selectAccessReviewByName = "select " + accessReviewTable.selected +
		" from access_reviews v where v.tenant = $1 and v.name_key = $2 limit 1"
	listAccessReviews      = "select " + accessReviewTable.selected + " from access_reviews v"
	selectAccessReviewItem = "select " + accessReviewItemTable.selected +
		" from access_review_items i where i.review = $1 and i.number = $2 limit 1"
	listAccessReviewItems = "select " + accessReviewItemTable.selected + " from access_review_items i where i.review = $1"
)

// There are three decisions and four outcomes.
const tallyAccessReview = "select decision, outcome, count(*) from access_review_items where review = $1 " +
	"group by decision, outcome limit 12"

// AccessReview implements engine.AccessReviewReader.
func (r *reader) AccessReview(ctx context.Context, id review.ID) (review.Review, error) {
	return one(ctx, r.q, "access review", accessReviewTable.scan, selectAccessReview, string(id))
}

// AccessReviewByName implements engine.AccessReviewReader.
func (r *reader) AccessReviewByName(ctx context.Context, tenant access.TenantID, name string) (review.Review, error) {
	return one(ctx, r.q, "access review", accessReviewTable.scan, selectAccessReviewByName, string(tenant),
		strings.ToLower(name))
}

// AccessReviews implements engine.AccessReviewReader.
func (r *reader) AccessReviews(ctx context.Context, f engine.AccessReviewFilter,
	p engine.Page,
) (engine.Listed[review.Review], error) {
	const columns = "v.created_at, v.id"
	l := from(listAccessReviews)
	equal(l, "v.tenant", f.Tenant)
	equal(l, "v.state", f.State)
	if f.Live {
		l.where("v.state in ('starting', 'open', 'closing')")
	}
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), accessReviewTable.scan,
		func(v review.Review) []any { return []any{micros(v.CreatedAt), v.ID} })
}

// AccessReviewItem implements engine.AccessReviewReader.
func (r *reader) AccessReviewItem(ctx context.Context, id review.ID, number int) (review.Item, error) {
	return one(ctx, r.q, "access review item", accessReviewItemTable.scan, selectAccessReviewItem, string(id),
		int64(number))
}

// AccessReviewItems implements engine.AccessReviewReader.
func (r *reader) AccessReviewItems(ctx context.Context, f engine.AccessReviewItemFilter,
	p engine.Page,
) (engine.Listed[review.Item], error) {
	l := from(listAccessReviewItems)
	l.args = append(l.args, string(f.Review))
	equal(l, "i.kind", f.Kind)
	equal(l, "i.principal", f.Principal)
	equal(l, "i.decision", f.Decision)
	if f.Undecided {
		l.where("i.decision = ''")
	}
	if f.Unsettled {
		l.where("i.outcome = ''")
	}
	l.after(p.Cursor, false, "i.number", cursorNumber)
	return page(ctx, r.q, l, p, "i.number", accessReviewItemTable.scan,
		func(it review.Item) []any { return []any{int64(it.Number)} })
}

// AccessReviewTally implements engine.AccessReviewReader.
func (r *reader) AccessReviewTally(ctx context.Context, id review.ID) (t review.Tally, err error) {
	type group struct {
		of review.Item
		n  int
	}
	groups, err := all(ctx, r.q, func(row scanner) (g group, err error) {
		err = row.Scan(&g.of.Decision, &g.of.Outcome, &g.n)
		return g, err
	}, tallyAccessReview, string(id))
	for _, g := range groups {
		t.Add(g.of, g.n)
	}
	return t, err
}

// SaveAccessReview implements engine.AccessReviewWriter.
func (t *tx) SaveAccessReview(ctx context.Context, r review.Review, was int64) error {
	return swap(ctx, t, accessReviewTable, r, r.Revision, was)
}

// SaveAccessReviewItem implements engine.AccessReviewWriter.
func (t *tx) SaveAccessReviewItem(ctx context.Context, it review.Item, was int64) error {
	return swap(ctx, t, accessReviewItemTable, it, it.Revision, was)
}
