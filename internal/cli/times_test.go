package cli

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"45m": 45 * time.Minute, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour,
		"90s": 90 * time.Second,
		"":    0, "0s": 0, "-1h": 0, "d": 0, "1": 0, "1d-1h": 0, "-1d": 0, "1h1d": 0, "99999d": 0, "one hour": 0,
	} {
		got, err := parseDuration(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 1, 31, 14, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"15:04":                "2026-01-31T15:04:00+01:00",
		"14:30":                "2026-02-01T14:30:00+01:00", // not after now, so it is tomorrow's
		"09:00":                "2026-02-01T09:00:00+01:00",
		"tomorrow 15:04":       "2026-02-01T15:04:00+01:00",
		"2026-03-01 08:00":     "2026-03-01T08:00:00+01:00",
		"2026-03-01T08:00:00Z": "2026-03-01T08:00:00Z",
		"25:00":                "", "": "", "noon": "", "tomorrow": "", "2026-02-30 10:00": "",
	} {
		got, err := parseTime(text, now, zone)
		if want == "" {
			if err == nil {
				t.Errorf("parseTime(%q) = %v; want an error", text, got)
			}
			continue
		}
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("parseTime(%q) = %v, %v; want %s", text, got, err, want)
		}
	}
}

// TestParseTimeWhereClocksAreSet has times that a night leaves out, or shows twice.
func TestParseTimeWhereClocksAreSet(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ now, text, want string }{
		{"2027-03-13T12:00:00-05:00", "2027-03-14 02:30", "2027-03-14T03:30:00-04:00"},
		{"2027-03-13T12:00:00-05:00", "tomorrow 02:30", "2027-03-14T03:30:00-04:00"},
		{"2027-03-14T01:00:00-05:00", "02:30", "2027-03-14T03:30:00-04:00"},
		{"2027-11-06T12:00:00-04:00", "2027-11-07 01:30", "2027-11-07T01:30:00-04:00"},
	} {
		now, err := time.Parse(time.RFC3339, tc.now)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseTime(tc.text, now, zone); err != nil || got.Format(time.RFC3339) != tc.want {
			t.Errorf("%q at %s is %v %v, want %s", tc.text, tc.now, got, err, tc.want)
		}
	}
}

func TestShortDurationReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1, 60*24*3600).Draw(t, "seconds")) * time.Second
		text := shortDuration(d)
		back, err := parseDuration(text)
		if err != nil {
			t.Fatalf("shortDuration(%v) = %q, which does not read back: %v", d, text, err)
		}
		least := map[bool]time.Duration{true: time.Hour, false: time.Minute}[d >= day]
		if d < time.Minute {
			least = time.Second
		}
		if back > d || d-back >= least {
			t.Errorf("shortDuration(%v) = %q, which reads back as %v", d, text, back)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"45m", "1d12h", "65535d2562047h", "1d-1h", "d", "1e9h", "9223372036854775807ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		switch {
		case err != nil && d != 0:
			t.Fatalf("parseDuration(%q) = %v with %v", text, d, err)
		case err == nil && d <= 0:
			t.Fatalf("parseDuration(%q) = %v, which is no time", text, d)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{
		"15:04", "tomorrow 09:00", "2026-01-31 15:04", "2026-01-31T15:04:00Z", "tomorrow",
		"0000-01-01 00:00", "24:00",
	} {
		f.Add(text)
	}
	now := nowFixed()
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseTime(text, now, now.Location())
		if err != nil {
			if !at.IsZero() {
				t.Fatalf("parseTime(%q) = %v with %v", text, at, err)
			}
			return
		}
		again, err := parseTime(at.Format(time.RFC3339), now, now.Location())
		if at.Nanosecond() == 0 && at.Year() < 10_000 && (err != nil || !again.Equal(at)) {
			t.Fatalf("parseTime(%q) = %v, and again %v, %v", text, at, again, err)
		}
	})
}

func nowFixed() time.Time { return time.Date(2026, 1, 31, 13, 30, 0, 0, time.UTC) }
