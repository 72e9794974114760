package access

import (
	"strconv"
	"strings"
	"time"
)

// ParseISODuration reads an ISO 8601 duration of days, hours, minutes and seconds, such as PT3H, PT1H30M or P1D. Years
// and months, whose length varies, are refused, and so are fractions and anything longer than 1,000 days.
func ParseISODuration(text string) (time.Duration, error) {
	malformed := Fault(KindInvalid, "malformedDuration", "%q is not an ISO 8601 duration such as PT3H, PT30M or P1D",
		clip(text))
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

// FormatISODuration writes d as Azure does: PT3H, PT1H30M, P1D. Parts below a second are dropped.
func FormatISODuration(d time.Duration) string {
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
