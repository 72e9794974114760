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

// Windows gives the starts of a series: the occurrences of an RRULE of RFC 5545 from start on, in zone, so that a window
// at nine stays at nine when clocks change. At most access.MaxWindows, at least an hour apart, within a year; a rule
// must say how often (COUNT) or until when (UNTIL). Whatever else is refused with access.KindInvalid.
func Windows(rule string, start time.Time, zone *time.Location) ([]time.Time, error) {
	option, err := parseSeries(rule, zone)
	if err != nil {
		return nil, err
	}
	start = start.In(zone).Truncate(time.Second)
	last := start.Add(maxSeriesSpan)
	if option.Until.After(last) {
		return nil, badSeries("seriesTooLong", "it goes on until %s; at most a year from its first window is allowed", instant(option.Until))
	}
	wanted := option.Count
	option.Dtstart, option.Count = start, 0
	if option.Until.IsZero() {
		option.Until = last
	}
	series, err := rrule.NewRRule(*option)
	if err != nil {
		return nil, badSeries("seriesMalformed", "%v", err)
	}
	var windows []time.Time
	for next := series.Iterator(); ; {
		at, ok := next()
		if !ok || wanted > 0 && len(windows) == wanted {
			break
		}
		if n := len(windows); n > 0 && at.Sub(windows[n-1]) < minSeriesSpacing {
			return nil, badSeries("seriesTooDense", "its windows at %s and %s begin less than %s apart", instant(windows[n-1]), instant(at), duration(minSeriesSpacing))
		}
		if windows = append(windows, at.UTC()); len(windows) > access.MaxWindows {
			return nil, badSeries("seriesTooLong", "it has more than %d windows", access.MaxWindows)
		}
	}
	switch {
	case len(windows) == 0:
		return nil, badSeries("seriesEmpty", "none of its windows lies within a year from %s", instant(start))
	case wanted > len(windows):
		return nil, badSeries("seriesTooLong", "only %d of its %d windows lie within a year", len(windows), wanted)
	}
	return windows, nil
}

func badSeries(code, format string, args ...any) error {
	e := access.Fault(access.KindInvalid, code, "the series cannot be taken: "+format, args...)
	e.Reasons = []access.Reason{{Code: code, Field: "repeat", Message: e.Message}}
	return e
}

// parseSeries reads the parts of a rule strictly: each once, known, and within its bounds.
func parseSeries(rule string, zone *time.Location) (*rrule.ROption, error) {
	rule = strings.TrimPrefix(rule, "RRULE:")
	if rule == "" || len(rule) > maxSeriesText {
		return nil, badSeries("seriesMalformed", "a rule has 1 to %d bytes, such as FREQ=WEEKLY;BYDAY=MO,FR;COUNT=10", maxSeriesText)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rule, ";") {
		key, value, ok := strings.Cut(part, "=")
		if _, twice := parts[key]; !ok || value == "" || twice {
			return nil, badSeries("seriesMalformed", "%q is not a part of it, or stands there twice", clip(part))
		}
		parts[key] = value
	}
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		if err := checkSeriesPart(key, parts[key], parts["FREQ"]); err != nil {
			return nil, err
		}
	}
	_, counted := parts["COUNT"]
	_, ends := parts["UNTIL"]
	switch {
	case parts["FREQ"] == "":
		return nil, badSeries("seriesMalformed", "it has no FREQ, such as FREQ=DAILY")
	case counted == ends:
		return nil, badSeries("seriesEndless", "say how many windows it has with COUNT, or when it ends with UNTIL, and not both")
	}
	option, err := rrule.StrToROptionInLocation(rule, zone)
	if err != nil {
		return nil, badSeries("seriesMalformed", "%v", err)
	}
	return option, nil
}

// checkSeriesPart refuses what the parser would take too generously, and what has no bound: the iterator looks for a next
// occurrence up to the year 9999, which takes it seconds, or for ever, where hours are combined with other parts.
func checkSeriesPart(key, value, frequency string) error {
	bounds := map[string][2]int{
		"INTERVAL": {1, maxSeriesInterval}, "COUNT": {1, access.MaxWindows}, "BYMONTH": {1, 12}, "BYMONTHDAY": {-31, 31},
		"BYHOUR": {0, 23}, "BYSETPOS": {-366, 366}, "BYYEARDAY": {-366, 366}, "BYWEEKNO": {-53, 53},
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
	if strings.HasPrefix(key, "BY") && frequency == "HOURLY" || key == "BYSETPOS" && frequency != "MONTHLY" && frequency != "YEARLY" {
		return badSeries("seriesMalformed", "%s does not go with FREQ=%s; FREQ=DAILY with BYHOUR gives certain hours", key, frequency)
	}
	numbers := strings.Split(value, ",")
	if len(numbers) > maxSeriesList || len(numbers) > 1 && (key == "INTERVAL" || key == "COUNT") {
		return badSeries("seriesMalformed", "%s has %d numbers", key, len(numbers))
	}
	for _, text := range numbers {
		n, err := strconv.Atoi(text)
		if err != nil || n < within[0] || n > within[1] || n == 0 && within[0] < 0 || strings.HasPrefix(text, "+") {
			return badSeries("seriesMalformed", "%s is %q; it takes numbers from %d to %d", key, clip(text), within[0], within[1])
		}
	}
	return nil
}
