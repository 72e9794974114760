package access

import "net/netip"

// Target is what an item of a request asks for, and what a grant gives: a PortTarget or a RoleTarget. Whatever depends
// on the kind and takes no more than the target itself is a method of it. What takes more, such as rights and policies
// that are read, goes through Match, in one file of each package that has such a need; nobody else asks for the kind.
type Target interface {
	// Place returns where the target takes effect.
	Place() Place
	// Site identifies the place, whatever of it is asked for: windows that a person has at one site make chains.
	Site() string
	// Guard names what the target is asked by.
	Guard() Guard
	// Action returns the action that asking for the target is.
	Action() string

	// Title names the target, but for its place: "port 22", or the name of a role.
	Title() string
	// Label names the target at the site of that name: "port 22 of web-1", "Contributor at /subscriptions/…".
	Label(site string) string
	// Text describes the whole target, as events record it.
	Text() string
	// Notice returns what notifications tell of the target.
	Notice(names Names) NoticeItem

	// Alike reports whether other is the same, whatever the sources of either.
	Alike(other Target) bool
	// Overlaps reports whether other has a part of the target.
	Overlaps(other Target) bool
	// Merges reports whether a grant of the target takes the place of an earlier one that it covers.
	Merges() bool
	// Openings returns the openings that a grant of the target makes on its machine; none where rights enforce it.
	Openings() []OpeningKey

	clone() Target
	// under returns the target as guarded by a policy, if that is what guards it.
	under(policy PolicyID) Target
	// covers reports whether a grant of the target leaves nothing of one of older to be kept.
	covers(older Target) bool
	// sources returns from where the target is open; nothing where that does not matter.
	sources() []netip.Prefix
	// at returns the target at other sources, if it is bound to any.
	at(sources []netip.Prefix) Target
	// settles reports whether the check of rights itself enforces the target, with no agent between.
	settles() bool
	// reachable returns the target without the sources from which nothing can come to a machine of these addresses.
	reachable(addresses []netip.Addr) Target
	// form appends what approvers are bound to of an item that asks for the target.
	form(b []byte, it Item) []byte
	// record adds the target of a grant to an event about it.
	record(e *Event, holder PrincipalID)
	// sum adds the target to what an event tells of all items of a request in short.
	sum(s *summary)
}

// Match calls the function for the kind of a target, and returns what that returns. It stands only where there is one
// answer for each kind and the target does not know it: a further kind is a further argument, and everything that has
// no answer for it stops building.
func Match[T any](t Target, port func(PortTarget) T, role func(RoleTarget) T) T {
	switch t := t.(type) {
	case PortTarget:
		return port(t)
	case RoleTarget:
		return role(t)
	}
	panic("there is no target") // Target is sealed, and who makes an item or a grant gives it one
}

// Try is Match of functions that can fail.
func Try[T any](t Target, port func(PortTarget) (T, error), role func(RoleTarget) (T, error)) (T, error) {
	var out T
	err := Match(t,
		func(p PortTarget) (err error) {
			out, err = port(p)
			return err
		},
		func(r RoleTarget) (err error) {
			out, err = role(r)
			return err
		})
	return out, err
}

// Place is where a target takes effect: on a machine, or at a scope.
type Place struct {
	Machine MachineID  // empty: on no machine
	Scope   ResourceID // empty: where the machine lies
}

func placeOf(t Target) Place {
	if t == nil {
		return Place{}
	}
	return t.Place()
}

// Guard names what a target is asked by: the policy of its machine, or the eligibility for its role.
type Guard struct {
	Policy      PolicyID
	Eligibility EligibilityID
}

// The actions that asking for a target is. Asking for a role needs no assignment, since the eligibility is the right:
// that action names the attempt, and bounds tokens.
const (
	InitiateAction = "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action"
	ActivateAction = "Microsoft.Authorization/roleAssignmentScheduleRequests/write"
)

// Names are those of what targets are about, for people. What is missing stands under its id.
type Names struct {
	Machines map[MachineID]string
	Scopes   map[ResourceID]string // "subscription production"
}

// NoticeItem is what a notification tells of one target.
type NoticeItem struct {
	Role     string // its name and where it holds; empty for a port
	Machine  string // its name
	Ports    PortRange
	Protocol Protocol
	Sources  []netip.Prefix
}

// summary is what an event tells of all items of a request in short.
type summary struct {
	ports, sources, roles []string
	scope                 ResourceID
}
