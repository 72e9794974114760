package access

import (
	"cmp"
	"fmt"
	"net/netip"
)

// RoleTarget is a role at a scope, by an eligibility.
type RoleTarget struct {
	Eligibility EligibilityID
	ID          RoleID
	Name        string // as it was when asked
	Scope       ResourceID
}

// String returns "Contributor at /subscriptions/…".
func (r RoleTarget) String() string { return r.Name + " at " + string(r.Scope) }

// Place implements Target.
func (r RoleTarget) Place() Place { return Place{Scope: r.Scope} }

// Site implements Target: by whichever eligibility, it is the role at its scope.
func (r RoleTarget) Site() string { return string(r.ID) + "@" + r.Scope.Fold() }

// Guard implements Target.
func (r RoleTarget) Guard() Guard { return Guard{Eligibility: r.Eligibility} }

// Action implements Target.
func (RoleTarget) Action() string { return ActivateAction }

// Title implements Target.
func (r RoleTarget) Title() string { return r.Name }

// Label implements Target.
func (r RoleTarget) Label(string) string { return r.String() }

// Text implements Target.
func (r RoleTarget) Text() string { return "role " + r.String() }

// Notice implements Target.
func (r RoleTarget) Notice(names Names) NoticeItem {
	return NoticeItem{Role: r.Name + " on " + cmp.Or(names.Scopes[r.Scope], string(r.Scope))}
}

// Alike implements Target.
func (r RoleTarget) Alike(other Target) bool {
	o, is := other.(RoleTarget)
	return is && r.Site() == o.Site()
}

// Overlaps implements Target: a role has no parts.
func (r RoleTarget) Overlaps(other Target) bool { return r.Alike(other) }

// Merges implements Target: activations of one role stand side by side.
func (RoleTarget) Merges() bool { return false }

// Openings implements Target.
func (RoleTarget) Openings() []OpeningKey { return nil }

func (r RoleTarget) clone() Target { return r }

func (r RoleTarget) under(PolicyID) Target { return r }

func (RoleTarget) covers(Target) bool { return false }

func (RoleTarget) sources() []netip.Prefix { return nil }

func (r RoleTarget) at([]netip.Prefix) Target { return r }

func (RoleTarget) settles() bool { return true }

func (r RoleTarget) reachable([]netip.Addr) Target { return r }

func (r RoleTarget) form(b []byte, it Item) []byte {
	return fmt.Appendf(b, "role %q %q %q %d %d %d\n", r.Eligibility, r.ID, r.Scope, it.PolicyRevision, it.Duration,
		micros(it.Until))
}

func (r RoleTarget) record(e *Event, holder PrincipalID) {
	e.Scope = r.Scope
	e.Details["role"], e.Details["roleId"], e.Details["principalId"] = r.Name, string(r.ID), string(holder)
}

func (r RoleTarget) sum(s *summary) {
	s.roles = appendNew(s.roles, r.Name)
	s.scope = r.Scope
}
