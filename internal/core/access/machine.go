package access

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Mode says where an agent enforces: on its own host, or on the way to the machines behind it.
type Mode string

// The modes of an agent.
const (
	ModeHost    Mode = "host"
	ModeGateway Mode = "gateway"
)

// Agent is an enforcement point: a host with our agent, guarding itself or the machines behind it.
type Agent struct {
	ID          AgentID
	Tenant      TenantID
	Name        string
	Mode        Mode
	Version     string
	Fingerprint string // SHA-256 of its current client certificate's public key, hex
	EnrolledAt  time.Time
	LastSeenAt  time.Time     // zero until its first report
	Skew        time.Duration // its wall clock minus the server's, when last seen
	Revision    int64         // number of its desired state; grows with each change
	Epoch       string        // within which the number grows; another one where the server was restored from a backup
	Reported    int64         // the newest revision it said it has in force
	ReportedAt  time.Time
	Problem     string // what it last could not do; empty when all is well
	Revoked     bool   // its certificate no longer counts
	Foreign     []ForeignRule

	Scope        ResourceID    // the resource group that it enrolled for; empty where that is not known
	Successor    AgentID       // the agent that took its place; empty while none has
	HoldsUntil   time.Time     // until when it may hold something open that its successor cannot close; zero: nothing
	Stream       Stream        // who follows its desired state
	Predecessors []Predecessor // agents that may hold open what is now this one's to close
}

// ForeignRule is a rule of a firewall table that is not ours and that touches a guarded port, as an agent found it.
type ForeignRule struct {
	Table    string // family and name, such as "inet filter"
	Chain    string
	Effect   ForeignEffect
	Protocol Protocol  // empty where the rule names none
	Ports    PortRange // the guarded ports that it touches
	Text     string    // the rule in words
}

// ForeignEffect says what a foreign rule does to a guarded port.
type ForeignEffect string

// The effects.
const (
	ForeignAccepts ForeignEffect = "accepts" // it would let connections in, were it not for us
	ForeignDrops   ForeignEffect = "drops"   // it keeps closed what we open
	ForeignUnknown ForeignEffect = "unknown" // it may keep that closed: what decides is not understood
	// ForeignBypasses is the effect of what takes packets past our own rules: there a guarded port is not guarded.
	ForeignBypasses ForeignEffect = "bypasses"
)

// Machine is a host whose ports are guarded.
type Machine struct {
	ID         MachineID
	Resource   ResourceID
	Tenant     TenantID
	Name       string
	Location   string
	OS         string // "linux", "windows" or empty when unknown
	Labels     map[string]string
	Addresses  []netip.Addr // its own addresses; what a gateway matches as destination
	Agent      AgentID      // its enforcement point; empty when it has none (then it is unsupported)
	CreatedAt  time.Time
	LastAccess time.Time // when a grant on it was last seen in force, or a code last opened it; zero if never
	Revision   int64
}

// Subscription gives the subscription that the machine lies in.
func (m Machine) Subscription() SubscriptionID {
	return SubscriptionID(m.Resource.Segment("subscriptions"))
}

// LabelText writes labels as "env=prod,role=web", by name.
func LabelText(labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, name+"="+labels[name])
	}
	return strings.Join(pairs, ",")
}

// ResourceGroup gives the name of the resource group that the machine lies in.
func (m Machine) ResourceGroup() string { return m.Resource.Segment("resourceGroups") }

// Standing sorts machines as the pages show them.
type Standing string

// The standings of a machine.
const (
	Configured    Standing = "configured"    // a policy guards it
	NotConfigured Standing = "notConfigured" // it could be guarded, and no policy names it
	// Unsupported is a machine on which nothing can enforce, or for which just-in-time access is disabled.
	Unsupported Standing = "unsupported"
)

// StandingOf sorts a machine, for which a switch may have disabled just-in-time access (the zero Switch: none has); the
// reason says why it is unsupported and what to do, and is empty otherwise. A disabled machine that a policy guards is
// guarded all the same.
func StandingOf(m Machine, hasPolicy bool, disabled Switch) (s Standing, reason string) {
	switch {
	case m.Agent == "":
		return Unsupported, "no agent guards this machine: enroll one on it, or put it behind a gateway"
	case disabled.Stops(m) && hasPolicy:
		return Unsupported, disabled.Text() + "; its guarded ports stay closed"
	case disabled.Stops(m):
		return Unsupported, disabled.Text()
	case hasPolicy:
		return Configured, ""
	default:
		return NotConfigured, ""
	}
}

const (
	maxName      = 64
	maxGroupName = 90
)

// CheckGroupName refuses what cannot name a resource group, as Azure does: 1 to 90 letters, digits, '.', '-', '_' and
// parentheses, not ending in '.'. what says whose name it is, for the message. Of the letters that Azure takes it takes
// those of ASCII, as ids do.
func CheckGroupName(what, name string) error {
	return checkSegment(what, name, maxGroupName, ".-_()", ".-_()",
		"letters, digits, '.', '-', '_' or parentheses, not ending in '.'")
}

// CheckName refuses a name that could not be a segment of a resource id: 1 to 64 letters, digits, '.', '-' or '_',
// beginning with a letter or digit and not ending in '.'. what says whose name it is, for the message.
func CheckName(what, name string) error {
	return checkSegment(what, name, maxName, "", ".-_",
		"letters, digits, '.', '-' or '_', beginning with a letter or digit")
}

// checkSegment refuses a name that has other bytes than letters, digits and marks, or begins with another mark than
// first; form says the same in words.
func checkSegment(what, name string, most int, first, marks, form string) error {
	bad := func(why string) error {
		return Fault(KindInvalid, "malformedName", "%s name %q %s; use 1 to %d %s", what, clip(name), why, most, form)
	}
	switch {
	case name == "":
		return bad("is empty")
	case len(name) > most:
		return bad("is too long")
	case strings.HasSuffix(name, "."):
		return bad("ends in '.'")
	}
	for i, allowed := 0, first; i < len(name); i, allowed = i+1, marks {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && strings.IndexByte(allowed, c) < 0 {
			return bad("has a character that is not allowed")
		}
	}
	return nil
}
