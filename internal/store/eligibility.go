package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	eligibilityTable = describe("eligibility", "eligibilities", "e", "id",
		text("id", func(v *access.Eligibility) *access.EligibilityID { return &v.ID }),
		text("tenant", func(v *access.Eligibility) *access.TenantID { return &v.Tenant }),
		text("principal", func(v *access.Eligibility) *access.PrincipalID { return &v.Principal }),
		text("role", func(v *access.Eligibility) *access.RoleID { return &v.Role }),
		text("scope", func(v *access.Eligibility) *access.ResourceID { return &v.Scope }),
		derived("scope_key", func(v *access.Eligibility) any { return v.Scope.Fold() }),
		when("start_at", func(v *access.Eligibility) *time.Time { return &v.Start }),
		when("end_at", func(v *access.Eligibility) *time.Time { return &v.End }),
		number("longest", func(v *access.Eligibility) *time.Duration { return &v.Max }),
		others[access.Eligibility]("terms", parts{}),
		text("origin", func(v *access.Eligibility) *access.ResourceID { return &v.Origin }),
		derived("origin_key", func(v *access.Eligibility) any { return v.Origin.Fold() }),
		text("created_by", func(v *access.Eligibility) *access.PrincipalID { return &v.CreatedBy }),
		when("created_at", func(v *access.Eligibility) *time.Time { return &v.CreatedAt }),
		when("updated_at", func(v *access.Eligibility) *time.Time { return &v.UpdatedAt }),
		number("revision", func(v *access.Eligibility) *int64 { return &v.Revision }))

	selectEligibility = "select " + eligibilityTable.selected + " from eligibilities e where e.id = $1 limit 1"
	listEligibilities = "select " + eligibilityTable.selected + " from eligibilities e"
	deleteEligibility = "delete from eligibilities where id = $1 and revision = $2"
	spendEligibility  = "insert into spent_eligibilities (id) values ($1) on conflict do nothing"
	selectSpent       = "select 1 from spent_eligibilities s where s.id = $1 limit 1"
)

// Eligibility implements engine.EligibilityReader.
func (r *reader) Eligibility(ctx context.Context, id access.EligibilityID) (access.Eligibility, error) {
	return one(ctx, r.q, "eligibility", eligibilityTable.scan, selectEligibility, string(id))
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
	return page(ctx, r.q, l, p, "e.id", eligibilityTable.scan, func(v access.Eligibility) []any { return []any{v.ID} })
}

// SaveEligibility implements engine.EligibilityWriter.
func (t *tx) SaveEligibility(ctx context.Context, e access.Eligibility, was int64) error {
	if err := swap(ctx, t, eligibilityTable, e, e.Revision, was); err != nil {
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
