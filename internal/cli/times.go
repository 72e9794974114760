package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

const day = 24 * time.Hour

// parseDuration reads 90s, 1h30m, 2d or 1d12h; it must be positive.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration; write it like 45m, 1h30m or 2d", s)
	var total time.Duration
	rest := s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, bad
		}
		total, rest = time.Duration(n)*day, after
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 {
			return 0, bad
		}
		total += d
	}
	if total <= 0 {
		return 0, bad
	}
	return total, nil
}

// wholeSeconds reads a duration without a fraction of a second.
func wholeSeconds(s string) (int64, error) {
	d, err := parseDuration(s)
	if err == nil && d%time.Second != 0 {
		err = fmt.Errorf("%s has a fraction of a second", s)
	}
	return int64(d / time.Second), err
}

// parseTime reads RFC 3339, "2006-01-02 15:04", "tomorrow 15:04", or "15:04", which is the next time the clock shows
// that. All but the first are local times, which access.WallClock makes instants.
func parseTime(s string, now time.Time, local *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if wall, err := time.Parse("2006-01-02 15:04", s); err == nil {
		return access.WallClock(wall, local), nil
	}
	clock, isTomorrow := strings.CutPrefix(s, "tomorrow ")
	hm, err := time.Parse("15:04", strings.TrimSpace(clock))
	if err != nil {
		return time.Time{},
			fmt.Errorf("%q is not a time; write it like 15:04, \"tomorrow 09:00\", \"2026-01-31 15:04\" or "+
				"2026-01-31T15:04:00Z",
				s)
	}
	y, m, d := now.In(local).Date()
	wall := time.Date(y, m, d, hm.Hour(), hm.Minute(), 0, 0, time.UTC)
	t := access.WallClock(wall, local)
	if isTomorrow || !t.After(now) {
		t = access.WallClock(wall.AddDate(0, 0, 1), local)
	}
	return t, nil
}

// past reads a time, or a duration that counts back from now.
func (a *app) past(s string) (time.Time, error) {
	if d, err := parseDuration(s); err == nil {
		return a.now().Add(-d), nil
	}
	return parseTime(s, a.now().Add(-day), a.local) // so that 15:04 is the last time the clock showed that
}

// shortDuration writes d with its two largest units: 2d3h, 1h30m, 12m, 45s.
func shortDuration(d time.Duration) string {
	if d < time.Minute {
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	days, hours, minutes := int(d/day), int(d%day/time.Hour), int(d%time.Hour/time.Minute)
	two := func(a int, unitA string, b int, unitB string) string {
		if b == 0 {
			return strconv.Itoa(a) + unitA
		}
		return strconv.Itoa(a) + unitA + strconv.Itoa(b) + unitB
	}
	switch {
	case days > 0:
		return two(days, "d", hours, "h")
	case hours > 0:
		return two(hours, "h", minutes, "m")
	default:
		return strconv.Itoa(minutes) + "m"
	}
}
