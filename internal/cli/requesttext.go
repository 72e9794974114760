package cli

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// requestFacts say all that a decision on a request is about: the digest that a decision names stands for no less.
func requestFacts() []fact[api.Request] {
	return []fact[api.Request]{
		{"Reason", one(func(_ style, r api.Request) string { return r.Justification })},
		{"Ticket", one(func(_ style, r api.Request) string { return r.Ticket })},
		{"Emergency", one(func(_ style, r api.Request) string {
			if !r.BreakGlass {
				return ""
			}
			return "break-glass: an approver has to review it"
		})},
		{"Extension of", one(func(s style, r api.Request) string {
			if r.Extends == "" {
				return ""
			}
			return "grant " + s.id(r.Extends)
		})},
		{"Move of", one(func(s style, r api.Request) string {
			if r.Moves == "" {
				return ""
			}
			return "grant " + s.id(r.Moves) + ", which ends as this opens"
		})},
		{"Access", accessTexts},
		{"Start", one(func(s style, r api.Request) string {
			if len(r.Windows) > 0 {
				return ""
			}
			return s.timeIf(r.Start)
		})},
		{"Windows", windowTexts},
		{"Continuous access", chainTexts},
		{"Approval", func(_ style, r api.Request) []string { return approvalTexts(r) }},
		{"Decisions", func(_ style, r api.Request) []string { return decisionTexts(r) }},
		{"Digest", one(func(_ style, r api.Request) string { return r.Digest })},
	}
}

// itemText names what an item is of: "web-1:22/tcp", or the role.
func itemText(it api.Item) string {
	if it.Role != nil {
		return "role " + it.Role.Name
	}
	return it.Machine + ":" + portText(it.Ports, it.Protocol)
}

// placeTexts names what each item is of and, of a role, at which scope.
func placeTexts(s style, r api.Request) []string {
	texts := make([]string, len(r.Items))
	for i, it := range r.Items {
		texts[i] = itemText(it)
		if it.Role != nil {
			texts[i] += " at " + shortScope(s, it.Role.Scope)
		}
	}
	return texts
}

// sourceTexts says from where the items open, each source once and the widest first.
func sourceTexts(s style, r api.Request) []string {
	var wide, texts []string
	for _, it := range widestFirst(r.Items) {
		switch most := reachText(it.Sources); {
		case it.Role != nil:
		case most != "" && !s.plain:
			wide = append(wide, most)
		case len(it.Networks) > 0 && !s.plain:
			texts = append(texts, it.Networks...)
		default:
			texts = append(texts, it.Sources...)
		}
	}
	return unique(append(wide, texts...))
}

// lengthTexts says for how long the items open, each length once; where a list may be cut, the longest come first.
func lengthTexts(s style, r api.Request) []string {
	items := r.Items
	if !s.whole {
		items = slices.SortedStableFunc(slices.Values(items), func(x, y api.Item) int {
			return cmp.Compare(y.ForSeconds, x.ForSeconds)
		})
	}
	var texts []string
	for _, it := range items {
		switch {
		case it.Until != nil:
			texts = append(texts, "until "+s.clock(*it.Until))
		case len(r.Windows) > 0:
			texts = append(texts, fmt.Sprintf("%s in %s", seconds(it.ForSeconds), count(len(r.Windows), "window")))
		default:
			texts = append(texts, seconds(it.ForSeconds))
		}
	}
	return unique(texts)
}

func unique(texts []string) []string {
	var once []string
	for _, text := range texts {
		if !slices.Contains(once, text) {
			once = append(once, text)
		}
	}
	return once
}

// reachOf returns the share of the Internet's addresses of each family that lie in the sources.
func reachOf(sources []string) (four, six float64) {
	var prefixes []netip.Prefix
	for _, text := range sources {
		if p, err := netip.ParsePrefix(text); err == nil {
			prefixes = append(prefixes, p)
		}
	}
	return access.Reach(prefixes)
}

// widestFirst returns the items in the order of how much of the Internet may come in by each.
func widestFirst(items []api.Item) []api.Item {
	return slices.SortedStableFunc(slices.Values(items), func(x, y api.Item) int {
		fourX, sixX := reachOf(x.Sources)
		fourY, sixY := reachOf(y.Sources)
		return cmp.Compare(fourY+sixY, fourX+sixX)
	})
}

// reachText says in words how much of the Internet lies in the sources, where that is the most of it; whoever writes it
// in parts opens no less.
func reachText(sources []string) string {
	const most = 0.5
	four, six := reachOf(sources)
	switch {
	case four == 1 && six == 1:
		return "anywhere"
	case four == 1:
		return "any IPv4 address"
	case six == 1:
		return "any IPv6 address"
	case four >= most:
		return "most IPv4 addresses"
	case six >= most:
		return "most IPv6 addresses"
	}
	return ""
}

// accessTexts says all that a decision on a request gives: of each item what, from where or at which scope, and for how
// long. Of more items than people are shown, those that open most widely come first.
func accessTexts(s style, r api.Request) []string {
	items := r.Items
	if len(items) > mostLines {
		items = widestFirst(items)
	}
	texts := make([]string, len(items))
	for i, it := range items {
		texts[i] = itemText(it)
		switch from, most := strings.Join(it.Sources, ", "), reachText(it.Sources); {
		case it.Role != nil:
			texts[i] += " at " + it.Role.Scope
		case most != "":
			texts[i] += " from " + most + " (" + from + ")"
		case len(it.Networks) > 0:
			texts[i] += " from " + strings.Join(it.Networks, ", ") + " (" + from + ")"
		default:
			texts[i] += " from " + from
		}
		if it.Until != nil {
			texts[i] += " until " + s.time(*it.Until)
		} else {
			texts[i] += " for " + seconds(it.ForSeconds)
		}
	}
	return texts
}

// windowTexts gives the start of each window of a series; a decision is about every one of them.
func windowTexts(s style, r api.Request) []string {
	texts := make([]string, len(r.Windows))
	for i, start := range r.Windows {
		texts[i] = s.time(start)
	}
	return texts
}

// chainTexts says how long each item would be open without a break, with what its requester has of it before and after.
func chainTexts(s style, r api.Request) []string {
	var texts []string
	for _, c := range r.Chains {
		text := fmt.Sprintf("%s from %s to %s, %s", itemText(r.Items[c.Item]), s.time(c.Start), s.time(c.End),
			seconds(c.Seconds))
		if c.Beyond {
			text += "; more than " + seconds(c.LongestSeconds) + " only people approve"
		}
		texts = append(texts, text)
	}
	return texts
}

// grantStates sums up what became of a request's grants: "active", or "1 active, 2 opening".
func grantStates(grants []api.Grant) string {
	counts := map[string]int{}
	for _, g := range grants {
		counts[g.State]++
	}
	var parts []string
	for _, state := range append(live(), "expired", "revoked", "superseded") {
		if n := counts[state]; n == len(grants) && n > 0 {
			return state
		} else if n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+state)
		}
	}
	return strings.Join(parts, ", ")
}

// printRequest prints a request with all that a decision on it is about.
func (a *app) printRequest(r api.Request) error {
	facts := append([]fact[api.Request]{
		{"Id", one(func(_ style, r api.Request) string { return r.ID })},
		{"State", one(func(_ style, r api.Request) string { return r.State })},
		{"State reason", one(func(_ style, r api.Request) string { return r.Reason })},
		{"Who", one(func(_ style, r api.Request) string { return r.Requester })},
		{"Asked", one(func(s style, r api.Request) string { return s.time(r.CreatedAt) })},
		{"Requested from", one(func(_ style, r api.Request) string { return r.Address })},
		{"Pending until", one(func(s style, r api.Request) string {
			if r.State != "pending" {
				return ""
			}
			return s.timeIf(r.PendingUntil)
		})},
		{"Decided", one(func(s style, r api.Request) string { return s.timeIf(r.DecidedAt) })},
	}, requestFacts()...)
	if !a.forPeople() {
		return printItem(a, r, joined(facts))
	}
	for _, line := range factLines(a.style(), r, facts, wholeRequest(r)) {
		a.line("%s", line)
	}
	if len(r.Grants) == 0 {
		return nil
	}
	a.line("")
	return printList(a, openSorted(r.Grants), grantColumns(), "")
}

// wholeRequest is the command that shows all of a request.
func wholeRequest(r api.Request) string { return "postern request show " + r.ID + " -o json" }
