package access

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// PortTarget is a port, or a range of them, of one machine, for some sources.
type PortTarget struct {
	Machine  MachineID
	Policy   PolicyID // of the machine, which it was checked against
	Ports    PortRange
	Protocol Protocol
	Sources  []netip.Prefix
}

// Place implements Target: the scope is that of the machine.
func (p PortTarget) Place() Place { return Place{Machine: p.Machine} }

// Site implements Target.
func (p PortTarget) Site() string { return string(p.Machine) }

// Guard implements Target.
func (p PortTarget) Guard() Guard { return Guard{Policy: p.Policy} }

// Action implements Target.
func (PortTarget) Action() string { return InitiateAction }

// Title implements Target.
func (p PortTarget) Title() string { return "port " + p.Ports.String() }

// Label implements Target.
func (p PortTarget) Label(site string) string { return p.Title() + " of " + site }

// Text implements Target.
func (p PortTarget) Text() string {
	return fmt.Sprintf("machine %s ports %s/%s from %s", p.Machine, p.Ports, p.Protocol, joinPrefixes(p.Sources))
}

// Notice implements Target.
func (p PortTarget) Notice(names Names) NoticeItem {
	return NoticeItem{
		Machine: cmp.Or(names.Machines[p.Machine], string(p.Machine)), Ports: p.Ports, Protocol: p.Protocol,
		Sources: slices.Clone(p.Sources),
	}
}

// Alike implements Target: the policy does not count either.
func (p PortTarget) Alike(other Target) bool {
	o, is := other.(PortTarget)
	return is && p.Machine == o.Machine && p.Ports == o.Ports && p.Protocol == o.Protocol
}

// Overlaps implements Target, whatever the sources.
func (p PortTarget) Overlaps(other Target) bool {
	o, is := other.(PortTarget)
	return is && p.Machine == o.Machine && p.Ports.Overlaps(o.Ports) && p.Protocol.Overlaps(o.Protocol)
}

// Merges implements Target.
func (PortTarget) Merges() bool { return true }

// Openings implements Target. A source that no element could stand for opens nothing.
func (p PortTarget) Openings() []OpeningKey {
	var keys []OpeningKey
	for _, source := range p.Sources {
		source, ok := CanonicalPrefix(source)
		if !ok {
			continue
		}
		for _, transport := range p.Protocol.Transports() {
			keys = append(keys, OpeningKey{Machine: p.Machine, Source: source, Protocol: transport, Ports: p.Ports})
		}
	}
	return keys
}

func (p PortTarget) clone() Target {
	p.Sources = slices.Clone(p.Sources)
	return p
}

func (p PortTarget) under(policy PolicyID) Target {
	p.Policy = policy
	return p
}

func (p PortTarget) covers(older Target) bool {
	o, is := older.(PortTarget)
	return is && p.Alike(o) && sameSources(p.Sources, o.Sources)
}

func (p PortTarget) sources() []netip.Prefix { return p.Sources }

func (p PortTarget) at(sources []netip.Prefix) Target {
	p.Sources = slices.Clone(sources)
	return p
}

func (PortTarget) settles() bool { return false }

// reachable leaves out the half of "from anywhere" whose family the machine has no address of: behind a gateway nothing
// could come to it that way, so nothing is missing. A family that was asked for by name stays, and is reported missing.
// Without any addresses all stay.
func (p PortTarget) reachable(addresses []netip.Addr) Target {
	if len(addresses) == 0 || !Anywhere(p.Sources) {
		return p
	}
	has := func(four bool) bool {
		return slices.ContainsFunc(addresses, func(a netip.Addr) bool { return a.Unmap().Is4() == four })
	}
	p.Sources = slices.DeleteFunc(slices.Clone(p.Sources),
		func(s netip.Prefix) bool { return s.Bits() == 0 && !has(s.Addr().Is4()) })
	return p
}

func (p PortTarget) form(b []byte, it Item) []byte {
	return fmt.Appendf(b, "item %q %q %d %s %q %v %d %d\n", p.Machine, p.Policy, it.PolicyRevision, p.Ports, p.Protocol,
		p.Sources, it.Duration, micros(it.Until))
}

func (p PortTarget) record(e *Event, _ PrincipalID) {
	e.Machine = p.Machine
	e.Details["ports"], e.Details["protocol"] = p.Ports.String(), string(p.Protocol)
	e.Details["sources"] = joinPrefixes(p.Sources)
}

func (p PortTarget) sum(s *summary) {
	s.ports = appendNew(s.ports, p.Ports.String()+"/"+string(p.Protocol))
	s.sources = appendNew(s.sources, joinPrefixes(p.Sources))
}
