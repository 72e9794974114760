package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	decisionTable = describe("decision", "decisions", "d", "request, position",
		text("request", func(v *access.Decision) *access.RequestID { return &v.Request }),
		text("person", func(v *access.Decision) *access.PrincipalID { return &v.Person }),
		text("name", func(v *access.Decision) *string { return &v.Name }),
		truth("approve", func(v *access.Decision) *bool { return &v.Approve }),
		text("comment", func(v *access.Decision) *string { return &v.Comment }),
		text("digest", func(v *access.Decision) *string { return &v.Digest }),
		when("at", func(v *access.Decision) *time.Time { return &v.At }),
		listOf("quorums", func(v *access.Decision) *[]int { return &v.Quorums }),
		number("stage", func(v *access.Decision) *int { return &v.Stage }),
		number("approval", func(v *access.Decision) *int { return &v.Case }),
		truth("stepped_up", func(v *access.Decision) *bool { return &v.SteppedUp }))

	reviewTable = describe("review", "reviews", "v", "id",
		text("id", func(v *access.Review) *access.ReviewID { return &v.ID }),
		text("tenant", func(v *access.Review) *access.TenantID { return &v.Tenant }),
		text("person", func(v *access.Review) *access.PrincipalID { return &v.Person }),
		text("person_name", func(v *access.Review) *string { return &v.PersonName }),
		text("request", func(v *access.Review) *access.RequestID { return &v.Request }),
		truth("offline", func(v *access.Review) *bool { return &v.Offline }),
		when("created_at", func(v *access.Review) *time.Time { return &v.CreatedAt }),
		when("closed_at", func(v *access.Review) *time.Time { return &v.ClosedAt }),
		text("closed_by", func(v *access.Review) *access.PrincipalID { return &v.ClosedBy }),
		text("comment", func(v *access.Review) *string { return &v.Comment }),
		number("revision", func(v *access.Review) *int64 { return &v.Revision }))

	selectDecisions = "select " + decisionTable.selected + " from decisions d where d.request = $1 order by d.position" +
		everyRow
	// The place of a decision among those of its request is not the decision's own.
	insertDecision    = decisionTable.insertWith("position")
	selectReview      = "select " + reviewTable.selected + " from reviews v where v.id = $1 limit 1"
	selectOpenReviews = "select " + reviewTable.selected + " from reviews v where v.person = $1 and v.closed_at = 0 order " +
		"by v.id limit 100"
	listReviews = "select " + reviewTable.selected + " from reviews v"
)

// Decisions implements engine.DecisionReader.
func (r *reader) Decisions(ctx context.Context, request access.RequestID) ([]access.Decision, error) {
	return whole(ctx, r.q, decisionTable.scan, selectDecisions, string(request))
}

// Review implements engine.DecisionReader.
func (r *reader) Review(ctx context.Context, id access.ReviewID) (access.Review, error) {
	return one(ctx, r.q, "review", reviewTable.scan, selectReview, string(id))
}

// OpenReviews implements engine.DecisionReader.
func (r *reader) OpenReviews(ctx context.Context, person access.PrincipalID) ([]access.Review, error) {
	return all(ctx, r.q, reviewTable.scan, selectOpenReviews, string(person))
}

// Reviews implements engine.DecisionReader.
func (r *reader) Reviews(ctx context.Context, f engine.ReviewFilter,
	p engine.Page,
) (engine.Listed[access.Review], error) {
	const columns = "v.created_at, v.id"
	l := from(listReviews)
	l.tenants("v.tenant", f.Tenant, f.Beside)
	equal(l, "v.person", f.Person)
	if f.Open {
		l.where("v.closed_at = 0")
	}
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), reviewTable.scan,
		func(v access.Review) []any { return []any{micros(v.CreatedAt), v.ID} })
}

// AddDecision implements engine.DecisionWriter.
func (t *tx) AddDecision(ctx context.Context, position int, d access.Decision) error {
	args, err := decisionTable.args(&d)
	if err != nil {
		return err
	}
	return t.exec(ctx, "decision", nil, insertDecision, append(args, int64(position))...)
}

// SaveReview implements engine.DecisionWriter.
func (t *tx) SaveReview(ctx context.Context, v access.Review, was int64) error {
	return swap(ctx, t, reviewTable, v, v.Revision, was)
}
