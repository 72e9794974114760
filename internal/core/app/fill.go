package app

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

const (
	maxRows     = 200       // of a grid
	maxMatching = 2_000_000 // steps of all patterns of a form together
)

// Fill checks the answers against the form and evaluates its outputs. jit is the value of its element for just-in-time
// access.
func (f Form) Fill(answers Answers, jit Settings, values Values) (Filled, []access.Reason) {
	fill := f.settle(answers, jit, values)
	fill.pass(f, answers)
	fill.validate()
	filled := fill.outputs(f)
	return filled, *fill.reasons
}

// maxPasses is how often a form is gone through until nothing changes any more: what stands further down may decide on
// what stands above it, and that on something else.
const maxPasses = 25

// settle puts the answers and the defaults in their places until they are those that they lead to.
func (f Form) settle(answers Answers, jit Settings, values Values) *filling {
	values.Basics, values.Steps = map[string]any{}, map[string]map[string]any{}
	for _, step := range f.Steps {
		values.Steps[step.Name] = map[string]any{}
	}
	fill := &filling{
		values: &values, jit: jit.Control(), left: &budget{steps: 50 * maxSteps, size: 8 * maxSize},
	}
	for range maxPasses {
		fill.pass(f, answers)
		if len(fill.moved) == 0 {
			return fill
		}
	}
	fill.circle = fill.moved
	return fill
}

// pass goes through the form once, and says what is wrong with it, but for what validate looks at.
func (f *filling) pass(form Form, answers Answers) []ShownStep {
	f.reasons, f.given, f.moved, f.matching = &reasons{}, nil, nil, maxMatching
	if len(f.circle) > 0 {
		f.add("formGoesInCircles", "createUiDefinition.parameters",
			"the form does not come to rest: %s depend on each other in a circle", clip(strings.Join(f.circle, ", ")))
	}
	steps := []ShownStep{{Fields: f.list(form.Basics, answers.Basics, f.values.Basics, "basics")}}
	for _, step := range form.Steps {
		steps = append(steps, ShownStep{
			Name: step.Name, Fields: f.list(step.Elements, answers.Steps[step.Name], f.values.Steps[step.Name],
				"steps."+step.Name),
		})
	}
	if f.show {
		steps[0].Label, steps[0].Lead = "Basics", f.rich(form.Lead)
		for i, step := range form.Steps {
			s := &steps[i+1]
			s.Label, s.Title = f.words(step.Label), f.rich(step.Title)
			s.Before, s.After = f.rich(step.Before), f.rich(step.After)
		}
	}
	return steps
}

// outputs evaluates what the form makes of its answers, where nothing is wrong with them.
func (f *filling) outputs(form Form) Filled {
	if len(*f.reasons) > 0 {
		return Filled{}
	}
	outputs, err := Resolve(form.Outputs, f.steady("outputs"))
	if err != nil {
		f.add("expressionFailed", "createUiDefinition.parameters.outputs", "%v", err)
		return Filled{}
	}
	return readOutputs(outputs, f.reasons)
}

// filling puts the answers, and the defaults where there is none, in the places that expressions refer to. What an
// element demands of its answer is looked at when all are in place, since it may speak of others.
type filling struct {
	*reasons

	values   *Values
	jit      map[string]any
	left     *budget // of all evaluations but the outputs'
	matching int     // steps of patterns that are left
	given    []given
	show     bool     // the fields are wanted as they are drawn
	moved    []string // what has another value than in the pass before
	circle   []string // what never comes to rest
}

// put gives an element a value, and drop takes it away.
func (f *filling) put(into map[string]any, name string, v any, at string) {
	if old, has := into[name]; !has || !reflect.DeepEqual(old, v) {
		f.moved = append(f.moved, at)
	}
	into[name] = v
}

func (f *filling) drop(into map[string]any, name, at string) {
	if _, has := into[name]; has {
		f.moved = append(f.moved, at)
		delete(into, name)
	}
}

// given is an answer to be validated, in the row of a grid or in none.
type given struct {
	element Element
	answer  any
	row     int64
	at      string
}

func (f *filling) resolve(v any, at string) (any, bool) {
	out, err := resolveWithin(v, f.steady(at), f.left)
	if err != nil {
		f.add("expressionFailed", at, "%v", err)
		return nil, false
	}
	if _, gone := out.(Undefined); gone || out == nil {
		return nil, false
	}
	return out, true
}

// holds returns the value of a condition; usual is what counts where there is none.
func (f *filling) holds(condition any, usual bool, at string) bool {
	if condition == nil {
		return usual
	}
	v, ok := f.resolve(condition, at)
	if !ok {
		return usual
	}
	b, ok := v.(bool)
	return b || !ok && usual
}

// steady returns the values with what is random derived from the seed and the place, so that a field gets the same in
// each pass and each time that the form is looked at.
func (f *filling) steady(at string) Values {
	values, n := *f.values, 0
	if values.Seed == "" {
		return values
	}
	draw := func() []byte {
		n++
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d", values.Seed, at, n))
		return sum[:]
	}
	values.NewID = func() string {
		id := draw()
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
	}
	values.Random = func(below int64) int64 {
		return int64(binary.BigEndian.Uint64(draw()) % uint64(below)) //nolint:gosec // below is above 0
	}
	return values
}

func (f *filling) list(elements []Element, answers, into map[string]any, field string) []Field {
	var fields []Field
	for _, e := range elements {
		at := field + "." + e.Name
		if !f.holds(e.Visible, true, at) {
			f.drop(into, e.Name, at)
			continue
		}
		e.Label = f.words(e.Label)
		var shown Field
		if f.show {
			shown = f.describe(e, at)
		}
		switch {
		case isJIT(e):
			f.put(into, e.Name, f.jit, at)
		case e.Type == infoBox || e.Type == textBlock:
		case e.Type == section:
			inner, ok := into[e.Name].(map[string]any)
			if !ok {
				inner = map[string]any{}
				f.put(into, e.Name, inner, at)
			}
			within, _ := objectOf(answers[e.Name])
			shown.Fields = f.list(e.Elements, within.of, inner, at)
		default:
			f.one(e, answers[e.Name], 0, into, at, &shown)
		}
		fields = append(fields, shown)
	}
	return fields
}

// one puts the answer to an element in its place, or its default.
func (f *filling) one(e Element, answer any, row int64, into map[string]any, at string, shown *Field) {
	emptied := answer == "" && slices.Contains([]string{textBox, passwordBox, userNameTextBox}, e.Type)
	v, ok := any(""), false
	if !emptied {
		v, ok = f.answer(e, answer, at, shown)
	}
	switch needed := !ok && f.holds(e.Required, requiredByItself(e.Type), at); {
	case needed:
		f.add("answerMissing", at, "%s needs an answer", e.called())
		f.drop(into, e.Name, at)
		return
	case emptied: // on purpose: it has no default then
		f.put(into, e.Name, "", at)
		return
	case !ok:
		f.drop(into, e.Name, at)
		return
	}
	if answer == nil {
		shown.Value = v
	}
	f.put(into, e.Name, v, at)
	f.given = append(f.given, given{element: e, answer: v, row: row, at: at})
}

// called returns what people call the element.
func (e Element) called() string {
	if e.Label != "" {
		return e.Label
	}
	return e.Name
}

// answer returns what an element answers: what was given, else its default, else what its type has by itself. ok is
// false where it has none.
func (f *filling) answer(e Element, answer any, at string, shown *Field) (v any, ok bool) {
	if answer == nil || answer == "" {
		if answer, ok = f.resolve(e.Default, at); !ok || answer == "" {
			return f.bare(e, at)
		}
	}
	switch e.Type {
	case dropDown, optionsGroup:
		return f.chosen(e, answer, at)
	case checkBox:
		_, ok = answer.(bool)
		return answer, f.must(ok, at, "%s is true or false", e.called())
	case slider:
		n, isNumber := float(answer)
		ok = isNumber && (e.Min == nil || n >= *e.Min) && (e.Max == nil || n <= *e.Max)
		return answer, f.must(ok, at, "%s is a number%s", e.called(), within(e.Min, e.Max))
	case textBox, passwordBox, userNameTextBox:
		_, ok = answer.(string)
		return answer, f.must(ok, at, "%s is a text", e.called())
	case editableGrid:
		return f.rows(e, answer, at, shown)
	default:
		return answer, true
	}
}

func (f *filling) must(ok bool, at, format string, args ...any) bool {
	if !ok {
		f.add("answerNotAllowed", at, format, args...)
	}
	return true // an answer that is not allowed is no missing one
}

func within(least, most *float64) string {
	switch {
	case least != nil && most != nil:
		return fmt.Sprintf(" from %g to %g", *least, *most)
	case least != nil:
		return fmt.Sprintf(" of at least %g", *least)
	case most != nil:
		return fmt.Sprintf(" of at most %g", *most)
	default:
		return ""
	}
}

// bare returns what an element has before anybody touches it: the first of several choices, a box that is not checked,
// a slider at its least.
func (f *filling) bare(e Element, at string) (any, bool) {
	switch {
	case (e.Type == dropDown || e.Type == optionsGroup) && !e.Multiple:
		if choices, ok := f.choices(e, at); ok && len(choices) > 0 {
			return choices[0].Value, true
		}
	case e.Type == checkBox:
		return false, true
	case e.Type == slider && e.Min != nil:
		if n, err := whole(*e.Min); err == nil && *e.Min == float64(int64(*e.Min)) {
			return n, true
		}
		return *e.Min, true
	}
	return nil, false
}

// choices returns the allowed values; ok is false where the form leaves them to what is not known here.
func (f *filling) choices(e Element, at string) (choices []Choice, ok bool) {
	if e.Allowed == nil {
		return nil, false
	}
	v, ok := f.resolve(e.Allowed, at)
	_, isList := v.([]any)
	return choicesOf(v), ok && isList
}

// chosen returns the value of what was chosen by its value, or by its label as people see it.
func (f *filling) chosen(e Element, answer any, at string) (any, bool) {
	choices, known := f.choices(e, at)
	if !known {
		return answer, true
	}
	one := func(v any) any {
		ev := evaluator{left: f.left}
		i := slices.IndexFunc(choices, func(c Choice) bool {
			same, err := ev.equal(c.Value, v)
			return err == nil && same
		})
		if i < 0 {
			i = slices.IndexFunc(choices, func(c Choice) bool { return v == any(c.Label) })
		}
		if i < 0 {
			var labels []string
			for _, c := range choices {
				labels = append(labels, fmt.Sprintf("%q", c.Label))
			}
			f.add("answerNotAllowed", at, "%s is one of %s", e.called(), clip(strings.Join(labels, ", ")))
			return v
		}
		return choices[i].Value
	}
	list, several := answer.([]any)
	if !several || !e.Multiple {
		switch answer.(type) {
		case []any, map[string]any, Object:
			f.add("answerNotAllowed", at, "%s takes one choice", e.called())
			return answer, true
		}
		v := one(answer)
		if e.Multiple {
			return []any{v}, true
		}
		return v, true
	}
	out := make([]any, 0, len(list))
	for _, v := range list {
		switch v.(type) {
		case []any, map[string]any, Object:
			f.add("answerNotAllowed", at, "%s takes choices by value or label", e.called())
			return answer, true
		}
		out = append(out, one(v))
	}
	return out, len(out) > 0
}

// rows returns the rows of a grid, each with an answer for each column.
func (f *filling) rows(e Element, answer any, at string, table *Field) (any, bool) {
	list, ok := answer.([]any)
	if !ok || len(list) > maxRows {
		return answer, f.must(false, at, "%s is an array of at most %d rows", e.called(), maxRows)
	}
	if n := float64(len(list)); e.Min != nil && n < *e.Min || e.Max != nil && n > *e.Max {
		return answer, f.must(false, at, "%s has a number of rows%s", e.called(), within(e.Min, e.Max))
	}
	out, moved := make([]any, 0, len(list)), len(f.moved)
	for i, item := range list {
		row, ok := objectOf(item)
		if !ok {
			return answer, f.must(false, at, "a row of %s is an object", e.called())
		}
		filled, shown := map[string]any{}, newObject()
		var cells []Field
		for _, column := range e.Elements {
			place, cell := fmt.Sprintf("%s[%d].%s", at, i, column.Name), Field{}
			column.Label = f.words(column.Label)
			if f.show {
				cell = f.describe(column, place)
			}
			f.one(column, row.of[column.Name], int64(i+1), filled, place, &cell)
			cells = append(cells, cell)
			if v, ok := filled[column.Name]; ok {
				shown = shown.with(column.Name, v)
			}
		}
		out, table.Rows = append(out, shown), append(table.Rows, cells)
	}
	f.moved = f.moved[:moved] // the rows are compared as a whole
	return out, true
}
