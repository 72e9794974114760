package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// minLoss is the shortest time without the server after which openings may close: less would close them at each of the
// agent's heart-beats.
const minLoss = time.Second

// Validate gives every reason for which p cannot be written as a policy; none where it can.
//
// Two rules may be for the same ports and protocol where their sources differ, so that an office may open for longer
// than the rest; with the same sources one of them would never count, and that is refused.
func Validate(p access.MachinePolicy) []access.Reason {
	var f findings
	switch n := len(p.Ports); {
	case n == 0:
		f.refuse("noPorts", "ports", "a policy names at least one port; to guard none, delete it")
	case n > access.MaxRules:
		f.refuse("tooManyRules", "ports", "the policy has %d rules for one machine; %d are allowed", n, access.MaxRules)
		return f.reasons
	}
	for i, rule := range p.Ports {
		f.rule(fmt.Sprintf("ports[%d]", i), rule)
	}
	f.duplicates(p.Ports)
	switch p.Sessions {
	case "", access.SessionsCut, access.SessionsKeep:
	default:
		f.refuse("malformedSessions", "sessions", "sessions %q is not known; use cut or keep", clip(string(p.Sessions)))
	}
	if d := p.WhenServerIsLost; d != 0 && (d < minLoss || d > access.MaxDuration) {
		f.refuse("closeAfterOutOfRange", "whenServerIsLost",
			"openings can close %s to %s after the server was lost, not %s", duration(minLoss),
			duration(access.MaxDuration), duration(d))
	}
	f.terms(p)
	if g := p.BreakGlass; g != nil {
		if len(g.Groups)+len(g.People) == 0 || len(g.Groups)+len(g.People) > maxNamed {
			f.refuse("emptyBreakGlass", "breakGlass",
				"name 1 to %d groups or people who may use break-glass access, or leave it out", maxNamed)
		}
		if g.Max < access.MinDuration || g.Max > access.MaxDuration {
			f.refuse("maxOutOfRange", "breakGlass.max", "an emergency can last %s to %s, not %s",
				duration(access.MinDuration), duration(access.MaxDuration), duration(g.Max))
		}
	}
	return f.reasons
}

// terms looks at what is asked of a request, whether for ports or for a role.
func (f *findings) terms(p access.MachinePolicy) {
	if d := p.PendingTimeout; d != 0 && (d < access.MinDuration || d > access.MaxDuration) {
		f.refuse("pendingTimeoutOutOfRange", "pendingTimeout", "requests can wait %s to %s for a decision, not %s",
			duration(access.MinDuration), duration(access.MaxDuration), duration(d))
	}
	if d := p.Gap; d != 0 && (d < access.MinGap || d > access.MaxGap) {
		f.refuse("gapOutOfRange", "gap", "the gap between windows can be %s to %s, not %s", duration(access.MinGap),
			duration(access.MaxGap), duration(d))
	}
	if n := p.Justification.MinLength; n < 0 || n > access.MaxText {
		f.refuse("minLengthOutOfRange", "justification.minLength", "%d is not a length from 0 to %d", n, access.MaxText)
	}
	f.pattern("justification.pattern", p.Justification.Pattern)
	f.pattern("ticket.pattern", p.Ticket.Pattern)
}

type findings struct{ reasons []access.Reason }

const maxPattern = 512 // bytes of a regular expression

// pattern refuses what is no regular expression, or a larger one than RE2 could hold against a long text in passing.
func (f *findings) pattern(field, text string) {
	if len(text) > maxPattern {
		f.refuse("patternTooLong", field, "the pattern has %d bytes; %d are allowed", len(text), maxPattern)
		return
	}
	switch _, err := access.PatternSize(text); {
	case access.CodeOf(err) == "patternTooLarge":
		f.refuse("patternTooLarge", field, "the pattern is too large: %v", err)
	case err != nil:
		f.refuse("malformedPattern", field, "the pattern is not a regular expression (RE2): %v", err)
	}
}

func (f *findings) refuse(code, field, format string, args ...any) {
	f.reasons = append(f.reasons, access.Reason{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (f *findings) rule(path string, rule access.PortRule) {
	switch {
	case rule.Ports.First == 0 || rule.Ports.Last < rule.Ports.First:
		f.refuse("malformedPorts", path+".ports", "ports %s are not a range within 1 to 65535", rule.Ports)
	case !rule.Ports.Valid():
		f.refuse("portRangeTooLong", path+".ports",
			"ports %s are more than the %d that one rule may have; write several rules", rule.Ports,
			access.MaxPortRange)
	}
	switch rule.Protocol {
	case access.TCP, access.UDP, access.AnyProtocol:
	default:
		f.refuse("malformedProtocol", path+".protocol", "protocol %q is not known; use tcp, udp or any",
			clip(string(rule.Protocol)))
	}
	if rule.Max < access.MinDuration || rule.Max > access.MaxDuration {
		f.refuse("maxOutOfRange", path+".max", "the longest opening can be %s to %s, not %s",
			duration(access.MinDuration), duration(access.MaxDuration), duration(rule.Max))
	}
	if n := len(rule.Sources) + len(rule.Networks); n > access.MaxSources {
		f.refuse("tooManySources", path+".sources", "the rule has %d sources; %d are allowed", n, access.MaxSources)
		return
	}
	for i, name := range rule.Networks {
		if !access.IsNetworkName(name) {
			f.refuse("malformedSource", fmt.Sprintf("%s.networks[%d]", path, i),
				"%q is neither a prefix nor the name of a network", clip(name))
		}
	}
	for i, s := range rule.Sources {
		field := fmt.Sprintf("%s.sources[%d]", path, i)
		c, why := canonical(s)
		switch {
		case why != "":
			f.refuse("malformedSource", field, "%s", why)
		case slices.Contains(rule.Sources[:i], c):
			f.refuse("duplicateSource", field, "source %s is there already", c)
		case c != s:
			f.refuse("malformedSource", field, "source %s is IPv4 written as IPv6; write %s", s, c)
		}
	}
}

// canonical gives the canonical form of s, or says why there is none or what it probably is.
func canonical(s netip.Prefix) (c netip.Prefix, why string) {
	c, ok := access.CanonicalPrefix(s)
	switch {
	case !ok:
		return c, fmt.Sprintf("source %s is not a prefix of IPv4 or of IPv6", s)
	case c.Addr() != s.Addr().Unmap():
		return c, fmt.Sprintf("source %s has bits behind its length; its prefix is %s", s, c)
	}
	return c, access.NoSource(c)
}

// duplicates refuses rules for the same ports, protocol and sources as one before.
func (f *findings) duplicates(rules []access.PortRule) {
	seen := make(map[string]int, len(rules))
	for i, rule := range rules {
		key := fmt.Sprintf("%s %q %v %q", rule.Ports, rule.Protocol,
			slices.SortedFunc(slices.Values(rule.Sources), netip.Prefix.Compare),
			slices.Sorted(slices.Values(rule.Networks)))
		if first, ok := seen[key]; ok {
			f.refuse("duplicateRule", fmt.Sprintf("ports[%d]", i),
				"ports[%d] is for the same ports, protocol and sources; keep the one whose longest opening you mean",
				first)
			continue
		}
		seen[key] = i
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
