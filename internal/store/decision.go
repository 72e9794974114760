package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	selectDecisions = `select d.request, d.person, d.name, d.approve, d.comment, d.digest, d.at, d.quorums, d.stage, d.approval, d.stepped_up
from decisions d where d.request = $1 order by d.position` + everyRow
	reviewColumns = "v.id, v.tenant, v.person, v.person_name, v.request, v.offline, v.created_at, v.closed_at, " +
		"v.closed_by, v.comment, v.revision"
	selectReview      = "select " + reviewColumns + " from reviews v where v.id = $1 limit 1"
	selectOpenReviews = "select " + reviewColumns + " from reviews v where v.person = $1 and v.closed_at = 0 order " +
		"by v.id limit 100"
	listReviews = "select " + reviewColumns + " from reviews v"
)

func scanDecision(row scanner) (d access.Decision, err error) {
	err = row.Scan(&d.Request, &d.Person, &d.Name, flagColumn{&d.Approve}, &d.Comment, &d.Digest, timeColumn{&d.At},
		jsonColumn{&d.Quorums}, &d.Stage, &d.Case,
		flagColumn{&d.SteppedUp})
	return d, err
}

func scanReview(row scanner) (v access.Review, err error) {
	err = row.Scan(&v.ID, &v.Tenant, &v.Person, &v.PersonName, &v.Request, flagColumn{&v.Offline},
		timeColumn{&v.CreatedAt}, timeColumn{&v.ClosedAt}, &v.ClosedBy,
		&v.Comment, &v.Revision)
	return v, err
}

// Decisions implements engine.DecisionReader.
func (r *reader) Decisions(ctx context.Context, request access.RequestID) ([]access.Decision, error) {
	return whole(ctx, r.q, scanDecision, selectDecisions, string(request))
}

// Review implements engine.DecisionReader.
func (r *reader) Review(ctx context.Context, id access.ReviewID) (access.Review, error) {
	return one(ctx, r.q, "review", scanReview, selectReview, string(id))
}

// OpenReviews implements engine.DecisionReader.
func (r *reader) OpenReviews(ctx context.Context, person access.PrincipalID) ([]access.Review, error) {
	return all(ctx, r.q, scanReview, selectOpenReviews, string(person))
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
	return page(ctx, r.q, l, p, descending(columns), scanReview,
		func(v access.Review) []any { return []any{micros(v.CreatedAt), v.ID} })
}

const (
	insertDecision = `insert into decisions (request, position, person, name, approve, comment, digest, at, quorums, stage, approval, stepped_up)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	insertReview = `insert into reviews (id, tenant, person, person_name, request, offline, created_at, closed_at, closed_by, comment, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	updateReview = `update reviews set tenant = $2, person = $3, person_name = $4, request = $5, offline = $6, created_at = $7, closed_at = $8, closed_by = $9,
comment = $10, revision = $11 where id = $1 and revision = $12`
)

// AddDecision implements engine.DecisionWriter.
func (t *tx) AddDecision(ctx context.Context, position int, d access.Decision) error {
	quorums := d.Quorums
	if quorums == nil {
		quorums = []int{}
	}
	text, err := toJSON(quorums)
	if err != nil {
		return err
	}
	return t.exec(ctx, "decision", nil, insertDecision, string(d.Request), int64(position), string(d.Person), d.Name,
		flag(d.Approve), d.Comment, d.Digest,
		micros(d.At), text, int64(d.Stage), int64(d.Case), flag(d.SteppedUp))
}

// SaveReview implements engine.DecisionWriter.
func (t *tx) SaveReview(ctx context.Context, v access.Review, was int64) error {
	return t.swap(ctx, "review", v.Revision, was, insertReview, updateReview, []any{
		string(v.ID), string(v.Tenant), string(v.Person), v.PersonName, string(v.Request),
		flag(v.Offline), micros(v.CreatedAt), micros(v.ClosedAt), string(v.ClosedBy), v.Comment, v.Revision,
	})
}
