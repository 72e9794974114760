package policy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/policy"
)

// chainOracle finds chains as they are defined: two windows are joined where they lie less than gap apart, unless
// people agreed to the later one.
func chainOracle(asked, held []policy.Window, gap time.Duration) policy.Chain {
	all := append(append([]policy.Window{}, asked...), held...)
	chain := make([]int, len(all))
	for i := range chain {
		chain[i] = i
	}
	for i, a := range all {
		for k, b := range all {
			if b.Start.Before(a.Start) || b.Start.Sub(a.End) >= gap || b.Decided && b.Start.After(a.Start) {
				continue
			}
			from, to := chain[k], chain[i]
			for n := range chain {
				if chain[n] == from {
					chain[n] = to
				}
			}
		}
	}
	var longest policy.Chain
	for i := range asked {
		c := policy.Chain{Start: all[i].Start, End: all[i].End}
		for k, w := range all {
			if chain[k] != chain[i] {
				continue
			}
			if w.Start.Before(c.Start) {
				c.Start = w.Start
			}
			if w.End.After(c.End) {
				c.End = w.End
			}
		}
		if c.Length() > longest.Length() {
			longest = c
		}
	}
	return longest
}

func TestChainsAreThoseOfTheOracle(t *testing.T) {
	t.Parallel()
	noon := time.Date(2030, 1, 7, 12, 0, 0, 0, time.UTC)
	windows := rapid.Custom(func(t *rapid.T) policy.Window {
		start := noon.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "start")) * time.Minute)
		length := time.Duration(rapid.IntRange(1, 20).Draw(t, "length")) * time.Minute
		return policy.Window{Start: start, End: start.Add(length), Decided: rapid.Bool().Draw(t, "decided")}
	})
	rapid.Check(t, func(t *rapid.T) {
		asked := rapid.SliceOfN(windows, 1, 4).Draw(t, "asked")
		held := rapid.SliceOfN(windows, 0, 8).Draw(t, "held")
		gap := time.Duration(rapid.IntRange(1, 15).Draw(t, "gap")) * time.Minute
		got, want := policy.ChainOf(asked, held, gap), chainOracle(asked, held, gap)
		if got.Length() != want.Length() {
			t.Fatalf("the chain is %v to %v, want %v to %v", got.Start, got.End, want.Start, want.End)
		}
	})
}
