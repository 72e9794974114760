package armapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// parseDuration reads an ISO 8601 duration of days, hours, minutes and seconds, such as PT3H, PT1H30M or P1D. Years
// and months, whose length varies, are refused, and so are fractions and anything longer than 1,000 days.
func parseDuration(text string) (time.Duration, error) {
	malformed := access.Fault(access.KindInvalid, "InvalidParameter", "%q is not an ISO 8601 duration such as PT3H, PT30M or P1D", clip(text))
	rest, found := strings.CutPrefix(strings.ToUpper(text), "P")
	if !found || len(text) > 32 || rest == "" || strings.HasSuffix(rest, "T") {
		return 0, malformed
	}
	date, clock, _ := strings.Cut(rest, "T")
	var total time.Duration
	for _, part := range []struct {
		text  string
		units []unit
	}{
		{date, []unit{{"W", 7 * 24 * time.Hour}, {"D", 24 * time.Hour}}},
		{clock, []unit{{"H", time.Hour}, {"M", time.Minute}, {"S", time.Second}}},
	} {
		sum, valid := sumUnits(part.text, part.units)
		if !valid {
			return 0, malformed
		}
		total += sum
	}
	return total, nil
}

type unit struct {
	letter string
	length time.Duration
}

// sumUnits adds up text such as 1H30M, whose units must come in the order given, each at most once.
func sumUnits(text string, units []unit) (time.Duration, bool) {
	var total time.Duration
	for _, u := range units {
		number, rest, found := strings.Cut(text, u.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || time.Duration(n) > 1000*24*time.Hour/u.length {
			return 0, false
		}
		total += time.Duration(n) * u.length
		text = rest
	}
	return total, text == ""
}

// formatDuration writes d as Azure does: PT3H, PT1H30M, P1D. Parts below a second are dropped.
func formatDuration(d time.Duration) string {
	var b strings.Builder
	b.WriteByte('P')
	days, d := d/(24*time.Hour), d%(24*time.Hour)
	if days > 0 {
		b.WriteString(strconv.FormatInt(int64(days), 10) + "D")
	}
	if d >= time.Second || days == 0 {
		b.WriteByte('T')
		hours, minutes, seconds := d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second
		if hours > 0 {
			b.WriteString(strconv.FormatInt(int64(hours), 10) + "H")
		}
		if minutes > 0 {
			b.WriteString(strconv.FormatInt(int64(minutes), 10) + "M")
		}
		if seconds > 0 || hours+minutes == 0 {
			b.WriteString(strconv.FormatInt(int64(seconds), 10) + "S")
		}
	}
	return b.String()
}

// stamp writes an instant as Azure does: UTC, seven digits of a second.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// parseStamp reads what clients send: RFC 3339 with 0 to 9 digits of a second, with or without an offset; without
// one it is UTC.
func parseStamp(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, access.Fault(access.KindInvalid, "InvalidParameter", "%q is not a time such as 2030-01-02T15:04:05Z", clip(text))
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
