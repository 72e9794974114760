package policy_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

func needing(name string) []access.Stage {
	return []access.Stage{{AllOf: []access.Quorum{{Count: 1, People: []access.PrincipalID{access.PrincipalID(name)}}}}}
}

func officeHours() access.Hours {
	return access.Hours{
		Zone: "Europe/Berlin",
		Days: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}, From: 8 * 60,
		To: 18 * 60,
	}
}

// asked gives the facts of a request at ten in the morning of a Monday in Berlin, for windows that begin so much later.
func asked(length time.Duration, after ...time.Duration) policy.Facts {
	f := facts()
	f.Duration, f.Start = length, f.Now.Add(after[0])
	for _, d := range after {
		f.Windows = append(f.Windows, policy.Window{Start: f.Now.Add(d), End: f.Now.Add(d + length)})
	}
	return f
}

func chosen(t *testing.T, rule access.Rule, f policy.Facts) []string {
	t.Helper()
	got, err := policy.NewInquiry(compiler(t), time.LoadLocation).Choose(rule, f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range got.Cases {
		names = append(names, c.Name)
	}
	switch {
	case got.Beyond:
		names = append(names, "beyond")
	case !got.None.IsZero():
		names = append(names, "none")
	}
	return names
}

func TestRuleIsAskedForTheWindowToo(t *testing.T) {
	t.Parallel()
	const hour, day = time.Hour, 24 * time.Hour
	office := access.Case{Name: "office", Hours: officeHours()}
	officeNow := access.Case{
		Name: "office",
		When: `now.getHours("Europe/Berlin") in [8, 9, 10, 11, 12, 13, 14, 15, 16, 17]`,
	}
	rest := access.Case{Name: "rest", Stages: needing("head")}
	night := access.Case{
		Name: "night", Hours: access.Hours{Zone: "Europe/Berlin", From: 18 * 60, To: 8 * 60},
		Stages: needing("watch"),
	}
	free := access.Case{Name: "free"}
	planned := access.Case{Name: "planned", When: `request.start - now > duration("24h")`, Stages: needing("head")}
	for _, c := range []struct {
		name  string
		cases []access.Case
		facts policy.Facts
		want  []string
	}{
		{"an hour at once", []access.Case{office, rest}, asked(hour, 0), []string{"office"}},
		{"to the last minute of the hours", []access.Case{office, rest}, asked(8*hour, 0), []string{"office"}},
		{
			"a microsecond longer",
			[]access.Case{office, rest},
			asked(8*hour+time.Microsecond, 0),
			[]string{"office", "rest"},
		},
		{"ten hours later", []access.Case{office, rest}, asked(hour, 10*hour), []string{"office", "rest"}},
		{"tomorrow, in the hours", []access.Case{office, rest}, asked(hour, day), []string{"office"}},
		{"over night", []access.Case{office, rest}, asked(day, 0), []string{"office", "rest"}},
		{"a series in the hours", []access.Case{office, rest}, asked(hour, day, 2*day), []string{"office"}},
		{
			"one of a series at night",
			[]access.Case{office, rest},
			asked(hour, day, 2*day+10*hour),
			[]string{"office", "rest"},
		},
		{
			"one of a series on Saturday",
			[]access.Case{office, rest},
			asked(hour, day, 5*day),
			[]string{"office", "rest"},
		},
		{"only hours, and none for the night", []access.Case{office}, asked(hour, 10*hour), []string{"none"}},

		{"a condition on now, in the hours", []access.Case{officeNow, rest}, asked(hour, 0), []string{"office"}},
		{"a condition on now, later", []access.Case{officeNow, rest}, asked(hour, 10*hour), []string{"office", "rest"}},
		{"a condition on now, over night", []access.Case{officeNow, rest}, asked(day, 0), []string{"office", "rest"}},

		{
			"a strict case of the night is not passed over by length",
			[]access.Case{night, free},
			asked(day, 0),
			[]string{"night", "free"},
		},
		{"nor by being asked by day", []access.Case{night, free}, asked(hour, 10*hour), []string{"night", "free"}},

		{"what is planned", []access.Case{planned}, asked(hour, 2*day), []string{"planned"}},
		{"what is not", []access.Case{planned}, asked(hour, hour), []string{"none"}},
		{
			"a series of which one window is near",
			[]access.Case{planned, free},
			asked(hour, hour, 2*day),
			[]string{"planned", "free"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := chosen(t, access.Rule{Cases: c.cases}, c.facts); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestChainThatIsTooLongIsNotApprovedAtOnce(t *testing.T) {
	t.Parallel()
	f := asked(time.Hour, 0)
	f.Beyond = true
	free, rest := access.Case{Name: "free"}, access.Case{Name: "rest", Stages: needing("head")}
	for _, c := range []struct {
		cases []access.Case
		want  []string
	}{
		{nil, []string{"beyond"}},
		{[]access.Case{free}, []string{"beyond"}},
		{[]access.Case{free, rest}, []string{"rest"}},
		{[]access.Case{{Name: "never", When: "false"}}, []string{"none"}},
	} {
		if got := chosen(t, access.Rule{Cases: c.cases}, f); !slices.Equal(got, c.want) {
			t.Errorf("of %v got %v, want %v", c.cases, got, c.want)
		}
	}
}

// TestHoursOfWindowsAreThoseOfEachMinute compares with a clock that is read each minute of the windows, at changes of
// all sorts.
func TestHoursOfWindowsAreThoseOfEachMinute(t *testing.T) {
	t.Parallel()
	names := []string{
		"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago",
		"UTC", "Africa/Casablanca",
	}
	free, rest := access.Case{Name: "free"}, access.Case{Name: "rest", Stages: needing("head")}
	rapid.Check(t, func(r *rapid.T) {
		zone := must(time.LoadLocation(rapid.SampledFrom(names).Draw(r, "zone")))(r)
		h := access.Hours{
			Zone: zone.String(), From: rapid.IntRange(0, 1439).Draw(r, "from"),
			To: rapid.IntRange(0, 1440).Draw(r, "to"),
		}
		if rapid.Bool().Draw(r, "some days") {
			h.Days = rapid.SliceOfNDistinct(
				rapid.Map(rapid.IntRange(0, 6), func(d int) time.Weekday { return time.Weekday(d) }), 1, 5,
				rapid.ID).Draw(
				r, "days")
		}
		if h.From == h.To {
			return
		}
		now := time.Date(2026, 1, 1, 0, rapid.IntRange(0, 400*24*60).Draw(r, "now"), 0, 0, time.UTC)
		f := policy.Facts{Now: now, Start: now}
		for range rapid.IntRange(1, 3).Draw(r, "windows") {
			start := now.Add(time.Duration(rapid.IntRange(0, 4*24*60).Draw(r, "after")) * time.Minute)
			f.Windows = append(f.Windows,
				policy.Window{
					Start: start,
					End:   start.Add(time.Duration(rapid.IntRange(1, 40*60).Draw(r, "length")) * time.Minute),
				})
		}
		inside, outside := policy.Within(h, now.In(zone)), !policy.Within(h, now.In(zone))
		for _, w := range f.Windows {
			for at := w.Start; at.Before(w.End); at = at.Add(time.Minute) {
				inside, outside = inside || policy.Within(h, at.In(zone)), outside || !policy.Within(h, at.In(zone))
			}
		}
		free.Hours = h
		got := must(policy.NewInquiry(nil, time.LoadLocation).Choose(access.Rule{Cases: []access.Case{free, rest}}, f))(
			r)
		has := func(name string) bool {
			return slices.ContainsFunc(got.Cases, func(c access.Case) bool { return c.Name == name })
		}
		if has("free") != inside || has("rest") != outside {
			r.Fatalf("%s: got %v, and the clock is inside: %t, outside: %t", zone, got.Cases, inside, outside)
		}
	})
}

func must[T any](v T, err error) func(rapid.TB) T {
	return func(tb rapid.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}
