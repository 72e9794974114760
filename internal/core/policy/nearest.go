package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// ask is what an item asks of a rule. What was wrong in itself is left out, so that it is not refused twice.
type ask struct {
	ports       access.PortRange
	protocol    access.Protocol // empty: any that the rule has
	sources     []netip.Prefix  // canonical
	length      time.Duration   // 0: unknown
	lengthField string          // "duration" or "until"
	grace       time.Duration   // by which it may be longer than the longest
}

// miss is one respect in which a rule does not cover what is asked.
type miss int

const (
	missPorts miss = iota
	missProtocol
	missSources
	missLength
)

// misses gives every respect in which rule does not cover a, the weightiest first.
func (a ask) misses(rule access.PortRule) []miss {
	var all []miss
	if !rule.Ports.Covers(a.ports) {
		all = append(all, missPorts)
	}
	if a.protocol != "" && !rule.Protocol.Covers(a.protocol) {
		all = append(all, missProtocol)
	}
	if len(outside(a.sources, rule)) > 0 {
		all = append(all, missSources)
	}
	if a.length > rule.Max {
		all = append(all, missLength)
	}
	return all
}

// outside gives those sources that lie within none of the rule's prefixes.
func outside(sources []netip.Prefix, rule access.PortRule) []netip.Prefix {
	if len(rule.Sources)+len(rule.Networks) == 0 {
		return nil
	}
	var out []netip.Prefix
	for _, s := range sources {
		if !slices.ContainsFunc(rule.Sources, func(outer netip.Prefix) bool {
			outer, ok := access.CanonicalPrefix(outer)
			return ok && access.PrefixWithin(s, outer)
		}) {
			out = append(out, s)
		}
	}
	return out
}

// nearest gives the first rule that covers a, with no misses; or else the first that would if a ended a little sooner;
// or else the one that comes nearest, and how it misses. rules must not be empty.
func nearest(rules []access.PortRule, a ask) (access.PortRule, []miss) {
	best, bestMisses, bestFar := access.PortRule{}, []miss(nil), -1
	for _, rule := range rules {
		misses := a.misses(rule)
		if far := a.far(rule, misses); bestFar < 0 || far < bestFar {
			best, bestMisses, bestFar = rule, misses, far
		}
	}
	if len(bestMisses) > 0 && a.grace > 0 {
		a.length, a.grace = max(0, a.length-a.grace), 0
		if rule, misses := nearest(rules, a); len(misses) == 0 {
			return rule, nil
		}
	}
	return best, bestMisses
}

// Longest returns for how long a policy lets the port be opened, by whichever of its rules lets it longest, and 0 where
// none does.
func Longest(p access.MachinePolicy, port access.PortTarget) (longest time.Duration) {
	for _, rule := range p.Ports {
		if len(ask{ports: port.Ports, protocol: port.Protocol, sources: port.Sources}.misses(rule)) == 0 {
			longest = max(longest, rule.Max)
		}
	}
	return longest
}

// far orders rules by how badly they miss: each respect weighs more than all that follow it, and of rules that miss
// the ports those are nearer that have some of them.
func (a ask) far(rule access.PortRule, misses []miss) int {
	far := 0
	for _, m := range misses {
		switch m {
		case missPorts:
			far += 16
			if rule.Ports.Overlaps(a.ports) {
				far -= 8
			}
		case missProtocol:
			far += 4
		case missSources:
			far += 2
		case missLength:
			far++
		}
	}
	return far
}

// reason says in which limit of rule the item does not fit, and what would be allowed. path is that of the item.
func (m miss) reason(path string, item Item, rule access.PortRule, a ask) access.Reason {
	switch m {
	case missPorts:
		hint := ""
		if slices.ContainsFunc(item.Policy.Ports, func(r access.PortRule) bool { return r.Ports.Overlaps(a.ports) }) {
			hint = "; each item lies within one of these"
		}
		return access.Reason{
			Code: "portNotInPolicy", Field: path + ".ports",
			Message: fmt.Sprintf("%s cannot be opened on %s; what can be opened is %s%s", portsText(a.ports),
				item.label(), ruleList(item.Policy.Ports), hint),
		}
	case missProtocol:
		return access.Reason{
			Code: "protocolNotInPolicy", Field: path + ".protocol",
			Message: fmt.Sprintf("%s of %s can be opened for %s, not for %s", portsText(rule.Ports), item.label(),
				rule.Protocol, a.protocol),
		}
	case missSources:
		return access.Reason{
			Code: "sourceNotAllowed", Field: path + ".sources",
			Message: fmt.Sprintf("%s of %s can be opened for sources within %s, not for %s", ruleText(rule),
				item.label(), prefixList(rule.Sources), prefixList(outside(a.sources, rule))),
		}
	case missLength:
		return access.Reason{
			Code: "durationTooLong", Field: path + "." + a.lengthField,
			Message: fmt.Sprintf("%s of %s can be opened for at most %s, not for %s", ruleText(rule), item.label(),
				duration(rule.Max), duration(a.length)),
		}
	}
	return access.Reason{}
}

func portsText(r access.PortRange) string {
	if r.First == r.Last {
		return "port " + r.String()
	}
	return "ports " + r.String()
}

func ruleText(r access.PortRule) string { return portsText(r.Ports) + "/" + string(r.Protocol) }

// mostListed bounds how much of a policy one message repeats.
const mostListed = 10

func ruleList(rules []access.PortRule) string {
	var texts []string
	for _, r := range rules {
		if text := r.Ports.String() + "/" + string(r.Protocol); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return list(texts)
}

func prefixList(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return list(texts)
}

func list(texts []string) string {
	if more := len(texts) - mostListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:mostListed], ", "), more)
	}
	return strings.Join(texts, ", ")
}
