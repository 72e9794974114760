package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

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
	return strings.TrimSuffix(string(a.Scope),
		"/") + "/providers/Microsoft.Authorization/roleAssignments/" + string(a.ID)
}

func assignment(d engine.AssignmentDetail) map[string]any {
	a := d.Assignment
	return map[string]any{
		"id": assignmentID(a), "name": a.ID, "type": "Microsoft.Authorization/roleAssignments",
		"properties": map[string]any{
			"roleDefinitionId": roleID(a.Scope, a.Definition), "principalId": a.Principal,
			"principalType": principalType(d.Principal.Kind),
			"scope":         a.Scope, "description": a.Description, "condition": nil, "conditionVersion": nil,
			"createdOn": stamp(a.CreatedAt), "updatedOn": stamp(a.CreatedAt),
			"createdBy": a.CreatedBy, "updatedBy": a.CreatedBy, "delegatedManagedIdentityResourceId": nil,
		},
	}
}

// assignments gives all that the filter allows, of as many pages as there are.
func (c *call) assignments(f roles.AssignmentFilter) ([]engine.AssignmentDetail, error) {
	var all []engine.AssignmentDetail
	page := engine.Page{Limit: 1000}
	for {
		listed, err := c.engine().Roles.RoleAssignments(c.Context(), c.caller, f, page)
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
func (c *call) assignmentFilter() (roles.AssignmentFilter, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return roles.AssignmentFilter{}, err
	}
	f, err := parseFilter(c.query("$filter"))
	if err == nil {
		err = f.only("atScope()", "principalId", "assignedTo()", "asTarget()", "roleDefinitionId", "status")
	}
	if err != nil {
		return roles.AssignmentFilter{}, err
	}
	out := roles.AssignmentFilter{Around: scope}
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
	all, err := c.assignments(roles.AssignmentFilter{Over: scope})
	if err != nil {
		return engine.AssignmentDetail{}, err
	}
	for _, d := range all {
		if strings.EqualFold(string(d.Assignment.ID), c.vars["id"]) && d.Assignment.Scope.Equal(scope) {
			return d, nil
		}
	}
	return engine.AssignmentDetail{}, access.Fault(access.KindNotFound, "RoleAssignmentNotFound",
		"The role assignment '%s' is not found.", clip(c.vars["id"]))
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
		_          struct{} `also:"id name type"`
		Properties struct {
			_           struct{} `also:"scope conditionVersion createdOn createdBy updatedOn updatedBy"`
			Principal   string   `json:"principalId"`
			Role        string   `json:"roleDefinitionId"`
			Kind        string   `json:"principalType"`
			Description string   `json:"description"`
			Condition   *string  `json:"condition"`
		} `json:"properties"`
	}
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	if body.Properties.Condition != nil && *body.Properties.Condition != "" {
		return reply{}, access.Fault(access.KindInvalid, "InvalidParameter",
			"conditions of role assignments are not supported: leave condition out")
	}
	kind, err := kindFrom(body.Properties.Kind)
	if err != nil {
		return reply{}, err
	}
	d, err := c.engine().Roles.AssignRole(c.Context(), c.caller, roles.AssignInput{
		Kind: kind,
		ID:   rbac.AssignmentID(c.vars["id"]), Principal: body.Properties.Principal,
		Role: access.ResourceID(body.Properties.Role).Name(), Scope: scope, Description: body.Properties.Description,
	})
	if err != nil {
		return reply{}, assignRefusal(err)
	}
	return reply{status: http.StatusCreated, body: assignment(d)}, nil
}

// kindFrom reads what a client takes a principal for, which it need not say.
func kindFrom(text string) (access.PrincipalKind, error) {
	if text == "" {
		return "", nil
	}
	for _, kind := range []access.PrincipalKind{access.User, access.Group, access.ServicePrincipal} {
		if strings.EqualFold(text, string(kind)) {
			return kind, nil
		}
	}
	return "", access.Fault(access.KindInvalid, "InvalidParameter",
		"the principalType %q is not User, Group or ServicePrincipal", clip(text))
}

// assignRefusal gives what a new assignment names and is not there Azure's own codes, and the status that goes with
// them.
func assignRefusal(err error) error {
	switch access.CodeOf(err) {
	case "unknownPrincipal":
		return access.Fault(access.KindInvalid, "PrincipalNotFound", "%s", err.Error())
	case "unmatchedKind":
		return access.Fault(access.KindInvalid, "UnmatchedPrincipalType", "%s", err.Error())
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
		err = c.engine().Roles.UnassignRole(c.Context(), c.caller, d.Assignment.ID)
	}
	if err != nil {
		return reply{}, err
	}
	return ok(assignment(d))
}
