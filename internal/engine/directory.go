package engine

import (
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// PrincipalInput is a new principal.
type PrincipalInput struct {
	Kind         access.PrincipalKind
	Name         string
	DisplayName  string
	Email        string
	PasswordHash string // PHC string; users only; package identity makes it
	MustChange   bool   // the password is good for nothing but choosing another
}

// PrincipalChange changes what is not nil.
type PrincipalChange struct {
	Disabled    *bool
	DisplayName *string
	Email       *string
}

// AssignInput assigns a role.
type AssignInput struct {
	Principal   string            // name or id
	Role        string            // name or id
	Scope       access.ResourceID // empty: the default subscription
	Start       time.Time         // zero: since ever
	End         time.Time         // zero: for ever
	Description string
}

// AssignmentDetail is a role assignment with the names that people know.
type AssignmentDetail struct {
	Assignment rbac.Assignment
	Principal  access.Principal
	Role       rbac.Definition
}

// AssignmentFilter narrows a list of role assignments; zero fields do not narrow.
type AssignmentFilter struct {
	Principal string // name or id
	Role      string // name or id
	Scope     access.ResourceID
}
