package access

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// OpeningKey is what tells two openings apart.
type OpeningKey struct {
	Machine  MachineID
	Source   netip.Prefix // canonical: masked, and never IPv4 written as IPv6
	Protocol Protocol     // TCP or UDP, never AnyProtocol
	Ports    PortRange
}

// Opening is (source prefix, protocol, ports, until) on a machine: the union of the live grants for it.
type Opening struct {
	OpeningKey

	Until      time.Time
	CloseAfter time.Duration // 0 keeps it until Until; else it closes that long after the last contact with the server
	Grants     []GrantID     // those that it is made of, the one that ends last first
}

// Protected is a port range that is closed unless an opening says otherwise.
type Protected struct {
	Machine  MachineID
	Protocol Protocol // TCP or UDP, never AnyProtocol
	Ports    PortRange
	Sessions SessionMode
}

// Guarded is a machine that an agent guards.
type Guarded struct {
	Machine   MachineID
	Name      string
	Addresses []netip.Addr // what a gateway matches as destination; not looked at in host mode
}

// DesiredState is everything that should hold at one enforcement point, and the number of that state.
//
// Instants are those of the clock that the holder counts on: the server's wall clock in the server, and the
// boot-time clock in an agent, which receives what remains of each opening and not its end.
type DesiredState struct {
	Agent     AgentID
	Epoch     string // revisions of different epochs say nothing of which is newer
	Revision  int64
	Mode      Mode
	Machines  []Guarded
	Protected []Protected
	Openings  []Opening
	Ended     []GrantID // grants that have ended and were not yet seen gone: the agent looks, and reports

	// What is protected for a time alone unless it is confirmed: at most one for each machine. Protected has it, too.
	Trials []Unconfirmed

	Stream Stream // who is served with it

	Codes []SealedCode // what codes for emergencies are verified by, while the server is out of reach
}

// MaxSealedCodes is how many codes an agent keeps, of all its machines.
const MaxSealedCodes = 10_000

// SealedCode is what a code is verified by that opens a machine once while the server is out of reach.
type SealedCode struct {
	ID      string
	Machine MachineID
	Hash    string        // SHA-256 of the code without its dashes, hex
	Most    time.Duration // the longest opening with it
	Until   time.Time     // it is good until then
}

// Scene is what the desired state of one agent is derived from.
type Scene struct {
	Agent    Agent
	Machines []Machine       // those that the agent guards
	Policies []MachinePolicy // of those that name the machines, at most one for each
	Scopes   []ScopePolicy   // of the tenants of the machines, whether they reach one or not
	Grants   []Grant         // of those machines: all that have not ended, and the ended that were not seen gone
}

// Desired derives what should hold at now. It does not depend on the order of anything in the scene. A scheduled grant
// is not part of it, though its start has come: whoever calls Begin looks first whether it may still open.
func Desired(s Scene, now time.Time) DesiredState {
	d := DesiredState{
		Agent: s.Agent.ID, Epoch: s.Agent.Epoch, Revision: s.Agent.Revision, Mode: s.Agent.Mode,
		Stream: s.Agent.Stream,
	}
	for _, m := range s.Machines {
		d.Machines = append(d.Machines, Guarded{Machine: m.ID, Name: m.Name, Addresses: slices.Clone(m.Addresses)})
	}
	guards, trials := s.guards(now)
	for _, policies := range guards {
		d.Protected = append(d.Protected, protectedBy(policies)...)
	}
	d.Trials = trials
	var live []Grant
	addresses := make(map[MachineID][]netip.Addr, len(s.Machines))
	if s.Agent.Mode == ModeGateway {
		for _, m := range s.Machines {
			addresses[m.ID] = m.Addresses
		}
	}
	for _, g := range s.Grants {
		switch {
		case g.Live(now):
			g.Target = g.Target.reachable(addresses[g.Place().Machine])
			live = append(live, g)
		case g.State.Ended() && g.ClosedAt.IsZero(), !g.State.Ended() && !now.Before(g.End):
			d.Ended = append(d.Ended, g.ID)
		}
	}
	d.Openings = Union(live, guards)
	return d.sorted()
}

// protectedBy returns what policies protect of the one machine that each of them names.
func protectedBy(policies []Policy) (all []Protected) {
	for _, p := range policies {
		entry := p.Machines[0]
		for _, rule := range entry.Ports {
			for _, transport := range rule.Protocol.Transports() {
				all = append(all, Protected{
					Machine: entry.Machine, Protocol: transport, Ports: rule.Ports, Sessions: sessions(entry),
				})
			}
		}
	}
	return all
}

// guards returns what guards each machine, and what of that waits to be confirmed.
func (s Scene) guards(now time.Time) (guards map[MachineID][]Policy, trials []Unconfirmed) {
	own := make(map[MachineID]Policy, len(s.Policies))
	for _, p := range s.Policies {
		own[p.Machine] = Policy{Machines: []MachinePolicy{p}}
	}
	guards = make(map[MachineID][]Policy, len(s.Machines))
	for _, m := range s.Machines {
		p := own[m.ID]
		if entry, named := p.Of(m.ID); named && entry.Trial != nil {
			former := entry.Trial.former(p, m.ID)
			if entry.Trial.Pending(now) {
				trials = append(trials, Unconfirmed{
					Trial: entry.Trial.ID, Machine: m.ID, Until: entry.Trial.Until,
					Former: protectedBy(Guards(m, former, s.Scopes)),
				})
			} else {
				p = former
			}
		}
		guards[m.ID] = Guards(m, p, s.Scopes)
	}
	return guards, trials
}

// Anywhere reports whether the sources hold every address of both families.
func Anywhere(sources []netip.Prefix) bool {
	return slices.Contains(sources, netip.PrefixFrom(netip.IPv4Unspecified(), 0)) &&
		slices.Contains(sources, netip.PrefixFrom(netip.IPv6Unspecified(), 0))
}

// Union gives the openings that the grants make together: for each key the latest end, and every grant behind it.
// guards says how long an opening outlives the contact with the server; a machine without any keeps it until its end.
func Union(live []Grant, guards map[MachineID][]Policy) []Opening {
	byKey := make(map[OpeningKey][]Grant)
	for _, g := range live {
		for _, key := range g.Target.Openings() {
			byKey[key] = append(byKey[key], g)
		}
	}
	openings := make([]Opening, 0, len(byKey))
	for key, grants := range byKey {
		slices.SortFunc(grants, func(a, b Grant) int { return cmp.Or(b.End.Compare(a.End), cmp.Compare(a.ID, b.ID)) })
		o := Opening{OpeningKey: key, Until: grants[0].End}
		if entry, guarded := Ruling(guards[key.Machine], key.Ports, key.Protocol).Of(key.Machine); guarded {
			o.CloseAfter = entry.WhenServerIsLost
		}
		for _, g := range grants {
			if !slices.Contains(o.Grants, g.ID) {
				o.Grants = append(o.Grants, g.ID)
			}
		}
		openings = append(openings, o)
	}
	slices.SortFunc(openings, func(a, b Opening) int { return a.compare(b.OpeningKey) })
	return openings
}

func sessions(p MachinePolicy) SessionMode {
	if p.Sessions == "" {
		return SessionsCut
	}
	return p.Sessions
}

func (d DesiredState) sorted() DesiredState {
	slices.SortFunc(d.Machines, func(a, b Guarded) int { return cmp.Compare(a.Machine, b.Machine) })
	d.Protected = sortedProtected(d.Protected)
	for i := range d.Trials {
		d.Trials[i].Former = sortedProtected(d.Trials[i].Former)
	}
	slices.SortFunc(d.Trials, func(a, b Unconfirmed) int { return cmp.Compare(a.Machine, b.Machine) })
	slices.Sort(d.Ended)
	return d
}

func sortedProtected(all []Protected) []Protected {
	slices.SortFunc(all, func(a, b Protected) int {
		return cmp.Or(cmp.Compare(a.Machine, b.Machine), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.Ports.First, b.Ports.First), cmp.Compare(a.Ports.Last, b.Ports.Last),
			cmp.Compare(a.Sessions, b.Sessions))
	})
	return slices.Compact(all) // two rules may guard one port for different sources
}

func (k OpeningKey) compare(other OpeningKey) int {
	return cmp.Or(cmp.Compare(k.Machine, other.Machine), k.Source.Compare(other.Source),
		cmp.Compare(k.Protocol, other.Protocol),
		cmp.Compare(k.Ports.First, other.Ports.First), cmp.Compare(k.Ports.Last, other.Ports.Last))
}

// GrantStatus is what an agent says of one grant.
type GrantStatus string

// What an agent may say of a grant.
const (
	StatusOpen    GrantStatus = "open"    // every element of it is in the kernel but for what Detail names, and why
	StatusClosed  GrantStatus = "closed"  // looked, and no element of it is there
	StatusDrifted GrantStatus = "drifted" // it was there, and somebody else took it away; being put back
	StatusFailed  GrantStatus = "failed"  // it could not be put there, and nothing of it is
)

// Observation is what an enforcer saw of one grant.
type Observation struct {
	Grant   GrantID
	Status  GrantStatus
	Detail  string
	Packets uint64 // counted by the kernel so far
	Bytes   uint64
}

// Denied is a group of refused attempts to connect to a protected port.
type Denied struct {
	Machine  MachineID
	Source   netip.Addr
	Protocol Protocol
	Port     uint16
	Count    uint64
}

// Report is what an agent says it really has.
type Report struct {
	Epoch        string        // of the revision; empty from an agent that knows of none
	Revision     int64         // the desired state that these observations are of
	Skew         time.Duration // the agent's wall clock minus the server's, as the agent measured it
	Observations []Observation // of every grant whose status is new, and of all after a reconnect
	Denied       []Denied      // since the last report
	Drift        []string      // what somebody else changed of our rules, in words
	Problem      string        // what it cannot do now; empty when all is well
	Foreign      []ForeignRule // all rules of other firewall tables that touch guarded ports
	Version      string
}
