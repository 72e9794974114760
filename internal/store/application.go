package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	selectAppDefinition    = "select body from application_definitions where resource_key = $1 limit 1"
	listAppDefinitions     = "select body from application_definitions"
	listAppDefinitionCount = "select count(*) from application_definitions"
	selectAppDefRevisions  = "select body from application_definition_revisions where resource_key = $1 order by " +
		"revision desc limit 100"
	insertAppDefinition = "insert into application_definitions (resource_key, resource, tenant, body, revision) " +
		"values ($1, $2, $3, $4, $5)"
	updateAppDefinition = "update application_definitions set resource = $2, tenant = $3, body = $4, revision = " +
		"$5 where resource_key = $1 and revision = $6"
	insertAppDefRevision = "insert into application_definition_revisions (resource_key, revision, body) values " +
		"($1, $2, $3)"
	deleteAppDefRevisions = "delete from application_definition_revisions where resource_key = $1"
	deleteAppDefinition   = "delete from application_definitions where resource_key = $1 and revision = $2"

	selectApplication        = "select body from applications where resource_key = $1 limit 1"
	selectApplicationOfGroup = "select body from applications where managed_key = $1 limit 1"
	listApplications         = "select body from applications"
	insertApplication        = `insert into applications (resource_key, resource, tenant, publisher, definition_key, managed_key, body, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8)`
	updateApplication = `update applications set resource = $2, tenant = $3, publisher = $4, definition_key = $5, managed_key = $6, body = $7, revision = $8
where resource_key = $1 and revision = $9`
	deleteApplication = "delete from applications where resource_key = $1 and revision = $2"
)

type authorizationRecord struct {
	Principal access.PrincipalID `json:"principal"`
	Role      rbac.DefinitionID  `json:"role"`
	Longest   time.Duration      `json:"longest,omitempty"`
}

type offerRecord struct {
	Available bool          `json:"available,omitempty"`
	Required  bool          `json:"required,omitempty"`
	Longest   time.Duration `json:"longest,omitempty"`
}

type appDefinitionRecord struct {
	Resource       access.ResourceID     `json:"resource"`
	Tenant         access.TenantID       `json:"tenant"`
	Location       string                `json:"location,omitempty"`
	DisplayName    string                `json:"displayName,omitempty"`
	Description    string                `json:"description,omitempty"`
	Version        string                `json:"version,omitempty"`
	Disabled       bool                  `json:"disabled,omitempty"`
	Public         bool                  `json:"public,omitempty"`
	Audience       []access.TenantID     `json:"audience,omitempty"`
	Authorizations []authorizationRecord `json:"authorizations,omitempty"`
	JIT            offerRecord           `json:"jit,omitzero"`
	Lock           app.LockLevel         `json:"lock"`
	Unmanaged      bool                  `json:"unmanaged,omitempty"`
	Allowed        []string              `json:"allowed,omitempty"`
	AllowedData    []string              `json:"allowedData,omitempty"`
	Endpoint       string                `json:"endpoint,omitempty"`
	Form           string                `json:"form,omitempty"`
	Template       string                `json:"template,omitempty"`
	Package        string                `json:"package,omitempty"`
	Tags           map[string]string     `json:"tags,omitempty"`
	CreatedBy      access.PrincipalID    `json:"createdBy,omitempty"`
	CreatedAt      int64                 `json:"createdAt"`
	UpdatedBy      access.PrincipalID    `json:"updatedBy,omitempty"`
	UpdatedAt      int64                 `json:"updatedAt"`
	Revision       int64                 `json:"revision"`
}

func appDefinitionOf(d app.Definition) appDefinitionRecord {
	r := appDefinitionRecord{
		Resource: d.Resource, Tenant: d.Tenant, Location: d.Location, DisplayName: d.DisplayName,
		Description: d.Description, Version: d.Version,
		Disabled: d.Disabled, Public: d.Public, Audience: d.Audience, JIT: offerRecord(d.JIT), Lock: d.Lock,
		Unmanaged: d.Unmanaged, Allowed: d.Allowed, AllowedData: d.AllowedData,
		Endpoint: d.Endpoint, Form: d.Form, Template: d.Template, Package: d.Package, Tags: d.Tags,
		CreatedBy: d.CreatedBy, CreatedAt: micros(d.CreatedAt),
		UpdatedBy: d.UpdatedBy, UpdatedAt: micros(d.UpdatedAt), Revision: d.Revision,
	}
	for _, a := range d.Authorizations {
		r.Authorizations = append(r.Authorizations, authorizationRecord(a))
	}
	return r
}

func (r appDefinitionRecord) definition() app.Definition {
	d := app.Definition{
		Resource: r.Resource, Tenant: r.Tenant, Location: r.Location, DisplayName: r.DisplayName,
		Description: r.Description, Version: r.Version,
		Disabled: r.Disabled, Public: r.Public, Audience: r.Audience, JIT: app.Offer(r.JIT), Lock: r.Lock,
		Unmanaged: r.Unmanaged, Allowed: r.Allowed, AllowedData: r.AllowedData,
		Endpoint: r.Endpoint, Form: r.Form, Template: r.Template, Package: r.Package, Tags: r.Tags,
		CreatedBy: r.CreatedBy, CreatedAt: instant(r.CreatedAt),
		UpdatedBy: r.UpdatedBy, UpdatedAt: instant(r.UpdatedAt), Revision: r.Revision,
	}
	for _, a := range r.Authorizations {
		d.Authorizations = append(d.Authorizations, app.Authorization(a))
	}
	return d
}

func scanAppDefinition(row scanner) (app.Definition, error) {
	var r appDefinitionRecord
	err := row.Scan(jsonColumn{&r})
	return r.definition(), err
}

type approverRecord struct {
	ID   access.PrincipalID   `json:"id"`
	Kind access.PrincipalKind `json:"kind"`
	Name string               `json:"name,omitempty"`
}

type applicationRecord struct {
	Resource   access.ResourceID   `json:"resource"`
	Tenant     access.TenantID     `json:"tenant"`
	Publisher  access.TenantID     `json:"publisher"`
	Definition access.ResourceID   `json:"definition"`
	Terms      appDefinitionRecord `json:"terms"`
	Managed    access.ResourceID   `json:"managed"`
	Location   string              `json:"location,omitempty"`
	Kind       string              `json:"kind,omitempty"`
	JIT        bool                `json:"jit,omitempty"`
	Mode       app.Mode            `json:"mode,omitempty"`
	Longest    time.Duration       `json:"longest,omitempty"`
	Approvers  []approverRecord    `json:"approvers,omitempty"`
	Parameters string              `json:"parameters,omitempty"`
	Tags       map[string]string   `json:"tags,omitempty"`
	CreatedBy  access.PrincipalID  `json:"createdBy,omitempty"`
	CreatedAt  int64               `json:"createdAt"`
	UpdatedBy  access.PrincipalID  `json:"updatedBy,omitempty"`
	UpdatedAt  int64               `json:"updatedAt"`
	Revision   int64               `json:"revision"`
}

func applicationOf(a app.Application) applicationRecord {
	r := applicationRecord{
		Resource: a.Resource, Tenant: a.Tenant, Publisher: a.Publisher, Definition: a.Definition,
		Terms: appDefinitionOf(a.Terms), Managed: a.Managed,
		Location: a.Location, Kind: a.Kind, JIT: a.Settings.JIT, Mode: a.Settings.Mode, Longest: a.Settings.Longest,
		Parameters: a.Parameters, Tags: a.Tags,
		CreatedBy: a.CreatedBy, CreatedAt: micros(a.CreatedAt), UpdatedBy: a.UpdatedBy, UpdatedAt: micros(a.UpdatedAt),
		Revision: a.Revision,
	}
	for _, one := range a.Settings.Approvers {
		r.Approvers = append(r.Approvers, approverRecord(one))
	}
	return r
}

func scanApplication(row scanner) (app.Application, error) {
	var r applicationRecord
	err := row.Scan(jsonColumn{&r})
	a := app.Application{
		Resource: r.Resource, Tenant: r.Tenant, Publisher: r.Publisher, Definition: r.Definition,
		Terms: r.Terms.definition(), Managed: r.Managed,
		Location: r.Location, Kind: r.Kind, Settings: app.Settings{JIT: r.JIT, Mode: r.Mode, Longest: r.Longest},
		Parameters: r.Parameters, Tags: r.Tags,
		CreatedBy: r.CreatedBy, CreatedAt: instant(r.CreatedAt), UpdatedBy: r.UpdatedBy,
		UpdatedAt: instant(r.UpdatedAt), Revision: r.Revision,
	}
	for _, one := range r.Approvers {
		a.Settings.Approvers = append(a.Settings.Approvers, app.Approver(one))
	}
	return a, err
}

// ApplicationDefinition implements engine.ApplicationReader.
func (r *reader) ApplicationDefinition(ctx context.Context, id access.ResourceID) (app.Definition, error) {
	return one(ctx, r.q, "application definition", scanAppDefinition, selectAppDefinition, id.Fold())
}

// ApplicationDefinitions implements engine.ApplicationReader.
func (r *reader) ApplicationDefinitions(ctx context.Context, f engine.ApplicationFilter,
	p engine.Page,
) (engine.Listed[app.Definition], error) {
	l := from(listAppDefinitions)
	equal(l, "tenant", f.Tenant)
	l.within("resource_key", f.Scope)
	l.after(p.Cursor, false, "resource_key", cursorText)
	return page(ctx, r.q, l, p, "resource_key", scanAppDefinition,
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
	return all(ctx, r.q, scanAppDefinition, selectAppDefRevisions, id.Fold())
}

// Application implements engine.ApplicationReader.
func (r *reader) Application(ctx context.Context, id access.ResourceID) (app.Application, error) {
	return one(ctx, r.q, "application", scanApplication, selectApplication, id.Fold())
}

// ApplicationOfGroup implements engine.ApplicationReader.
func (r *reader) ApplicationOfGroup(ctx context.Context, managed access.ResourceID) (app.Application, error) {
	return one(ctx, r.q, "application", scanApplication, selectApplicationOfGroup, managed.Fold())
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
	return page(ctx, r.q, l, p, "resource_key", scanApplication,
		func(v app.Application) []any { return []any{v.Resource.Fold()} })
}

// SaveApplicationDefinition implements engine.ApplicationWriter.
func (t *tx) SaveApplicationDefinition(ctx context.Context, d app.Definition, was int64) error {
	body, err := toJSON(appDefinitionOf(d))
	if err != nil {
		return err
	}
	err = t.swap(ctx, "application definition", d.Revision, was, insertAppDefinition, updateAppDefinition, []any{
		d.Resource.Fold(), string(d.Resource), string(d.Tenant), body, d.Revision,
	})
	if err != nil {
		return err
	}
	return t.exec(ctx, "application definition", nil, insertAppDefRevision, d.Resource.Fold(), d.Revision, body)
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
	body, err := toJSON(applicationOf(a))
	if err != nil {
		return err
	}
	return t.swap(ctx, "application", a.Revision, was, insertApplication, updateApplication, []any{
		a.Resource.Fold(), string(a.Resource), string(a.Tenant), string(a.Publisher), a.Definition.Fold(),
		a.Managed.Fold(), body, a.Revision,
	})
}

// DeleteApplication implements engine.ApplicationWriter.
func (t *tx) DeleteApplication(ctx context.Context, id access.ResourceID, was int64) error {
	return t.exec(ctx, "application", changed("application"), deleteApplication, id.Fold(), was)
}
