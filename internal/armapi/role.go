package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine/roles"
)

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
		out = append(out,
			permission{orEmpty(p.Actions), orEmpty(p.NotActions), orEmpty(p.DataActions), orEmpty(p.NotDataActions)})
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
			"roleName": d.Name, "type": kindOfRole(d), "description": d.Description,
			"permissions":      permissionsTo(d.Permissions),
			"assignableScopes": d.AssignableScopes, "createdOn": stamp(d.CreatedAt), "updatedOn": stamp(d.UpdatedAt),
			"createdBy": nil, "updatedBy": nil,
		},
	}
}

// findRoles gives the roles that may be assigned at the scope, or below it where below says so.
func (c *call) findRoles(scope access.ResourceID, below bool) ([]rbac.Definition, error) {
	all, err := c.engine().Roles.RoleDefinitions(c.Context(), c.caller)
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
	found, err := c.findRoles(scope, below)
	if err != nil {
		return reply{}, err
	}
	name, byName := f.take("rolename")
	kind, byKind := f.take("type")
	value := []any{}
	for _, d := range found {
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
	found, err := c.findRoles(scope, true)
	if err != nil {
		return "", rbac.Definition{}, err
	}
	for _, d := range found {
		if strings.EqualFold(string(d.ID), c.vars["id"]) {
			return scope, d, nil
		}
	}
	return "", rbac.Definition{}, access.Fault(access.KindNotFound, "RoleDefinitionDoesNotExist",
		"The specified role definition with ID '%s' does not exist.", clip(c.vars["id"]))
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
		_          struct{} `also:"id name type"`
		Properties struct {
			_                struct{}            `also:"type roleType createdOn createdBy updatedOn updatedBy"`
			Name             string              `json:"roleName"`
			Description      string              `json:"description"`
			Permissions      []permission        `json:"permissions"`
			AssignableScopes []access.ResourceID `json:"assignableScopes"`
		} `json:"properties"`
	}
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	in := roles.RoleInput{
		ID: rbac.DefinitionID(c.vars["id"]), Name: body.Properties.Name, Description: body.Properties.Description,
		AssignableScopes: body.Properties.AssignableScopes,
	}
	for _, p := range body.Properties.Permissions {
		in.Permissions = append(in.Permissions, rbac.Permission(p))
	}
	if len(in.AssignableScopes) == 0 {
		in.AssignableScopes = []access.ResourceID{scope}
	}
	d, err := c.engine().Roles.PutRole(c.Context(), c.caller, in)
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
	d, err := c.engine().Roles.DeleteRole(c.Context(), c.caller, rbac.DefinitionID(c.vars["id"]))
	if access.KindOf(err) == access.KindNotFound {
		return reply{status: http.StatusNoContent}, nil
	}
	if err != nil {
		return reply{}, err
	}
	return ok(role(scope, d))
}
