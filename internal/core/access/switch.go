package access

import "time"

// Switch says whether just-in-time access may be asked for, and configured, on the machines of a subscription or a
// resource group: those that there are and those that come. What guards them stays in force either way, so that
// disabling it opens nothing.
type Switch struct {
	Scope    ResourceID // a subscription or a resource group
	Tenant   TenantID
	Off      bool
	Reason   string // why it is off, for people; may be empty
	By       Actor  // who turned it last
	At       time.Time
	Loosened []Loosening // who turned it on again lately
	Revision int64
}

// Stops reports whether nothing may be asked for on m because of the switch.
func (s Switch) Stops(m Machine) bool {
	return s.Off && s.Tenant == m.Tenant && m.Resource.Within(s.Scope)
}

// Reach says in words whose machines it is for: "resource group web", or "the subscription".
func (s Switch) Reach() string { return reachOf(s.Scope) }

// Text says in words that just-in-time access is disabled, and why.
func (s Switch) Text() string {
	text := "just-in-time access is disabled by policy for " + s.Reach()
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

// Turned returns s as somebody turns it. Who turns on what was off is remembered: what they ask for there is theirs to
// answer for.
func (s Switch) Turned(off bool, reason string, by Actor, now time.Time) Switch {
	var how []string
	if s.Off && !off {
		how = []string{"enabled again for " + s.Reach()}
	}
	s.Loosened = remember(s.Loosened, by.ID, how, now)
	s.Off, s.Reason, s.By, s.At, s.Revision = off, reason, by, now, s.Revision+1
	return s
}

// DisabledBy returns the widest of the switches by which nothing may be asked for on m; the zero Switch where none is.
func DisabledBy(m Machine, switches []Switch) (widest Switch) {
	for _, s := range switches {
		if s.Stops(m) && (widest.Scope == "" || widest.Scope.Within(s.Scope)) {
			widest = s
		}
	}
	return widest
}

// TurnedOn returns who lately turned on again what had been off for m.
func TurnedOn(m Machine, switches []Switch) (all []Loosening) {
	for _, s := range switches {
		if s.Tenant == m.Tenant && m.Resource.Within(s.Scope) {
			all = append(all, s.Loosened...)
		}
	}
	return all
}

func reachOf(scope ResourceID) string {
	if group := scope.Segment("resourceGroups"); group != "" {
		return "resource group " + group
	}
	return "the subscription"
}
