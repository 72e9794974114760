package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	// The body is all of it; the other columns are what it is found by.
	appDefinitionTable = describe("application definition", "application_definitions", "d", "resource_key",
		derived("resource_key", func(v *app.Definition) any { return v.Resource.Fold() }),
		derived("resource", func(v *app.Definition) any { return string(v.Resource) }),
		derived("tenant", func(v *app.Definition) any { return string(v.Tenant) }),
		others[app.Definition]("body", parts{}),
		derived("revision", func(v *app.Definition) any { return v.Revision }))

	appRevisionTable = describe("application definition", "application_definition_revisions", "d", "resource_key, revision",
		derived("resource_key", func(v *app.Definition) any { return v.Resource.Fold() }),
		derived("revision", func(v *app.Definition) any { return v.Revision }),
		others[app.Definition]("body", parts{}))

	applicationTable = describe("application", "applications", "a", "resource_key",
		derived("resource_key", func(v *app.Application) any { return v.Resource.Fold() }),
		derived("resource", func(v *app.Application) any { return string(v.Resource) }),
		derived("tenant", func(v *app.Application) any { return string(v.Tenant) }),
		derived("publisher", func(v *app.Application) any { return string(v.Publisher) }),
		derived("definition_key", func(v *app.Application) any { return v.Definition.Fold() }),
		derived("managed_key", func(v *app.Application) any { return v.Managed.Fold() }),
		others[app.Application]("body", parts{inline: []string{"Settings"}}),
		derived("revision", func(v *app.Application) any { return v.Revision }))

	listAppDefinitions    = "select " + appDefinitionTable.selected + " from application_definitions d"
	selectAppDefinition   = listAppDefinitions + " where d.resource_key = $1 limit 1"
	selectAppDefRevisions = "select " + appRevisionTable.selected +
		" from application_definition_revisions d where d.resource_key = $1 order by d.revision desc limit 100"

	listApplications         = "select " + applicationTable.selected + " from applications a"
	selectApplication        = listApplications + " where a.resource_key = $1 limit 1"
	selectApplicationOfGroup = listApplications + " where a.managed_key = $1 limit 1"
)

const (
	listAppDefinitionCount = "select count(*) from application_definitions"
	deleteAppDefRevisions  = "delete from application_definition_revisions where resource_key = $1"
	deleteAppDefinition    = "delete from application_definitions where resource_key = $1 and revision = $2"
	deleteApplication      = "delete from applications where resource_key = $1 and revision = $2"
)

// ApplicationDefinition implements engine.ApplicationReader.
func (r *reader) ApplicationDefinition(ctx context.Context, id access.ResourceID) (app.Definition, error) {
	return one(ctx, r.q, "application definition", appDefinitionTable.scan, selectAppDefinition, id.Fold())
}

// ApplicationDefinitions implements engine.ApplicationReader.
func (r *reader) ApplicationDefinitions(ctx context.Context, f engine.ApplicationFilter,
	p engine.Page,
) (engine.Listed[app.Definition], error) {
	l := from(listAppDefinitions)
	equal(l, "tenant", f.Tenant)
	l.within("resource_key", f.Scope)
	l.after(p.Cursor, false, "resource_key", cursorText)
	return page(ctx, r.q, l, p, "resource_key", appDefinitionTable.scan,
		func(v app.Definition) []any { return []any{v.Resource.Fold()} })
}

// CountApplicationDefinitions implements engine.ApplicationReader.
func (r *reader) CountApplicationDefinitions(ctx context.Context, scope access.ResourceID) (int, error) {
	l := from(listAppDefinitionCount)
	l.within("resource_key", scope)
	l.text.WriteString(" limit 1")
	n, err := one(ctx, r.q, "number", scanNumber, l.text.String(), l.args...)
	return int(n), err
}

// ApplicationDefinitionRevisions implements engine.ApplicationReader.
func (r *reader) ApplicationDefinitionRevisions(ctx context.Context, id access.ResourceID) ([]app.Definition, error) {
	return all(ctx, r.q, appRevisionTable.scan, selectAppDefRevisions, id.Fold())
}

// Application implements engine.ApplicationReader.
func (r *reader) Application(ctx context.Context, id access.ResourceID) (app.Application, error) {
	return one(ctx, r.q, "application", applicationTable.scan, selectApplication, id.Fold())
}

// ApplicationOfGroup implements engine.ApplicationReader.
func (r *reader) ApplicationOfGroup(ctx context.Context, managed access.ResourceID) (app.Application, error) {
	return one(ctx, r.q, "application", applicationTable.scan, selectApplicationOfGroup, managed.Fold())
}

// Applications implements engine.ApplicationReader.
func (r *reader) Applications(ctx context.Context, f engine.ApplicationFilter,
	p engine.Page,
) (engine.Listed[app.Application], error) {
	l := from(listApplications)
	equal(l, "tenant", f.Tenant)
	equal(l, "publisher", f.Publisher)
	equal(l, "definition_key", f.Definition.Fold())
	l.within("resource_key", f.Scope)
	l.after(p.Cursor, false, "resource_key", cursorText)
	return page(ctx, r.q, l, p, "resource_key", applicationTable.scan,
		func(v app.Application) []any { return []any{v.Resource.Fold()} })
}

// SaveApplicationDefinition implements engine.ApplicationWriter.
func (t *tx) SaveApplicationDefinition(ctx context.Context, d app.Definition, was int64) error {
	if err := swap(ctx, t, appDefinitionTable, d, d.Revision, was); err != nil {
		return err
	}
	return put(ctx, t, appRevisionTable, appRevisionTable.insert, d)
}

// DeleteApplicationDefinition implements engine.ApplicationWriter.
func (t *tx) DeleteApplicationDefinition(ctx context.Context, id access.ResourceID, was int64) error {
	if err := t.exec(ctx, "application definition", nil, deleteAppDefRevisions, id.Fold()); err != nil {
		return err
	}
	return t.exec(ctx, "application definition", changed("application definition"), deleteAppDefinition, id.Fold(), was)
}

// SaveApplication implements engine.ApplicationWriter.
func (t *tx) SaveApplication(ctx context.Context, a app.Application, was int64) error {
	return swap(ctx, t, applicationTable, a, a.Revision, was)
}

// DeleteApplication implements engine.ApplicationWriter.
func (t *tx) DeleteApplication(ctx context.Context, id access.ResourceID, was int64) error {
	return t.exec(ctx, "application", changed("application"), deleteApplication, id.Fold(), was)
}
