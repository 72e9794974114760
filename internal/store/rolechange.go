package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	roleChangeColumns = `c.id, c.tenant, c.subject, c.kind, c.target, c.eligibility, c.principal, c.principal_name, c.principal_kind, c.role, c.role_name,
c.scope, c.start_at, c.end_at, c.requester, c.justification, c.ticket, c.state, c.created_at, c.decided_by, c.revision`
	selectRoleChange = "select " + roleChangeColumns + " from role_changes c where c.id = $1 limit 1"
	listRoleChanges  = "select " + roleChangeColumns + " from role_changes c"
	insertRoleChange = `insert into role_changes (id, tenant, subject, kind, target, eligibility, principal, principal_name, principal_kind, role, role_name,
scope, start_at, end_at, requester, justification, ticket, state, created_at, decided_by, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`
	updateRoleChange = `update role_changes set tenant = $2, subject = $3, kind = $4, target = $5, eligibility = $6, principal = $7, principal_name = $8,
principal_kind = $9, role = $10, role_name = $11, scope = $12, start_at = $13, end_at = $14, requester = $15, justification = $16, ticket = $17, state = $18,
created_at = $19, decided_by = $20, revision = $21 where id = $1 and revision = $22`
)

func scanRoleChange(row scanner) (c access.RoleChange, err error) {
	err = row.Scan(&c.ID, &c.Tenant, &c.Of, &c.Kind, &c.Target, &c.Eligibility, &c.Principal, &c.PrincipalName,
		&c.PrincipalKind, &c.Role, &c.RoleName,
		&c.Scope, timeColumn{&c.Start}, timeColumn{&c.End}, &c.Requester, &c.Justification, &c.Ticket, &c.State,
		timeColumn{&c.CreatedAt}, &c.DecidedBy, &c.Revision)
	return c, err
}

// RoleChange implements engine.RoleChangeReader.
func (r *reader) RoleChange(ctx context.Context, id access.RoleChangeID) (access.RoleChange, error) {
	return one(ctx, r.q, "change", scanRoleChange, selectRoleChange, string(id))
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
	return page(ctx, r.q, l, p, descending(columns), scanRoleChange,
		func(c access.RoleChange) []any { return []any{micros(c.CreatedAt), c.ID} })
}

// SaveRoleChange implements engine.RoleChangeWriter.
func (t *tx) SaveRoleChange(ctx context.Context, c access.RoleChange, was int64) error {
	return t.swap(ctx, "change", c.Revision, was, insertRoleChange, updateRoleChange, []any{
		string(c.ID), string(c.Tenant), string(c.Of), string(c.Kind), c.Target, string(c.Eligibility),
		string(c.Principal), c.PrincipalName, string(c.PrincipalKind),
		string(c.Role), c.RoleName, string(c.Scope), micros(c.Start), micros(c.End), string(c.Requester),
		c.Justification, c.Ticket, string(c.State),
		micros(c.CreatedAt), string(c.DecidedBy), c.Revision,
	})
}
