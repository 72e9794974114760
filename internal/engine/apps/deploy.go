package apps

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// ApplicationInput deploys an application.
type ApplicationInput struct {
	Resource   access.ResourceID // where it lies and what it is called; or else Name, in the resource group Group
	Name       string
	Group      string // name or id; empty: the default one
	Definition string // resource id or name, or another tenant's as tenant/name
	Shown      string // digest of the definition that is agreed to; empty: it is taken as it is
	// the managed resource group, which must not be there yet: its id, or a name; empty: mrg- and the application's
	// name
	Managed    string
	Location   string
	Kind       string        // empty: ServiceCatalog
	Settings   *app.Settings // nil: what the form says, or else the defaults. Approvers are named by name or id
	Answers    app.Answers   // to the definition's form
	Form       bool          // the form is filled in, even where nothing of it is answered
	Seed       string        // of what the form draws at random; empty: another each time
	Parameters string        // of the template, as JSON; with answers to a form that the form's outputs are
	Tags       map[string]string
}

const (
	managedPrefix = "mrg-"
	serviceKind   = "ServiceCatalog"
)

// DeployApplication makes an application: its managed resource group, the deny assignments on it, and what the
// publisher has there on the customer's terms. It gives rights to another tenant, so it needs the right to assign roles
// there.
func (e *Service) DeployApplication(ctx context.Context, c engine.Caller,
	in ApplicationInput,
) (d ApplicationDetail, err error) {
	a := engine.Attempt{
		Action: rbac.ApplicationsWrite, Scope: in.Resource,
		Details: map[string]string{"application": in.Name + in.Resource.Name(), "definition": in.Definition},
	}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		if _, err := may.Anywhere(rbac.ApplicationsWrite); err != nil {
			return err
		}
		deployed, err := in.settle(ctx, tx, may)
		if err != nil {
			return err
		}
		w := e.kernel.NewWork(tx, may.Now)
		group := access.ResourceGroup{
			Subscription: access.SubscriptionID(deployed.Managed.Segment("subscriptions")),
			Name:         deployed.Managed.Name(), Location: deployed.Location, CreatedAt: may.Now,
		}
		if err := tx.SaveResourceGroup(ctx, group); err != nil {
			return fmt.Errorf("save resource group: %w", err)
		}
		if err := saveApplication(ctx, w, deployed, 0, c.Actor()); err != nil {
			return err
		}
		if d, err = describeApplication(ctx, tx, may, deployed); err != nil {
			return err
		}
		if err := applicationBecame(ctx, w, access.ApplicationCreated, rbac.ApplicationsWrite, d, c.Actor(),
			nil); err != nil {
			return err
		}
		return w.Finish(ctx)
	})
	return d, err
}

// settle finds what the input names, checks what it needs the right for, and gives everything that is wrong with it.
func (in ApplicationInput) settle(ctx context.Context, r engine.Reader, may engine.Rights) (app.Application, error) {
	c := may.Caller
	id, err := settleResource(ctx, r, may, in.Resource, in.Group, in.Name, access.ApplicationResource)
	if err != nil {
		return app.Application{}, err
	}
	if err := may.Require(rbac.ApplicationsWrite, id); err != nil {
		return app.Application{}, err
	}
	// Before the managed resource group is looked at: that of the application which is there is locked.
	if _, err := r.Application(ctx, id); !engine.IsKind(err, access.KindNotFound) {
		return app.Application{}, engine.FirstError(err,
			access.Fault(access.KindConflict, "applicationExists",
				"there is an application %s already: change that, or choose another name", id))
	}
	definition, err := findDefinition(ctx, r, may, in.Definition)
	if err != nil {
		return app.Application{}, err
	}
	if err := stillShown(definition, in.Shown); err != nil {
		return app.Application{}, err
	}
	if definition.Disabled {
		return app.Application{}, access.Fault(access.KindConflict, "applicationDefinitionDisabled",
			"the publisher has disabled %q: it cannot be deployed", definition.Name())
	}
	form := app.Form{}
	if definition.Form != "" {
		form, _ = app.ParseForm(definition.Form)
	}
	a := app.Application{
		Resource: id, Tenant: c.Tenant, Publisher: definition.Tenant, Definition: definition.Resource,
		Terms: definition, Location: in.Location, Kind: in.Kind,
		Parameters: in.Parameters, Tags: in.Tags, CreatedBy: c.Principal, CreatedAt: may.Now, UpdatedBy: c.Principal,
		UpdatedAt: may.Now, Revision: 1,
	}
	a.Terms.Form, a.Terms.Template = "", "" // they are the definition's, and count for nothing once it is deployed
	if a.Location == "" {
		a.Location = engine.LocalLocation
	}
	if a.Kind == "" {
		a.Kind = serviceKind
	}
	var reasons []access.Reason
	settings := in.Settings
	if in.Form && definition.Form != "" || len(in.Answers.Basics)+len(in.Answers.Steps) > 0 ||
		settings == nil && form.HasJIT() {
		subscription, err := engine.FindSubscription(ctx, r, c.Tenant, string(a.Resource.InSubscription()))
		if err != nil {
			return a, err
		}
		filled, refused := in.fill(may, form, definition, a, subscription)
		reasons = append(reasons, refused...)
		a.Parameters = filled.EncodeParameters()
		if settings == nil {
			settings = filled.Settings
		}
	}
	if settings == nil {
		usual := app.DefaultSettings(definition.JIT)
		settings = &usual
	}
	if a.Settings, err = settleSettings(ctx, r, c.Tenant, *settings, definition.JIT, &reasons); err != nil {
		return a, err
	}
	reasons = append(reasons, app.ValidateTags(a.Tags)...)
	if len(a.Parameters) > app.MaxDocument {
		reasons = append(reasons,
			access.Reason{
				Code: "documentTooLong", Field: "parameters",
				Message: fmt.Sprintf("the parameters have more than %d bytes", app.MaxDocument),
			})
	}
	if len(reasons) > 0 {
		return a, badApplication(reasons)
	}
	if a.Managed, err = in.managed(ctx, r, may, id); err != nil {
		return a, err
	}
	return a, nil
}

func badApplication(reasons []access.Reason) error {
	refusal := access.Fault(access.KindInvalid, reasons[0].Code,
		"the application is not valid: nothing was changed")
	refusal.Reasons = reasons
	return refusal
}

// managed gives the id of the managed resource group, and refuses one that is there: what is in it would be handed
// over.
func (in ApplicationInput) managed(ctx context.Context, r engine.Reader, may engine.Rights,
	application access.ResourceID,
) (access.ResourceID, error) {
	subscription, name := access.SubscriptionID(application.Segment("subscriptions")), in.Managed
	if name == "" {
		name = managedPrefix + application.Name()
	}
	if strings.HasPrefix(name, "/") {
		id, err := access.ParseResourceID(name)
		if err != nil {
			return "", err
		}
		subscription, name = access.SubscriptionID(id.Segment("subscriptions")), id.Segment("resourceGroups")
		if !id.Equal(access.ResourceGroupScope(subscription, name)) {
			return "", access.Fault(access.KindInvalid, "malformedManagedGroup", "%s is not the id of a resource group",
				engine.Clip(in.Managed))
		}
	}
	if err := access.CheckGroupName("managed resource group", name); err != nil {
		return "", err
	}
	subscriptions, err := r.Subscriptions(ctx)
	if err != nil {
		return "", fmt.Errorf("read subscriptions: %w", err)
	}
	at := slices.IndexFunc(subscriptions, func(s access.Subscription) bool {
		return s.Tenant == may.Caller.Tenant && strings.EqualFold(string(s.ID), string(subscription))
	})
	if at < 0 {
		return "", access.Fault(access.KindNotFound, "unknownSubscription",
			"there is no subscription %q of yours for the managed resource group", engine.Clip(string(subscription)))
	}
	managed := access.ResourceGroupScope(subscriptions[at].ID, name)
	for _, action := range []string{rbac.ResourceGroupsWrite, rbac.RoleAssignmentsWrite} {
		if err := may.Require(action, managed); err != nil {
			return "", err
		}
	}
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return "", fmt.Errorf("read resource groups: %w", err)
	}
	if err := directory.RoomForGroup(groups, subscriptions[at].ID); err != nil {
		return "", err
	}
	if slices.ContainsFunc(groups, func(g access.ResourceGroup) bool {
		return access.ResourceGroupScope(g.Subscription, g.Name).Equal(managed)
	}) {
		return "", access.Fault(access.KindConflict, "managedGroupExists",
			"there is a resource group %q already: the managed resource group is created with the application, so that "+
				"the publisher gets access to nothing that existed before; choose another name",
			engine.Clip(name))
	}
	return managed, nil
}

// fill evaluates the definition's form with the answers.
func (in ApplicationInput) fill(
	may engine.Rights, form app.Form, definition app.Definition, a app.Application, subscription access.Subscription,
) (app.Filled, []access.Reason) {
	jit := app.DefaultSettings(definition.JIT)
	if in.Settings != nil {
		jit = in.Settings.Filled(definition.JIT)
	}
	if definition.JIT.Available {
		form = form.WithJIT()
	}
	return form.Fill(in.Answers, jit,
		formValues(may, a.Location, subscription, a.Resource.Segment("resourceGroups"), in.Seed))
}

// settleSettings finds the approvers in the customer's own tenant, fills in the defaults, and adds everything that is
// wrong.
func settleSettings(ctx context.Context, r engine.Reader, tenant access.TenantID, s app.Settings, offer app.Offer,
	reasons *[]access.Reason,
) (app.Settings, error) {
	s = s.Filled(offer)
	s.Approvers = slices.Clone(s.Approvers)
	known := app.Known{Principals: map[access.PrincipalID]access.Principal{}}
	for i := range s.Approvers {
		a := &s.Approvers[i]
		p, err := directory.FindPrincipal(ctx, r, tenant, string(a.ID))
		if engine.IsKind(err, access.KindNotFound) {
			continue
		}
		if err != nil {
			return s, err
		}
		known.Principals[p.ID] = p
		a.ID, a.Name = p.ID, p.Name
		if a.Kind == "" {
			a.Kind = p.Kind
		}
	}
	*reasons = append(*reasons, s.Validate(offer, known)...)
	return s, nil
}

// saveApplication saves an application, and makes what the publisher has what it says.
func saveApplication(ctx context.Context, w *engine.Work, a app.Application, was int64, by access.Actor) error {
	if err := w.Tx.SaveApplication(ctx, a, was); err != nil {
		return fmt.Errorf("save application: %w", err)
	}
	if err := w.Tx.DeleteMadeFor(ctx, a.Resource); err != nil {
		return fmt.Errorf("take away what was given before: %w", err)
	}
	for _, lock := range a.Locks() {
		lock.ID, lock.CreatedAt = rbac.DenyID(engine.NewID()), w.Now
		if err := w.Tx.SaveDenyAssignment(ctx, lock); err != nil {
			return fmt.Errorf("save deny assignment: %w", err)
		}
	}
	rights := a.Rights()
	for _, given := range rights.Permanent {
		err := w.Tx.SaveRoleAssignment(ctx, rbac.Assignment{
			ID: rbac.AssignmentID(engine.NewID()), Tenant: a.Tenant, Principal: given.Principal, Definition: given.Role,
			Scope:       a.Managed,
			Description: "of managed application " + a.Name(), Origin: a.Resource, CreatedBy: a.UpdatedBy,
			CreatedAt: w.Now,
		})
		if err != nil {
			return fmt.Errorf("save role assignment: %w", err)
		}
	}
	return saveEligible(ctx, w, a, rights.Eligible, by)
}

// saveEligible makes the eligibilities of an application those that are given: what stays keeps its id, and what is in
// force by it stays in force as far as the new terms allow.
func saveEligible(ctx context.Context, w *engine.Work, a app.Application, given []app.Authorization,
	by access.Actor,
) error {
	have, err := eligibilitiesOf(ctx, w.Tx, a)
	if err != nil {
		return err
	}
	for _, one := range given {
		next := access.Eligibility{
			ID: access.EligibilityID(uuid.NewString()), Tenant: a.Tenant, Principal: one.Principal, Role: one.Role,
			Scope: a.Managed, Max: one.Longest,
			Approval: a.Settings.Rule(), Origin: a.Resource, CreatedBy: a.UpdatedBy, CreatedAt: w.Now, UpdatedAt: w.Now,
			Revision: 1,
		}
		var was access.Eligibility
		if i := slices.IndexFunc(have,
			func(e access.Eligibility) bool { return e.Principal == one.Principal && e.Role == one.Role }); i >= 0 {
			old := have[i]
			have = slices.Delete(have, i, i+1)
			if old.Max == next.Max && fmt.Sprint(old.Approval) == fmt.Sprint(next.Approval) {
				continue
			}
			was = old
			next.ID, next.CreatedBy, next.CreatedAt, next.Revision = old.ID, old.CreatedBy, old.CreatedAt, old.Revision+
				1
		}
		if err := roles.SaveEligibility(ctx, w, was, next, by); err != nil {
			return err
		}
	}
	for _, gone := range have {
		if err := w.EndEligibility(ctx, gone, by, "the application does not offer it any more"); err != nil {
			return err
		}
	}
	return nil
}

// applicationEvent records a change of an application on the customer's log, and on the publisher's at its definition.
func applicationEvent(ctx context.Context, w *engine.Work, kind access.EventKind, action string, d ApplicationDetail,
	by access.Actor, more map[string]string,
) error {
	a := d.Application
	details := map[string]string{
		"application": a.Name(), "definition": a.Terms.Name(), "version": a.Terms.Version,
		"publisher": d.Publisher.Name, "customer": d.Customer.Name,
		"managedResourceGroup": string(a.Managed), "jit": fmt.Sprint(a.Settings.JIT),
	}
	if a.Settings.JIT {
		details["mode"], details["longest"] = string(a.Settings.Mode), a.Settings.Longest.String()
	}
	rights := a.Rights()
	for i, given := range slices.Concat(rights.Permanent, rights.Eligible) {
		how := "for ever"
		if i >= len(rights.Permanent) {
			how = "to activate for " + given.Longest.String()
		}
		role := d.Roles[given.Role].Name
		if given.Role == rbac.Reader {
			role = "Reader"
		}
		if i < engine.MaxReasons {
			details[fmt.Sprintf("right.%d",
				i)] = fmt.Sprintf("%s of %s (%s) %s", role, engine.Clip(d.Principals[given.Principal].Name),
				given.Principal, how)
		}
	}
	maps.Copy(details, more)
	event := access.Event{Kind: kind, Actor: by, Tenant: a.Tenant, Scope: a.Resource, Action: action, Details: details}
	for i, approver := range a.Settings.Approvers[:min(len(a.Settings.Approvers), engine.MaxReasons)] {
		event.Details[fmt.Sprintf("approver.%d", i)] = engine.Clip(approver.Name)
	}
	w.Event(event)
	if a.Publisher == a.Tenant {
		return nil
	}
	published, err := w.Publish(ctx, a, event)
	if err != nil {
		return err
	}
	w.Event(published)
	return nil
}
