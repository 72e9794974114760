package access

import (
	"slices"
)

// RuleChange is what becomes of a stretch of ports between two lists of rules.
type RuleChange struct {
	Ports    PortRange
	Protocol Protocol  // tcp or udp; any where the same becomes of both
	Was      *PortRule // what held for them; nil: they were not guarded
	Will     *PortRule // what will; nil: they will not be guarded
}

// DiffRules returns what changes from one list of rules to another, by port, TCP before UDP: as few stretches as say
// it. Of several rules of one list for a port the first counts; what is said alike in both does not change.
func DiffRules(was, will []PortRule) []RuleChange {
	tcp, udp := diffTransport(was, will, TCP), diffTransport(was, will, UDP)
	changes := make([]RuleChange, 0, len(tcp)+len(udp))
	for _, c := range tcp {
		if i := slices.IndexFunc(udp, func(u RuleChange) bool {
			return u.Ports == c.Ports && sameRule(u.Was, c.Was) && sameRule(u.Will, c.Will)
		}); i >= 0 {
			c.Protocol = AnyProtocol
			udp = slices.Delete(udp, i, i+1)
		}
		changes = append(changes, c)
	}
	changes = append(changes, udp...)
	slices.SortStableFunc(changes, func(a, b RuleChange) int { return int(a.Ports.First) - int(b.Ports.First) })
	return changes
}

// diffTransport is DiffRules for one transport.
func diffTransport(was, will []PortRule, transport Protocol) (changes []RuleChange) {
	var starts []int // of stretches in which the same rules hold
	for _, r := range slices.Concat(was, will) {
		starts = append(starts, int(r.Ports.First), int(r.Ports.Last)+1)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	for i := range len(starts) - 1 {
		ports := PortRange{First: uint16(starts[i]), Last: uint16(starts[i+1] - 1)} //nolint:gosec // within the rules' own
		c := RuleChange{
			Ports: ports, Protocol: transport, Was: ruleFor(was, ports, transport), Will: ruleFor(will, ports, transport),
		}
		if sameRule(c.Was, c.Will) {
			continue
		}
		if n := len(changes); n > 0 && int(changes[n-1].Ports.Last)+1 == starts[i] &&
			sameRule(changes[n-1].Was, c.Was) && sameRule(changes[n-1].Will, c.Will) {
			changes[n-1].Ports.Last = ports.Last
			continue
		}
		changes = append(changes, c)
	}
	return changes
}

func ruleFor(rules []PortRule, ports PortRange, transport Protocol) *PortRule {
	for _, r := range rules {
		if r.Ports.Covers(ports) && r.Protocol.Covers(transport) {
			return &r
		}
	}
	return nil
}

// sameRule reports whether two rules say the same of a port, however they are written.
func sameRule(a, b *PortRule) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Max == b.Max && slices.Equal(sorted(a.Networks), sorted(b.Networks)) &&
		slices.Equal(prefixTexts(a.Sources), prefixTexts(b.Sources))
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func prefixTexts[T interface{ String() string }](prefixes []T) []string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	slices.Sort(texts)
	return texts
}
