package apps

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// WriteAppDefinition makes or changes a definition. Applications that were deployed from it stay as they are until
// their customers accept the change. What is the same already is not written again.
func (e *Service) WriteAppDefinition(ctx context.Context, c engine.Caller,
	in AppDefinitionInput,
) (d AppDefinitionDetail, created bool, err error) {
	a := engine.Attempt{
		Action: rbac.AppDefinitionsWrite, Scope: in.Resource,
		Details: map[string]string{"definition": in.Name + in.Resource.Name()},
	}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		if _, err := may.Anywhere(rbac.AppDefinitionsWrite); err != nil {
			return err
		}
		if in.Resource, err = settleResource(ctx, tx, may, in.Resource, in.Group, in.Name,
			access.ApplicationDefinitionResource); err != nil {
			return err
		}
		if err := may.Require(rbac.AppDefinitionsWrite, in.Resource); err != nil {
			return err
		}
		was, err := tx.ApplicationDefinition(ctx, in.Resource)
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
			return fmt.Errorf("read definition: %w", err)
		}
		if in.Was != nil && *in.Was != was.Revision {
			return access.Fault(access.KindConflict, "applicationDefinitionChanged",
				"the definition has changed since you read it (revision %d, not %d): read it again", was.Revision,
				*in.Was)
		}
		next, err := in.settle(ctx, tx, may, was)
		if err != nil {
			return err
		}
		if created = was.Revision == 0; created {
			if err := roomForDefinition(ctx, tx, in.Resource); err != nil {
				return err
			}
		}
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
		if err := e.notices.SaveEndpoint(ctx, tx, next, false); err != nil {
			return err
		}
		if d, err = describeDefinition(ctx, tx, may, next); err != nil {
			return err
		}
		w := e.kernel.NewWork(tx, may.Now)
		w.Event(d.event(access.AppDefinitionWritten, rbac.AppDefinitionsWrite, may))
		if !created {
			if err := definitionBecame(ctx, w, was, &next); err != nil {
				return err
			}
		}
		return w.Finish(ctx)
	})
	return d, created, err
}

// maxDefinitions is how many application definitions a resource group may have, as at Azure.
const maxDefinitions = 800

func roomForDefinition(ctx context.Context, r engine.Reader, id access.ResourceID) error {
	group := access.ResourceGroupScope(id.InSubscription(), id.Segment("resourceGroups"))
	n, err := r.CountApplicationDefinitions(ctx, group)
	if err != nil {
		return fmt.Errorf("count definitions: %w", err)
	}
	if n >= maxDefinitions {
		return access.Fault(access.KindConflict, "tooManyApplicationDefinitions",
			"the resource group %s has %d application definitions, the most that are allowed: delete one that is "+
				"not needed, or write this one in another group",
			group.Name(), n)
	}
	return nil
}

// settleResource gives the id of something in a resource group that there is: the one that is given, or one that is
// made of the group's and the thing's name.
func settleResource(ctx context.Context, r engine.Reader, may engine.Rights, id access.ResourceID, group, name string,
	form func(access.SubscriptionID, string, string) access.ResourceID,
) (access.ResourceID, error) {
	if id != "" {
		parsed, err := access.ParseResourceID(string(id))
		if err != nil {
			return "", err
		}
		group, name = string(access.ResourceGroupScope(access.SubscriptionID(parsed.Segment("subscriptions")),
			parsed.Segment("resourceGroups"))), parsed.Name()
	}
	if err := app.CheckName("a managed application or its definition", name); err != nil {
		return "", err
	}
	in, err := engine.FindGroup(ctx, r, may, group)
	if err != nil {
		return "", err
	}
	settled := form(in.Subscription.ID, in.Group.Name, name)
	if id != "" && !settled.Equal(id) {
		return "", access.Fault(access.KindInvalid, "malformedResourceId",
			"%s is not the id of such a resource: write %s", engine.Clip(string(id)), settled)
	}
	return settled, nil
}

// settle finds what the input names, and gives everything that is wrong with it.
func (in AppDefinitionInput) settle(ctx context.Context, r engine.Reader, may engine.Rights,
	was app.Definition,
) (app.Definition, error) {
	c := may.Caller
	next := in.Definition
	next.Tenant, next.Revision = c.Tenant, was.Revision+1
	next.CreatedBy, next.CreatedAt, next.UpdatedBy, next.UpdatedAt = c.Principal, may.Now, c.Principal, may.Now
	next.Form = strings.TrimPrefix(in.Form, app.ByteOrderMark)
	next.Template = strings.TrimPrefix(in.Template, app.ByteOrderMark)
	next.Authorizations, next.Audience = nil, nil
	if was.Revision != 0 {
		next.Resource, next.CreatedBy, next.CreatedAt = was.Resource, was.CreatedBy, was.CreatedAt
	}
	if next.Lock == "" {
		next.Lock = app.LockReadOnly
	}
	if next.Location == "" {
		next.Location = engine.LocalLocation
	}
	if in.KeepEndpoint {
		next.Endpoint = was.Endpoint
	}
	known := app.Known{
		Principals: map[access.PrincipalID]access.Principal{},
		Roles:      map[rbac.DefinitionID]rbac.Definition{},
	}
	for _, given := range in.Authorizations {
		p, err := directory.FindPrincipal(ctx, r, c.Tenant, string(given.Principal))
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
			return next, err
		}
		if err == nil {
			given.Principal, known.Principals[p.ID] = p.ID, p
		}
		role, err := roles.FindRole(ctx, r, c.Tenant, string(given.Role))
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
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
			return strings.EqualFold(t.Name, string(ref)) || strings.EqualFold(string(t.ID), string(ref))
		})
		if at < 0 {
			reasons = append(reasons,
				access.Reason{
					Code: "unknownTenant", Field: fmt.Sprintf("audience[%d]", i),
					Message: fmt.Sprintf("there is no tenant %q", engine.Clip(string(ref))),
				})
			continue
		}
		if !slices.Contains(next.Audience, tenants[at].ID) {
			next.Audience = append(next.Audience, tenants[at].ID)
		}
	}
	slices.Sort(next.Audience)
	if len(reasons) > 0 {
		refusal := access.Fault(access.KindInvalid, reasons[0].Code,
			"the application definition is not valid: nothing was changed")
		refusal.Reasons = reasons
		return next, refusal
	}
	return next, nil
}

// DeleteAppDefinition deletes a definition. Applications that were deployed from it go on by the terms that their
// customers agreed to: what a publisher withdraws is not taken from those who have it. It tells how many there are.
func (e *Service) DeleteAppDefinition(ctx context.Context, c engine.Caller, ref string) (deployed int, err error) {
	a := engine.Attempt{Action: rbac.AppDefinitionsDelete, Details: map[string]string{"definition": ref}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		found, err := findDefinition(ctx, tx, may, ref)
		if err != nil {
			return err
		}
		if found.Tenant != c.Tenant {
			return engine.Forbidden(rbac.AppDefinitionsDelete, found.Resource,
				"the definition belongs to another tenant")
		}
		if err := may.Require(rbac.AppDefinitionsDelete, found.Resource); err != nil {
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
		if err := e.notices.SaveEndpoint(ctx, tx, found, true); err != nil {
			return err
		}
		w := e.kernel.NewWork(tx, may.Now)
		w.Event(d.event(access.AppDefinitionDeleted, rbac.AppDefinitionsDelete, may))
		if err := definitionBecame(ctx, w, found, nil); err != nil {
			return err
		}
		if err := directory.EndEligibleWithin(ctx, w, found.Tenant, found.Resource, c.Actor(),
			"the application definition was deleted"); err != nil {
			return err
		}
		if err := w.Finish(ctx); err != nil {
			return err
		}
		return e.directory.UnassignWithin(ctx, tx, may, found.Resource)
	})
	return deployed, err
}

func (d AppDefinitionDetail) event(kind access.EventKind, action string, may engine.Rights) access.Event {
	def := d.Definition
	details := map[string]string{
		"definition": def.Name(), "version": def.Version, "revision": fmt.Sprint(def.Revision),
		"lockLevel": string(def.Lock),
		"jit":       fmt.Sprint(def.JIT.Available), "disabled": fmt.Sprint(def.Disabled),
		"deployed": fmt.Sprint(d.Deployed),
	}
	for i, a := range def.Authorizations[:min(len(def.Authorizations), engine.MaxReasons)] {
		details[fmt.Sprintf("authorization.%d",
			i)] = fmt.Sprintf("%s of %s (%s)", d.Roles[a.Role].Name, engine.Clip(d.Principals[a.Principal].Name),
			a.Principal)
	}
	switch {
	case def.Public:
		details["audience"] = "everybody"
	case len(d.Audience) > 0:
		var names []string
		for _, t := range d.Audience {
			names = append(names, t.Name)
		}
		details["audience"] = engine.Clip(strings.Join(names, ", "))
	}
	return access.Event{
		Kind: kind, Actor: may.Caller.Actor(), Tenant: def.Tenant, Scope: def.Resource, Action: action,
		Details: details,
	}
}
