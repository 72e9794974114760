package armapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine/apps"
)

// definitionBody is an application definition as clients send it. Azure has no switch for just-in-time access in it:
// ours is the property jit, and what a client does not know of stays as it is.
type definitionBody struct {
	_          struct{}          `also:"id name type systemData managedBy sku"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	Properties struct {
		_              struct{}            `also:"artifacts policies deploymentPolicy storageAccountId provisioningState"`
		LockLevel      string              `json:"lockLevel"`
		DisplayName    string              `json:"displayName"`
		Description    string              `json:"description"`
		Enabled        *flag               `json:"isEnabled"`
		Authorizations []authorizationBody `json:"authorizations"`
		Package        string              `json:"packageFileUri"`
		Template       jsonText            `json:"mainTemplate"`
		Form           jsonText            `json:"createUiDefinition"`
		Notification   *struct {
			Endpoints []struct {
				URI string `json:"uri"`
			} `json:"notificationEndpoints"`
		} `json:"notificationPolicy"`
		Locking *struct {
			Actions     []string `json:"allowedActions"`
			DataActions []string `json:"allowedDataActions"`
		} `json:"lockingPolicy"`
		Management *struct {
			Mode string `json:"mode"`
		} `json:"managementPolicy"`
		Version  *string   `json:"version"`
		Public   *bool     `json:"public"`
		Audience *[]string `json:"audience"`
		JIT      *jitOffer `json:"jit"`
	} `json:"properties"`
}

// jitOffer says on which terms access just in time is offered; Postern's own.
type jitOffer struct {
	Available bool   `json:"available"`
	Required  bool   `json:"required"`
	Longest   string `json:"maximumJitAccessDuration,omitempty"`
}

func (o jitOffer) offer() (app.Offer, error) {
	out := app.Offer{Available: o.Available, Required: o.Required}
	if o.Longest == "" {
		return out, nil
	}
	var err error
	out.Longest, err = parseDuration(o.Longest)
	return out, err
}

// input gives what the body says, over what was there before; the zero definition where nothing was.
func (b definitionBody) input(id access.ResourceID, was app.Definition) (apps.AppDefinitionInput, error) {
	p := b.Properties
	if p.LockLevel == "" {
		return apps.AppDefinitionInput{}, access.Fault(access.KindInvalid, "InvalidRequestContent",
			"The request content was invalid: properties.lockLevel is required; use ReadOnly, CanNotDelete or None.")
	}
	in := apps.AppDefinitionInput{Definition: app.Definition{
		Resource: id, Location: b.Location, Tags: b.Tags, DisplayName: p.DisplayName, Description: p.Description,
		Package: p.Package, Form: string(p.Form), Template: string(p.Template), Lock: lockOf(p.LockLevel), JIT: was.JIT,
		Public: was.Public, Audience: was.Audience,
	}}
	if was.Revision == 0 { // Azure's definitions offer nobody a choice; ours leave it to the customer
		in.JIT = app.Offer{Available: true}
		in.Public = true
	}
	if p.JIT != nil {
		var err error
		if in.JIT, err = p.JIT.offer(); err != nil {
			return in, err
		}
	}
	if p.Public != nil {
		in.Public = *p.Public
	}
	if p.Audience != nil {
		in.Audience = nil
		for _, tenant := range *p.Audience {
			in.Audience = append(in.Audience, access.TenantID(tenant))
		}
	}
	if p.Version != nil {
		in.Version = *p.Version
	}
	in.Disabled = p.Enabled != nil && !bool(*p.Enabled)
	for _, a := range p.Authorizations {
		in.Authorizations = append(in.Authorizations,
			app.Authorization{
				Principal: access.PrincipalID(a.principal()), Role: rbac.DefinitionID(a.role()), Longest: longestOf(was, a),
			})
	}
	if p.Notification != nil && len(p.Notification.Endpoints) > 0 {
		if len(p.Notification.Endpoints) > 1 {
			return in, access.Fault(access.KindInvalid, "InvalidNotificationPolicy",
				"a definition has one notification endpoint at most")
		}
		in.Endpoint = p.Notification.Endpoints[0].URI
		in.KeepEndpoint = in.Endpoint != "" && in.Endpoint == was.Endpoint // which is shown without its secret
	}
	if p.Locking != nil {
		in.Allowed, in.AllowedData = p.Locking.Actions, p.Locking.DataActions
	}
	in.Unmanaged = p.Management != nil && strings.EqualFold(p.Management.Mode, "Unmanaged")
	return in, nil
}

// longestOf keeps the ceiling of an authorization, which Azure's clients know nothing of.
func longestOf(was app.Definition, b authorizationBody) time.Duration {
	for _, a := range was.Authorizations {
		if strings.EqualFold(string(a.Principal), b.principal()) && strings.EqualFold(string(a.Role), b.role()) {
			return a.Longest
		}
	}
	return 0
}

// lockOf gives the lock level without regard to case; what is none stays as it is, for the engine to refuse.
func lockOf(text string) app.LockLevel {
	for _, l := range []app.LockLevel{app.LockReadOnly, app.LockCanNotDelete, app.LockNone} {
		if strings.EqualFold(string(l), text) {
			return l
		}
	}
	return app.LockLevel(text)
}

func listDefinitions(c *call) (reply, error) {
	listed, err := c.engine().Apps.AppDefinitions(c.Context(), c.caller, c.scope(), false, c.page(100))
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(listed.Items))
	for _, d := range listed.Items {
		value = append(value, c.showDefinition(d))
	}
	return ok(c.list(value, listed.Next))
}

func (c *call) definition() (apps.AppDefinitionDetail, error) {
	id := c.solutionID("applicationDefinitions")
	d, err := c.engine().Apps.AppDefinition(c.Context(), c.caller, string(id))
	if access.KindOf(err) == access.KindNotFound {
		return d, missingSolution(id)
	}
	return d, err
}

func getDefinition(c *call) (reply, error) {
	d, err := c.definition()
	if err != nil {
		return reply{}, err
	}
	return ok(c.showDefinition(d))
}

func putDefinition(c *call) (reply, error) {
	var body definitionBody
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	was, err := c.definition()
	if err != nil && access.KindOf(err) != access.KindNotFound {
		return reply{}, err
	}
	in, err := body.input(c.solutionID("applicationDefinitions"), was.Definition)
	if err != nil {
		return reply{}, err
	}
	// What Azure's body has no words for is as it was read; one that changed meanwhile, or that the caller may not
	// read, is not written over.
	in.Was = &was.Definition.Revision
	return c.writeDefinition(in)
}

func (c *call) writeDefinition(in apps.AppDefinitionInput) (reply, error) {
	d, created, err := c.engine().Apps.WriteAppDefinition(c.Context(), c.caller, in)
	if err != nil {
		return reply{}, err
	}
	if created {
		return reply{status: http.StatusCreated, body: c.showDefinition(d)}, nil
	}
	return ok(c.showDefinition(d))
}

// patchDefinition changes tags, which is all that a PATCH may.
func patchDefinition(c *call) (reply, error) {
	var body tagsBody
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	d, err := c.definition()
	if err != nil || body.Tags == nil {
		return reply{status: http.StatusOK, body: c.showDefinition(d)}, err
	}
	in := apps.AppDefinitionInput{Definition: d.Definition, Was: &d.Definition.Revision, KeepEndpoint: true}
	in.Version, in.Tags = "", body.Tags
	return c.writeDefinition(in)
}

func deleteDefinition(c *call) (reply, error) {
	_, err := c.engine().Apps.DeleteAppDefinition(c.Context(), c.caller, string(c.solutionID("applicationDefinitions")))
	if access.KindOf(err) == access.KindNotFound {
		return reply{status: http.StatusNoContent}, nil
	}
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK}, nil
}

func (c *call) showDefinition(d apps.AppDefinitionDetail) map[string]any {
	def := d.Definition
	var enabled any = !def.Disabled
	if strings.HasPrefix(c.query("api-version"), "2018") {
		enabled = "true"
		if def.Disabled {
			enabled = "false"
		}
	}
	mode := "Managed"
	if def.Unmanaged {
		mode = "Unmanaged"
	}
	endpoints := []map[string]any{}
	if def.Endpoint != "" {
		endpoints = append(endpoints, map[string]any{"uri": def.Endpoint})
	}
	audience := []string{}
	for _, t := range def.Audience {
		audience = append(audience, string(t))
	}
	offer := jitOffer{Available: def.JIT.Available, Required: def.JIT.Required}
	if def.JIT.Longest > 0 {
		offer.Longest = formatDuration(def.JIT.Longest)
	}
	return map[string]any{
		"id": def.Resource, "name": def.Name(), "type": "Microsoft.Solutions/applicationDefinitions",
		"location": def.Location, "tags": tagged(def.Tags),
		"systemData": c.systemData(def.CreatedBy, def.CreatedAt, def.UpdatedBy, def.UpdatedAt),
		"properties": map[string]any{
			"lockLevel": def.Lock, "displayName": def.DisplayName, "description": def.Description, "isEnabled": enabled,
			"authorizations": showAuthorizations(def.Authorizations), "artifacts": []any{},
			"packageFileUri": orNull(def.Package),
			"mainTemplate":   jsonText(def.Template).show(), "createUiDefinition": jsonText(def.Form).show(),
			"notificationPolicy": map[string]any{"notificationEndpoints": endpoints},
			"lockingPolicy": map[string]any{
				"allowedActions":     append([]string{}, def.Allowed...),
				"allowedDataActions": append([]string{}, def.AllowedData...),
			},
			"managementPolicy": map[string]any{"mode": mode}, "policies": []any{},
			"version": def.Version, "public": def.Public, "audience": audience, "jit": offer,
		},
	}
}
