package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

// TestTalliesSum holds that one denial denies, that all must approve, and that the first stage to give way counts.
func TestTalliesSum(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.Custom(func(t *rapid.T) policy.Progress {
			p := policy.Progress{
				Outcome: rapid.SampledFrom([]policy.Outcome{policy.Waiting, policy.Approved, policy.Denied}).
					Draw(t, "outcome"),
				Stage: rapid.IntRange(0, 2).Draw(t, "stage"),
				Since: now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "since")) * time.Minute),
			}
			if minutes := rapid.IntRange(0, 3).Draw(t, "until"); minutes > 0 {
				p.Until = now.Add(time.Duration(minutes) * time.Minute)
			}
			return p
		})
		tallies := policy.Tallies(rapid.SliceOfN(one, 0, 4).Draw(t, "approvals"))
		count := map[policy.Outcome]int{}
		var first time.Time
		begins := false
		for _, p := range tallies {
			count[p.Outcome]++
			if p.Outcome != policy.Waiting {
				continue
			}
			begins = begins || p.Stage > 0 && p.Since.Equal(now)
			if !p.Until.IsZero() && (first.IsZero() || p.Until.Before(first)) {
				first = p.Until
			}
		}
		want := policy.Approved
		if count[policy.Waiting] > 0 {
			want = policy.Waiting
		}
		if count[policy.Denied] > 0 {
			want = policy.Denied
		}
		if got := tallies.Outcome(); got != want || !tallies.Until().Equal(first) || tallies.Begins(now) != begins {
			t.Fatalf("%+v sum up to %v until %s, begins %t; want %v until %s, %t", tallies, got, tallies.Until(),
				tallies.Begins(now), want, first, begins)
		}
	})
}

// TestStricterOnlyAdds holds that what was asked of a request stays, and that only what is new comes to it.
func TestStricterOnlyAdds(t *testing.T) {
	t.Parallel()
	approval := func(name string, items ...int) access.Approval {
		return access.Approval{Case: access.Case{Name: name}, Items: items}
	}
	was := []access.Approval{approval("office", 0, 1)}
	for name, c := range map[string]struct{ now, want []access.Approval }{
		"nothing any more": {nil, was},
		"the same":         {was, was},
		"of fewer items":   {[]access.Approval{approval("office", 1)}, was},
		"of another item":  {[]access.Approval{approval("office", 2)}, append(was, approval("office", 2))},
		"another case":     {[]access.Approval{approval("night", 0)}, append(was, approval("night", 0))},
	} {
		if diff := cmp.Diff(c.want, policy.Stricter(was, c.now)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}
