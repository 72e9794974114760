package armapi

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT3H": 3 * time.Hour, "PT1H30M": 90 * time.Minute, "P1D": 24 * time.Hour,
		"P1DT2H3M4S": 26*time.Hour + 3*time.Minute + 4*time.Second,
		"pt5m":       5 * time.Minute, "P1W": 7 * 24 * time.Hour, "PT0S": 0,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "P", "PT", "P1DT", "3H", "PT3", "PT3X", "P1Y", "P1M", "PT-3H", "PT1.5H", "PT3M1H",
		"PT99999999999H", "PT1H1H",
	} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func TestDurationRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := time.Duration(rapid.Int64Range(0, 90*24*3600).Draw(t, "seconds")) * time.Second
		if got, err := parseDuration(formatDuration(want)); err != nil || got != want {
			t.Fatalf("%s is %v, %v; want %v", formatDuration(want), got, err, want)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	f.Add("PT3H")
	f.Add("P1DT2H3M4S")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err != nil {
			return
		}
		if again, err := parseDuration(formatDuration(d)); err != nil || again != d {
			t.Errorf("%q is %v, written %s, read %v, %v", text, d, formatDuration(d), again, err)
		}
	})
}

func TestParseStamp(t *testing.T) {
	t.Parallel()
	want := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, text := range []string{
		"2030-01-02T03:04:05Z", "2030-01-02T03:04:05.0000000Z", "2030-01-02T05:04:05+02:00",
		"2030-01-02T03:04:05", "2030-01-02T03:04:05.000000000Z",
	} {
		if got, err := parseStamp(text); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "2030-01-02 03:04:05Z", "2030-13-02T03:04:05Z"} {
		if _, err := parseStamp(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
