package access

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Protocol is the transport that a rule or an opening is for.
type Protocol string

// The protocols. AnyProtocol means both TCP and UDP, and nothing else.
const (
	TCP         Protocol = "tcp"
	UDP         Protocol = "udp"
	AnyProtocol Protocol = "any"
)

// Covers tells whether what is allowed for p allows other.
func (p Protocol) Covers(other Protocol) bool { return p == other || p == AnyProtocol }

// Overlaps reports whether something is allowed for p and for other.
func (p Protocol) Overlaps(other Protocol) bool { return p.Covers(other) || other.Covers(p) }

// Transports gives the protocols that p stands for: itself, or TCP and UDP.
func (p Protocol) Transports() []Protocol {
	if p == AnyProtocol {
		return []Protocol{TCP, UDP}
	}
	return []Protocol{p}
}

// PortRange is one port (First == Last) or an inclusive range of them, 1 to 65,535.
type PortRange struct{ First, Last uint16 }

// SinglePort gives the range of one port.
func SinglePort(port uint16) PortRange { return PortRange{First: port, Last: port} }

// MaxPortRange is how many ports one range may have, since each becomes an element in the kernel.
const MaxPortRange = 1024

// Valid tells whether the range is in order, within 1 to 65,535, and no longer than MaxPortRange.
func (r PortRange) Valid() bool {
	return r.First > 0 && r.First <= r.Last && int(r.Last)-int(r.First) < MaxPortRange
}

// Covers tells whether other lies within r.
func (r PortRange) Covers(other PortRange) bool {
	return r.First <= other.First && other.Last <= r.Last
}

// Overlaps tells whether r and other share a port.
func (r PortRange) Overlaps(other PortRange) bool {
	return r.First <= other.Last && other.First <= r.Last
}

// String gives "22" or "8000-8010".
func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return strconv.Itoa(int(r.First)) + "-" + strconv.Itoa(int(r.Last))
}

// SessionMode says what becomes of established connections when an opening ends.
type SessionMode string

// The session modes.
const (
	SessionsCut  SessionMode = "cut"  // both ends are reset; the default
	SessionsKeep SessionMode = "keep" // they may go on; only new connections are refused
)

// Limits on what a policy may say.
const (
	MinDuration    = time.Second          // of Postern's own requests; Azure's façade asks for five minutes
	MaxDuration    = 30 * 24 * time.Hour  // of any opening
	DefaultPending = 24 * time.Hour       // how long a request waits for its decision
	DefaultGap     = 15 * time.Minute     // windows of one person that lie less than it apart count as one
	MinGap         = time.Minute          // of a policy's own gap
	MaxGap         = 24 * time.Hour       // likewise
	MaxScheduled   = 365 * 24 * time.Hour // how far ahead a request may start
	MaxRules       = 100                  // port rules for one machine
	MaxSources     = 100                  // prefixes of one rule, and of one item of a request
	MaxItems       = 500                  // items of one request: what one transaction does in a tenth of a second
	MaxText        = 4096                 // bytes of a justification
	MaxTicket      = 256                  // bytes of a ticket's name
)

// Policy is a JIT network access policy: which ports of which machines may be opened, for whom from where, how long.
type Policy struct {
	ID       PolicyID
	Resource ResourceID
	Tenant   TenantID
	Name     string
	Location string
	// each machine at most once; a machine is named by one policy at most. Whoever changes one reads one
	Machines  []MachinePolicy
	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64

	Reach string // by what a policy of a scope reaches the machine, in words; it is never saved
}

// MachinePolicy is what a policy says of one machine.
type MachinePolicy struct {
	Machine  MachineID
	Ports    []PortRule
	Sessions SessionMode
	// 0 keeps openings until they expire; else they close that long after the last contact
	WhenServerIsLost time.Duration
	Justification    JustificationRule
	Ticket           TicketRule
	Approval         Rule          // who must agree; the zero rule approves by itself
	BreakGlass       *BreakGlass   // nil: nobody may open without the approval
	PendingTimeout   time.Duration // how long a request may wait for its decision; 0 means DefaultPending
	Revision         int64         // of the policy, when it last changed what it says of the machine
	Loosened         []Loosening   // who loosened it lately
	Gap              time.Duration // windows of one person that lie less than it apart count as one; 0 means DefaultGap
	Trial            *Trial        // it holds only until somebody confirms it; nil: it stands
}

// Loosening says that somebody made what a policy says of a machine, or an eligibility, less strict, or a network
// wider.
type Loosening struct {
	By  PrincipalID
	At  time.Time
	How []string // in words
}

// LoosenedFor is how long it matters who loosened a policy: what they ask for under it meanwhile is an alert.
const LoosenedFor = 7 * 24 * time.Hour

// maxLoosened bounds how many are remembered of one machine or network; the oldest are forgotten.
const maxLoosened = 20

// Remember returns p with what is remembered of was, the entry that it replaces, and with how somebody loosened it, if
// they did.
func (p MachinePolicy) Remember(was MachinePolicy, by PrincipalID, how []string, now time.Time) MachinePolicy {
	p.Loosened = remember(was.Loosened, by, how, now)
	return p
}

// remember returns what is remembered of before, and how somebody loosened it, if they did.
func remember(before []Loosening, by PrincipalID, how []string, now time.Time) []Loosening {
	list := slices.DeleteFunc(slices.Clone(before), func(l Loosening) bool { return now.Sub(l.At) >= LoosenedFor })
	if len(how) > 0 {
		list = append(list, Loosening{By: by, At: now, How: how})
	}
	if len(list) == 0 {
		return nil
	}
	return list[max(0, len(list)-maxLoosened):]
}

// LoosenedBy returns how any of hands loosened it lately; nothing where they did not.
func (p MachinePolicy) LoosenedBy(hands []PrincipalID, now time.Time) []string {
	var how []string
	for _, l := range p.Loosened {
		if slices.Contains(hands, l.By) && now.Sub(l.At) < LoosenedFor {
			how = append(how, l.How...)
		}
	}
	return how
}

// Apart returns how far apart two windows must lie to count as two.
func (p MachinePolicy) Apart() time.Duration {
	if p.Gap == 0 {
		return DefaultGap
	}
	return p.Gap
}

// PortRule is what may be opened: ports closed by default, and the limits within which a request may open them.
type PortRule struct {
	Ports    PortRange
	Protocol Protocol
	Sources  []netip.Prefix // requests must lie within one of them
	// names of networks whose prefixes count as Sources when a request is made; where both are empty, any address may
	// be
	Networks []string
	Max      time.Duration // the longest opening

	SourceList bool // the source was given as a list of one: who reads back what they wrote finds it so
}

// JustificationRule says what a justification must be.
type JustificationRule struct {
	Required  bool
	MinLength int    // in characters; counts only where Required
	Pattern   string // a regular expression (RE2) that it must match where it is given; empty matches all
}

// TicketRule says what a ticket must be.
type TicketRule struct {
	Required bool
	Pattern  string // a regular expression (RE2) that the whole of it must match; empty matches all
	Checked  bool   // the server's ticket webhook must agree; where it does not answer, the request is refused
}

// BreakGlass says who may open without approval in an emergency, and for how long at the most. Each use leaves a
// debt of review, and whoever has one cannot break glass again.
type BreakGlass struct {
	Groups []PrincipalID
	People []PrincipalID
	Max    time.Duration
}

// Without returns break-glass for everyone but a principal; nil where nobody is left.
func (b *BreakGlass) Without(id PrincipalID) *BreakGlass {
	if b == nil {
		return nil
	}
	is := func(p PrincipalID) bool { return p == id }
	left := BreakGlass{
		Groups: slices.DeleteFunc(slices.Clone(b.Groups), is), People: slices.DeleteFunc(slices.Clone(b.People), is),
		Max: b.Max,
	}
	if len(left.Groups)+len(left.People) == 0 {
		return nil
	}
	return &left
}

// Of gives what the policy says of machine.
func (p Policy) Of(machine MachineID) (MachinePolicy, bool) {
	for _, m := range p.Machines {
		if m.Machine == machine {
			return m, true
		}
	}
	return MachinePolicy{}, false
}

// RecommendedPorts gives the management ports that are guarded when nobody names any, by the operating systems of the
// machines: SSH of Linux, RDP and WinRM of Windows, and all of them where that of one is another, or not known.
func RecommendedPorts(systems ...string) []PortRule {
	ports := []uint16{22, 3389, 5985, 5986}
	only := func(system string) bool {
		return len(systems) > 0 && !slices.ContainsFunc(systems, func(s string) bool { return !strings.EqualFold(s, system) })
	}
	switch {
	case only("linux"):
		ports = ports[:1]
	case only("windows"):
		ports = ports[1:]
	}
	rules := make([]PortRule, 0, 4)
	for _, port := range ports {
		rules = append(rules, PortRule{Ports: SinglePort(port), Protocol: TCP, Max: 3 * time.Hour})
	}
	return rules
}
