package rbac

import (
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// DefinitionID names a role definition: a GUID.
type DefinitionID = access.RoleID

// AssignmentID names a role assignment: a GUID.
type AssignmentID string

// Definition is a role: what it permits, and where it may be assigned.
type Definition struct {
	ID               DefinitionID
	Tenant           access.TenantID // empty for a built-in role
	Name             string
	Description      string
	BuiltIn          bool
	Permissions      []Permission
	AssignableScopes []access.ResourceID
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// Revision returns the number of this state of the role: each change gives it a higher one, and so does making it anew
// under its id. A built-in role has 0.
func (d Definition) Revision() int64 { return max(d.UpdatedAt.UnixMicro(), 0) }

// Permission is a set of actions less another. Patterns may have '*', which matches any run of characters, and are
// compared without regard to case.
type Permission struct {
	Actions        []string
	NotActions     []string
	DataActions    []string
	NotDataActions []string
}

// Assignment gives a role to a principal at a scope, perhaps only from Start to End. Its scope is one of its tenant,
// whose root is "/". A principal of another tenant is a guest: it may have roles in subscriptions, and at the root
// none.
type Assignment struct {
	ID        AssignmentID
	Tenant    access.TenantID
	Principal access.PrincipalID
	// it counts while the principal is in this group, which is eligible for the role; empty: always
	Through     access.PrincipalID
	Home        access.TenantID // of the principal
	Definition  DefinitionID
	Scope       access.ResourceID
	Start       time.Time // zero: since ever
	End         time.Time // zero: for ever
	Description string
	Origin      access.ResourceID // the resource that it was made for, and goes with; empty: it was given directly
	CreatedBy   access.PrincipalID
	CreatedAt   time.Time
}

// DenyID names a deny assignment: a GUID.
type DenyID string

// DenyAssignment takes actions from principals at a scope and below, whatever roles they have. Only Postern makes one.
type DenyAssignment struct {
	ID          DenyID
	Tenant      access.TenantID // of the scope
	Name        string
	Description string
	Permissions []Permission
	Scope       access.ResourceID
	Principals  []access.PrincipalID // they, and who is in them; empty: everybody
	Exclude     []access.PrincipalID // not they, nor who is in them
	Origin      access.ResourceID    // the resource that it was made for
	CreatedAt   time.Time
}

// Membership says that Member is directly in Group; a member may be a group.
type Membership struct {
	Group  access.PrincipalID
	Member access.PrincipalID
}

// Maker says that a person made a secret or a certificate of a service principal, and so may be able to speak for it,
// also after the secret was deleted.
type Maker struct {
	Program access.PrincipalID
	Person  access.PrincipalID
}

// Data is everything that authorization rests on, as it is stored.
type Data struct {
	Revision      int64
	Tenants       []access.Tenant
	Subscriptions []access.Subscription
	Definitions   []Definition
	Assignments   []Assignment
	Denials       []DenyAssignment
	Memberships   []Membership
	Disabled      []access.PrincipalID
	People        []access.PrincipalID // the users: of all principals, they alone decide
	Makers        []Maker
}
