package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Input is a request as it is judged.
type Input struct {
	Items         []Item
	Start         time.Time // zero: at approval
	Justification string
	Ticket        string
}

// Item is an item as somebody asks it, and what it is judged by. A port may have no protocol, which means the rule's.
type Item struct {
	access.Item

	Name        string                // of the machine or the role, for the messages
	Policy      *access.MachinePolicy // what guards the machine, nil where nothing does; the terms of the eligibility
	Eligibility *access.Eligibility   // by which a role is asked for; nil for a port
	Disabled    string                // says that just-in-time access is disabled for the machine; empty where it is not
	// when what is extended opened, from which its length is counted; zero where nothing is extended
	Since time.Time
}

// Verdict says whether a request lies within its policies. Items and Wait count only where it does.
type Verdict struct {
	Refusals []access.Reason // every one, in the order of the input; none: it lies within
	Items    []Judged        // one for each item of the input
	Wait     time.Duration   // how long it may stay pending: the shortest of its policies
}

// Judged is an item as it is to be kept: completed by the rule that covers it, with sources in canonical form, each
// once and in order, and an end that lies a little beyond the longest cut to that.
type Judged struct {
	access.Item

	Rule    access.PortRule // that covers it, of a port
	Longest time.Duration   // that is allowed
	key     string          // of what it asks for; empty where its form is wrong, so that it is like no other
	again   string          // says that it asks for the same as another item
}

// Disabled is the code of what is refused because just-in-time access is disabled for its scope.
const Disabled = "disabledByPolicy"

const (
	// startGrace is how far back a start may lie: what a form or a slow clock takes.
	startGrace = time.Minute

	// EndGrace is how far an end may lie beyond the longest, which it is then cut to: the end that a client reckons by
	// its own clock lies so much later as that clock is ahead, and the longest opening is what people ask for most.
	EndGrace = time.Minute
)

// Evaluate tells whether in lies within its policies at now.
//
// An item must be covered by a single rule: when several cover it, the first counts, and when none does, the reasons
// are those of the nearest rule, in which ports count most, then the protocol, then sources, then the time.
func Evaluate(in Input, now time.Time) Verdict {
	e := evaluation{in: in, now: now, start: now}
	switch n := len(in.Items); {
	case n == 0:
		e.refuse("noItems", "items", "name at least one port of one machine")
	case n > access.MaxItems:
		e.refuse("tooManyItems", "items", "the request has %d items; %d are allowed", n, access.MaxItems)
		return e.verdict // looking at each of them is what the limit is for
	}
	e.checkStart()
	for i, item := range in.Items {
		e.verdict.Items = append(e.verdict.Items, access.Match(item.Target,
			func(port access.PortTarget) Judged { return e.checkPort(i, item, port) },
			func(role access.RoleTarget) Judged { return e.checkRole(i, item, role) }))
	}
	e.checkDuplicates()
	e.checkTexts()
	return e.verdict
}

type evaluation struct {
	verdict Verdict
	in      Input
	now     time.Time
	start   time.Time // when the openings would begin
}

func (e *evaluation) refuse(code, field, format string, args ...any) {
	e.verdict.Refusals = append(e.verdict.Refusals,
		access.Reason{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (e *evaluation) checkStart() {
	start := e.in.Start
	switch {
	case start.IsZero():
		return
	case start.Before(e.now.Add(-startGrace)):
		e.refuse("startInPast", "start", "the start %s lies in the past; leave it out to start at once", instant(start))
	case start.After(e.now.Add(access.MaxScheduled)):
		e.refuse("startTooFarAhead", "start", "the start %s lies too far ahead; the latest that is allowed is %s",
			instant(start), instant(e.now.Add(access.MaxScheduled)))
	}
	if start.After(e.start) {
		e.start = start
	}
}

// checkPort looks at item i, which asks for a port: at its form, and where that is right, at its policy.
func (e *evaluation) checkPort(i int, item Item, port access.PortTarget) Judged {
	field := func(name string) string { return fmt.Sprintf("items[%d].%s", i, name) }
	out := Judged{Item: item.Item}
	formed := port.Ports.Valid()
	if !formed {
		e.refuse("malformedPorts", field("ports"), "ports %s are not a range within 1 to 65535 of at most %d ports",
			port.Ports, access.MaxPortRange)
	}
	switch port.Protocol {
	case "", access.TCP, access.UDP, access.AnyProtocol:
	default:
		formed = false
		e.refuse("malformedProtocol", field("protocol"), "protocol %q is not known; use tcp, udp or any",
			clip(string(port.Protocol)))
	}
	before := len(e.verdict.Refusals)
	port.Sources = e.checkSources(field("sources"), port.Sources)
	sound := formed && len(e.verdict.Refusals) == before
	asked := ask{ports: port.Ports, protocol: port.Protocol, sources: slices.Clone(port.Sources)}
	asked.length, asked.lengthField = e.checkLength(field, item)
	if !item.Until.IsZero() {
		asked.grace = EndGrace
	}

	if item.Disabled != "" {
		e.refuse(Disabled, field("machine"), "access to %s cannot be requested: %s", item.label(), item.Disabled)
	}
	switch {
	case item.Policy == nil || len(item.Policy.Ports) == 0:
		e.refuse("machineNotConfigured", field("machine"), "no policy guards %s: ask an administrator to configure one",
			item.label())
	case formed: // else there is nothing to compare with the rules
		rule, misses := nearest(item.Policy.Ports, asked)
		for _, m := range misses {
			e.verdict.Refusals = append(e.verdict.Refusals, m.reason(fmt.Sprintf("items[%d]", i), item, rule, asked))
		}
		out.Rule, out.Longest, out.Until = rule, rule.Max, e.cut(item, asked.length, rule.Max)
		if port.Protocol == "" {
			port.Protocol = rule.Protocol
		}
		e.wait(*item.Policy)
	}
	slices.SortFunc(port.Sources, netip.Prefix.Compare)
	out.Target = port
	if sound {
		out.key = fmt.Sprintf("%q %s %q %v", port.Machine, port.Ports, port.Protocol, port.Sources)
		out.again = "the same ports of " + item.label() + " from the same sources"
	}
	return out
}

// cut returns the end of an item that names one, cut to the longest.
func (e *evaluation) cut(item Item, length, longest time.Duration) time.Time {
	if !item.Until.IsZero() && length > longest {
		return e.from(item).Add(longest)
	}
	return item.Until
}

// from returns from when the length of an item is counted.
func (e *evaluation) from(item Item) time.Time {
	if !item.Since.IsZero() {
		return item.Since
	}
	return e.start
}

// wait lowers how long the request may stay pending to what the policy allows.
func (e *evaluation) wait(p access.MachinePolicy) {
	wait := p.PendingTimeout
	if wait <= 0 {
		wait = access.DefaultPending
	}
	if e.verdict.Wait == 0 || wait < e.verdict.Wait {
		e.verdict.Wait = wait
	}
}

// checkSources gives the sources in canonical form, each once, without those that have none.
func (e *evaluation) checkSources(field string, sources []netip.Prefix) []netip.Prefix {
	switch n := len(sources); {
	case n == 0:
		e.refuse("sourceMissing", field, "name at least one address or prefix to open the ports for")
	case n > access.MaxSources:
		e.refuse("tooManySources", field, "the item has %d sources; %d are allowed", n, access.MaxSources)
		return nil
	}
	var clean []netip.Prefix
	for i, s := range sources {
		c, why := canonical(s)
		switch {
		case why != "":
			e.refuse("malformedSource", fmt.Sprintf("%s[%d]", field, i), "%s", why)
		case !slices.Contains(clean, c):
			clean = append(clean, c)
		}
	}
	return clean
}

// checkLength gives how long the item would be open, and the field that says so; 0 where that is unclear or wrong in
// itself.
func (e *evaluation) checkLength(field func(string) string, item Item) (time.Duration, string) {
	name := "duration"
	length := item.Duration
	switch {
	case item.Duration != 0 && !item.Until.IsZero():
		e.refuse("untilAndDuration", field("until"), "give the duration or the end, not both")
		return 0, name
	case item.Until.IsZero() && item.Duration == 0:
		e.refuse("durationMissing", field("duration"), "say for how long, or until when")
		return 0, name
	case !item.Until.IsZero():
		name = "until"
		length = item.Until.Sub(e.from(item))
		if length <= 0 {
			e.refuse("endBeforeStart", field(name), "the end %s does not lie after the start %s", instant(item.Until),
				instant(e.from(item)))
			return 0, name
		}
	}
	if length < access.MinDuration {
		e.refuse("tooShort", field(name), "%s is too short; the shortest opening is %s", duration(length),
			duration(access.MinDuration))
		return 0, name
	}
	return length, name
}

// checkDuplicates refuses an item that asks for the same as one before it.
func (e *evaluation) checkDuplicates() {
	seen := make(map[string]int, len(e.in.Items))
	for i, judged := range e.verdict.Items {
		if judged.key == "" {
			continue
		}
		if first, ok := seen[judged.key]; ok {
			e.refuse("duplicateItem", fmt.Sprintf("items[%d]", i), "items[%d] asks for %s", first, judged.again)
			continue
		}
		seen[judged.key] = i
	}
}

func (item Item) label() string {
	if item.Name != "" {
		return item.Name
	}
	return string(item.Place().Machine)
}

// instant writes t as people and programs read it.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// duration writes d without the zeros that Duration.String has, and long ones in days: 30d, 3h, 1h30m.
func duration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// clip shortens text that came from outside before it goes into a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
