package armapi

import "github.com/postern-dev/postern/internal/core/access"

// Azure has resources of one sort for ports and of others for roles, so this façade shows each kind where it belongs.

// portIn returns the target as a port; false where it is none.
func portIn(t access.Target) (port access.PortTarget, is bool) {
	is = access.Match(t,
		func(p access.PortTarget) bool {
			port = p
			return true
		},
		func(access.RoleTarget) bool { return false })
	return port, is
}

// roleIn returns the target as a role; false where it is none.
func roleIn(t access.Target) (role access.RoleTarget, is bool) {
	is = access.Match(t,
		func(access.PortTarget) bool { return false },
		func(r access.RoleTarget) bool {
			role = r
			return true
		})
	return role, is
}

// roleAsked returns the first role that a request asks for; false where it asks for none.
func roleAsked(r access.Request) (access.RoleTarget, bool) { return roleIn(r.Items[0].Target) }
