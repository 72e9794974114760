package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

func berlin(tb testing.TB) *time.Location {
	tb.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		tb.Fatal(err)
	}
	return zone
}

func TestWindows(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 3, 25, 8, 0, 0, 0, time.UTC) // a Monday, nine o'clock in Berlin; clocks change on the 31st
	for rule, want := range map[string][]string{
		// still nine o'clock
		"FREQ=WEEKLY;COUNT=2": {"2030-03-25T08:00:00Z", "2030-04-01T07:00:00Z"},
		"FREQ=DAILY;UNTIL=20300327T235959Z": {
			"2030-03-25T08:00:00Z", "2030-03-26T08:00:00Z",
			"2030-03-27T08:00:00Z",
		},
		"RRULE:FREQ=WEEKLY;BYDAY=TU,TH;COUNT=2": {"2030-03-26T08:00:00Z", "2030-03-28T08:00:00Z"},
		"FREQ=DAILY;BYHOUR=9,17;COUNT=3": {
			"2030-03-25T08:00:00Z", "2030-03-25T16:00:00Z",
			"2030-03-26T08:00:00Z",
		},
		"FREQ=MONTHLY;BYDAY=-1FR;COUNT=2":                       {"2030-03-29T08:00:00Z", "2030-04-26T07:00:00Z"},
		"FREQ=HOURLY;INTERVAL=12;COUNT=2":                       {"2030-03-25T08:00:00Z", "2030-03-25T20:00:00Z"},
		"FREQ=MONTHLY;BYMONTHDAY=31;COUNT=2":                    {"2030-03-31T07:00:00Z", "2030-05-31T07:00:00Z"},
		"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=1": {"2030-03-29T08:00:00Z"},
	} {
		windows, err := policy.Windows(rule, start, berlin(t))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		var got []string
		for _, w := range windows {
			got = append(got, w.Format(time.RFC3339))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s gives %v, want %v", rule, got, want)
		}
	}
}

// TestWindowsWhereClocksAreSet has series through nights in which clocks are set: one rule for all zones.
func TestWindowsWhereClocksAreSet(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ zone, start, rule, want string }{
		{
			"America/New_York", "2027-03-13T02:30:00-05:00", "FREQ=DAILY;COUNT=3",
			"2027-03-13T07:30:00Z 2027-03-14T07:30:00Z 2027-03-15T06:30:00Z",
		},
		{
			"Europe/Berlin", "2027-03-27T02:30:00+01:00", "FREQ=DAILY;COUNT=3",
			"2027-03-27T01:30:00Z 2027-03-28T01:30:00Z 2027-03-29T00:30:00Z",
		},
		{
			"America/New_York", "2027-11-06T01:30:00-04:00", "FREQ=DAILY;COUNT=3",
			"2027-11-06T05:30:00Z 2027-11-07T05:30:00Z 2027-11-08T06:30:00Z",
		},
		// the second was said
		{
			"America/New_York", "2027-11-07T01:30:00-05:00", "FREQ=DAILY;COUNT=2",
			"2027-11-07T06:30:00Z 2027-11-08T06:30:00Z",
		},
		{
			"Europe/Berlin", "2027-03-28T01:30:00+01:00", "FREQ=HOURLY;COUNT=3",
			"2027-03-28T00:30:00Z 2027-03-28T01:30:00Z 2027-03-28T02:30:00Z",
		},
		// two readings are one instant
		{
			"Europe/Berlin", "2027-03-27T02:30:00+01:00", "FREQ=DAILY;BYHOUR=2,3;COUNT=4",
			"2027-03-27T01:30:00Z 2027-03-27T02:30:00Z 2027-03-28T01:30:00Z 2027-03-29T00:30:00Z",
		},
		{
			"Europe/Berlin", "2027-03-27T02:30:00+01:00", "FREQ=DAILY;UNTIL=20270328T023000",
			"2027-03-27T01:30:00Z 2027-03-28T01:30:00Z",
		},
	} {
		zone, err := time.LoadLocation(tc.zone)
		if err != nil {
			t.Fatal(err)
		}
		start, err := time.Parse(time.RFC3339, tc.start)
		if err != nil {
			t.Fatal(err)
		}
		windows, err := policy.Windows(tc.rule, start, zone)
		var got []string
		for _, w := range windows {
			got = append(got, w.Format(time.RFC3339))
		}
		if text := strings.Join(got, " "); err != nil || text != tc.want {
			t.Errorf("%s from %s: %s %v, want %s", tc.rule, tc.start, text, err, tc.want)
		}
	}
}

// TestSeriesThatAreRefused has the rules that would never end, fire all the time, or keep the calendar busy.
func TestSeriesThatAreRefused(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	for rule, code := range map[string]string{
		"":           "seriesMalformed",
		"FREQ=DAILY": "seriesEndless",
		"COUNT=3":    "seriesMalformed",
		"FREQ=DAILY;COUNT=3;UNTIL=20300110T000000Z":   "seriesEndless",
		"FREQ=SECONDLY;COUNT=3":                       "seriesTooDense",
		"FREQ=MINUTELY;COUNT=3":                       "seriesTooDense",
		"FREQ=DAILY;BYMINUTE=0,1;COUNT=3":             "seriesMalformed",
		"FREQ=DAILY;BYSECOND=0,1;COUNT=3":             "seriesMalformed",
		"FREQ=DAILY;BYEASTER=0;COUNT=3":               "seriesMalformed",
		"FREQ=DAILY;COUNT=3;COUNT=4":                  "seriesMalformed",
		"FREQ=DAILY;COUNT=0":                          "seriesMalformed",
		"FREQ=DAILY;COUNT=-1":                         "seriesMalformed",
		"FREQ=DAILY;COUNT=401":                        "seriesMalformed",
		"FREQ=DAILY;COUNT=1e3":                        "seriesMalformed",
		"FREQ=DAILY;INTERVAL=0;COUNT=3":               "seriesMalformed",
		"FREQ=DAILY;INTERVAL=-1;COUNT=3":              "seriesMalformed",
		"FREQ=DAILY;UNTIL=20310201T000000Z":           "seriesTooLong",
		"FREQ=DAILY;UNTIL=20291231T000000Z":           "seriesEmpty",
		"FREQ=HOURLY;UNTIL=20301231T000000Z":          "seriesTooLong",
		"FREQ=YEARLY;COUNT=3":                         "seriesTooLong",
		"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=1": "seriesEmpty",
		// the calendar would look for it for ever
		"FREQ=HOURLY;INTERVAL=24;BYHOUR=5;COUNT=1":                     "seriesMalformed",
		"FREQ=HOURLY;BYSETPOS=2;COUNT=1":                               "seriesMalformed",
		"FREQ=DAILY;BYSETPOS=5;COUNT=1":                                "seriesMalformed",
		"FREQ=DAILY;BYDAY=5MO;COUNT=1":                                 "seriesMalformed",
		"FREQ=DAILY;BYMONTHDAY=0;COUNT=1":                              "seriesMalformed",
		"FREQ=DAILY;BYDAY=XX;COUNT=1":                                  "seriesMalformed",
		"FREQ=DAILY;COUNT=1;X-MINE=1":                                  "seriesMalformed",
		"DTSTART:20300101T000000Z\nRRULE:FREQ=DAILY;COUNT=2":           "seriesMalformed",
		"FREQ=DAILY;COUNT=1;BYHOUR=" + strings.Repeat("1,", 300) + "1": "seriesMalformed",
	} {
		windows, err := policy.Windows(rule, start, time.UTC)
		if access.KindOf(err) != access.KindInvalid || access.CodeOf(err) != code {
			t.Errorf("%.60q gives %d windows and %v (%s), want %s", rule, len(windows), err, access.CodeOf(err), code)
		}
	}
}

func FuzzWindows(f *testing.F) {
	for _, rule := range []string{
		"FREQ=WEEKLY;BYDAY=MO,FR;COUNT=10", "FREQ=DAILY;UNTIL=20300301T000000Z",
		"FREQ=MONTHLY;BYDAY=-1FR;BYSETPOS=1;COUNT=2", "FREQ=HOURLY;INTERVAL=24;COUNT=3",
	} {
		f.Add(rule)
	}
	start := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	chatham, err := time.LoadLocation("Pacific/Chatham") // at 12:45 and 13:45 from Greenwich
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		windows, err := policy.Windows(rule, start, chatham)
		if err != nil {
			if access.KindOf(err) != access.KindInvalid {
				t.Fatalf("%q: %v", rule, err)
			}
			return
		}
		if len(windows) == 0 || len(windows) > access.MaxWindows || windows[0].Before(
			start) || windows[len(windows)-1].After(start.Add(access.MaxScheduled)) {
			t.Fatalf("%q gives %d windows, %v to %v", rule, len(windows), windows[0], windows[len(windows)-1])
		}
		for i := 1; i < len(windows); i++ {
			if windows[i].Sub(windows[i-1]) < time.Hour {
				t.Fatalf("%q begins at %s and %s", rule, windows[i-1], windows[i])
			}
		}
	})
}
