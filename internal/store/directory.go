package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

var (
	definitionTable = describe("role definition", "role_definitions", "d", "id",
		text("id", func(d *rbac.Definition) *rbac.DefinitionID { return &d.ID }),
		text("tenant", func(d *rbac.Definition) *access.TenantID { return &d.Tenant }),
		text("name", func(d *rbac.Definition) *string { return &d.Name }),
		derived("name_key", func(d *rbac.Definition) any { return fold(d.Name) }),
		text("description", func(d *rbac.Definition) *string { return &d.Description }),
		truth("built_in", func(d *rbac.Definition) *bool { return &d.BuiltIn }),
		listOf("permissions", func(d *rbac.Definition) *[]rbac.Permission { return &d.Permissions }),
		nested("assignable_scopes", func(d *rbac.Definition) *[]access.ResourceID { return &d.AssignableScopes }),
		when("created_at", func(d *rbac.Definition) *time.Time { return &d.CreatedAt }),
		when("updated_at", func(d *rbac.Definition) *time.Time { return &d.UpdatedAt }))

	// The home of the principal is the principal's own.
	assignmentTable = describe("role assignment", "role_assignments", "a", "id",
		text("id", func(a *rbac.Assignment) *rbac.AssignmentID { return &a.ID }),
		text("tenant", func(a *rbac.Assignment) *access.TenantID { return &a.Tenant }),
		text("principal", func(a *rbac.Assignment) *access.PrincipalID { return &a.Principal }),
		joined("p.tenant", text("", func(a *rbac.Assignment) *access.TenantID { return &a.Home })),
		text("definition", func(a *rbac.Assignment) *rbac.DefinitionID { return &a.Definition }),
		text("scope", func(a *rbac.Assignment) *access.ResourceID { return &a.Scope }),
		when("start_at", func(a *rbac.Assignment) *time.Time { return &a.Start }),
		when("end_at", func(a *rbac.Assignment) *time.Time { return &a.End }),
		text("description", func(a *rbac.Assignment) *string { return &a.Description }),
		text("origin", func(a *rbac.Assignment) *access.ResourceID { return &a.Origin }),
		text("created_by", func(a *rbac.Assignment) *access.PrincipalID { return &a.CreatedBy }),
		when("created_at", func(a *rbac.Assignment) *time.Time { return &a.CreatedAt }),
		text("through", func(a *rbac.Assignment) *access.PrincipalID { return &a.Through }))
)

// The directory is read whole and kept in memory by its revision, so these have no page.
var (
	selectDirectoryRevision = "select revision, scopes from directory where id = 1 limit 1"
	selectDefinitions       = "select " + definitionTable.selected + " from role_definitions d order by d.id" + everyRow
	selectAssignments       = "select " + assignmentTable.selected +
		" from role_assignments a join principals p on p.id = a.principal order by a.id" + everyRow
	selectDenials     = "select " + denialTable.selected + " from deny_assignments d order by d.id" + everyRow
	selectMemberships = "select group_id, member_id from memberships order by group_id, member_id" + everyRow
	selectPeople      = "select id from principals where kind = 'user' order by id" + everyRow
	selectMakers      = "select principal, person from secret_makers order by principal, person" + everyRow
	selectDisabled    = "select id from principals where disabled <> 0 order by id" + everyRow
)

// DirectoryRevision implements engine.Reader.
func (r *reader) DirectoryRevision(ctx context.Context) (int64, error) {
	revisions, err := r.revisions(ctx)
	return revisions.directory, err
}

// revisions are what moves with each change of the directory, and of the policies of scopes.
type revisions struct{ directory, scopes int64 }

func (r *reader) revisions(ctx context.Context) (revisions, error) {
	return remembered(r.memo, "directory", "revisions", func() (revisions, error) {
		return one(ctx, r.q, "directory", func(row scanner) (n revisions, err error) {
			err = row.Scan(&n.directory, &n.scopes)
			return n, err
		}, selectDirectoryRevision)
	})
}

// Directory implements engine.Reader.
func (r *reader) Directory(ctx context.Context) (rbac.Data, error) {
	var d rbac.Data
	var err error
	if d.Revision, err = r.DirectoryRevision(ctx); err != nil {
		return rbac.Data{}, err
	}
	if d.Tenants, err = r.Tenants(ctx); err != nil {
		return rbac.Data{}, err
	}
	if d.Subscriptions, err = r.Subscriptions(ctx); err != nil {
		return rbac.Data{}, err
	}
	if d.Definitions, err = whole(ctx, r.q, definitionTable.scan, selectDefinitions); err != nil {
		return rbac.Data{}, err
	}
	if d.Assignments, err = whole(ctx, r.q, assignmentTable.scan, selectAssignments); err != nil {
		return rbac.Data{}, err
	}
	if d.Denials, err = whole(ctx, r.q, denialTable.scan, selectDenials); err != nil {
		return rbac.Data{}, err
	}
	d.Memberships, err = whole(ctx, r.q, scanMembership, selectMemberships)
	if err != nil {
		return rbac.Data{}, err
	}
	d.Disabled, err = whole(ctx, r.q, func(row scanner) (id access.PrincipalID, err error) {
		err = row.Scan(&id)
		return id, err
	}, selectDisabled)
	if err != nil {
		return rbac.Data{}, err
	}
	d.People, err = whole(ctx, r.q, func(row scanner) (id access.PrincipalID, err error) {
		err = row.Scan(&id)
		return id, err
	}, selectPeople)
	if err != nil {
		return rbac.Data{}, err
	}
	d.Makers, err = whole(ctx, r.q, func(row scanner) (m rbac.Maker, err error) {
		err = row.Scan(&m.Program, &m.Person)
		return m, err
	}, selectMakers)
	if err != nil {
		return rbac.Data{}, err
	}
	return d, nil
}

const deleteAssignment = "delete from role_assignments where id = $1"

// SaveRoleDefinition implements engine.Tx.
func (t *tx) SaveRoleDefinition(ctx context.Context, d rbac.Definition) error {
	if err := put(ctx, t, definitionTable, definitionTable.upsert, d); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// SaveRoleAssignment implements engine.Tx.
func (t *tx) SaveRoleAssignment(ctx context.Context, a rbac.Assignment) error {
	if err := put(ctx, t, assignmentTable, assignmentTable.insert, a); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// DeleteRoleAssignment implements engine.Tx.
func (t *tx) DeleteRoleAssignment(ctx context.Context, id rbac.AssignmentID) error {
	if err := t.exec(ctx, "role assignment", missing("role assignment"), deleteAssignment, string(id)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}
