package policy

import (
	"cmp"
	"slices"
	"time"
)

// Window is a time during which somebody has, had or asks for the same access: one port of one machine, or one role at
// one scope.
type Window struct {
	Start   time.Time
	End     time.Time // exclusive
	Decided bool      // people agreed to it
}

// Chain is a time that counts as one, though several windows make it up.
type Chain struct {
	Start time.Time
	End   time.Time
}

// Length returns how long the chain is.
func (c Chain) Length() time.Duration { return c.End.Sub(c.Start) }

// ChainOf returns the longest chain that one of the asked windows would be part of, beside those that are held.
//
// Limits hold for what is open, and not for one request of many: windows that lie less than gap apart are one chain,
// whether they were asked for in a series, one after another, or by an extension, and whichever was asked for first. A
// window that people agreed to begins a chain: it is joined to no window that starts before it.
//
// ChainOf returns the zero chain where nothing is asked for.
func ChainOf(asked, held []Window, gap time.Duration) Chain {
	type node struct {
		Window

		asked bool
	}
	nodes := make([]node, 0, len(asked)+len(held))
	for _, w := range asked {
		nodes = append(nodes, node{w, true})
	}
	for _, w := range held {
		nodes = append(nodes, node{w, false})
	}
	// Of windows that start together, those that people agreed to come first: they join each other and the rest joins
	// them.
	slices.SortFunc(nodes, func(a, b node) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(rank(a.Decided), rank(b.Decided)))
	})
	var chains []link
	for _, n := range nodes {
		next := link{Chain: Chain{Start: n.Start, End: n.End}, asked: n.asked}
		apart := chains[:0]
		for _, c := range chains {
			joined := n.Start.Sub(c.End) < gap
			if n.Decided {
				joined = joined && c.Start.Equal(n.Start)
			}
			if !joined {
				apart = append(apart, c)
				continue
			}
			next.join(c)
		}
		chains = append(apart, next)
	}
	var longest Chain
	for _, c := range chains {
		if c.asked && (longest.End.IsZero() || c.Length() > longest.Length()) {
			longest = c.Chain
		}
	}
	return longest
}

// link is a chain on its way.
type link struct {
	Chain

	asked bool // one of its windows is asked for
}

func (l *link) join(other link) {
	if other.Start.Before(l.Start) {
		l.Start = other.Start
	}
	if other.End.After(l.End) {
		l.End = other.End
	}
	l.asked = l.asked || other.asked
}

func rank(decided bool) int {
	if decided {
		return 0
	}
	return 1
}
