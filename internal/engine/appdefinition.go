package engine

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// AppDefinitionInput is a whole definition of a managed application, with the names that people know.
type AppDefinitionInput struct {
	Resource access.ResourceID // where it lies and what it is called; or else Name, in the resource group Group
	Name     string
	Group    string // name or id; empty: the default one
	Was      *int64 // the revision that is changed, 0 for a new one; nil: whatever it is

	Location       string
	DisplayName    string
	Description    string
	Version        string // empty: the next patch
	Disabled       bool
	Public         bool     // every tenant may deploy it
	Audience       []string // else these tenants may, by name or id
	Authorizations []AppAuthorizationInput
	JIT            app.Offer
	Lock           app.LockLevel // empty: app.LockReadOnly
	Unmanaged      bool
	Allowed        []string
	AllowedData    []string
	Endpoint       string
	KeepEndpoint   bool // the endpoint stays as it is
	Form           string
	Template       string
	Package        string
	Tags           map[string]string
}

// AppAuthorizationInput gives a role to a principal of the publisher, both by name or id.
type AppAuthorizationInput struct {
	Principal string
	Role      string
	Longest   time.Duration
}

// AppDefinitionDetail is a definition with the names that people know.
type AppDefinitionDetail struct {
	Definition app.Definition
	Publisher  access.Tenant
	Audience   []access.Tenant
	Principals map[access.PrincipalID]access.Principal
	Roles      map[rbac.DefinitionID]rbac.Definition
	Form       app.Form // what is asked of whoever deploys it, with a step for just-in-time access where that is offered
	Deployed   int      // applications of it, of every tenant; for its publisher alone
}

// AppDefinitions lists the definitions of the caller's tenant that they may see, and those that other tenants offer it.
func (e *Engine) AppDefinitions(ctx context.Context, c Caller, scope access.ResourceID, p Page) (list Listed[AppDefinitionDetail], err error) {
	err = e.look(ctx, c, attempt{action: rbac.AppDefinitionsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if _, err := may.anywhere(rbac.AppDefinitionsRead, rbac.ApplicationsWrite); err != nil {
			return err
		}
		list, err = visible(p, func(p Page) (Listed[app.Definition], error) {
			return r.ApplicationDefinitions(ctx, ApplicationFilter{Scope: scope}, p)
		}, func(d app.Definition) (AppDefinitionDetail, bool, error) {
			if !may.seesDefinition(d) {
				return AppDefinitionDetail{}, false, nil
			}
			out, err := describeDefinition(ctx, r, may, d)
			return out, true, err
		})
		return err
	})
	return list, err
}

// seesDefinition tells whether the caller may know of a definition: one of their own tenant where they may read it, another's
// where it is offered to them and they could deploy it.
func (r rights) seesDefinition(d app.Definition) bool {
	if d.Tenant == r.caller.Tenant {
		return r.may(rbac.AppDefinitionsRead, d.Resource) || len(r.scopes(rbac.ApplicationsWrite)) > 0
	}
	return d.OfferedTo(r.caller.Tenant) && (len(r.scopes(rbac.ApplicationsWrite)) > 0 || len(r.scopes(rbac.AppDefinitionsRead)) > 0)
}

// AppDefinition gives one definition by its resource id or its name, or another tenant's as tenant/name.
func (e *Engine) AppDefinition(ctx context.Context, c Caller, ref string) (d AppDefinitionDetail, err error) {
	err = e.look(ctx, c, attempt{action: rbac.AppDefinitionsRead, details: map[string]string{"definition": ref}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
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
func (e *Engine) AppDefinitionHistory(ctx context.Context, c Caller, ref string) (list []AppDefinitionDetail, err error) {
	err = e.look(ctx, c, attempt{action: rbac.AppDefinitionsRead, details: map[string]string{"definition": ref}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		found, err := findDefinition(ctx, r, may, ref)
		if err != nil {
			return err
		}
		if err := may.require(rbac.AppDefinitionsRead, found.Resource); err != nil {
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
func findDefinition(ctx context.Context, r Reader, may rights, ref string) (app.Definition, error) {
	unknown := access.Fault(access.KindNotFound, "unknownApplicationDefinition", "there is no application definition %q that you may see: look at the list of definitions", clip(ref))
	if strings.HasPrefix(ref, "/") {
		id, err := access.ParseResourceID(ref)
		if err != nil {
			return app.Definition{}, err
		}
		d, err := r.ApplicationDefinition(ctx, id)
		switch {
		case isKind(err, access.KindNotFound) || err == nil && !may.seesDefinition(d):
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
	for p := (Page{Limit: maxLimit}); ; {
		list, err := r.ApplicationDefinitions(ctx, ApplicationFilter{}, p)
		if err != nil {
			return app.Definition{}, fmt.Errorf("list definitions: %w", err)
		}
		for _, d := range list.Items {
			if strings.EqualFold(d.Name(), name) && (publisher == "" || isTenant(tenants, d.Tenant, publisher)) && may.seesDefinition(d) {
				found = append(found, d)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	own := slices.IndexFunc(found, func(d app.Definition) bool { return d.Tenant == may.caller.Tenant })
	switch {
	case len(found) == 0:
		return app.Definition{}, unknown
	case len(found) == 1:
		return found[0], nil
	case own >= 0 && publisher == "" && !slices.ContainsFunc(found[own+1:], func(d app.Definition) bool { return d.Tenant == may.caller.Tenant }):
		return found[own], nil
	}
	refusal := access.Fault(access.KindInvalid, "ambiguousApplicationDefinition", "there are %d application definitions %q: name one by its resource id", len(found), clip(ref))
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

func describeDefinition(ctx context.Context, r Reader, may rights, d app.Definition) (AppDefinitionDetail, error) {
	out := AppDefinitionDetail{Definition: d, Principals: map[access.PrincipalID]access.Principal{}, Roles: map[rbac.DefinitionID]rbac.Definition{}}
	tenants, err := r.Tenants(ctx)
	if err != nil {
		return out, fmt.Errorf("read tenants: %w", err)
	}
	for _, t := range tenants {
		if t.ID == d.Tenant {
			out.Publisher = t
		}
		if slices.Contains(d.Audience, t.ID) && (d.Tenant == may.caller.Tenant || t.ID == may.caller.Tenant) {
			out.Audience = append(out.Audience, t)
		}
	}
	for _, a := range d.Authorizations {
		p, err := r.Principal(ctx, a.Principal)
		if err != nil {
			return out, fmt.Errorf("read principal: %w", err)
		}
		out.Principals[a.Principal] = p
		out.Roles[a.Role], _ = may.dir.Definition(a.Role)
	}
	if d.Form != "" {
		out.Form, _ = app.ParseForm(d.Form)
	}
	if d.JIT.Available {
		out.Form = out.Form.WithJIT()
	}
	if d.Tenant != may.caller.Tenant {
		// What a customer is not told: where the publisher's program listens, and who else is offered the definition.
		out.Definition.Endpoint, out.Definition.Audience = "", nil
		return out, nil
	}
	if !may.may(rbac.AppDefinitionsWrite, d.Resource) {
		out.Definition.Endpoint = withoutQuery(d.Endpoint)
	}
	out.Deployed, err = countApplications(ctx, r, ApplicationFilter{Definition: d.Resource})
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

func countApplications(ctx context.Context, r Reader, f ApplicationFilter) (int, error) {
	n := 0
	for p := (Page{Limit: maxLimit}); ; {
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

// WriteAppDefinition makes or changes a definition. Applications that were deployed from it stay as they are until their
// customers accept the change. What is the same already is not written again.
func (e *Engine) WriteAppDefinition(ctx context.Context, c Caller, in AppDefinitionInput) (d AppDefinitionDetail, created bool, err error) {
	a := attempt{action: rbac.AppDefinitionsWrite, scope: in.Resource, details: map[string]string{"definition": in.Name + in.Resource.Name()}}
	err = e.change(ctx, c, a, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		if _, err := may.anywhere(rbac.AppDefinitionsWrite); err != nil {
			return err
		}
		if in.Resource, err = settleResource(ctx, tx, may, in.Resource, in.Group, in.Name, access.ApplicationDefinitionResource); err != nil {
			return err
		}
		if err := may.require(rbac.AppDefinitionsWrite, in.Resource); err != nil {
			return err
		}
		was, err := tx.ApplicationDefinition(ctx, in.Resource)
		if err != nil && !isKind(err, access.KindNotFound) {
			return fmt.Errorf("read definition: %w", err)
		}
		if in.Was != nil && *in.Was != was.Revision {
			return access.Fault(access.KindConflict, "applicationDefinitionChanged", "the definition has changed since you read it (revision %d, not %d): read it again", was.Revision, *in.Was)
		}
		next, err := in.settle(ctx, tx, may, was)
		if err != nil {
			return err
		}
		created = was.Revision == 0
		if !created && next.Same(was) && (in.Version == "" || in.Version == was.Version) {
			d, err = describeDefinition(ctx, tx, may, was)
			return err
		}
		if next.Version, err = app.NextVersion(was.Version, in.Version); err != nil {
			return err
		}
		if err := tx.SaveApplicationDefinition(ctx, next, was.Revision); err != nil {
			return fmt.Errorf("save definition: %w", err)
		}
		if err := e.saveEndpoint(ctx, tx, next, false); err != nil {
			return err
		}
		if d, err = describeDefinition(ctx, tx, may, next); err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		w.event(d.event(access.AppDefinitionWritten, rbac.AppDefinitionsWrite, may))
		if !created {
			if err := w.definitionBecame(ctx, was, &next); err != nil {
				return err
			}
		}
		return w.finish(ctx)
	})
	return d, created, err
}

// settleResource gives the id of something in a resource group that there is: the one that is given, or one that is made of
// the group's and the thing's name.
func settleResource(ctx context.Context, r Reader, may rights, id access.ResourceID, group, name string, form func(access.SubscriptionID, string, string) access.ResourceID) (access.ResourceID, error) {
	if id != "" {
		parsed, err := access.ParseResourceID(string(id))
		if err != nil {
			return "", err
		}
		group, name = string(access.ResourceGroupScope(access.SubscriptionID(parsed.Segment("subscriptions")), parsed.Segment("resourceGroups"))), parsed.Name()
	}
	if err := app.CheckName("a managed application or its definition", name); err != nil {
		return "", err
	}
	in, err := findGroup(ctx, r, may, group)
	if err != nil {
		return "", err
	}
	settled := form(in.subscription.ID, in.group.Name, name)
	if id != "" && !settled.Equal(id) {
		return "", access.Fault(access.KindInvalid, "malformedResourceId", "%s is not the id of such a resource: write %s", clip(string(id)), settled)
	}
	return settled, nil
}

// settle finds what the input names, and gives everything that is wrong with it.
func (in AppDefinitionInput) settle(ctx context.Context, r Reader, may rights, was app.Definition) (app.Definition, error) {
	c := may.caller
	next := app.Definition{
		Resource: in.Resource, Tenant: c.Tenant, Location: in.Location, DisplayName: in.DisplayName, Description: in.Description, Version: in.Version,
		Disabled: in.Disabled, Public: in.Public, JIT: in.JIT, Lock: in.Lock, Unmanaged: in.Unmanaged, Allowed: in.Allowed, AllowedData: in.AllowedData,
		Endpoint: in.Endpoint, Form: in.Form, Template: in.Template, Package: in.Package, Tags: in.Tags,
		CreatedBy: c.Principal, CreatedAt: may.now, UpdatedBy: c.Principal, UpdatedAt: may.now, Revision: was.Revision + 1,
	}
	if was.Revision != 0 {
		next.Resource, next.CreatedBy, next.CreatedAt = was.Resource, was.CreatedBy, was.CreatedAt
	}
	if next.Lock == "" {
		next.Lock = app.LockReadOnly
	}
	if next.Location == "" {
		next.Location = LocalLocation
	}
	if in.KeepEndpoint {
		next.Endpoint = was.Endpoint
	}
	known := app.Known{Principals: map[access.PrincipalID]access.Principal{}, Roles: map[rbac.DefinitionID]rbac.Definition{}}
	for _, a := range in.Authorizations {
		given := app.Authorization{Principal: access.PrincipalID(a.Principal), Role: rbac.DefinitionID(a.Role), Longest: a.Longest}
		p, err := findPrincipal(ctx, r, c.Tenant, a.Principal)
		if err != nil && !isKind(err, access.KindNotFound) {
			return next, err
		}
		if err == nil {
			given.Principal, known.Principals[p.ID] = p.ID, p
		}
		role, err := findRole(ctx, r, c.Tenant, a.Role)
		if err != nil && !isKind(err, access.KindNotFound) {
			return next, err
		}
		if err == nil {
			given.Role, known.Roles[role.ID] = role.ID, role
		}
		next.Authorizations = append(next.Authorizations, given)
	}
	reasons := next.Validate(known)
	tenants, err := r.Tenants(ctx)
	if err != nil {
		return next, fmt.Errorf("read tenants: %w", err)
	}
	for i, ref := range in.Audience {
		at := slices.IndexFunc(tenants, func(t access.Tenant) bool {
			return strings.EqualFold(t.Name, ref) || strings.EqualFold(string(t.ID), ref)
		})
		if at < 0 {
			reasons = append(reasons, access.Reason{Code: "unknownTenant", Field: fmt.Sprintf("audience[%d]", i), Message: fmt.Sprintf("there is no tenant %q", clip(ref))})
			continue
		}
		if !slices.Contains(next.Audience, tenants[at].ID) {
			next.Audience = append(next.Audience, tenants[at].ID)
		}
	}
	slices.Sort(next.Audience)
	if len(reasons) > 0 {
		refusal := access.Fault(access.KindInvalid, reasons[0].Code, "the application definition cannot be taken as it is: nothing was changed")
		refusal.Reasons = reasons
		return next, refusal
	}
	return next, nil
}

// DeleteAppDefinition deletes a definition. Applications that were deployed from it go on by the terms that their customers
// agreed to: what a publisher withdraws is not taken from those who have it. It tells how many there are.
func (e *Engine) DeleteAppDefinition(ctx context.Context, c Caller, ref string) (deployed int, err error) {
	a := attempt{action: rbac.AppDefinitionsDelete, details: map[string]string{"definition": ref}}
	err = e.change(ctx, c, a, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		found, err := findDefinition(ctx, tx, may, ref)
		if err != nil {
			return err
		}
		if found.Tenant != c.Tenant {
			return forbidden(rbac.AppDefinitionsDelete, found.Resource, "the definition belongs to another tenant")
		}
		if err := may.require(rbac.AppDefinitionsDelete, found.Resource); err != nil {
			return err
		}
		d, err := describeDefinition(ctx, tx, may, found)
		if err != nil {
			return err
		}
		deployed = d.Deployed
		if err := tx.DeleteApplicationDefinition(ctx, found.Resource, found.Revision); err != nil {
			return fmt.Errorf("delete definition: %w", err)
		}
		if err := e.saveEndpoint(ctx, tx, found, true); err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		w.event(d.event(access.AppDefinitionDeleted, rbac.AppDefinitionsDelete, may))
		if err := w.definitionBecame(ctx, found, nil); err != nil {
			return err
		}
		return w.finish(ctx)
	})
	return deployed, err
}

func (d AppDefinitionDetail) event(kind access.EventKind, action string, may rights) access.Event {
	def := d.Definition
	details := map[string]string{
		"definition": def.Name(), "version": def.Version, "revision": fmt.Sprint(def.Revision), "lockLevel": string(def.Lock),
		"jit": fmt.Sprint(def.JIT.Available), "disabled": fmt.Sprint(def.Disabled), "deployed": fmt.Sprint(d.Deployed),
	}
	for i, a := range def.Authorizations[:min(len(def.Authorizations), maxReasons)] {
		details[fmt.Sprintf("authorization.%d", i)] = fmt.Sprintf("%s of %s (%s)", d.Roles[a.Role].Name, clip(d.Principals[a.Principal].Name), a.Principal)
	}
	switch {
	case def.Public:
		details["audience"] = "everybody"
	case len(d.Audience) > 0:
		var names []string
		for _, t := range d.Audience {
			names = append(names, t.Name)
		}
		details["audience"] = clip(strings.Join(names, ", "))
	}
	return access.Event{
		Kind: kind, Actor: may.caller.Actor(), Tenant: def.Tenant, Scope: def.Resource, Action: action, Details: details,
	}
}
