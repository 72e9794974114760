package access_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

func TestWallClock(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ zone, wall, want string }{
		{"America/New_York", "2027-03-14 02:30", "2027-03-14T07:30:00Z"}, // never shown: 03:30 EDT
		{"Europe/Berlin", "2027-03-28 02:30", "2027-03-28T01:30:00Z"},    // never shown: 03:30 CEST
		{"America/New_York", "2027-11-07 01:30", "2027-11-07T05:30:00Z"}, // shown twice: EDT
		{"Europe/Berlin", "2027-10-31 02:30", "2027-10-31T00:30:00Z"},    // shown twice: CEST
		{"Australia/Lord_Howe", "2027-10-03 02:15", "2027-10-02T15:45:00Z"},
		{"Pacific/Apia", "2011-12-30 09:00", "2011-12-30T19:00:00Z"}, // a day that was left out: the 31st at nine
		{"UTC", "2027-03-14 02:30", "2027-03-14T02:30:00Z"},
		{"Asia/Kolkata", "2027-03-14 02:30", "2027-03-13T21:00:00Z"},
	} {
		zone, err := time.LoadLocation(tc.zone)
		if err != nil {
			t.Fatal(err)
		}
		wall, err := time.Parse("2006-01-02 15:04", tc.wall)
		if err != nil {
			t.Fatal(err)
		}
		if got := access.WallClock(wall, zone).UTC().Format(time.RFC3339); got != tc.want {
			t.Errorf("%s in %s is %s, want %s", tc.wall, tc.zone, got, tc.want)
		}
	}
}

// zones returns the names of all zones of the system's database.
func zones(t *testing.T) []string {
	t.Helper()
	const root = "/usr/share/zoneinfo"
	var names []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		name, _ := strings.CutPrefix(path, root+"/")
		if err == nil && !d.IsDir() && !strings.Contains(name, ".") && name[0] >= 'A' && name[0] <= 'Z' {
			if _, err := time.LoadLocation(name); err == nil {
				names = append(names, name)
			}
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Skipf("there is no database of zones at %s: %v", root, err)
	}
	return names
}

// TestWallClockInEveryZone looks at fifty years of every zone of the system, around the times at which clocks are set,
// and compares with a search through all instants that could be meant.
func TestWallClockInEveryZone(t *testing.T) {
	t.Parallel()
	names := zones(t)
	shows := func(at time.Time, wall time.Time) bool {
		return at.Format(time.DateTime) == wall.Format(time.DateTime)
	}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(names).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Add(
			time.Duration(rapid.IntRange(0, 50*365*24).Draw(t, "hour")) * time.Hour).In(
			zone)
		if _, set := at.ZoneBounds(); !set.IsZero() && rapid.Bool().Draw(t, "near") {
			at = set // when clocks are set next
		}
		_, offset := at.Zone()
		// A reading of a clock near it, which may be one that clocks in the zone never show.
		wall := at.Add(time.Duration(rapid.IntRange(-26*60, 26*60).Draw(t, "minutes")) * time.Minute).In(
			time.FixedZone("", offset))
		got := access.WallClock(wall, zone)
		var first time.Time
		var earlier int // the last offset before the gap, where there is one
		for m := -27 * 60; m <= 27*60 && first.IsZero(); m++ {
			c := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, time.UTC).Add(
				time.Duration(m) * time.Minute).Add(
				time.Duration(wall.Second()) * time.Second).In(
				zone)
			if shows(c, wall) {
				first = c
			}
		}
		if !first.IsZero() {
			if !got.Equal(first) {
				t.Fatalf("%s in %s: %s, want the first instant that shows it, %s", wall, zone, got, first)
			}
			return
		}
		// It is never shown: clocks jump over it, and what they showed before the jump counts.
		_, set := got.Add(-27 * time.Hour).ZoneBounds()
		for !set.IsZero() && !set.After(got) {
			_, earlier = set.Add(-time.Nanosecond).Zone()
			start, next := set.ZoneBounds()
			if _, later := start.Zone(); later > earlier && got.Sub(set) < time.Duration(later-earlier)*time.Second {
				break
			}
			set = next
		}
		if !shows(got.In(time.FixedZone("", earlier)), wall) {
			t.Fatalf("%s in %s, which is never shown, is %s", wall, zone, got)
		}
	})
}
