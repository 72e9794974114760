package policy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

func compiler(tb testing.TB) policy.Compiler {
	tb.Helper()
	conditions, err := policy.NewConditions()
	if err != nil {
		tb.Fatal(err)
	}
	return conditions.Compile
}

func facts() policy.Facts {
	return policy.Facts{
		Requester: "1", RequesterName: "rosa", Groups: []string{"oncall"},
		Machine: access.Machine{Name: "web-1", Labels: map[string]string{"env": "prod"}},
		Ports:   access.SinglePort(22), Protocol: access.TCP, Duration: time.Hour, Ticket: "INC-7",
		Now: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC),
	} // a Monday
}

func TestConditions(t *testing.T) {
	t.Parallel()
	compile := compiler(t)
	for source, want := range map[string]bool{
		`machine.labels["env"] == "prod"`:                                    true,
		`"oncall" in requester.groups && request.duration <= duration("1h")`: true,
		`request.duration > duration("1h")`:                                  false,
		`request.ticket.startsWith("INC-")`:                                  true,
		`now.getHours("UTC") < 8`:                                            false,
		`request.firstPort == 22 && request.protocol == "tcp"`:               true,
	} {
		c, err := compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := c.Holds(facts()); err != nil || got != want {
			t.Errorf("%s gives %t, %v; want %t", source, got, err, want)
		}
	}
}

func TestConditionsThatDoNotCompile(t *testing.T) {
	t.Parallel()
	compile := compiler(t)
	for source, text := range map[string]string{
		`machine.lables["env"] == "prod"`:        "column 8",
		`request.duration > 5`:                   "column",
		`request.ticket`:                         "true or false",
		`machine.name == `:                       "column",
		strings.Repeat("true && ", 600) + "true": "4096",
	} {
		_, err := compile(source)
		if err == nil || !strings.Contains(err.Error(), text) || access.KindOf(err) != access.KindInvalid {
			t.Errorf("%.40s: got %v, want an invalid-input error with %q", source, err, text)
		}
	}
}

func TestConditionThatCostsTooMuchIsStopped(t *testing.T) {
	t.Parallel()
	hundred := "[" + strings.TrimSuffix(strings.Repeat("1,", 100), ",") + "]"
	bomb := hundred + ".all(a, " + hundred + ".all(b, " + hundred + ".all(c, a + b + c > 0)))"
	c, err := compiler(t)(bomb)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Holds(facts()); err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("got %v, want the cost limit", err)
	}
	rule := access.Rule{Cases: []access.Case{{When: bomb}}}
	if got, err := policy.NewInquiry(compiler(t), time.LoadLocation).Choose(rule,
		facts()); len(got.Cases) > 0 || err == nil {
		t.Errorf("a rule whose condition cannot be evaluated must not apply: %+v, %v", got, err)
	}
}

func TestChooseTakesTheFirstCaseThatApplies(t *testing.T) {
	t.Parallel()
	rule := access.Rule{Cases: []access.Case{
		{
			Name:  "weekend",
			Hours: access.Hours{Zone: "Europe/Berlin", Days: []time.Weekday{time.Saturday, time.Sunday}, To: 24 * 60},
		},
		{Name: "production", When: `machine.labels["env"] == "prod"`},
		{Name: "rest"},
	}}
	got, err := policy.NewInquiry(compiler(t), time.LoadLocation).Choose(rule, facts())
	if err != nil || len(got.Cases) != 1 || got.Cases[0].Name != "production" {
		t.Errorf("got %+v, %v; want production", got, err)
	}
	if got, err := policy.NewInquiry(compiler(t), time.LoadLocation).Choose(access.Rule{Cases: rule.Cases[:1]},
		facts()); got.None.IsZero() || err != nil {
		t.Errorf("no case applies, and got %+v, %v", got, err)
	}
	if got, err := policy.NewInquiry(compiler(t), time.LoadLocation).Choose(access.Rule{},
		facts()); !got.None.IsZero() || err != nil || len(got.Cases) != 0 {
		t.Errorf("the empty rule must approve at once, and got %+v, %v", got, err)
	}
}

func TestHours(t *testing.T) {
	t.Parallel()
	office := access.Hours{Days: []time.Weekday{time.Monday, time.Friday}, From: 8 * 60, To: 18 * 60}
	night := access.Hours{Days: []time.Weekday{time.Friday}, From: 22 * 60, To: 6 * 60}
	// the 7th is a Monday
	at := func(day, hour, minute int) time.Time { return time.Date(2030, 1, day, hour, minute, 0, 0, time.UTC) }
	for _, c := range []struct {
		name  string
		hours access.Hours
		at    time.Time
		want  bool
	}{
		{"Monday at eight", office, at(7, 8, 0), true},
		{"Monday before eight", office, at(7, 7, 59), false},
		{"Monday at six in the evening", office, at(7, 18, 0), false},
		{"Tuesday noon", office, at(8, 12, 0), false},
		{"Friday at ten in the evening", night, at(11, 22, 0), true},
		{"Saturday at five, from Friday", night, at(12, 5, 59), true},
		{"Saturday at six", night, at(12, 6, 0), false},
		{"Friday at five, from Thursday", night, at(11, 5, 0), false},
	} {
		if got := policy.Within(c.hours, c.at); got != c.want {
			t.Errorf("%s: got %t, want %t", c.name, got, c.want)
		}
	}
}

func TestValidateRuleSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	who := crowd{"two": {"p0", "p1"}}
	known := func(id access.PrincipalID, kind access.PrincipalKind) bool {
		return kind == access.Group && id == "two" || kind == access.User && slices.Contains(people(2), id)
	}
	one := []access.Stage{{AllOf: []access.Quorum{{Count: 1, Groups: []access.PrincipalID{"two"}}}}}
	for _, c := range []struct {
		name string
		rule access.Rule
		want []string // codes, in order
	}{
		{"sound", access.Rule{Cases: []access.Case{{When: `machine.os == "linux"`, Stages: one}, {Stages: one}}}, nil},
		{"automatic", access.Rule{}, nil},
		{
			"more people than there are",
			access.Rule{Cases: []access.Case{
				{Stages: []access.Stage{{AllOf: []access.Quorum{{Count: 3, Groups: []access.PrincipalID{"two"}}}}}},
			}},
			[]string{"quorumUnreachable"},
		},
		{"one person twice", access.Rule{Cases: []access.Case{{Stages: []access.Stage{{AllOf: []access.Quorum{
			{Count: 2, Groups: []access.PrincipalID{"two"}}, {Count: 1, People: []access.PrincipalID{"p0"}},
		}}}}}}, []string{"quorumUnreachable"}},
		{"stages share the people", access.Rule{Cases: []access.Case{{Stages: []access.Stage{
			{AllOf: []access.Quorum{{Count: 2, Groups: []access.PrincipalID{"two"}}}},
			{AllOf: []access.Quorum{{Count: 1, Groups: []access.PrincipalID{"two"}}}},
		}}}}, []string{"quorumUnreachable"}},
		{
			"names",
			access.Rule{Cases: []access.Case{
				{Stages: []access.Stage{
					{AllOf: []access.Quorum{
						{Count: 1, Groups: []access.PrincipalID{"gone"}, People: []access.PrincipalID{"nobody"}},
					}},
				}},
			}},
			[]string{"unknownGroup", "unknownPerson"},
		},
		{
			"condition and zone",
			access.Rule{Cases: []access.Case{
				{When: "machine.nam == 1", Hours: access.Hours{Zone: "Mars/Olympus", To: 60}, Stages: one},
			}},
			[]string{"conditionInvalid", "unknownZone"},
		},
		{
			"unreachable case",
			access.Rule{Cases: []access.Case{{Stages: one}, {Stages: one}}},
			[]string{"caseUnreachable"},
		},
		{
			"empty stage and timeout at the end",
			access.Rule{Cases: []access.Case{{Stages: []access.Stage{{Timeout: time.Hour}}}}},
			[]string{"emptyStage", "timeoutOnLastStage"},
		},
		{
			"more denies than people",
			access.Rule{Cases: []access.Case{{Denies: 3, Stages: one}}},
			[]string{"deniesUnreachable"},
		},
		{
			"counts",
			access.Rule{Cases: []access.Case{
				{
					Denies: -1,
					Stages: []access.Stage{
						{AllOf: []access.Quorum{{Count: 0, Groups: []access.PrincipalID{"two"}}}},
					},
				},
			}},
			[]string{"deniesOutOfRange", "countOutOfRange"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, r := range policy.ValidateRule("approval", c.rule, who, known, compiler(t), time.LoadLocation) {
				got = append(got, r.Code)
				if r.Message == "" || !strings.HasPrefix(r.Field, "approval") {
					t.Errorf("reason %+v says too little", r)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestValidateRuleSaysWhere holds the places of reasons to those of the input as people write it.
func TestValidateRuleSaysWhere(t *testing.T) {
	t.Parallel()
	nobody := func(access.PrincipalID, access.PrincipalKind) bool { return false }
	quorum := access.Quorum{Count: 1, Groups: []access.PrincipalID{"g"}, People: []access.PrincipalID{"p"}}
	rule := access.Rule{Cases: []access.Case{
		{When: "now", Hours: access.Hours{Zone: "Nowhere", To: 60}},
		{Stages: []access.Stage{
			{AllOf: []access.Quorum{quorum}, Timeout: time.Second},
			{AnyOf: []access.Quorum{{Count: 1}, quorum}},
		}},
	}}
	var got []string
	for _, r := range policy.ValidateRule("approval", rule, crowd{}, nobody, compiler(t), time.LoadLocation) {
		got = append(got, r.Field)
	}
	want := []string{
		"approval[0].when", "approval[0].hours.zone",
		"approval[1].stages[0].timeout", "approval[1].stages[0].allOf[0].groups[0]",
		"approval[1].stages[0].allOf[0].people[0]",
		"approval[1].stages[1].anyOf[0]", "approval[1].stages[1].anyOf[1].groups[0]",
		"approval[1].stages[1].anyOf[1].people[0]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the reasons are at\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzCondition(f *testing.F) {
	f.Add(`machine.labels["env"] == "prod"`)
	f.Add(`[1,2].all(x, x > 0)`)
	f.Fuzz(func(t *testing.T, source string) {
		c, err := compiler(t)(source)
		if err != nil {
			return
		}
		_, _ = c.Holds(facts()) // only that it returns, whatever the source
	})
}

// TestLengthOfAnExtension holds that what is extended is counted from when it opened, and not from now.
func TestLengthOfAnExtension(t *testing.T) {
	t.Parallel()
	now := facts().Now
	rule := access.PortRule{Ports: access.SinglePort(22), Protocol: access.TCP, Max: 3 * time.Hour}
	item := policy.Item{Policy: &access.MachinePolicy{Ports: []access.PortRule{rule}}, Since: now.Add(-2 * time.Hour)}
	item.Target = access.PortTarget{
		Machine: "m", Ports: access.SinglePort(22), Protocol: access.TCP,
		Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")},
	}
	for until, want := range map[time.Duration]int{time.Hour: 0, 90 * time.Minute: 1} {
		item.Until = now.Add(until)
		verdict := policy.Evaluate(policy.Input{Items: []policy.Item{item}}, now)
		if len(verdict.Refusals) != want {
			t.Errorf("open for 2h, and to be for %s more of at most 3h in all: %v", until, verdict.Refusals)
		}
	}
}
