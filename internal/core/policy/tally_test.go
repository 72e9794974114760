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
func (c crowd) SpeaksFor(person, program access.PrincipalID) bool {
	return slices.Contains(c["makers of "+program], person)
}

func (c crowd) Enabled(person access.PrincipalID) bool {
	return !slices.Contains(c["disabled"], person)
}

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

// eligibleByBruteForce gives the quorums of a stage that name a person, or a group of theirs.
func eligibleByBruteForce(s access.Stage, person access.PrincipalID, who crowd) []int {
	var in []int
	for i, q := range append(slices.Clone(s.AllOf), s.AnyOf...) {
		named := slices.Contains(q.People, person)
		for _, g := range q.Groups {
			named = named || slices.Contains(who[g], person)
		}
		if named && !slices.Contains(who["disabled"], person) {
			in = append(in, i)
		}
	}
	return in
}

func TestTallyAgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		who := drawCrowd(t)
		rule := access.Case{Stages: drawStages(t), Denies: rapid.IntRange(0, 2).Draw(t, "denies")}
		requester := rapid.SampledFrom(people(6)).Draw(t, "requester")
		began := time.UnixMicro(0)
		later := drawCrowd(t) // the directory as it is when the votes are counted
		later["disabled"] = rapid.SliceOfN(rapid.SampledFrom(people(6)), 0, 2).Draw(t, "disabled")
		o := oracle{rule: rule, outcome: policy.Waiting, since: began, spent: map[access.PrincipalID]bool{}}
		at := began
		var decisions []access.Decision
		for range rapid.IntRange(0, 10).Draw(t, "n") {
			at = at.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			o.pass(at)
			d := access.Decision{
				Person:  rapid.SampledFrom(people(6)).Draw(t, "person"),
				Approve: rapid.IntRange(0, 5).Draw(t, "approve") > 0, At: at, Stage: o.stage,
			}
			var counts access.Decision
			if o.stage < len(rule.Stages) {
				// What is recorded is taken at its word, also a vote of the requester, which no engine would record.
				d.Quorums = eligibleByBruteForce(rule.Stages[o.stage], d.Person, who)
				counts = d
				counts.Quorums = slices.DeleteFunc(eligibleByBruteForce(rule.Stages[o.stage], d.Person, later),
					func(q int) bool { return !slices.Contains(d.Quorums, q) })
			}
			decisions = append(decisions, d)
			if d.Person != requester && len(counts.Quorums) > 0 {
				o.decide(counts)
			}
		}
		at = at.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes after")) * time.Minute)
		o.pass(at)
		got := policy.Tally(rule, requester, later, began, decisions, at)
		if got.Outcome != o.outcome || o.outcome == policy.Waiting && got.Stage != o.stage {
			t.Fatalf("tally says %s at stage %d, brute force %s at stage %d", got.Outcome, got.Stage, o.outcome,
				o.stage)
		}
		if got.Outcome == policy.Waiting && len(got.Open) == 0 {
			t.Fatal("waiting, and nothing is wanted")
		}
		for _, p := range people(6) {
			if slices.Contains(got.Decided, p) != o.spent[p] {
				t.Fatalf("tally has %v decided; of %s brute force says %t", got.Decided, p, o.spent[p])
			}
		}
	})
}

// oracle walks decisions with bookkeeping of its own.
type oracle struct {
	rule      access.Case
	outcome   policy.Outcome
	stage     int
	since     time.Time
	denies    int
	approvals []access.Decision
	spent     map[access.PrincipalID]bool // whoever's decision counts
}

// pass lets stages give way whose time is over by at.
func (o *oracle) pass(at time.Time) {
	for o.outcome == policy.Waiting && o.stage < len(o.rule.Stages)-1 {
		timeout := o.rule.Stages[o.stage].Timeout
		if timeout == 0 || at.Sub(o.since) < timeout {
			return
		}
		for _, d := range o.approvals {
			o.spent[d.Person] = false
		}
		o.approvals, o.stage, o.since = nil, o.stage+1, o.since.Add(timeout)
	}
}

func (o *oracle) decide(d access.Decision) {
	if o.outcome != policy.Waiting || o.spent[d.Person] {
		return
	}
	o.spent[d.Person] = true
	if !d.Approve {
		if o.denies++; o.denies >= max(1, o.rule.Denies) {
			o.outcome = policy.Denied
		}
		return
	}
	o.approvals = append(o.approvals, d)
	eligible := make([][]int, len(o.approvals))
	for i, d := range o.approvals {
		eligible[i] = d.Quorums
	}
	if metByBruteForce(o.rule.Stages[o.stage], eligible) {
		o.stage, o.since, o.approvals = o.stage+1, d.At, nil
		if o.stage == len(o.rule.Stages) {
			o.outcome = policy.Approved
		}
	}
}

// drawStages gives stages of which those before the last may give way in time.
func drawStages(t *rapid.T) []access.Stage {
	stages := rapid.SliceOfN(rapid.Custom(drawStage), 1, 3).Draw(t, "stages")
	for i := range stages[:len(stages)-1] {
		stages[i].Timeout = time.Duration(rapid.IntRange(0, 2).Draw(t, "timeout")) * 30 * time.Minute
	}
	return stages
}

// TestReachableAgreesWithBruteForce gives everybody to every stage that is needed, or to none, in all combinations.
func TestReachableAgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		who := drawCrowd(t)
		stages := drawStages(t)
		requester := access.PrincipalID("")
		if rapid.Bool().Draw(t, "with requester") {
			requester = rapid.SampledFrom(people(6)).Draw(t, "requester")
		}
		var needed []access.Stage
		for i, s := range stages {
			if s.Timeout == 0 || i == len(stages)-1 {
				needed = append(needed, s)
			}
		}
		in := make([]int, 6) // the stage that each of the people decides in
		var try func(person int) bool
		try = func(person int) bool {
			if person < len(in) {
				for in[person] = range needed {
					if try(person + 1) {
						return true
					}
				}
				return false
			}
			for i, s := range needed {
				var eligible [][]int
				for p, id := range people(6) {
					if in[p] == i {
						eligible = append(eligible, policy.EligibleFor(s, id, requester, who))
					}
				}
				if !metByBruteForce(s, eligible) {
					return false
				}
			}
			return true
		}
		_, got := policy.Reachable(access.Case{Stages: stages}, requester, who)
		if want := try(0); got != want {
			t.Fatalf("reachable says %t, brute force %t", got, want)
		}
	})
}

// TestWhoApprovedInAStageThatGaveWayDecidesAgain proves that such a rule does not stall.
func TestWhoApprovedInAStageThatGaveWayDecidesAgain(t *testing.T) {
	t.Parallel()
	only := func(count int, ids ...access.PrincipalID) access.Stage {
		return access.Stage{AllOf: []access.Quorum{{Count: count, People: ids}}}
	}
	first := only(2, "bob", "cy")
	first.Timeout = time.Hour
	rule := access.Case{Stages: []access.Stage{first, only(1, "bob")}}
	began := time.UnixMicro(0)
	yes := func(stage int, after time.Duration) access.Decision {
		return access.Decision{Person: "bob", Approve: true, Stage: stage, Quorums: []int{0}, At: began.Add(after)}
	}
	decisions := []access.Decision{yes(0, time.Minute)}
	if got := policy.Tally(rule, "ann", crowd{}, began, decisions, began.Add(2*time.Hour)); len(got.Decided) != 0 {
		t.Errorf("%v cannot decide in the stage that took over", got.Decided)
	}
	decisions = append(decisions, yes(1, 2*time.Hour))
	if got := policy.Tally(rule, "ann", crowd{}, began, decisions,
		began.Add(2*time.Hour)); got.Outcome != policy.Approved {
		t.Errorf("the request is %s", got.Outcome)
	}
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
		{
			"both in turn",
			[]access.Decision{yes("lead", 0, time.Minute), yes("head", 1, 2*time.Minute)},
			time.Hour,
			policy.Approved, 2, 0,
		},
		{
			"the second alone after the first gave way",
			[]access.Decision{yes("head", 1, 2*time.Hour)},
			2 * time.Hour,
			policy.Approved, 2, 0,
		},
		{"the first too late", []access.Decision{yes("lead", 0, 2*time.Hour)}, 2 * time.Hour, policy.Waiting, 1, 0},
		{
			"the same person twice",
			[]access.Decision{yes("lead", 0, time.Minute), yes("lead", 1, 2*time.Minute)},
			3 * time.Minute, policy.Waiting, 1, 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := policy.Tally(rule, "asker", crowd{}, began, c.decisions, began.Add(c.after))
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
	if got := policy.Tally(access.Case{}, "asker", crowd{}, time.UnixMicro(0), nil,
		time.UnixMicro(0)); got.Outcome != policy.Approved {
		t.Errorf("a case without stages is %s, want approved", got.Outcome)
	}
}

// TestOwnVoteNeverCounts holds that the requester's vote is not counted even where one is on record.
func TestOwnVoteNeverCounts(t *testing.T) {
	t.Parallel()
	began := time.UnixMicro(0)
	rule := access.Case{Stages: []access.Stage{
		{AllOf: []access.Quorum{{Count: 1, People: []access.PrincipalID{"ann", "bob", "cy"}}}},
	}}
	who := crowd{"makers of ann": {"cy"}} // who made a secret of the requester can ask as the requester
	if got := policy.Deciders(rule.Stages[0], "ann", who); !slices.Equal(got, []access.PrincipalID{"bob"}) {
		t.Errorf("ann's request is for %v to decide", got)
	}
	for person, want := range map[access.PrincipalID]policy.Outcome{
		"ann": policy.Waiting, "cy": policy.Waiting,
		"bob": policy.Approved,
	} {
		vote := access.Decision{Person: person, Approve: true, Quorums: []int{0}, At: began}
		if got := policy.Tally(rule, "ann", who, began, []access.Decision{vote}, began); got.Outcome != want {
			t.Errorf("with the vote of %s ann's request is %s, want %s", person, got.Outcome, want)
		}
	}
}
