package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

// month is a request from 100 sources for 30 days.
func month(t testing.TB) policy.Facts {
	t.Helper()
	f := asked(access.MaxDuration, 0)
	for i := range access.MaxSources {
		f.Sources = append(f.Sources, fmt.Sprintf("10.0.0.%d/32", i))
	}
	return f
}

// once compiles each condition once.
func once(compile policy.Compiler) policy.Compiler {
	known := map[string]*policy.Condition{}
	return func(source string) (_ *policy.Condition, err error) {
		if known[source] == nil {
			known[source], err = compile(source)
		}
		return known[source], err
	}
}

// What asking takes is bounded for any rule that can be written, for any request: none is ever asked for longer than
// the others may be held up.
func TestRulesThatAreTooDearAreRefusedAndNotAsked(t *testing.T) {
	t.Parallel()
	twenty := func(c access.Case) (r access.Rule) {
		for i := range 19 {
			c.When = fmt.Sprintf("%s && %d < 100", c.When, i)
			r.Cases = append(r.Cases, c)
		}
		r.Cases = append(r.Cases, access.Case{Name: "rest"})
		return r
	}
	zones := access.Rule{}
	for i := range 20 {
		zones.Cases = append(zones.Cases, access.Case{Hours: access.Hours{Zone: "Europe/Berlin", From: i, To: i + 1}})
	}
	year := policy.Facts{}
	for i := range access.MaxWindows {
		start := facts().Now.Add(time.Duration(i) * 22 * time.Hour)
		year.Windows = append(year.Windows, policy.Window{Start: start, End: start.Add(21 * time.Hour)})
	}
	for _, c := range []struct {
		name  string
		rule  access.Rule
		facts policy.Facts
	}{
		{
			"pairs of sources",
			twenty(access.Case{When: `request.sources.all(a, request.sources.all(b, a != b || a == b)) && now < timestamp("2000-01-01T00:00:00Z")`}),
			month(t),
		},
		{"hours of many zones over a year", zones, year},
		{
			"a pattern of the requester's",
			twenty(access.Case{When: `request.justification.matches(request.ticket) && now < timestamp("2000-01-01T00:00:00Z")`}),
			func() policy.Facts {
				f := month(t)
				f.Justification, f.Ticket = strings.Repeat("a", access.MaxText), "(a{0,30}){20}$"
				return f
			}(),
		},
	} {
		began := time.Now()
		inquiry := policy.NewInquiry(once(compiler(t)), time.LoadLocation)
		var err error
		for item := 0; item < access.MaxItems && err == nil; item++ {
			c.facts.Machine.Name = fmt.Sprint("web-", item)
			_, err = inquiry.Choose(c.rule, c.facts)
		}
		if err == nil {
			t.Errorf("%s: was asked for, in %s", c.name, time.Since(began))
		}
		t.Logf("%s: %s, %v", c.name, time.Since(began), err)
	}
}

// One condition that looks at the time alone is evaluated once for each instant, however many machines are asked for.
func TestManyMachinesAreAskedForAtTheCostOfOne(t *testing.T) {
	t.Parallel()
	rule := access.Rule{Cases: []access.Case{
		{When: `now.getHours("Europe/Berlin") < 24 && "none" in requester.groups`},
		{Name: "rest"},
	}}
	inquiry := policy.NewInquiry(once(compiler(t)), time.LoadLocation)
	f := asked(72*time.Hour, 0)
	for i := range access.MaxItems {
		f.Machine.Name, f.Machine.Labels = fmt.Sprint("web-", i), map[string]string{"n": fmt.Sprint(i)}
		if got, err := inquiry.Choose(rule, f); err != nil || len(got.Cases) != 1 || got.Cases[0].Name != "rest" {
			t.Fatalf("machine %d: %+v, %v", i, got, err)
		}
	}
}

// What one machine is asked for is not taken from what another was: each fact that a condition looks at counts.
func TestAnswersAreOfTheFactsThatAConditionLooksAt(t *testing.T) {
	t.Parallel()
	compile := compiler(t)
	base := asked(time.Hour, 0)
	for when, change := range map[string]func(*policy.Facts){
		`requester.id == "other"`:      func(f *policy.Facts) { f.Requester = "other" },
		`requester.name == "other"`:    func(f *policy.Facts) { f.RequesterName = "other" },
		`"other" in requester.groups`:  func(f *policy.Facts) { f.Groups = []string{"other"} },
		`requester.address == "other"`: func(f *policy.Facts) { f.Address = "other" },
		`machine.name == "other"`:      func(f *policy.Facts) { f.Machine.Name = "other" },
		`machine.location == "other"`:  func(f *policy.Facts) { f.Machine.Location = "other" },
		`machine.os == "other"`:        func(f *policy.Facts) { f.Machine.OS = "other" },
		`"other" in machine.labels`: func(
			f *policy.Facts,
		) {
			f.Machine.Labels = map[string]string{"other": ""}
		},
		`request.firstPort == 9`:             func(f *policy.Facts) { f.Ports.First = 9 },
		`request.lastPort == 9`:              func(f *policy.Facts) { f.Ports.Last = 9 },
		`request.protocol == "other"`:        func(f *policy.Facts) { f.Protocol = "other" },
		`"other" in request.sources`:         func(f *policy.Facts) { f.Sources = []string{"other"} },
		`request.duration == duration("7s")`: func(f *policy.Facts) { f.Duration = 7 * time.Second },
		`request.justification == "other"`:   func(f *policy.Facts) { f.Justification = "other" },
		`request.moves`:                      func(f *policy.Facts) { f.Moves = true },
		`request.ticket == "other"`:          func(f *policy.Facts) { f.Ticket = "other" },
		`request.start - now > duration("24h")`: func(
			f *policy.Facts,
		) {
			f.Start = f.Now.Add(48 * time.Hour)
			f.Windows = nil
		},
		`now > timestamp("2040-01-01T00:00:00Z")`: func(
			f *policy.Facts,
		) {
			f.Now = f.Now.AddDate(30, 0, 0)
			f.Windows = nil
		},
	} {
		inquiry := policy.NewInquiry(compile, time.LoadLocation)
		rule := access.Rule{Cases: []access.Case{{Name: "other", When: when}, {Name: "rest"}}}
		changed := base
		change(&changed)
		for _, c := range []struct {
			facts policy.Facts
			want  string
		}{{base, "rest"}, {changed, "other"}, {base, "rest"}} {
			got, err := inquiry.Choose(rule, c.facts)
			if err != nil || len(got.Cases) != 1 || got.Cases[0].Name != c.want {
				t.Errorf("%s: %+v, %v, want %s", when, got, err, c.want)
			}
		}
	}
}

func TestRuleThatIsTooDearCannotBeWritten(t *testing.T) {
	t.Parallel()
	rule := func(when ...string) (r access.Rule) {
		for _, w := range when {
			r.Cases = append(r.Cases, access.Case{When: w})
		}
		return r
	}
	for _, c := range []struct {
		rule access.Rule
		dear bool
	}{
		{
			rule(`now.getHours("Europe/Berlin") in [8, 9, 10, 11, 12, 13, 14, 15, 16, 17] && "oncall" in requester.groups`),
			false,
		},
		{
			rule(`requester.groups.exists(g, g.startsWith("ops")) && now.getDayOfWeek("Asia/Tokyo") < 6`,
				`machine.labels["env"] == "prod" && request.justification.matches("^INC[0-9]+")`),
			false,
		},
		{rule(`request.sources.all(a, request.sources.all(b, a != b || a == b))`), false},
		{
			rule(`true`,
				`now < timestamp("2000-01-01T00:00:00Z") && request.sources.all(a, request.sources.all(b, a != b || a == b))`),
			true,
		},
	} {
		reasons := policy.TooDear("approval", c.rule, access.MaxDuration, compiler(t))
		if (len(reasons) > 0) != c.dear {
			t.Errorf("%+v: %v, want too dear %t", c.rule, reasons, c.dear)
		}
		if c.dear && reasons[0].Field != "approval[1].when" {
			t.Errorf("the dearest is named as %s", reasons[0].Field)
		}
	}
}

// A counted repetition is short to write and long to match.
func TestPatternsAreBoundedByTheirPrograms(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("(.{0,999}x)", 46)
	p := access.MachinePolicy{Justification: access.JustificationRule{Pattern: large}}
	if got := policy.Validate(p); !strings.Contains(fmt.Sprint(got), "patternTooLarge") {
		t.Errorf("a policy with it: %v", got)
	}
	if _, err := compiler(t)(fmt.Sprintf("request.justification.matches(%q)",
		large)); access.CodeOf(err) != "conditionInvalid" {
		t.Errorf("a condition with it: %v", err)
	}
	f := facts()
	f.Justification, f.Ticket = strings.Repeat("a", access.MaxText), "(a{0,30}){20}$"
	if holds, err := must(compiler(t)(`request.justification.matches(request.ticket)`))(t).Holds(f); holds ||
		err == nil {
		t.Errorf("a pattern that the requester chose: %t, %v", holds, err)
	}
	// Policies of before may have larger ones, and a request may meet many.
	in := policy.Input{Justification: f.Justification}
	for i := range 20 {
		in.Items = append(in.Items,
			policy.Item{Item: access.Item{Target: access.PortTarget{}}, Policy: &access.MachinePolicy{
				Justification: access.JustificationRule{Pattern: fmt.Sprintf("(.{0,400}%d)", i)},
			}})
	}
	if got := policy.Evaluate(in, f.Now); !strings.Contains(fmt.Sprint(got.Refusals), "justificationTooDear") {
		t.Errorf("many patterns: %v", got.Refusals)
	}
}

// What a clock shows is what CEL itself says it shows.
func TestZonesOfConditionsAreThoseOfCEL(t *testing.T) {
	t.Parallel()
	env, err := cel.NewEnv(cel.Variable("now", cel.TimestampType))
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range []string{
		"Europe/Berlin", "UTC", "", "Asia/Kathmandu", "-08:00", "05:30", "+05:30", "-23:59",
		"23:00", "nowhere", "../etc", "24:00",
	} {
		for _, get := range []string{
			"getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate",
			"getDayOfWeek", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
		} {
			f := facts()
			f.Now = time.Date(2026, 12, 31, 23, 45, 12, 345e6, time.UTC)
			checked, issues := env.Compile(fmt.Sprintf("now.%s(%q)", get, zone))
			if issues.Err() != nil {
				t.Fatal(issues.Err())
			}
			want, _, failed := must(env.Program(checked))(t).Eval(map[string]any{"now": f.Now})
			source := fmt.Sprintf("now.%s(%q) == %v", get, zone, want)
			if failed != nil {
				source = fmt.Sprintf("now.%s(%q) == 0", get, zone)
			}
			if holds, err := must(compiler(t)(source))(t).Holds(
				f); holds != (failed == nil) || (err == nil) != (failed == nil) {
				t.Errorf("%s: %t, %v; CEL has %v, %v", source, holds, err, want, failed)
			}
		}
	}
}
