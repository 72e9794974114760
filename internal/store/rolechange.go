package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	roleChangeTable = describe("change", "role_changes", "c", "id",
		text("id", func(v *access.RoleChange) *access.RoleChangeID { return &v.ID }),
		text("tenant", func(v *access.RoleChange) *access.TenantID { return &v.Tenant }),
		text("subject", func(v *access.RoleChange) *access.RoleSubject { return &v.Of }),
		text("kind", func(v *access.RoleChange) *access.RoleChangeKind { return &v.Kind }),
		text("target", func(v *access.RoleChange) *string { return &v.Target }),
		text("eligibility", func(v *access.RoleChange) *access.EligibilityID { return &v.Eligibility }),
		text("principal", func(v *access.RoleChange) *access.PrincipalID { return &v.Principal }),
		text("principal_name", func(v *access.RoleChange) *string { return &v.PrincipalName }),
		text("principal_kind", func(v *access.RoleChange) *access.PrincipalKind { return &v.PrincipalKind }),
		text("role", func(v *access.RoleChange) *access.RoleID { return &v.Role }),
		text("role_name", func(v *access.RoleChange) *string { return &v.RoleName }),
		text("scope", func(v *access.RoleChange) *access.ResourceID { return &v.Scope }),
		when("start_at", func(v *access.RoleChange) *time.Time { return &v.Start }),
		when("end_at", func(v *access.RoleChange) *time.Time { return &v.End }),
		text("requester", func(v *access.RoleChange) *access.PrincipalID { return &v.Requester }),
		text("justification", func(v *access.RoleChange) *string { return &v.Justification }),
		text("ticket", func(v *access.RoleChange) *string { return &v.Ticket }),
		text("state", func(v *access.RoleChange) *access.RoleChangeState { return &v.State }),
		when("created_at", func(v *access.RoleChange) *time.Time { return &v.CreatedAt }),
		text("decided_by", func(v *access.RoleChange) *access.PrincipalID { return &v.DecidedBy }),
		number("revision", func(v *access.RoleChange) *int64 { return &v.Revision }))

	selectRoleChange = "select " + roleChangeTable.selected + " from role_changes c where c.id = $1 limit 1"
	listRoleChanges  = "select " + roleChangeTable.selected + " from role_changes c"
)

// RoleChange implements engine.RoleChangeReader.
func (r *reader) RoleChange(ctx context.Context, id access.RoleChangeID) (access.RoleChange, error) {
	return one(ctx, r.q, "change", roleChangeTable.scan, selectRoleChange, string(id))
}

// RoleChanges implements engine.RoleChangeReader.
func (r *reader) RoleChanges(ctx context.Context, f engine.RoleChangeFilter,
	p engine.Page,
) (engine.Listed[access.RoleChange], error) {
	const columns = "c.created_at, c.id"
	l := from(listRoleChanges)
	l.tenants("c.tenant", f.Tenant, f.Beside)
	equal(l, "c.subject", f.Of)
	equal(l, "c.principal", f.Principal)
	equal(l, "c.requester", f.Requester)
	equal(l, "c.role", f.Role)
	equal(l, "c.target", f.Target)
	if f.Waiting || f.Target != "" {
		l.where("c.state = 'waiting'")
	}
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), roleChangeTable.scan,
		func(c access.RoleChange) []any { return []any{micros(c.CreatedAt), c.ID} })
}

// SaveRoleChange implements engine.RoleChangeWriter.
func (t *tx) SaveRoleChange(ctx context.Context, c access.RoleChange, was int64) error {
	return swap(ctx, t, roleChangeTable, c, c.Revision, was)
}
