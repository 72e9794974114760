package policy

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	celenv "cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/postern-dev/postern/internal/core/access"
)

// Two kinds of CEL's own functions cost more than CEL counts for them, and so conditions have them from here: what a
// clock shows in a zone reads the zone's file each time, and matches compiles its pattern each time, however large it
// is.

// stepsOfCost is how many steps of a pattern count as one unit of cost.
const stepsOfCost = 5

var errMatchTooDear = errors.New("the pattern is too large for so long a text")

// withinZone are CEL's questions for what a clock shows in a zone.
var withinZone = []struct { //nolint:gochecknoglobals // a constant table
	function, overload string
	get                func(time.Time) int
}{
	{overloads.TimeGetFullYear, overloads.TimestampToYearWithTz, time.Time.Year},
	{overloads.TimeGetMonth, overloads.TimestampToMonthWithTz, func(t time.Time) int { return int(t.Month()) - 1 }},
	{
		overloads.TimeGetDayOfYear, overloads.TimestampToDayOfYearWithTz,
		func(t time.Time) int { return t.YearDay() - 1 },
	},
	{
		overloads.TimeGetDayOfMonth, overloads.TimestampToDayOfMonthZeroBasedWithTz,
		func(t time.Time) int { return t.Day() - 1 },
	},
	{overloads.TimeGetDate, overloads.TimestampToDayOfMonthOneBasedWithTz, time.Time.Day},
	{
		overloads.TimeGetDayOfWeek, overloads.TimestampToDayOfWeekWithTz,
		func(t time.Time) int { return int(t.Weekday()) },
	},
	{overloads.TimeGetHours, overloads.TimestampToHoursWithTz, time.Time.Hour},
	{overloads.TimeGetMinutes, overloads.TimestampToMinutesWithTz, time.Time.Minute},
	{overloads.TimeGetSeconds, overloads.TimestampToSecondsWithTz, time.Time.Second},
	{
		overloads.TimeGetMilliseconds, overloads.TimestampToMillisecondsWithTz,
		func(t time.Time) int { return t.Nanosecond() / 1e6 },
	},
}

// library is CEL's standard library, with our own of those functions.
func library(m *matching) []cel.EnvOption {
	without := celenv.NewLibrarySubset().AddExcludedFunctions(celenv.NewFunction(overloads.Matches))
	text, moment := cel.StringType, cel.TimestampType
	zones := &cache[*time.Location]{make: zoneOf}
	ours := []cel.EnvOption{cel.Function(overloads.Matches,
		cel.Overload(overloads.Matches, []*cel.Type{text, text}, cel.BoolType),
		cel.MemberOverload(overloads.MatchesString, []*cel.Type{text, text}, cel.BoolType),
		cel.SingletonBinaryBinding(m.matches),
	)}
	for _, f := range withinZone {
		without.AddExcludedFunctions(celenv.NewFunction(f.function,
			celenv.NewMemberOverload(f.overload, nil, nil, nil)))
		ours = append(ours, cel.Function(f.function,
			cel.MemberOverload(f.overload, []*cel.Type{moment, text}, cel.IntType,
				cel.BinaryBinding(shown(zones, f.get)))))
	}
	return append([]cel.EnvOption{cel.StdLib(cel.StdLibSubset(without))}, ours...)
}

// cache makes things of the texts that conditions name, each once. Callers choose such texts too, so it is bounded.
type cache[T any] struct {
	make func(string) (T, error)

	mu    sync.Mutex // protects what follows
	known map[string]T
}

const maxCached = 1000 // that are kept; beyond that all are made anew

func (c *cache[T]) find(text string) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.known[text]; ok {
		return known, nil
	}
	made, err := c.make(text)
	if err != nil {
		return made, err
	}
	if c.known == nil || len(c.known) >= maxCached {
		c.known = map[string]T{}
	}
	c.known[text] = made
	return made, nil
}

// shown returns the function that tells what the clock of a zone shows.
func shown(zones *cache[*time.Location], get func(time.Time) int) functions.BinaryOp {
	return func(at, zone ref.Val) ref.Val {
		moment, isTime := at.(types.Timestamp)
		name, isText := zone.(types.String)
		if !isTime || !isText {
			return types.MaybeNoSuchOverloadErr(zone)
		}
		location, err := zones.find(string(name))
		if err != nil {
			return types.WrapErr(err)
		}
		return types.Int(get(moment.In(location)))
	}
}

// zoneOf finds a zone by its IANA name or by its offset.
func zoneOf(name string) (*time.Location, error) {
	if offset, ok := offsetOf(name); ok {
		return time.FixedZone("", offset), nil
	}
	found, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", clip(name), err)
	}
	return found, nil
}

// offsetOf reads an offset from UTC such as -08:00 or 05:30, in seconds.
func offsetOf(name string) (int, bool) {
	sign, digits := 1, name
	if name != "" && (name[0] == '+' || name[0] == '-') {
		if digits = name[1:]; name[0] == '-' {
			sign = -1
		}
	}
	at, err := time.Parse("15:04", digits)
	return sign * (at.Hour()*3600 + at.Minute()*60), err == nil
}

// matching is the function matches, and what it costs.
type matching struct{ patterns cache[*access.Pattern] }

func (m *matching) matches(value, pattern ref.Val) ref.Val {
	text, isText := value.(types.String)
	source, isPattern := pattern.(types.String)
	if !isText || !isPattern {
		return types.MaybeNoSuchOverloadErr(value)
	}
	p, err := m.patterns.find(string(source))
	if err != nil {
		return types.WrapErr(err)
	}
	if p.Steps(string(text)) > stepsOfCost*maxConditionCost {
		return types.WrapErr(errMatchTooDear)
	}
	return types.Bool(p.Match(string(text)))
}

// CallCost implements cost.ActualCostEstimator: a pattern costs what its program may take, and not what its text is
// long.
func (m *matching) CallCost(_, overload string, args []ref.Val, _ ref.Val) *uint64 {
	if overload != overloads.Matches && overload != overloads.MatchesString || len(args) != 2 {
		return nil
	}
	text, isText := args[0].(types.String)
	source, isPattern := args[1].(types.String)
	if !isText || !isPattern {
		return nil
	}
	var units uint64 = maxConditionCost
	if p, err := m.patterns.find(string(source)); err == nil {
		units = 1 + uint64(p.Steps(string(text))/stepsOfCost) //nolint:gosec // it is not negative
	}
	return &units
}
