package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

const authorizationPath = "{scope...}/providers/Microsoft.Authorization"

func roleVersions() []string {
	return []string{
		"2022-04-01", "2022-05-01-preview", "2020-10-01-preview", "2020-08-01-preview", "2020-04-01-preview", "2020-03-01-preview", "2018-09-01-preview",
		"2018-07-01", "2018-05-01-preview", "2018-01-01-preview", "2017-10-01-preview", "2015-07-01",
	}
}

func authorizationRoutes() []route {
	on := func(method, pattern string, handle func(*call) (reply, error)) route {
		return route{method: method, pattern: authorizationPath + pattern, versions: roleVersions(), handle: handle}
	}
	return []route{
		on(http.MethodGet, "/roleDefinitions", listRoles),
		on(http.MethodGet, "/roleDefinitions/{id}", getRole),
		on(http.MethodPut, "/roleDefinitions/{id}", putRole),
		on(http.MethodDelete, "/roleDefinitions/{id}", deleteRole),
		on(http.MethodGet, "/roleAssignments", listAssignments),
		on(http.MethodGet, "/roleAssignments/{id}", getAssignment),
		on(http.MethodPut, "/roleAssignments/{id}", putAssignment),
		on(http.MethodDelete, "/roleAssignments/{id}", deleteAssignment),
		on(http.MethodGet, "/permissions", listPermissions),
		on(http.MethodGet, "/denyAssignments", listDenyAssignments),
		on(http.MethodGet, "/denyAssignments/{id}", getDenyAssignment),
	}
}

// authorizationScope gives the scope before /providers/Microsoft.Authorization. Some clients write a subscription as a
// resource of its own provider.
func (c *call) authorizationScope() (access.ResourceID, error) {
	const alias = "/providers/Microsoft.Subscription"
	scope := c.vars["scope"]
	if len(scope) > len(alias) && strings.EqualFold(scope[:len(alias)], alias) {
		scope = scope[len(alias):]
	}
	return access.ParseResourceID(scope)
}

// roleID gives the id of a role as one sees it from a scope: in its subscription, or at the root.
func roleID(scope access.ResourceID, id rbac.DefinitionID) string {
	prefix := ""
	if sub := scope.Segment("subscriptions"); sub != "" {
		prefix = string(access.SubscriptionScope(access.SubscriptionID(sub)))
	}
	return prefix + "/providers/Microsoft.Authorization/roleDefinitions/" + string(id)
}

// permission is wire.
type permission struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
}

func permissionsTo(list []rbac.Permission) []permission {
	out := make([]permission, 0, len(list))
	for _, p := range list {
		out = append(out, permission{orEmpty(p.Actions), orEmpty(p.NotActions), orEmpty(p.DataActions), orEmpty(p.NotDataActions)})
	}
	return out
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func kindOfRole(d rbac.Definition) string {
	if d.BuiltIn {
		return "BuiltInRole"
	}
	return "CustomRole"
}

func role(scope access.ResourceID, d rbac.Definition) map[string]any {
	return map[string]any{
		"id": roleID(scope, d.ID), "name": d.ID, "type": "Microsoft.Authorization/roleDefinitions",
		"properties": map[string]any{
			"roleName": d.Name, "type": kindOfRole(d), "description": d.Description, "permissions": permissionsTo(d.Permissions),
			"assignableScopes": d.AssignableScopes, "createdOn": stamp(d.CreatedAt), "updatedOn": stamp(d.UpdatedAt), "createdBy": nil, "updatedBy": nil,
		},
	}
}

// findRoles gives the roles that may be assigned at the scope, or below it where below says so.
func (c *call) findRoles(scope access.ResourceID, below bool) ([]rbac.Definition, error) {
	all, err := c.engine().RoleDefinitions(c.Context(), c.caller)
	if err != nil {
		return nil, err
	}
	var found []rbac.Definition
	for _, d := range all {
		for _, s := range d.AssignableScopes {
			if scope.Within(s) || below && s.Within(scope) {
				found = append(found, d)
				break
			}
		}
	}
	return found, nil
}

func listRoles(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	f, err := parseFilter(c.query("$filter"))
	if err == nil {
		err = f.only("roleName", "type", "atScopeAndBelow()", "atScope()")
	}
	if err != nil {
		return reply{}, err
	}
	_, below := f.take("atscopeandbelow()")
	roles, err := c.findRoles(scope, below)
	if err != nil {
		return reply{}, err
	}
	name, byName := f.take("rolename")
	kind, byKind := f.take("type")
	value := []any{}
	for _, d := range roles {
		if (!byName || strings.EqualFold(d.Name, name)) && (!byKind || strings.EqualFold(kindOfRole(d), kind)) {
			value = append(value, role(scope, d))
		}
	}
	return ok(list{Value: value})
}

func (c *call) oneRole() (access.ResourceID, rbac.Definition, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return "", rbac.Definition{}, err
	}
	roles, err := c.findRoles(scope, true)
	if err != nil {
		return "", rbac.Definition{}, err
	}
	for _, d := range roles {
		if strings.EqualFold(string(d.ID), c.vars["id"]) {
			return scope, d, nil
		}
	}
	return "", rbac.Definition{}, access.Fault(access.KindNotFound, "RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", clip(c.vars["id"]))
}

func getRole(c *call) (reply, error) {
	scope, d, err := c.oneRole()
	if err != nil {
		return reply{}, err
	}
	return ok(role(scope, d))
}

func putRole(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	var body struct {
		Properties struct {
			Name             string              `json:"roleName"`
			Description      string              `json:"description"`
			Permissions      []permission        `json:"permissions"`
			AssignableScopes []access.ResourceID `json:"assignableScopes"`
		} `json:"properties"`
	}
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	in := engine.RoleInput{
		ID: rbac.DefinitionID(c.vars["id"]), Name: body.Properties.Name, Description: body.Properties.Description,
		AssignableScopes: body.Properties.AssignableScopes,
	}
	for _, p := range body.Properties.Permissions {
		in.Permissions = append(in.Permissions, rbac.Permission(p))
	}
	if len(in.AssignableScopes) == 0 {
		in.AssignableScopes = []access.ResourceID{scope}
	}
	d, err := c.engine().PutRole(c.Context(), c.caller, in)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: role(scope, d)}, nil
}

func deleteRole(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	d, err := c.engine().DeleteRole(c.Context(), c.caller, rbac.DefinitionID(c.vars["id"]))
	if access.KindOf(err) == access.KindNotFound {
		return reply{status: http.StatusNoContent}, nil
	}
	if err != nil {
		return reply{}, err
	}
	return ok(role(scope, d))
}

// principalType writes what a principal is as Azure does.
func principalType(kind access.PrincipalKind) string {
	switch kind {
	case access.Group:
		return "Group"
	case access.ServicePrincipal:
		return "ServicePrincipal"
	case access.User:
	}
	return "User"
}

func assignmentID(a rbac.Assignment) string {
	return strings.TrimSuffix(string(a.Scope), "/") + "/providers/Microsoft.Authorization/roleAssignments/" + string(a.ID)
}

func assignment(d engine.AssignmentDetail) map[string]any {
	a := d.Assignment
	return map[string]any{
		"id": assignmentID(a), "name": a.ID, "type": "Microsoft.Authorization/roleAssignments",
		"properties": map[string]any{
			"roleDefinitionId": roleID(a.Scope, a.Definition), "principalId": a.Principal, "principalType": principalType(d.Principal.Kind),
			"scope": a.Scope, "description": a.Description, "condition": nil, "conditionVersion": nil, "createdOn": stamp(a.CreatedAt), "updatedOn": stamp(a.CreatedAt),
			"createdBy": a.CreatedBy, "updatedBy": a.CreatedBy, "delegatedManagedIdentityResourceId": nil,
		},
	}
}

// assignments gives all that the filter allows, of as many pages as there are.
func (c *call) assignments(f engine.AssignmentFilter) ([]engine.AssignmentDetail, error) {
	var all []engine.AssignmentDetail
	page := engine.Page{Limit: 1000}
	for {
		listed, err := c.engine().RoleAssignments(c.Context(), c.caller, f, page)
		if access.CodeOf(err) == "unknownPrincipal" {
			return nil, nil // who does not exist has none
		}
		if err != nil {
			return nil, err
		}
		all = append(all, listed.Items...)
		if page.Cursor = listed.Next; page.Cursor == "" {
			return all, nil
		}
	}
}

// assignmentFilter reads the $filter of lists of assignments.
func (c *call) assignmentFilter() (engine.AssignmentFilter, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return engine.AssignmentFilter{}, err
	}
	f, err := parseFilter(c.query("$filter"))
	if err == nil {
		err = f.only("atScope()", "principalId", "assignedTo()", "asTarget()", "roleDefinitionId", "status")
	}
	if err != nil {
		return engine.AssignmentFilter{}, err
	}
	out := engine.AssignmentFilter{Around: scope}
	if _, has := f.take("atscope()"); has {
		out.Around, out.Over = "", scope
	}
	out.Principal, _ = f.take("principalid")
	out.Holder, _ = f.take("assignedto()")
	if _, has := f.take("astarget()"); has {
		out.Holder = string(c.caller.Principal)
	}
	if id, has := f.take("roledefinitionid"); has {
		out.Role = access.ResourceID(id).Name()
	}
	return out, nil
}

func listAssignments(c *call) (reply, error) {
	f, err := c.assignmentFilter()
	if err != nil {
		return reply{}, err
	}
	all, err := c.assignments(f)
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(all))
	for _, d := range all {
		value = append(value, assignment(d))
	}
	return ok(list{Value: value})
}

// oneAssignment gives the assignment that the path names.
func (c *call) oneAssignment() (engine.AssignmentDetail, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return engine.AssignmentDetail{}, err
	}
	all, err := c.assignments(engine.AssignmentFilter{Over: scope})
	if err != nil {
		return engine.AssignmentDetail{}, err
	}
	for _, d := range all {
		if strings.EqualFold(string(d.Assignment.ID), c.vars["id"]) && d.Assignment.Scope.Equal(scope) {
			return d, nil
		}
	}
	return engine.AssignmentDetail{}, access.Fault(access.KindNotFound, "RoleAssignmentNotFound", "The role assignment '%s' is not found.", clip(c.vars["id"]))
}

func getAssignment(c *call) (reply, error) {
	d, err := c.oneAssignment()
	if err != nil {
		return reply{}, err
	}
	return ok(assignment(d))
}

func putAssignment(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	var body struct {
		Properties struct {
			Principal   string  `json:"principalId"`
			Role        string  `json:"roleDefinitionId"`
			Description string  `json:"description"`
			Condition   *string `json:"condition"`
		} `json:"properties"`
	}
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	if body.Properties.Condition != nil && *body.Properties.Condition != "" {
		return reply{}, access.Fault(access.KindInvalid, "InvalidParameter", "conditions of role assignments are not supported: leave condition out")
	}
	d, err := c.engine().AssignRole(c.Context(), c.caller, engine.AssignInput{
		ID: rbac.AssignmentID(c.vars["id"]), Principal: body.Properties.Principal,
		Role: access.ResourceID(body.Properties.Role).Name(), Scope: scope, Description: body.Properties.Description,
	})
	if err != nil {
		return reply{}, assignRefusal(err)
	}
	return reply{status: http.StatusCreated, body: assignment(d)}, nil
}

// assignRefusal gives what a new assignment names and is not there Azure's own codes, and the status that goes with them.
func assignRefusal(err error) error {
	switch access.CodeOf(err) {
	case "unknownPrincipal":
		return access.Fault(access.KindInvalid, "PrincipalNotFound", "%s", err.Error())
	case "unknownRole":
		return access.Fault(access.KindInvalid, "RoleDefinitionDoesNotExist", "%s", err.Error())
	}
	return err
}

func deleteAssignment(c *call) (reply, error) {
	d, err := c.oneAssignment()
	if access.KindOf(err) == access.KindNotFound {
		return reply{status: http.StatusNoContent}, nil
	}
	if err == nil {
		err = c.engine().UnassignRole(c.Context(), c.caller, d.Assignment.ID)
	}
	if err != nil {
		return reply{}, err
	}
	return ok(assignment(d))
}

func listPermissions(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	all, err := c.engine().Permissions(c.Context(), c.caller, scope)
	if err != nil {
		return reply{}, err
	}
	return ok(list{Value: permissionsTo(all)})
}

// There are no deny assignments: nothing takes away what a role gives.
func listDenyAssignments(c *call) (reply, error) {
	if _, err := c.authorizationScope(); err != nil {
		return reply{}, err
	}
	return ok(list{Value: []any{}})
}

func getDenyAssignment(c *call) (reply, error) {
	return reply{}, access.Fault(access.KindNotFound, "DenyAssignmentNotFound", "The deny assignment '%s' is not found.", clip(c.vars["id"]))
}
