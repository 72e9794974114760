package policy

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// Loosened says in which ways next lets more be opened than was, or asks less of who opens it; nothing where it does
// neither. Where an approval rule is another one, whose strictness nobody can compare, that is one of the ways.
func Loosened(was, next access.MachinePolicy) []string {
	var how []string
	add := func(format string, args ...any) { how = append(how, fmt.Sprintf(format, args...)) }
	for _, rule := range next.Ports {
		if !slices.ContainsFunc(was.Ports, func(old access.PortRule) bool { return allows(old, rule) }) {
			add("%s for %s from %s", ruleText(rule), duration(rule.Max), sourcesText(rule))
		}
	}
	switch {
	case was.Approval.Automatic() || reflect.DeepEqual(was.Approval, next.Approval):
	case next.Approval.Automatic():
		add("without the approval rule")
	default:
		add("another approval rule")
	}
	if next.BreakGlass != nil && !within(was.BreakGlass, *next.BreakGlass) {
		add("break-glass for more people, or for longer")
	}
	if was.Justification.Required && !next.Justification.Required ||
		next.Justification.MinLength < was.Justification.MinLength ||
		was.Justification.Pattern != "" && next.Justification.Pattern != was.Justification.Pattern {
		add("with less of a justification")
	}
	if was.Ticket.Required && !next.Ticket.Required || was.Ticket.Checked && !next.Ticket.Checked ||
		was.Ticket.Pattern != "" && next.Ticket.Pattern != was.Ticket.Pattern {
		add("with less of a ticket")
	}
	if next.Apart() < was.Apart() {
		add("with a gap of %s", duration(next.Apart()))
	}
	if next.Sessions == access.SessionsKeep && was.Sessions != access.SessionsKeep {
		add("with sessions that go on after its end")
	}
	if was.WhenServerIsLost != 0 && (next.WhenServerIsLost == 0 || next.WhenServerIsLost > was.WhenServerIsLost) {
		add("open for longer while the server is lost")
	}
	return how
}

// Easier says, by the policy that holds for ports of a machine now, in which ways it allows more there than another
// that held for them before. was and is are what guarded the machine before and guards it now: see access.Guards.
func Easier(was, is []access.Policy) map[access.PolicyID][]string {
	easier := map[access.PolicyID][]string{}
	for _, now := range is {
		for _, before := range was {
			if before.ID == now.ID {
				continue
			}
			taken := now.Machines[0] // what it says of the ports that the other one held
			taken.Ports = slices.DeleteFunc(slices.Clone(taken.Ports), func(r access.PortRule) bool {
				return !slices.ContainsFunc(before.Machines[0].Ports, func(held access.PortRule) bool {
					return held.Ports.Overlaps(r.Ports) && held.Protocol.Overlaps(r.Protocol)
				})
			})
			if len(taken.Ports) > 0 {
				easier[now.ID] = append(easier[now.ID], Loosened(before.Machines[0], taken)...)
			}
		}
		if len(easier[now.ID]) == 0 {
			delete(easier, now.ID)
		}
	}
	return easier
}

// LoosenedEligibility is Loosened for an eligibility, of which the zero was says that there was none: who makes one
// allows what was not allowed.
func LoosenedEligibility(was, next access.Eligibility) []string {
	if was.ID == "" {
		return []string{"the eligibility was made"}
	}
	how := Loosened(was.Terms(), next.Terms())
	if next.Max > was.Max {
		how = append(how, "for "+duration(next.Max))
	}
	if !was.End.IsZero() && (next.End.IsZero() || next.End.After(was.End)) {
		how = append(how, "for longer")
	}
	if next.Start.Before(was.Start) {
		how = append(how, "from an earlier time")
	}
	return how
}

// WidenedNetwork says in which way next stands for more addresses than was, of which the zero one says that there was
// none; nothing where it does not.
func WidenedNetwork(was, next access.Network) []string {
	if was.Name == "" {
		return []string{"the network " + next.Name + " was made"}
	}
	more := outside(next.Prefixes, access.PortRule{Sources: was.Prefixes})
	if len(more) == 0 {
		return nil
	}
	return []string{"the network " + next.Name + " with " + sourcesText(access.PortRule{Sources: more})}
}

// allows reports whether everything that next allows, old allows.
func allows(old, next access.PortRule) bool {
	if !old.Ports.Covers(next.Ports) || !old.Protocol.Covers(next.Protocol) || next.Max > old.Max {
		return false
	}
	if len(old.Sources)+len(old.Networks) == 0 {
		return true
	}
	return len(next.Sources)+len(next.Networks) > 0 && len(
		outside(next.Sources, access.PortRule{Sources: old.Sources, Networks: []string{""}})) == 0 &&
		!slices.ContainsFunc(next.Networks, func(name string) bool {
			return !slices.ContainsFunc(old.Networks, func(other string) bool { return strings.EqualFold(name, other) })
		})
}

func within(old *access.BreakGlass, next access.BreakGlass) bool {
	inside := func(old, next []access.PrincipalID) bool {
		return !slices.ContainsFunc(next, func(id access.PrincipalID) bool { return !slices.Contains(old, id) })
	}
	return old != nil && next.Max <= old.Max && inside(old.Groups, next.Groups) && inside(old.People, next.People)
}

func sourcesText(r access.PortRule) string {
	if len(r.Sources)+len(r.Networks) == 0 {
		return "anywhere"
	}
	texts := slices.Clone(r.Networks)
	for _, p := range r.Sources {
		texts = append(texts, netip.Prefix.String(p))
	}
	return list(texts)
}
