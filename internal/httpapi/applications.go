package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
)

func (a *API) applicationRoutes() {
	register(a, operation{
		method: http.MethodGet, path: "/applications", id: "listApplications", tag: applicationsTag, entry: people,
		summary: "List the managed applications of the caller's tenant, and those that were deployed from its " +
			"definitions",
	}, a.listApplications)
	register(a, operation{
		method: http.MethodPost, path: "/applications", id: "deployApplication", tag: applicationsTag, entry: people,
		status: http.StatusCreated, maxBody: 3 << 20,
		summary: "Deploy an application: its managed resource group is made with it",
	}, a.deployApplication)
	register(a, operation{
		method: http.MethodGet, path: "/applications/{application}", id: "getApplication", tag: applicationsTag,
		entry:   people,
		summary: "Get one application, as the caller's side sees it",
	}, a.getApplication)
	register(a, operation{
		method: http.MethodPatch, path: "/applications/{application}", id: "changeApplication", tag: applicationsTag,
		entry:   people,
		summary: "Change the customer's terms; what is active and longer than is allowed now ends",
	}, a.changeApplication)
	register(a, operation{
		method: http.MethodPost, path: "/applications/{application}/refresh", id: "refreshApplication",
		tag: applicationsTag, entry: people,
		summary: "Accept the definition as it was shown",
	}, a.refreshApplication)
	register(a, operation{
		method: http.MethodDelete, path: "/applications/{application}", id: "deleteApplication", tag: applicationsTag,
		entry:   people,
		summary: "Delete an application with its managed resource group",
	}, a.deleteApplication)
	register(a, operation{
		method: http.MethodGet, path: "/deny-assignments", id: "listDenyAssignments", tag: applicationsTag,
		entry:   people,
		summary: "List what is denied at, above or below a scope, whatever the roles; there is one page",
	}, a.listDenyAssignments)
}

func (a *API) listApplications(ctx context.Context, in *pagedInput) (*answer[api.Page[api.Application]], error) {
	list, err := a.engine.Apps.Applications(ctx, in.caller, engine.ApplicationFilter{}, in.page())
	return &answer[api.Page[api.Application]]{page(list, applicationOut)}, err
}

type applicationInput struct {
	calling

	Application string `path:"application" maxLength:"2048" doc:"Name or resource id."`
}

func (a *API) getApplication(ctx context.Context, in *applicationInput) (*answer[api.Application], error) {
	d, err := a.engine.Apps.Application(ctx, in.caller, in.Application)
	return &answer[api.Application]{applicationOut(d)}, err
}

type deployInput struct {
	calling

	Body api.NewApplication
}

func (a *API) deployApplication(ctx context.Context, in *deployInput) (*answer[api.Application], error) {
	b := in.Body
	answers, err := allAnswersIn(b.Basics, b.Steps)
	if err != nil {
		return nil, err
	}
	d, err := a.engine.Apps.DeployApplication(ctx, in.caller, apps.ApplicationInput{
		Name: b.Name, Group: b.ResourceGroup, Definition: b.Definition, Managed: b.ManagedResourceGroup,
		Settings: settingsIn(b.Settings), Answers: answers, Parameters: b.Parameters, Tags: b.Tags,
		Shown: b.DefinitionDigest, Form: b.Parameters == "",
	})
	return &answer[api.Application]{applicationOut(d)}, err
}

// answersIn reads answers with the order of what is in them.
func answersIn(given api.Answers) (map[string]any, error) {
	out := make(map[string]any, len(given))
	for name, raw := range given {
		v, err := app.Decode(string(raw))
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

func settingsIn(s *api.ApplicationSettings) *app.Settings {
	if s == nil {
		return nil
	}
	out := &app.Settings{JIT: s.JIT, Mode: app.Mode(s.Approval), Longest: seconds(s.MaxSeconds)}
	for _, one := range s.Approvers {
		out.Approvers = append(out.Approvers, app.Approver{ID: access.PrincipalID(one.Name)})
	}
	return out
}

type changeApplicationInput struct {
	calling

	Application string `path:"application" maxLength:"2048" doc:"Name or resource id."`
	IfMatch     string `header:"If-Match" maxLength:"64" doc:"The revision that was seen, in quotes: with another one now, nothing changes and the answer is 409."`
	Body        api.ApplicationChange
}

func (a *API) changeApplication(ctx context.Context, in *changeApplicationInput) (*answer[api.Application], error) {
	var wrong invalid
	was := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, err := a.engine.Apps.ChangeApplication(ctx, in.caller, in.Application,
		apps.ApplicationChange{Was: was, Settings: settingsIn(in.Body.Settings), Tags: in.Body.Tags})
	return &answer[api.Application]{applicationOut(d)}, err
}

type refreshApplicationInput struct {
	calling

	Application string `path:"application" maxLength:"2048" doc:"Name or resource id."`
	Body        api.ApplicationRefresh
}

func (a *API) refreshApplication(ctx context.Context,
	in *refreshApplicationInput,
) (*answer[api.Application], error) {
	d, err := a.engine.Apps.RefreshApplication(ctx, in.caller, in.Application, in.Body.DefinitionDigest)
	return &answer[api.Application]{applicationOut(d)}, err
}

type deleteApplicationInput struct {
	calling

	Application    string `path:"application" maxLength:"2048" doc:"Name or resource id."`
	EndActivations bool   `query:"endActivations" doc:"End what is active; without it a deletion is refused while something is."`
}

func (a *API) deleteApplication(ctx context.Context, in *deleteApplicationInput) (*nothing, error) {
	return &nothing{}, a.engine.Apps.DeleteApplication(ctx, in.caller, in.Application, in.EndActivations)
}

type denyAssignmentsInput struct {
	calling

	Scope string `query:"scope" maxLength:"2048" doc:"A resource id; absent is every scope."`
}

func (a *API) listDenyAssignments(ctx context.Context,
	in *denyAssignmentsInput,
) (*answer[api.Page[api.DenyAssignment]], error) {
	var wrong invalid
	scope := wrong.scope("scope", in.Scope)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	list, err := a.engine.Apps.DenyAssignments(ctx, in.caller, scope)
	return &answer[api.Page[api.DenyAssignment]]{page(engine.Listed[rbac.DenyAssignment]{Items: list}, denialOut)}, err
}

func applicationOut(d apps.ApplicationDetail) api.Application {
	in := d.Application
	out := api.Application{
		ID: string(in.Resource), Name: in.Name(), Side: "publisher", Customer: d.Customer.Name,
		Publisher: d.Publisher.Name, Definition: string(in.Definition),
		Version: in.Terms.Version, DefinitionRevision: in.Terms.Revision, NewestRevision: d.Newest,
		ManagedResourceGroup: string(in.Managed),
		LockLevel:            string(in.Terms.Lock), AllowedActions: in.Terms.Allowed,
		AllowedDataActions: in.Terms.AllowedData, Unmanaged: in.Terms.Unmanaged,
		Authorizations: authorizationsOut(in.Terms, d.Principals, d.Roles), JIT: offerOut(in.Terms.JIT),
		Settings:   settingsOut(in.Settings),
		Parameters: in.Parameters, Tags: in.Tags, CreatedAt: in.CreatedAt.UTC(), UpdatedAt: in.UpdatedAt.UTC(),
		Revision: in.Revision,
	}
	if d.Ours {
		out.Side = "customer"
	}
	for _, g := range d.Live {
		out.Active = append(out.Active, grantOut(engine.GrantDetail{Grant: g}))
	}
	return out
}

func settingsOut(s app.Settings) api.ApplicationSettings {
	out := api.ApplicationSettings{
		JIT: s.JIT, Approval: string(s.Mode), MaxSeconds: int64(s.Longest.Seconds()),
	}
	for _, one := range s.Approvers {
		out.Approvers = append(out.Approvers,
			api.ApplicationApprover{Name: nameOr(one.Name, one.ID), ID: string(one.ID), Kind: string(one.Kind)})
	}
	return out
}

func authorizationsOut(d app.Definition, principals map[access.PrincipalID]access.Principal,
	roles map[rbac.DefinitionID]rbac.Definition,
) []api.ApplicationAuthorization {
	out := []api.ApplicationAuthorization{}
	for _, given := range d.Authorizations {
		p := principals[given.Principal]
		out = append(out, api.ApplicationAuthorization{
			Principal: nameOr(p.Name, given.Principal), PrincipalID: string(given.Principal), Kind: string(p.Kind),
			Role:   nameOr(roles[given.Role].Name, given.Role),
			RoleID: string(given.Role), MaxSeconds: int64(given.Longest.Seconds()),
		})
	}
	return out
}

func denialOut(d rbac.DenyAssignment) api.DenyAssignment {
	out := api.DenyAssignment{
		ID: string(d.ID), Name: d.Name, Description: d.Description, Scope: string(d.Scope),
		Application: string(d.Origin), CreatedAt: d.CreatedAt.UTC(),
		Principals: plain(d.Principals), ExcludedPrincipals: plain(d.Exclude),
	}
	for _, p := range d.Permissions {
		out.Actions, out.NotActions = append(out.Actions, p.Actions...), append(out.NotActions, p.NotActions...)
		out.DataActions, out.NotDataActions = append(out.DataActions,
			p.DataActions...), append(out.NotDataActions, p.NotDataActions...)
	}
	return out
}

func plain[T ~string](list []T) []string {
	var out []string
	for _, one := range list {
		out = append(out, string(one))
	}
	return out
}
