package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

func (a *API) customRoleRoutes() {
	const tag = "Roles"
	register(a, operation{
		method: http.MethodGet, path: "/roles/{role}", id: "getRole", tag: tag, entry: people,
		summary: "Get one role definition",
	}, a.getRole)
	register(a, operation{
		method: http.MethodPost, path: "/roles", id: "createRole", tag: tag, status: http.StatusCreated, entry: people,
		summary: "Make a custom role",
	}, a.createRole)
	register(a, operation{
		method: http.MethodPut, path: "/roles/{role}", id: "updateRole", tag: tag, entry: people,
		summary: "Replace a custom role",
	}, a.updateRole)
	register(a, operation{
		method: http.MethodDelete, path: "/roles/{role}", id: "deleteRole", tag: tag, entry: people,
		summary: "Delete a custom role that is assigned to nobody",
	}, a.deleteRole)
	register(a, operation{
		method: http.MethodPost, path: "/least-privileged-roles", id: "createLeastPrivilegedRole", tag: tag,
		status: http.StatusCreated, entry: people,
		summary: "Make the custom role that Microsoft's script Set-JitLeastPrivilegedRole makes",
	}, a.createLeastPrivilegedRole)
}

type roleInput struct {
	calling

	Role string `path:"role" maxLength:"512" doc:"Name or id."`
}

func (a *API) getRole(ctx context.Context, in *roleInput) (*answer[api.Role], error) {
	d, err := a.engine.Roles.Role(ctx, in.caller, in.Role)
	return &answer[api.Role]{roleOut(d)}, err
}

type createRoleInput struct {
	calling

	Body api.RoleInput
}

func (a *API) createRole(ctx context.Context, in *createRoleInput) (*answer[api.Role], error) {
	return a.putRole(ctx, in.caller, roles.RoleInput{}, in.Body)
}

type updateRoleInput struct {
	calling

	Role    string `path:"role" maxLength:"512" doc:"Name or id."`
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The revision that was seen, in quotes: with another one now, nothing changes and the answer is 409."`
	Body    api.RoleInput
}

func (a *API) updateRole(ctx context.Context, in *updateRoleInput) (*answer[api.Role], error) {
	var wrong invalid
	revision := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	was, err := a.engine.Roles.Role(ctx, in.caller, in.Role)
	if err != nil {
		return nil, err
	}
	return a.putRole(ctx, in.caller, roles.RoleInput{ID: was.ID, Was: revision}, in.Body)
}

func (a *API) putRole(ctx context.Context, c engine.Caller, in roles.RoleInput,
	b api.RoleInput,
) (*answer[api.Role], error) {
	var wrong invalid
	in.Name, in.Description = b.Name, b.Description
	for i, scope := range b.AssignableScopes {
		in.AssignableScopes = append(in.AssignableScopes, wrong.scope(fmt.Sprintf("assignableScopes[%d]", i), scope))
	}
	for _, p := range b.Permissions {
		in.Permissions = append(in.Permissions,
			rbac.Permission{
				Actions: p.Actions, NotActions: p.NotActions, DataActions: p.DataActions,
				NotDataActions: p.NotDataActions,
			})
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, err := a.engine.Roles.PutRole(ctx, c, in)
	return &answer[api.Role]{roleOut(d)}, err
}

func (a *API) deleteRole(ctx context.Context, in *roleInput) (*nothing, error) {
	_, err := a.engine.Roles.DeleteRole(ctx, in.caller, rbac.DefinitionID(in.Role))
	return &nothing{}, err
}

type leastPrivilegedInput struct {
	calling

	Body api.NewLeastPrivilegedRole
}

func (a *API) createLeastPrivilegedRole(ctx context.Context, in *leastPrivilegedInput) (*answer[api.Role], error) {
	b := in.Body
	d, err := a.engine.Roles.CreateLeastPrivilegedRole(ctx, in.caller,
		roles.LeastPrivilegedInput{Subscription: b.Subscription, Name: b.Name, APIOnly: b.APIOnly})
	return &answer[api.Role]{roleOut(d)}, err
}
