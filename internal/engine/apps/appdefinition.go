package apps

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// AppDefinitionInput is a whole definition of a managed application. Tenants, principals and roles in it stand by name
// or id; whose it is, its revision and who wrote it when are not asked for.
type AppDefinitionInput struct {
	app.Definition // Version empty: the next patch; Lock empty: app.LockReadOnly

	Name  string // where it has no Resource: what it is called, in the resource group Group
	Group string // name or id; empty: the default one
	Was   *int64 // the revision that is changed, 0 for a new one; nil: whatever it is

	KeepEndpoint bool // the endpoint stays as it is
}

// AppDefinitionDetail is a definition with the names that people know.
type AppDefinitionDetail struct {
	Definition app.Definition
	Publisher  access.Tenant
	Audience   []access.Tenant
	Principals map[access.PrincipalID]access.Principal
	Roles      map[rbac.DefinitionID]rbac.Definition
	// what is asked of whoever deploys it, with a step for just-in-time access where that is offered
	Form     app.Form
	Deployed int // applications of it, of every tenant; for its publisher alone
}

// AppDefinitions lists the definitions of the caller's tenant that they may see, and where own is not set those that
// other tenants offer it.
func (e *Service) AppDefinitions(ctx context.Context, c engine.Caller, scope access.ResourceID, own bool,
	p engine.Page,
) (list engine.Listed[AppDefinitionDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.AppDefinitionsRead},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.AppDefinitionsRead, rbac.ApplicationsWrite); err != nil {
				return err
			}
			list, err = engine.Visible(p, func(p engine.Page) (engine.Listed[app.Definition], error) {
				return r.ApplicationDefinitions(ctx, engine.ApplicationFilter{Scope: scope}, p)
			}, func(d app.Definition) (AppDefinitionDetail, bool, error) {
				if !seesDefinition(may, d) || own && d.Tenant != c.Tenant {
					return AppDefinitionDetail{}, false, nil
				}
				out, err := describeDefinition(ctx, r, may, d)
				return out, true, err
			})
			return err
		})
	return list, err
}

// seesDefinition tells whether the caller may know of a definition: one of their own tenant where they may read it,
// another's where it is offered to them and they could deploy it.
func seesDefinition(r engine.Rights, d app.Definition) bool {
	if d.Tenant == r.Caller.Tenant {
		return r.May(rbac.AppDefinitionsRead, d.Resource) || len(r.Scopes(rbac.ApplicationsWrite)) > 0
	}
	return d.OfferedTo(r.Caller.Tenant) && (len(
		r.Scopes(rbac.ApplicationsWrite)) > 0 || len(r.Scopes(rbac.AppDefinitionsRead)) > 0)
}

// AppDefinition gives one definition by its resource id or its name, or another tenant's as tenant/name.
func (e *Service) AppDefinition(ctx context.Context, c engine.Caller, ref string) (d AppDefinitionDetail, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.AppDefinitionsRead, Details: map[string]string{"definition": ref}},
		func(r engine.Reader, may engine.Rights) error {
			found, err := findDefinition(ctx, r, may, ref)
			if err != nil {
				return err
			}
			d, err = describeDefinition(ctx, r, may, found)
			return err
		})
	return d, err
}

// AppDefinitionHistory gives the revisions of a definition of the caller's own tenant, newest first; at most 100.
func (e *Service) AppDefinitionHistory(ctx context.Context, c engine.Caller,
	ref string,
) (list []AppDefinitionDetail, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.AppDefinitionsRead, Details: map[string]string{"definition": ref}},
		func(r engine.Reader, may engine.Rights) error {
			found, err := findDefinition(ctx, r, may, ref)
			if err != nil {
				return err
			}
			if err := may.Require(rbac.AppDefinitionsRead, found.Resource); err != nil {
				return err
			}
			revisions, err := r.ApplicationDefinitionRevisions(ctx, found.Resource)
			if err != nil {
				return fmt.Errorf("read revisions: %w", err)
			}
			for _, d := range revisions {
				one, err := describeDefinition(ctx, r, may, d)
				if err != nil {
					return err
				}
				list = append(list, one)
			}
			return nil
		})
	return list, err
}

// findDefinition gives the definition that ref names among those that the caller may see.
func findDefinition(ctx context.Context, r engine.Reader, may engine.Rights, ref string) (app.Definition, error) {
	unknown := access.Fault(access.KindNotFound, "unknownApplicationDefinition",
		"there is no application definition %q that you may see", engine.Clip(ref))
	if strings.HasPrefix(ref, "/") {
		id, err := access.ParseResourceID(ref)
		if err != nil {
			return app.Definition{}, err
		}
		d, err := r.ApplicationDefinition(ctx, id)
		switch {
		case engine.IsKind(err, access.KindNotFound) || err == nil && !seesDefinition(may, d):
			return app.Definition{}, unknown
		case err != nil:
			return app.Definition{}, fmt.Errorf("read definition: %w", err)
		}
		return d, nil
	}
	publisher, name, foreign := strings.Cut(ref, "/")
	if !foreign {
		publisher, name = "", ref
	}
	tenants, err := r.Tenants(ctx)
	if err != nil {
		return app.Definition{}, fmt.Errorf("read tenants: %w", err)
	}
	var found []app.Definition
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.ApplicationDefinitions(ctx, engine.ApplicationFilter{}, p)
		if err != nil {
			return app.Definition{}, fmt.Errorf("list definitions: %w", err)
		}
		for _, d := range list.Items {
			if strings.EqualFold(d.Name(),
				name) && (publisher == "" || isTenant(tenants, d.Tenant, publisher)) && seesDefinition(may, d) {
				found = append(found, d)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	own := slices.IndexFunc(found, func(d app.Definition) bool { return d.Tenant == may.Caller.Tenant })
	switch {
	case len(found) == 0:
		return app.Definition{}, unknown
	case len(found) == 1:
		return found[0], nil
	case own >= 0 && publisher == "" && !slices.ContainsFunc(found[own+1:],
		func(d app.Definition) bool { return d.Tenant == may.Caller.Tenant }):
		return found[own], nil
	}
	refusal := access.Fault(access.KindInvalid, "ambiguousApplicationDefinition",
		"there are %d application definitions %q: name one by its resource id", len(found), engine.Clip(ref))
	for _, d := range found[:min(len(found), 10)] {
		refusal.Reasons = append(refusal.Reasons, access.Reason{Code: "candidate", Message: string(d.Resource)})
	}
	return app.Definition{}, refusal
}

// isTenant tells whether a tenant is the one that ref names.
func isTenant(tenants []access.Tenant, id access.TenantID, ref string) bool {
	return slices.ContainsFunc(tenants, func(t access.Tenant) bool {
		return t.ID == id && (strings.EqualFold(t.Name, ref) || strings.EqualFold(string(t.ID), ref))
	})
}

func describeDefinition(ctx context.Context, r engine.Reader, may engine.Rights,
	d app.Definition,
) (AppDefinitionDetail, error) {
	out := AppDefinitionDetail{
		Definition: d, Principals: map[access.PrincipalID]access.Principal{},
		Roles: map[rbac.DefinitionID]rbac.Definition{},
	}
	tenants, err := r.Tenants(ctx)
	if err != nil {
		return out, fmt.Errorf("read tenants: %w", err)
	}
	for _, t := range tenants {
		if t.ID == d.Tenant {
			out.Publisher = t
		}
		if slices.Contains(d.Audience, t.ID) && (d.Tenant == may.Caller.Tenant || t.ID == may.Caller.Tenant) {
			out.Audience = append(out.Audience, t)
		}
	}
	for _, a := range d.Authorizations {
		p, err := r.Principal(ctx, a.Principal)
		if err != nil {
			return out, fmt.Errorf("read principal: %w", err)
		}
		out.Principals[a.Principal] = p
		out.Roles[a.Role], _ = may.Dir.Definition(a.Role)
	}
	if d.Form != "" {
		out.Form, _ = app.ParseForm(d.Form)
	}
	if d.JIT.Available {
		out.Form = out.Form.WithJIT()
	}
	if d.Tenant != may.Caller.Tenant {
		// What a customer is not told: where the publisher's program listens, and who else is offered the definition.
		out.Definition.Endpoint, out.Definition.Audience = "", nil
		return out, nil
	}
	if !may.May(rbac.AppDefinitionsWrite, d.Resource) {
		out.Definition.Endpoint = withoutQuery(d.Endpoint)
	}
	out.Deployed, err = countApplications(ctx, r, engine.ApplicationFilter{Definition: d.Resource})
	return out, err
}

// withoutQuery hides the query of an endpoint, in which its secret stands.
func withoutQuery(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.RawQuery == "" {
		return endpoint
	}
	u.RawQuery = "…"
	return u.String()
}

func countApplications(ctx context.Context, r engine.Reader, f engine.ApplicationFilter) (int, error) {
	n := 0
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.Applications(ctx, f, p)
		if err != nil {
			return 0, fmt.Errorf("list applications: %w", err)
		}
		n += len(list.Items)
		if p.Cursor = list.Next; p.Cursor == "" {
			return n, nil
		}
	}
}
