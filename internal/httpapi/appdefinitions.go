package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
)

const applicationsTag = "Managed applications"

func (a *API) appDefinitionRoutes() {
	register(a, operation{
		method: http.MethodGet, path: "/application-definitions", id: "listApplicationDefinitions",
		tag: applicationsTag, entry: people,
		summary: "List the definitions of the caller's tenant, and those that others offer it",
	}, a.listAppDefinitions)
	register(a, operation{
		method: http.MethodPut, path: "/application-definitions/{definition}", id: "setApplicationDefinition",
		tag: applicationsTag, entry: people, maxBody: 3 << 20,
		summary: "Make a definition, or give it other terms; applications of it stay as they are until their " +
			"customers accept that",
	}, a.setAppDefinition)
	register(a, operation{
		method: http.MethodGet, path: "/application-definitions/{definition}", id: "getApplicationDefinition",
		tag: applicationsTag, entry: people,
		summary: "Get one definition",
	}, a.getAppDefinition)
	register(a, operation{
		method: http.MethodGet, path: "/application-definitions/{definition}/revisions",
		id: "listApplicationDefinitionRevisions", tag: applicationsTag, entry: people,
		summary: "List the last 100 revisions of a definition, newest first; there is one page",
	}, a.listAppDefinitionRevisions)
	register(a, operation{
		method: http.MethodDelete, path: "/application-definitions/{definition}", id: "deleteApplicationDefinition",
		tag: applicationsTag, entry: people,
		summary: "Delete a definition; applications of it go on by the terms that they have",
	}, a.deleteAppDefinition)
}

type pagedInput struct {
	calling
	Paging
}

type listAppDefinitionsInput struct {
	calling
	Paging

	Own bool `query:"own" doc:"Only those that the caller's tenant publishes."`
}

func (a *API) listAppDefinitions(ctx context.Context,
	in *listAppDefinitionsInput,
) (*answer[api.Page[api.ApplicationDefinition]], error) {
	list, err := a.engine.Apps.AppDefinitions(ctx, in.caller, "", in.Own, in.page())
	return &answer[api.Page[api.ApplicationDefinition]]{page(list, appDefinitionOut)}, err
}

type appDefinitionInput struct {
	calling

	Definition string `path:"definition" maxLength:"2048" doc:"Name or resource id; another tenant's as tenant/name."`
}

func (a *API) getAppDefinition(ctx context.Context,
	in *appDefinitionInput,
) (*answer[api.ApplicationDefinition], error) {
	d, err := a.engine.Apps.AppDefinition(ctx, in.caller, in.Definition)
	return &answer[api.ApplicationDefinition]{appDefinitionOut(d)}, err
}

func (a *API) listAppDefinitionRevisions(ctx context.Context,
	in *appDefinitionInput,
) (*answer[api.Page[api.ApplicationDefinition]], error) {
	list, err := a.engine.Apps.AppDefinitionHistory(ctx, in.caller, in.Definition)
	return &answer[api.Page[api.ApplicationDefinition]]{
		page(engine.Listed[apps.AppDefinitionDetail]{Items: list}, appDefinitionOut),
	}, err
}

func (a *API) deleteAppDefinition(ctx context.Context, in *appDefinitionInput) (*nothing, error) {
	_, err := a.engine.Apps.DeleteAppDefinition(ctx, in.caller, in.Definition)
	return &nothing{}, err
}

type setAppDefinitionInput struct {
	calling

	Definition string `path:"definition" maxLength:"2048" doc:"Name or resource id."`
	IfMatch    string `header:"If-Match" maxLength:"64" doc:"The revision that was seen, in quotes: with another one now, nothing changes and the answer is 409."`
	Body       api.ApplicationDefinitionInput
}

func (a *API) setAppDefinition(ctx context.Context,
	in *setAppDefinitionInput,
) (*answer[api.ApplicationDefinition], error) {
	var wrong invalid
	b := in.Body
	input := apps.AppDefinitionInput{
		Group: b.ResourceGroup, Was: wrong.ifMatch(in.IfMatch),
		Definition: app.Definition{
			DisplayName: b.DisplayName, Description: b.Description, Version: b.Version, Disabled: b.Disabled,
			Public: b.Public,
			JIT:    offerIn(b.JIT),
			Lock:   app.LockLevel(b.LockLevel), Unmanaged: b.Unmanaged, Allowed: b.AllowedActions,
			AllowedData: b.AllowedDataActions, Endpoint: b.NotificationEndpoint, Form: b.CreateUIDefinition,
			Template: b.MainTemplate, Package: b.PackageFileURI, Tags: b.Tags,
		},
	}
	if len(in.Definition) > 0 && in.Definition[0] == '/' {
		input.Resource = wrong.scope("definition", in.Definition)
	} else {
		input.Name = in.Definition
	}
	for _, tenant := range b.Audience {
		input.Audience = append(input.Audience, access.TenantID(tenant))
	}
	for _, given := range b.Authorizations {
		input.Authorizations = append(input.Authorizations, app.Authorization{
			Principal: access.PrincipalID(given.Principal), Role: rbac.DefinitionID(given.Role),
			Longest: seconds(given.MaxSeconds),
		})
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, _, err := a.engine.Apps.WriteAppDefinition(ctx, in.caller, input)
	return &answer[api.ApplicationDefinition]{appDefinitionOut(d)}, err
}

func appDefinitionOut(d apps.AppDefinitionDetail) api.ApplicationDefinition {
	def := d.Definition
	out := api.ApplicationDefinition{
		ID: string(def.Resource), Name: def.Name(), Publisher: d.Publisher.Name, PublisherID: string(def.Tenant),
		Deployed:  d.Deployed,
		CreatedAt: def.CreatedAt.UTC(), UpdatedAt: def.UpdatedAt.UTC(), Revision: def.Revision,
		Digest: def.Digest(),
		Form:   api.ApplicationForm{Wizard: d.Form.Wizard, Basics: elementsOut(d.Form.Basics)},
		ApplicationDefinitionInput: api.ApplicationDefinitionInput{
			ResourceGroup: def.Resource.Segment("resourceGroups"), DisplayName: def.DisplayName,
			Description: def.Description, Version: def.Version,
			Disabled: def.Disabled, Public: def.Public, JIT: offerOut(def.JIT), LockLevel: string(def.Lock),
			Unmanaged: def.Unmanaged, AllowedActions: def.Allowed,
			AllowedDataActions: def.AllowedData, NotificationEndpoint: def.Endpoint, CreateUIDefinition: def.Form,
			MainTemplate:   def.Template,
			PackageFileURI: def.Package, Tags: def.Tags, Authorizations: authorizationsOut(def, d.Principals, d.Roles),
		},
	}
	for _, t := range d.Audience {
		out.Audience = append(out.Audience, t.Name)
	}
	for _, s := range d.Form.Steps {
		out.Form.Steps = append(out.Form.Steps,
			api.FormStep{Name: s.Name, Label: s.Label, Elements: elementsOut(s.Elements)})
	}
	return out
}

func elementsOut(elements []app.Element) []api.FormElement {
	var out []api.FormElement
	for _, e := range elements {
		one := api.FormElement{
			Name: e.Name, Type: e.Type, Label: e.Label, ToolTip: e.ToolTip, Default: e.Default, Required: e.Required,
			Visible: e.Visible, Elements: elementsOut(e.Elements),
		}
		for _, c := range e.Choices() {
			one.Allowed = append(one.Allowed, api.FormChoice{Label: c.Label, Value: c.Value})
		}
		out = append(out, one)
	}
	return out
}

func offerOut(o app.Offer) api.ApplicationOffer {
	return api.ApplicationOffer{Available: o.Available, Required: o.Required, MaxSeconds: int64(o.Longest.Seconds())}
}

func offerIn(o api.ApplicationOffer) app.Offer {
	return app.Offer{Available: o.Available, Required: o.Required, Longest: seconds(o.MaxSeconds)}
}

// nameOr gives a name, or where it is empty an id.
func nameOr[T ~string](name string, id T) string {
	if name == "" {
		return fmt.Sprint(id)
	}
	return name
}
