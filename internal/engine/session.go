package engine

import (
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
)

// Credentials is what identity checks a sign-in against.
type Credentials struct {
	Principal access.Principal
	Password  Password // its zero value where the principal has none
}

// SignInInput is a sign-in whose password identity has checked.
type SignInInput struct {
	Session      Session
	Via          string
	Address      netip.Addr
	PasswordHash string // where not empty, a new password's hash, which replaces the old one
	Rehashed     bool   // PasswordHash is of the same password, with other parameters
	Checked      string // the hash that the password was checked against; another by now is a conflict
}

// SignInRefusal is a sign-in that identity refused.
type SignInRefusal struct {
	Name        string             // as it was given
	Principal   access.PrincipalID // empty where there is no such user
	Reason      string             // stable, such as "wrongPassword"
	WrongSecret bool               // it counts towards the lock
	Via         string
	Address     netip.Addr
}
