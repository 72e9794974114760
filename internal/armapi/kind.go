package armapi

import (
	"cmp"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// kind says what a principal is who is shown by an id: a user where nobody can say any more.
func (c *call) kind(id access.PrincipalID) access.PrincipalKind {
	if known, asked := c.kinds[id]; asked {
		return known
	}
	kind, err := c.engine().Directory.PrincipalKind(c.Context(), c.caller, id)
	if err != nil {
		kind = ""
	}
	if c.kinds == nil {
		c.kinds = map[access.PrincipalID]access.PrincipalKind{}
	}
	c.kinds[id] = cmp.Or(kind, access.User)
	return c.kinds[id]
}

// creatorType gives Azure's word for what made or changed a resource.
func (c *call) creatorType(id access.PrincipalID) string {
	if c.kind(id) == access.ServicePrincipal {
		return "Application"
	}
	return "User"
}

// systemData says who made a resource, and who changed it last.
func (c *call) systemData(by access.PrincipalID, at time.Time, changedBy access.PrincipalID,
	changedAt time.Time,
) map[string]any {
	return map[string]any{
		"createdBy": by, "createdByType": c.creatorType(by), "createdAt": stamp(at),
		"lastModifiedBy": changedBy, "lastModifiedByType": c.creatorType(changedBy), "lastModifiedAt": stamp(changedAt),
	}
}
