package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// The directory is read whole and kept in memory by its revision, so these have no page.
const (
	selectDirectoryRevision = "select revision from directory where id = 1 limit 1"
	selectDefinitions       = `select id, tenant, name, description, built_in, permissions, assignable_scopes, created_at, updated_at
from role_definitions order by id` + everyRow
	selectAssignments = `select a.id, a.tenant, a.principal, p.tenant, a.definition, a.scope, a.start_at, a.end_at, a.description, a.origin, a.created_by, a.created_at, a.through
from role_assignments a join principals p on p.id = a.principal order by a.id` + everyRow
	selectDenials     = "select id, tenant, scope, body, created_at from deny_assignments order by id" + everyRow
	selectMemberships = "select group_id, member_id from memberships order by group_id, member_id" + everyRow
	selectPeople      = "select id from principals where kind = 'user' order by id" + everyRow
	selectMakers      = "select principal, person from secret_makers order by principal, person" + everyRow
	selectDisabled    = "select id from principals where disabled <> 0 order by id" + everyRow
)

// DirectoryRevision implements engine.Reader.
func (r *reader) DirectoryRevision(ctx context.Context) (int64, error) {
	return remembered(r.memo, "directory", "revision", func() (int64, error) {
		return one(ctx, r.q, "directory", scanNumber, selectDirectoryRevision)
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
	if d.Definitions, err = whole(ctx, r.q, scanDefinition, selectDefinitions); err != nil {
		return rbac.Data{}, err
	}
	if d.Assignments, err = whole(ctx, r.q, scanAssignment, selectAssignments); err != nil {
		return rbac.Data{}, err
	}
	if d.Denials, err = whole(ctx, r.q, scanDenial, selectDenials); err != nil {
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

func scanDefinition(row scanner) (d rbac.Definition, err error) {
	var permissions []permissionRecord
	err = row.Scan(&d.ID, &d.Tenant, &d.Name, &d.Description, flagColumn{&d.BuiltIn}, jsonColumn{&permissions},
		jsonColumn{&d.AssignableScopes},
		timeColumn{&d.CreatedAt}, timeColumn{&d.UpdatedAt})
	for _, p := range permissions {
		d.Permissions = append(d.Permissions, rbac.Permission(p))
	}
	return d, err
}

func scanAssignment(row scanner) (a rbac.Assignment, err error) {
	err = row.Scan(&a.ID, &a.Tenant, &a.Principal, &a.Home, &a.Definition, &a.Scope, timeColumn{&a.Start},
		timeColumn{&a.End}, &a.Description, &a.Origin, &a.CreatedBy,
		timeColumn{&a.CreatedAt}, &a.Through)
	return a, err
}

const (
	upsertDefinition = `insert into role_definitions (id, tenant, name, name_key, description, built_in, permissions, assignable_scopes, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (id) do update set tenant = excluded.tenant, name = excluded.name, name_key = excluded.name_key, description = excluded.description,
built_in = excluded.built_in, permissions = excluded.permissions, assignable_scopes = excluded.assignable_scopes, created_at = excluded.created_at,
updated_at = excluded.updated_at`
	insertAssignment = `insert into role_assignments (id, tenant, principal, definition, scope, start_at, end_at, description, origin, created_by, created_at, through)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	deleteAssignment = "delete from role_assignments where id = $1"
)

// SaveRoleDefinition implements engine.Tx.
func (t *tx) SaveRoleDefinition(ctx context.Context, d rbac.Definition) error {
	records := make([]permissionRecord, len(d.Permissions))
	for i, p := range d.Permissions {
		records[i] = permissionRecord(p)
	}
	permissions, err := toJSON(records)
	if err != nil {
		return err
	}
	scopes, err := toJSON(d.AssignableScopes)
	if err != nil {
		return err
	}
	err = t.exec(ctx, "role definition", nil, upsertDefinition, string(d.ID), string(d.Tenant), d.Name, fold(d.Name),
		d.Description, flag(d.BuiltIn), permissions, scopes,
		micros(d.CreatedAt), micros(d.UpdatedAt))
	if err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// SaveRoleAssignment implements engine.Tx. The home of the principal is the principal's own.
func (t *tx) SaveRoleAssignment(ctx context.Context, a rbac.Assignment) error {
	err := t.exec(ctx, "role assignment", nil, insertAssignment, string(a.ID), string(a.Tenant), string(a.Principal),
		string(a.Definition), string(a.Scope),
		micros(a.Start), micros(a.End), a.Description, string(a.Origin), string(a.CreatedBy), micros(a.CreatedAt),
		string(a.Through))
	if err != nil {
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
