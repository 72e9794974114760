package engine

import (
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// People answers who is who for the rules, as one snapshot of the directory has it. Only users are people.
type People struct{ Dir *rbac.Directory }

// InGroup implements policy.People.
func (p People) InGroup(person, group access.PrincipalID) bool { return p.Dir.InGroup(person, group) }

// Enabled implements policy.People.
func (p People) Enabled(person access.PrincipalID) bool { return p.Dir.IsPerson(person) }

// SpeaksFor implements policy.People.
func (p People) SpeaksFor(person, program access.PrincipalID) bool {
	return p.Dir.SpeaksFor(person, program)
}

// Members implements policy.People.
func (p People) Members(group access.PrincipalID) []access.PrincipalID { return p.Dir.People(group) }
