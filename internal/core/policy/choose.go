package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Choice is what a rule asks of a request.
type Choice struct {
	// in the rule's order; the request needs what each of them asks for. None: it is approved at once
	Cases  []access.Case
	None   time.Time // an instant for which no case applies; zero where one always does
	Beyond bool      // a case would, but it approves at once, and the chain is too long for that
}

// Choose returns the cases under which a request falls: for the moment of asking, and for each instant of the windows
// that are asked for, the first case that applies then. So access in the evening is not had by the rule of the office
// hours in which it was asked for, and what begins in them and goes on into the night needs what both ask for.
//
// A case without stages approves at once, and so it does not apply where the chain is too long for that. A condition
// that cannot be evaluated is an error, and so is a rule that would have to be asked more than the inquiry may.
func (q *Inquiry) Choose(r access.Rule, f Facts) (Choice, error) {
	if r.Automatic() && f.Beyond {
		return Choice{None: f.Now, Beyond: true}, nil
	}
	if r.Automatic() {
		return Choice{}, nil
	}
	a, err := q.asking(r, f)
	if err != nil {
		return Choice{}, err
	}
	applied := make([]bool, len(r.Cases))
	instants, err := a.instants()
	if err != nil {
		return Choice{}, err
	}
	for _, at := range instants {
		i, beyond, err := a.first(at)
		if err != nil {
			return Choice{}, fmt.Errorf("case %d: %w", i+1, err)
		}
		if i == len(r.Cases) {
			return Choice{None: at, Beyond: beyond}, nil
		}
		applied[i] = true
	}
	var out Choice
	for i, is := range applied {
		if is {
			out.Cases = append(out.Cases, r.Cases[i])
		}
	}
	return out, nil
}

// asking is one rule that is asked for many instants.
type asking struct {
	*Inquiry

	rule       access.Rule
	facts      Facts
	zones      []*time.Location // of the hours, by case; nil where a case has none
	conditions []*Condition     // by case; nil where a case has none, or none that compiles
	failed     []error          // by case: why its condition does not compile
	// by case: the number of its condition with the facts that stay, in the inquiry; 0 before it is asked
	questions []int
	variables map[string]any // the facts; now and request.start as they were asked for last
}

// asking finds the zones and the conditions of a rule.
func (q *Inquiry) asking(r access.Rule, f Facts) (*asking, error) {
	n := len(r.Cases)
	a := &asking{
		Inquiry: q, rule: r, facts: f, zones: make([]*time.Location, n), conditions: make([]*Condition, n),
		failed:    make([]error, n),
		questions: make([]int, n),
	}
	for i, c := range r.Cases {
		if c.When != "" {
			a.conditions[i], a.failed[i] = q.compile(c.When)
		}
		if c.Hours.Always() {
			continue
		}
		zone, err := q.zones(c.Hours.Zone)
		if err != nil {
			return nil, fmt.Errorf("case %d: time zone %q: %w", i+1, c.Hours.Zone, err)
		}
		a.zones[i] = zone
	}
	return a, nil
}

// first returns the first case that applies at an instant, and the number of cases where none does. beyond reports
// whether one was passed over because the chain is too long.
func (a *asking) first(at time.Time) (i int, beyond bool, err error) {
	for i, c := range a.rule.Cases {
		if a.zones[i] != nil {
			if err := a.spend(costOfHours); err != nil {
				return i, false, err
			}
			if !Within(c.Hours, at.In(a.zones[i])) {
				continue
			}
		}
		holds, err := a.holds(i, at)
		switch {
		case err != nil:
			return i, false, err
		case holds && a.facts.Beyond && len(c.Stages) == 0:
			beyond = true
		case holds:
			return i, false, nil
		}
	}
	return len(a.rule.Cases), beyond, nil
}

// holds reports whether the condition of a case holds at an instant.
//
// One that looks at request.start tells the moment of asking from the window by itself: now stays what it is, and the
// start is that of each window in turn. One that looks at now alone means both.
func (a *asking) holds(i int, at time.Time) (bool, error) {
	if a.rule.Cases[i].When == "" {
		return true, nil
	}
	condition := a.conditions[i]
	if a.failed[i] != nil {
		return false, a.failed[i]
	}
	if a.variables == nil {
		a.variables = variables(a.facts)
	}
	if a.questions[i] == 0 {
		n, err := a.number(condition, a.variables)
		if err != nil {
			return false, err
		}
		a.questions[i] = n
	}
	moment := moment{question: a.questions[i]}
	if condition.looksAt("request.start") {
		start := a.startAt(at)
		moment.start, a.variables["request.start"], at = start.UnixMicro(), start, a.facts.Now
	}
	if condition.looksAt("now") {
		moment.now, a.variables["now"] = at.UnixMicro(), at
	}
	return a.ask(condition, moment, a.variables)
}

// startAt returns the start of the last window that has begun at an instant, or of the first one.
func (a *asking) startAt(at time.Time) time.Time {
	start := a.facts.Start
	for _, w := range a.facts.Windows {
		if !w.Start.After(at) && w.Start.After(start) {
			start = w.Start
		}
	}
	return start
}

// Conditions that look at now are asked each quarter of an hour, where all clocks change and zones differ; of more than
// a month, less often.
const (
	quarter     = 15 * time.Minute
	maxQuarters = 3000
)

// instants returns when the rule is to be asked for: at the moment of asking, at the start of each window, and within
// them wherever the answer may change.
func (a *asking) instants() ([]time.Time, error) {
	var byHours, byNow, byStart bool
	for i, condition := range a.conditions {
		byHours = byHours || a.zones[i] != nil
		if condition != nil {
			start := condition.looksAt("request.start")
			byStart = byStart || start
			byNow = byNow || condition.looksAt("now") && !start
		}
	}
	all := []time.Time{a.facts.Now}
	if !byHours && !byNow && !byStart {
		return all, nil
	}
	spans := merged(a.facts.Windows)
	for _, w := range a.facts.Windows {
		all = append(all, w.Start)
	}
	if byHours || byNow {
		for _, s := range spans {
			all = append(all, s.End.Add(-time.Microsecond))
		}
	}
	for i, zone := range a.zones {
		if zone == nil {
			continue
		}
		for _, s := range spans {
			for at := nextChange(a.rule.Cases[i].Hours, s.Start,
				zone); at.Before(s.End); at = nextChange(a.rule.Cases[i].Hours, at, zone) {
				all = append(all, at)
				if err := a.spend(costOfHours); err != nil {
					return nil, err
				}
			}
		}
	}
	if byNow {
		all = append(all, quarters(spans)...)
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal), nil
}

// merged returns the times that windows cover, in order and without overlap.
func merged(windows []Window) []Chain {
	sorted := slices.SortedFunc(slices.Values(windows), func(a, b Window) int { return a.Start.Compare(b.Start) })
	var spans []Chain
	for _, w := range sorted {
		if n := len(spans); n > 0 && !w.Start.After(spans[n-1].End) {
			if w.End.After(spans[n-1].End) {
				spans[n-1].End = w.End
			}
			continue
		}
		spans = append(spans, Chain{Start: w.Start, End: w.End})
	}
	return spans
}

func quarters(spans []Chain) []time.Time {
	var total time.Duration
	for _, s := range spans {
		total += s.Length()
	}
	step := quarter
	for total/step > maxQuarters {
		step *= 2
	}
	var all []time.Time
	for _, s := range spans {
		for at := s.Start.Truncate(step).Add(step); at.Before(s.End); at = at.Add(step) {
			all = append(all, at)
		}
	}
	return all
}

// Within reports whether local, an instant in the hours' own zone, lies in them: whether a clock on the wall there
// shows a time that does. So an hour that the clock shows twice counts both times, and one that it leaves out is not
// there.
func Within(h access.Hours, local time.Time) bool {
	minute := local.Hour()*60 + local.Minute()
	on := func(day time.Weekday) bool { return len(h.Days) == 0 || slices.Contains(h.Days, day) }
	today, yesterday := local.Weekday(), (local.Weekday()+6)%7
	if h.From < h.To {
		return on(today) && h.From <= minute && minute < h.To
	}
	return on(today) && minute >= h.From || on(yesterday) && minute < h.To
}

// nextChange returns the first instant after at from which hours may hold that did not, or no longer hold: the clock
// shows their beginning, their end or midnight, or it is changed.
func nextChange(h access.Hours, at time.Time, zone *time.Location) time.Time {
	local := at.In(zone)
	passed := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute +
		time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
	next := 24 * time.Hour
	for _, minute := range []int{h.From, h.To} {
		if d := time.Duration(minute) * time.Minute; d > passed && d < next {
			next = d
		}
	}
	change := at.Add(next - passed)
	if _, end := local.ZoneBounds(); !end.IsZero() && end.Before(change) {
		return end
	}
	return change
}
