package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

// crowd is a small directory: group g1 holds the people of bit 1, and so on.
type crowd map[access.PrincipalID][]access.PrincipalID

func (c crowd) InGroup(person, group access.PrincipalID) bool {
	return slices.Contains(c[group], person)
}
func (c crowd) Members(group access.PrincipalID) []access.PrincipalID { return c[group] }
func (c crowd) Enabled(access.PrincipalID) bool                       { return true }

func people(n int) []access.PrincipalID {
	ids := make([]access.PrincipalID, n)
	for i := range ids {
		ids[i] = access.PrincipalID(fmt.Sprintf("p%d", i))
	}
	return ids
}

func drawCrowd(t *rapid.T) crowd {
	c := crowd{}
	for g := range 3 {
		name := access.PrincipalID(fmt.Sprintf("g%d", g))
		for _, p := range people(6) {
			if rapid.Bool().Draw(t, fmt.Sprintf("%s in %s", p, name)) {
				c[name] = append(c[name], p)
			}
		}
	}
	return c
}

func drawQuorum(t *rapid.T) access.Quorum {
	q := access.Quorum{Count: rapid.IntRange(1, 3).Draw(t, "count")}
	for g := range 3 {
		if rapid.Bool().Draw(t, "group") {
			q.Groups = append(q.Groups, access.PrincipalID(fmt.Sprintf("g%d", g)))
		}
	}
	for _, p := range people(6) {
		if rapid.IntRange(0, 4).Draw(t, "named") == 0 {
			q.People = append(q.People, p)
		}
	}
	return q
}

func drawStage(t *rapid.T) access.Stage {
	s := access.Stage{AllOf: rapid.SliceOfN(rapid.Custom(drawQuorum), 0, 2).Draw(t, "allOf")}
	s.AnyOf = rapid.SliceOfN(rapid.Custom(drawQuorum), 0, 2).Draw(t, "anyOf")
	if len(s.AllOf)+len(s.AnyOf) == 0 {
		s.AllOf = []access.Quorum{drawQuorum(t)}
	}
	return s
}

// metByBruteForce gives each of the people every quorum they are eligible for, or none, in all combinations.
func metByBruteForce(s access.Stage, eligible [][]int) bool {
	quorums := append(slices.Clone(s.AllOf), s.AnyOf...)
	filled := make([]int, len(quorums))
	var try func(person int) bool
	try = func(person int) bool {
		if person == len(eligible) {
			for i := range s.AllOf {
				if filled[i] < quorums[i].Count {
					return false
				}
			}
			for i := len(s.AllOf); i < len(quorums); i++ {
				if filled[i] >= quorums[i].Count {
					return true
				}
			}
			return len(s.AnyOf) == 0
		}
		if try(person + 1) {
			return true
		}
		for _, q := range eligible[person] {
			filled[q]++
			ok := try(person + 1)
			filled[q]--
			if ok {
				return true
			}
		}
		return false
	}
	return try(0)
}

func TestTallyAgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		who := drawCrowd(t)
		stages := rapid.SliceOfN(rapid.Custom(drawStage), 1, 3).Draw(t, "stages")
		rule := access.Case{Stages: stages, Denies: rapid.IntRange(0, 2).Draw(t, "denies")}
		requester := rapid.SampledFrom(people(6)).Draw(t, "requester")
		began := time.UnixMicro(0)
		at := began

		// The oracle walks the same decisions with its own bookkeeping.
		stage, denies, used := 0, 0, map[access.PrincipalID]bool{}
		want := policy.Waiting
		var approvals [][]int
		var decisions []access.Decision
		for range rapid.IntRange(0, 10).Draw(t, "n") {
			at = at.Add(time.Minute)
			person := rapid.SampledFrom(people(6)).Draw(t, "person")
			d := access.Decision{Person: person, Approve: rapid.IntRange(0, 5).Draw(t, "approve") > 0, At: at, Stage: stage}
			if stage < len(stages) {
				d.Quorums = policy.EligibleFor(stages[stage], person, requester, who)
			}
			decisions = append(decisions, d)
			if want != policy.Waiting || person == requester || used[person] || len(d.Quorums) == 0 {
				continue
			}
			used[person] = true
			if !d.Approve {
				if denies++; denies >= max(1, rule.Denies) {
					want = policy.Denied
				}
				continue
			}
			approvals = append(approvals, d.Quorums)
			if metByBruteForce(stages[stage], approvals) {
				stage, approvals = stage+1, nil
				if stage == len(stages) {
					want = policy.Approved
				}
			}
		}
		got := policy.Tally(rule, requester, began, decisions, at)
		if got.Outcome != want || want == policy.Waiting && got.Stage != stage {
			t.Fatalf("tally says %s at stage %d, brute force %s at stage %d", got.Outcome, got.Stage, want, stage)
		}
		if got.Outcome == policy.Waiting && len(got.Open) == 0 {
			t.Fatal("waiting, and nothing is wanted")
		}
	})
}

func TestReachableAgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		who := drawCrowd(t)
		s := drawStage(t)
		requester := access.PrincipalID("")
		if rapid.Bool().Draw(t, "with requester") {
			requester = rapid.SampledFrom(people(6)).Draw(t, "requester")
		}
		var eligible [][]int
		for _, p := range people(6) {
			eligible = append(eligible, policy.EligibleFor(s, p, requester, who))
		}
		_, got := policy.Reachable(access.Case{Stages: []access.Stage{s}}, requester, who)
		if want := metByBruteForce(s, eligible); got != want {
			t.Fatalf("reachable says %t, brute force %t", got, want)
		}
	})
}

func TestTallyByTime(t *testing.T) {
	t.Parallel()
	began := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	one := func(p access.PrincipalID) access.Quorum {
		return access.Quorum{Count: 1, People: []access.PrincipalID{p}}
	}
	rule := access.Case{Stages: []access.Stage{
		{AllOf: []access.Quorum{one("lead")}, Timeout: time.Hour},
		{AllOf: []access.Quorum{one("head")}},
	}}
	yes := func(p access.PrincipalID, stage int, after time.Duration) access.Decision {
		return access.Decision{Person: p, Approve: true, Stage: stage, Quorums: []int{0}, At: began.Add(after)}
	}
	for _, c := range []struct {
		name      string
		decisions []access.Decision
		after     time.Duration
		outcome   policy.Outcome
		stage     int
		until     time.Duration
	}{
		{"fresh", nil, 0, policy.Waiting, 0, time.Hour},
		{"just before the first stage gives way", nil, time.Hour - time.Microsecond, policy.Waiting, 0, time.Hour},
		{"the first stage gave way", nil, time.Hour, policy.Waiting, 1, 0},
		{"both in turn", []access.Decision{yes("lead", 0, time.Minute), yes("head", 1, 2*time.Minute)}, time.Hour, policy.Approved, 2, 0},
		{"the second alone after the first gave way", []access.Decision{yes("head", 1, 2*time.Hour)}, 2 * time.Hour, policy.Approved, 2, 0},
		{"the first too late", []access.Decision{yes("lead", 0, 2*time.Hour)}, 2 * time.Hour, policy.Waiting, 1, 0},
		{"the same person twice", []access.Decision{yes("lead", 0, time.Minute), yes("lead", 1, 2*time.Minute)}, 3 * time.Minute, policy.Waiting, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := policy.Tally(rule, "asker", began, c.decisions, began.Add(c.after))
			if got.Outcome != c.outcome || got.Stage != c.stage {
				t.Errorf("got %s at stage %d, want %s at stage %d", got.Outcome, got.Stage, c.outcome, c.stage)
			}
			if c.until != 0 && !got.Until.Equal(began.Add(c.until)) {
				t.Errorf("gives way at %v, want %v", got.Until, began.Add(c.until))
			}
		})
	}
}

func TestAutomaticCaseIsApproved(t *testing.T) {
	t.Parallel()
	if got := policy.Tally(access.Case{}, "asker", time.UnixMicro(0), nil, time.UnixMicro(0)); got.Outcome != policy.Approved {
		t.Errorf("a case without stages is %s, want approved", got.Outcome)
	}
}
