package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

const authorizationPath = "{scope...}/providers/Microsoft.Authorization"

func roleVersions() []string {
	return []string{
		"2022-04-01", "2022-05-01-preview", "2020-10-01-preview", "2020-08-01-preview", "2020-04-01-preview",
		"2020-03-01-preview", "2018-09-01-preview",
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

func listPermissions(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	all, err := c.engine().Roles.Permissions(c.Context(), c.caller, scope)
	if err != nil {
		return reply{}, err
	}
	return ok(list{Value: permissionsTo(all)})
}
