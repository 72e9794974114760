package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

func (a *API) principalRoutes() {
	const tag = "Principals"
	register(a, operation{
		method: http.MethodGet, path: "/principals", id: "listPrincipals", tag: tag, entry: people,
		summary: "List principals by name",
	}, a.listPrincipals)
	register(a, operation{
		method: http.MethodPost, path: "/principals", id: "createPrincipal", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Add a user, a group or a service principal",
	}, a.createPrincipal)
	register(a, operation{
		method: http.MethodGet, path: "/principals/{principal}", id: "getPrincipal", tag: tag, entry: people,
		summary: "Get one principal",
	}, a.getPrincipal)
	register(a, operation{
		method: http.MethodPatch, path: "/principals/{principal}", id: "changePrincipal", tag: tag, entry: people,
		summary: "Change a principal; what is absent stays",
	}, a.changePrincipal)
	register(a, operation{
		method: http.MethodDelete, path: "/groups/{group}", id: "deleteGroup", tag: tag, entry: people,
		summary: "Delete a group that nothing names any more",
	}, a.deleteGroup)
	register(a, operation{
		method: http.MethodPut, path: "/groups/{group}/members/{member}", id: "addMember", tag: tag, entry: people,
		summary: "Put a principal into a group",
	}, a.addMember)
	register(a, operation{
		method: http.MethodDelete, path: "/groups/{group}/members/{member}", id: "removeMember", tag: tag,
		entry:   people,
		summary: "Take a principal out of a group",
	}, a.removeMember)
	a.secretRoutes()
	a.passwordRoutes()
	a.claimRoutes()
	a.credentialRoutes()
}

type listPrincipalsInput struct {
	calling
	Paging

	Kind  string `query:"kind" enum:"user,group,servicePrincipal" doc:"Only principals of this kind."`
	Group string `query:"group" maxLength:"256" doc:"Name or id of a group: only its direct members."`

	Member string `query:"member" maxLength:"256" doc:"Name or id: only groups that it is a direct member of."`
}

func (a *API) listPrincipals(ctx context.Context, in *listPrincipalsInput) (*answer[api.Page[api.Principal]], error) {
	f := engine.PrincipalFilter{
		Kind: access.PrincipalKind(in.Kind), Group: access.PrincipalID(in.Group),
		Member: access.PrincipalID(in.Member),
	}
	list, err := a.engine.Directory.Principals(ctx, in.caller, f, in.page())
	return &answer[api.Page[api.Principal]]{page(list, principalOut)}, err
}

type createPrincipalInput struct {
	calling

	Body api.NewPrincipal
}

func (a *API) createPrincipal(ctx context.Context, in *createPrincipalInput) (*answer[api.CreatedPrincipal], error) {
	b := in.Body
	p, oneTime, err := a.identity.CreatePrincipal(ctx, in.caller, directory.PrincipalInput{
		Kind: access.PrincipalKind(b.Kind), Name: b.Name,
		DisplayName: b.DisplayName, Email: b.Email,
	}, b.Password)
	return &answer[api.CreatedPrincipal]{api.CreatedPrincipal{Principal: principalOut(p), Password: oneTime}}, err
}

type principalInput struct {
	calling

	Principal string `path:"principal" maxLength:"256" doc:"Name or id."`
}

func (a *API) getPrincipal(ctx context.Context, in *principalInput) (*answer[api.Principal], error) {
	p, err := a.engine.Directory.Principal(ctx, in.caller, in.Principal)
	return &answer[api.Principal]{principalOut(p)}, err
}

type changePrincipalInput struct {
	calling

	Principal string `path:"principal" maxLength:"256" doc:"Name or id."`
	Body      api.PrincipalChange
}

func (a *API) changePrincipal(ctx context.Context, in *changePrincipalInput) (*answer[api.Principal], error) {
	p, err := a.engine.Directory.ChangePrincipal(ctx, in.caller, in.Principal, directory.PrincipalChange{
		Disabled:    in.Body.Disabled,
		DisplayName: in.Body.DisplayName, Email: in.Body.Email,
	})
	return &answer[api.Principal]{principalOut(p)}, err
}

type groupInput struct {
	calling

	Group string `path:"group" maxLength:"256" doc:"Name or id of the group."`
}

func (a *API) deleteGroup(ctx context.Context, in *groupInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.DeleteGroup(ctx, in.caller, in.Group)
}

type memberInput struct {
	calling

	Group  string `path:"group" maxLength:"256" doc:"Name or id of the group."`
	Member string `path:"member" maxLength:"256" doc:"Name or id of the member."`
}

func (a *API) addMember(ctx context.Context, in *memberInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.AddMember(ctx, in.caller, in.Group, in.Member)
}

func (a *API) removeMember(ctx context.Context, in *memberInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.RemoveMember(ctx, in.caller, in.Group, in.Member)
}
