package armapi

import (
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// everybody is how Azure writes that a deny assignment is for all principals.
const everybody = "00000000-0000-0000-0000-000000000000"

func denyAssignment(d rbac.DenyAssignment) map[string]any {
	principals := []any{}
	for _, id := range d.Principals {
		principals = append(principals, map[string]any{"id": id})
	}
	if len(principals) == 0 {
		principals = append(principals,
			map[string]any{"id": everybody, "type": "SystemDefined", "displayName": "All Principals"})
	}
	excluded := []any{}
	for _, id := range d.Exclude {
		excluded = append(excluded, map[string]any{"id": id})
	}
	return map[string]any{
		"id": scheduleID(d.Scope, "denyAssignments", string(d.ID)), "name": d.ID,
		"type": "Microsoft.Authorization/denyAssignments",
		"properties": map[string]any{
			"denyAssignmentName": d.Name, "description": d.Description, "permissions": permissionsTo(d.Permissions),
			"scope": d.Scope, "doNotApplyToChildScopes": false,
			"principals": principals, "excludePrincipals": excluded, "isSystemProtected": true,
			"createdOn": stamp(d.CreatedAt), "updatedOn": stamp(d.CreatedAt), "createdBy": nil, "updatedBy": nil,
		},
	}
}

func listDenyAssignments(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	f, err := parseFilter(c.query("$filter"))
	if err == nil {
		err = f.only("atScope()", "denyAssignmentName", "principalId")
	}
	if err != nil {
		return reply{}, err
	}
	all, err := c.engine().Apps.DenyAssignments(c.Context(), c.caller, scope)
	if err != nil {
		return reply{}, err
	}
	_, above := f.take("atscope()")
	name, byName := f.take("denyassignmentname")
	principal, byPrincipal := f.take("principalid")
	value := []any{}
	for _, d := range all {
		names := len(d.Principals) == 0 || slices.Contains(d.Principals, access.PrincipalID(strings.ToLower(principal)))
		if (!above || scope.Within(d.Scope)) && (!byName || strings.EqualFold(name, d.Name)) &&
			(!byPrincipal || names) {
			value = append(value, denyAssignment(d))
		}
	}
	return ok(list{Value: value})
}

func getDenyAssignment(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	all, err := c.engine().Apps.DenyAssignments(c.Context(), c.caller, scope)
	if err != nil {
		return reply{}, err
	}
	for _, d := range all {
		if strings.EqualFold(string(d.ID), c.vars["id"]) && d.Scope.Equal(scope) {
			return ok(denyAssignment(d))
		}
	}
	return reply{}, access.Fault(access.KindNotFound, "DenyAssignmentNotFound",
		"The deny assignment '%s' is not found.", clip(c.vars["id"]))
}
