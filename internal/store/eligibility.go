package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	eligibilityColumns = `e.id, e.tenant, e.principal, e.role, e.scope, e.start_at, e.end_at, e.longest, e.terms, e.origin,
e.created_by, e.created_at, e.updated_at, e.revision`
	selectEligibility = "select " + eligibilityColumns + " from eligibilities e where e.id = $1 limit 1"
	listEligibilities = "select " + eligibilityColumns + " from eligibilities e"
	insertEligibility = `insert into eligibilities (id, tenant, principal, role, scope, scope_key, start_at, end_at, longest, terms, origin, origin_key,
created_by, created_at, updated_at, revision) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`
	updateEligibility = `update eligibilities set tenant = $2, principal = $3, role = $4, scope = $5, scope_key = $6, start_at = $7, end_at = $8, longest = $9,
terms = $10, origin = $11, origin_key = $12, created_by = $13, created_at = $14, updated_at = $15, revision = $16 where id = $1 and revision = $17`
	deleteEligibility = "delete from eligibilities where id = $1 and revision = $2"
	spendEligibility  = "insert into spent_eligibilities (id) values ($1) on conflict do nothing"
	selectSpent       = "select 1 from spent_eligibilities s where s.id = $1 limit 1"
)

// termsRecord is what an eligibility asks of a request.
type termsRecord struct {
	Justification  justificationRecord `json:"justification,omitzero"`
	Ticket         ticketRecord        `json:"ticket,omitzero"`
	Approval       []caseRecord        `json:"approval,omitempty"`
	PendingTimeout time.Duration       `json:"pendingTimeout,omitempty"`
	Gap            time.Duration       `json:"gap,omitempty"`
	Loosened       []looseningRecord   `json:"loosened,omitempty"`
}

func scanEligibility(row scanner) (e access.Eligibility, err error) {
	var terms termsRecord
	err = row.Scan(&e.ID, &e.Tenant, &e.Principal, &e.Role, &e.Scope, timeColumn{&e.Start}, timeColumn{&e.End}, &e.Max,
		jsonColumn{&terms}, &e.Origin,
		&e.CreatedBy, timeColumn{&e.CreatedAt}, timeColumn{&e.UpdatedAt}, &e.Revision)
	e.Justification, e.Ticket = access.JustificationRule(terms.Justification), access.TicketRule(terms.Ticket)
	e.PendingTimeout, e.Gap, e.Loosened = terms.PendingTimeout, terms.Gap, loosenings(terms.Loosened)
	for _, c := range terms.Approval {
		e.Approval.Cases = append(e.Approval.Cases, c.rule())
	}
	return e, err
}

// Eligibility implements engine.EligibilityReader.
func (r *reader) Eligibility(ctx context.Context, id access.EligibilityID) (access.Eligibility, error) {
	return one(ctx, r.q, "eligibility", scanEligibility, selectEligibility, string(id))
}

// EligibilitySpent implements engine.EligibilityReader.
func (r *reader) EligibilitySpent(ctx context.Context, id access.EligibilityID) (bool, error) {
	_, err := one(ctx, r.q, "eligibility", scanNumber, selectSpent, string(id))
	if access.KindOf(err) == access.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// Eligibilities implements engine.EligibilityReader.
func (r *reader) Eligibilities(ctx context.Context, f engine.EligibilityFilter,
	p engine.Page,
) (engine.Listed[access.Eligibility], error) {
	l := from(listEligibilities)
	l.tenants("e.tenant", f.Tenant, f.Beside)
	equal(l, "e.principal", f.Principal)
	equal(l, "e.role", f.Role)
	if f.Origin != "" {
		l.where("e.origin_key = ?", f.Origin.Fold())
	}
	l.within("e.scope_key", f.Scope)
	l.after(p.Cursor, false, "e.id", cursorText)
	return page(ctx, r.q, l, p, "e.id", scanEligibility, func(v access.Eligibility) []any { return []any{v.ID} })
}

// SaveEligibility implements engine.EligibilityWriter.
func (t *tx) SaveEligibility(ctx context.Context, e access.Eligibility, was int64) error {
	terms := termsRecord{
		Justification: justificationRecord(e.Justification), Ticket: ticketRecord(e.Ticket),
		PendingTimeout: e.PendingTimeout, Gap: e.Gap, Loosened: looseningRecords(e.Loosened),
	}
	for _, c := range e.Approval.Cases {
		terms.Approval = append(terms.Approval, caseOf(c))
	}
	text, err := toJSON(terms)
	if err != nil {
		return err
	}
	err = t.swap(ctx, "eligibility", e.Revision, was, insertEligibility, updateEligibility, []any{
		string(e.ID), string(e.Tenant), string(e.Principal), string(e.Role), string(e.Scope), e.Scope.Fold(),
		micros(e.Start), micros(e.End), int64(e.Max), text,
		string(e.Origin), e.Origin.Fold(), string(e.CreatedBy), micros(e.CreatedAt), micros(e.UpdatedAt), e.Revision,
	})
	if err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// DeleteEligibility implements engine.EligibilityWriter.
func (t *tx) DeleteEligibility(ctx context.Context, id access.EligibilityID, was int64) error {
	stale := access.Fault(access.KindConflict, "eligibilityChanged",
		"the eligibility was changed or deleted meanwhile: look again")
	if err := t.exec(ctx, "eligibility", stale, deleteEligibility, string(id), was); err != nil {
		return err
	}
	if err := t.exec(ctx, "eligibility", nil, spendEligibility, string(id)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}
