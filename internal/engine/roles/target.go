package roles

import "github.com/postern-dev/postern/internal/core/access"

// roleOf returns the role that a grant gives; false where it gives none.
func roleOf(g access.Grant) (role access.RoleTarget, is bool) {
	is = access.Match(g.Target,
		func(access.PortTarget) bool { return false },
		func(r access.RoleTarget) bool {
			role = r
			return true
		})
	return role, is
}
