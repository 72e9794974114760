package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

func (a *API) roleRoutes() {
	const tag = "Roles"
	register(a, operation{
		method: http.MethodGet, path: "/roles", id: "listRoles", tag: tag, entry: people,
		summary: "List role definitions by name; there is one page",
	}, a.listRoles)
	register(a, operation{
		method: http.MethodGet, path: "/role-assignments", id: "listRoleAssignments", tag: tag, entry: people,
		summary: "List who has which role where",
	}, a.listRoleAssignments)
	register(a, operation{
		method: http.MethodPost, path: "/role-assignments", id: "assignRole", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Give a role to a principal at a scope",
	}, a.assignRole)
	register(a, operation{
		method: http.MethodDelete, path: "/role-assignments/{assignment}", id: "unassignRole", tag: tag, entry: people,
		summary: "Take a role assignment away",
	}, a.unassignRole)
}

func (a *API) listRoles(ctx context.Context, in *callInput) (*answer[api.Page[api.Role]], error) {
	list, err := a.engine.Roles.RoleDefinitions(ctx, in.caller)
	return &answer[api.Page[api.Role]]{page(engine.Listed[rbac.Definition]{Items: list}, roleOut)}, err
}

type listAssignmentsInput struct {
	calling
	Paging

	Principal string `query:"principal" maxLength:"256" doc:"Name or id: only assignments to it."`
	Role      string `query:"role" maxLength:"256" doc:"Name or id: only assignments of it."`
	Scope     string `query:"scope" maxLength:"2048" doc:"A resource id: only assignments at it or below."`
}

func (a *API) listRoleAssignments(ctx context.Context,
	in *listAssignmentsInput,
) (*answer[api.Page[api.RoleAssignment]], error) {
	var wrong invalid
	f := roles.AssignmentFilter{Principal: in.Principal, Role: in.Role, Scope: wrong.scope("scope", in.Scope)}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	list, err := a.engine.Roles.RoleAssignments(ctx, in.caller, f, in.page())
	return &answer[api.Page[api.RoleAssignment]]{page(list, assignmentOut)}, err
}

type assignInput struct {
	calling

	Body api.NewRoleAssignment
}

func (a *API) assignRole(ctx context.Context, in *assignInput) (*answer[api.RoleAssignment], error) {
	var wrong invalid
	b := in.Body
	assign := roles.AssignInput{
		Principal: b.Principal, Role: b.Role, Scope: wrong.scope("scope", b.Scope),
		Start: moment(b.Start), End: moment(b.End),
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, err := a.engine.Roles.AssignRole(ctx, in.caller, assign)
	return &answer[api.RoleAssignment]{assignmentOut(d)}, err
}

type unassignInput struct {
	calling

	Assignment string `path:"assignment" maxLength:"64"`
}

func (a *API) unassignRole(ctx context.Context, in *unassignInput) (*nothing, error) {
	return &nothing{}, a.engine.Roles.UnassignRole(ctx, in.caller, rbac.AssignmentID(in.Assignment))
}
