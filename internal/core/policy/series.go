package policy

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teambition/rrule-go"

	"github.com/postern-dev/postern/internal/core/access"
)

// Limits on what a series may be.
const (
	maxSeriesText     = 512
	maxSeriesInterval = 366
	maxSeriesList     = 62                  // numbers or days of one part
	minSeriesSpacing  = time.Hour           // from one start to the next
	maxSeriesSpan     = access.MaxScheduled // from the first start to the last
)

// Windows returns the starts of a series: the occurrences of an RRULE of RFC 5545 from start on, in zone, so that a
// window at nine stays at nine when clocks change; access.WallClock says what is meant where clocks show a time twice,
// or never. FREQ=HOURLY counts hours that pass, whatever clocks show. At most access.MaxWindows, at least an hour
// apart, within a year; a rule must say how often (COUNT) or until when (UNTIL). Whatever else is refused with
// access.KindInvalid.
func Windows(rule string, start time.Time, zone *time.Location) ([]time.Time, error) {
	option, until, err := parseSeries(rule, zone)
	if err != nil {
		return nil, err
	}
	start = start.Truncate(time.Second)
	last := start.Add(maxSeriesSpan)
	if until.After(last) {
		return nil, badSeries("seriesTooLong", "it goes on until %s; at most a year from its first window is allowed",
			instant(until))
	}
	if until.IsZero() {
		until = last
	}
	windows, err := occurrences(option, start, until, zone)
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(windows); i++ {
		if windows[i].Sub(windows[i-1]) < minSeriesSpacing {
			return nil, badSeries("seriesTooDense", "its windows at %s and %s begin less than %s apart",
				instant(windows[i-1]), instant(windows[i]), duration(minSeriesSpacing))
		}
	}
	wanted := option.Count
	switch {
	case len(windows) > access.MaxWindows:
		return nil, badSeries("seriesTooLong", "it has more than %d windows", access.MaxWindows)
	case len(windows) == 0:
		return nil, badSeries("seriesEmpty", "none of its windows lies within a year from %s", instant(start))
	case wanted > len(windows):
		return nil, badSeries("seriesTooLong", "only %d of its %d windows lie within a year", len(windows), wanted)
	}
	return windows, nil
}

// occurrences returns the instants of a rule from start to until, as many as it counts, or one more than is allowed.
// The rule is followed by what clocks in zone show, and then made instants: two readings may be one instant, and count
// once.
func occurrences(option *rrule.ROption, start, until time.Time, zone *time.Location) ([]time.Time, error) {
	if option.Freq == rrule.HOURLY {
		zone = time.UTC
	}
	floating := *option
	shown := start.In(zone)
	floating.Dtstart = time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(),
		0, time.UTC)
	floating.Until = floating.Dtstart.Add(maxSeriesSpan + 48*time.Hour) // by whatever clock; until decides
	floating.Count = 0
	series, err := rrule.NewRRule(floating)
	if err != nil {
		return nil, badSeries("seriesMalformed", "%v", err)
	}
	most := access.MaxWindows + 1
	if option.Count > 0 {
		most = option.Count
	}
	var windows []time.Time
	for next := series.Iterator(); len(windows) < most; {
		reading, ok := next()
		if !ok {
			break
		}
		at := access.WallClock(reading, zone).UTC()
		if reading.Equal(floating.Dtstart) {
			at = start.UTC() // which of two instants is meant was said
		}
		if at.After(until) {
			break
		}
		if i, known := slices.BinarySearchFunc(windows, at, time.Time.Compare); !known {
			windows = slices.Insert(windows, i, at)
		}
	}
	return windows, nil
}

func badSeries(code, format string, args ...any) error {
	e := access.Fault(access.KindInvalid, code, "the series is not valid: "+format, args...)
	e.Reasons = []access.Reason{{Code: code, Field: "repeat", Message: e.Message}}
	return e
}

// parseSeries reads the parts of a rule strictly: each once, known, and within its bounds. until is the instant of
// UNTIL; zero where the rule counts.
func parseSeries(rule string, zone *time.Location) (option *rrule.ROption, until time.Time, err error) {
	rule = strings.TrimPrefix(rule, "RRULE:")
	if rule == "" || len(rule) > maxSeriesText {
		return nil, until, badSeries("seriesMalformed",
			"a rule has 1 to %d bytes, such as FREQ=WEEKLY;BYDAY=MO,FR;COUNT=10", maxSeriesText)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rule, ";") {
		key, value, ok := strings.Cut(part, "=")
		if _, twice := parts[key]; !ok || value == "" || twice {
			return nil, until, badSeries("seriesMalformed", "%q is not a part of it, or stands there twice", clip(part))
		}
		parts[key] = value
	}
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		if err := checkSeriesPart(key, parts[key], parts["FREQ"]); err != nil {
			return nil, until, err
		}
	}
	_, counted := parts["COUNT"]
	_, ends := parts["UNTIL"]
	switch {
	case parts["FREQ"] == "":
		return nil, until, badSeries("seriesMalformed", "it has no FREQ, such as FREQ=DAILY")
	case counted == ends:
		return nil, until, badSeries("seriesEndless",
			"say how many windows it has with COUNT, or when it ends with UNTIL, and not both")
	}
	option, err = rrule.StrToROptionInLocation(rule, time.UTC)
	if err != nil {
		return nil, until, badSeries("seriesMalformed", "%v", err)
	}
	if until = option.Until; ends && !strings.HasSuffix(parts["UNTIL"], "Z") {
		until = access.WallClock(until, zone)
	}
	return option, until, nil
}

// checkSeriesPart refuses what the parser would take too generously, and what has no bound: the iterator looks for a
// next occurrence up to the year 9999, which takes it seconds, or for ever, where hours are combined with other parts.
func checkSeriesPart(key, value, frequency string) error {
	bounds := map[string][2]int{
		"INTERVAL": {1, maxSeriesInterval}, "COUNT": {1, access.MaxWindows}, "BYMONTH": {1, 12},
		"BYMONTHDAY": {-31, 31},
		"BYHOUR":     {0, 23}, "BYSETPOS": {-366, 366}, "BYYEARDAY": {-366, 366}, "BYWEEKNO": {-53, 53},
	}
	switch key {
	case "FREQ":
		switch value {
		case "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY":
			return nil
		}
		return badSeries("seriesTooDense", "FREQ is %q; use HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY", clip(value))
	case "UNTIL", "WKST":
		return nil // the parser is strict about these
	case "BYDAY":
		if frequency != "MONTHLY" && frequency != "YEARLY" && strings.ContainsAny(value, "0123456789") {
			return badSeries("seriesMalformed", "a numbered day, such as 1MO, goes with FREQ=MONTHLY or YEARLY alone")
		}
		if strings.Count(value, ",") >= maxSeriesList {
			return badSeries("seriesMalformed", "BYDAY has more than %d days", maxSeriesList)
		}
		return nil
	}
	within, known := bounds[key]
	if !known {
		return badSeries("seriesMalformed", "%q is not a part that is known here", clip(key))
	}
	if strings.HasPrefix(key,
		"BY") && frequency == "HOURLY" || key == "BYSETPOS" && frequency != "MONTHLY" && frequency != "YEARLY" {
		return badSeries("seriesMalformed", "%s does not go with FREQ=%s; FREQ=DAILY with BYHOUR gives certain hours",
			key, frequency)
	}
	numbers := strings.Split(value, ",")
	if len(numbers) > maxSeriesList || len(numbers) > 1 && (key == "INTERVAL" || key == "COUNT") {
		return badSeries("seriesMalformed", "%s has %d numbers", key, len(numbers))
	}
	for _, text := range numbers {
		n, err := strconv.Atoi(text)
		if err != nil || n < within[0] || n > within[1] || n == 0 && within[0] < 0 || strings.HasPrefix(text, "+") {
			return badSeries("seriesMalformed", "%s is %q; it takes numbers from %d to %d", key, clip(text), within[0],
				within[1])
		}
	}
	return nil
}
