package armapi

import "github.com/postern-dev/postern/internal/core/access"

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
