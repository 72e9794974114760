package app

import (
	"maps"
	"slices"
	"strings"
)

// function is one of the functions of forms. Exactly one of do and lazy is set.
type function struct {
	least, most int  // arguments; most < 0: any number
	lambda      bool // the second argument is a function
	undefined   bool // it takes undefined arguments; others are undefined where one of theirs is
	do          func(e *evaluator, args []any) (any, error)
	lazy        func(e *evaluator, args []node) (any, error) // evaluates its arguments itself
}

// lookUp gives a function by its name in lower case.
func lookUp(name string) (function, bool) {
	for _, group := range []func(string) (function, bool){references, logical, collections, texts, conversions, dates, arithmetic} {
		if f, ok := group(name); ok {
			return f, true
		}
	}
	return function{}, false
}

func references(name string) (function, bool) {
	switch name {
	case "basics":
		return function{least: 1, most: 1, do: func(e *evaluator, args []any) (any, error) {
			return named(e.values.Basics, args[0])
		}}, true
	case "steps":
		return function{least: 1, most: 1, do: func(e *evaluator, args []any) (any, error) {
			step, ok := args[0].(string)
			if !ok {
				return nil, evaluation("steps takes the name of a step")
			}
			elements, ok := e.values.Steps[step]
			if !ok {
				return Undefined{}, nil
			}
			return elements, nil
		}}, true
	case "location":
		return function{do: func(e *evaluator, _ []any) (any, error) { return e.values.Location, nil }}, true
	case "resourcegroup":
		return function{do: func(e *evaluator, _ []any) (any, error) { return e.values.ResourceGroup, nil }}, true
	case "subscription":
		return function{do: func(e *evaluator, _ []any) (any, error) { return e.values.Subscription, nil }}, true
	default:
		return function{}, false
	}
}

func named(of map[string]any, name any) (any, error) {
	text, ok := name.(string)
	if !ok {
		return nil, evaluation("basics takes the name of an element")
	}
	if v, ok := of[text]; ok {
		return v, nil
	}
	return Undefined{}, nil
}

func logical(name string) (function, bool) {
	compare := func(want func(int) bool) (function, bool) {
		return function{least: 2, most: 2, do: func(_ *evaluator, args []any) (any, error) {
			order, err := order(args[0], args[1])
			return err == nil && want(order), err
		}}, true
	}
	switch name {
	case "and":
		return function{least: 2, most: -1, lazy: func(e *evaluator, args []node) (any, error) { return e.connect(args, false) }}, true
	case "or":
		return function{least: 2, most: -1, lazy: func(e *evaluator, args []node) (any, error) { return e.connect(args, true) }}, true
	case "not":
		return function{least: 1, most: 1, do: func(_ *evaluator, args []any) (any, error) {
			b, err := truth("not", args[0])
			return !b, err
		}}, true
	case "if":
		return function{least: 3, most: 3, lazy: (*evaluator).choose}, true
	case "coalesce":
		return function{least: 1, most: -1, lazy: (*evaluator).coalesce}, true
	case "equals":
		return function{least: 2, most: 2, do: func(e *evaluator, args []any) (any, error) {
			same, err := e.equal(args[0], args[1])
			return same, err
		}}, true
	case "greater":
		return compare(func(n int) bool { return n > 0 })
	case "greaterorequals":
		return compare(func(n int) bool { return n >= 0 })
	case "less":
		return compare(func(n int) bool { return n < 0 })
	case "lessorequals":
		return compare(func(n int) bool { return n <= 0 })
	default:
		return function{}, false
	}
}

// connect is and (until false) and or (until true).
func (e *evaluator) connect(args []node, until bool) (any, error) {
	for _, a := range args {
		v, err := e.value(a)
		if err != nil {
			return nil, err
		}
		if _, gone := v.(Undefined); gone {
			return Undefined{}, nil
		}
		b, err := truth("and and or", v)
		if err != nil || b == until {
			return b, err
		}
	}
	return !until, nil
}

func (e *evaluator) choose(args []node) (any, error) {
	v, err := e.value(args[0])
	if err != nil {
		return nil, err
	}
	if _, gone := v.(Undefined); gone {
		return Undefined{}, nil
	}
	b, err := truth("if", v)
	switch {
	case err != nil:
		return nil, err
	case b:
		return e.value(args[1])
	default:
		return e.value(args[2])
	}
}

// coalesce gives the first argument that is there.
func (e *evaluator) coalesce(args []node) (any, error) {
	var last any = Undefined{}
	for _, a := range args {
		v, err := e.value(a)
		if err != nil {
			return nil, err
		}
		if _, gone := v.(Undefined); !gone && v != nil {
			return v, nil
		}
		last = v
	}
	return last, nil
}

func truth(of string, v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, evaluation("%s takes a boolean, not %s", of, kindOf(v))
	}
	return b, nil
}

func collections(name string) (function, bool) {
	switch name {
	case "contains":
		return function{least: 2, most: 2, do: (*evaluator).contains}, true
	case "empty":
		return function{least: 1, most: 1, undefined: true, do: func(_ *evaluator, args []any) (any, error) {
			switch v := args[0].(type) {
			case nil, Undefined:
				return true, nil
			case string, []any, map[string]any:
				return lengthOf(v) == 0, nil
			default:
				return nil, evaluation("empty takes a string, an array or an object, not %s", kindOf(v))
			}
		}}, true
	case "length":
		return function{least: 1, most: 1, do: func(_ *evaluator, args []any) (any, error) {
			if n := lengthOf(args[0]); n >= 0 {
				return int64(n), nil
			}
			return nil, evaluation("length takes a string, an array or an object, not %s", kindOf(args[0]))
		}}, true
	case "first", "last":
		return function{least: 1, most: 1, do: func(_ *evaluator, args []any) (any, error) { return end(args[0], name == "last") }}, true
	case "skip", "take":
		return function{least: 2, most: 2, do: func(_ *evaluator, args []any) (any, error) { return part(args[0], args[1], name == "skip") }}, true
	case "filter":
		return function{least: 2, most: 2, lambda: true, lazy: func(e *evaluator, args []node) (any, error) {
			out := []any{}
			defined, err := e.each(args, func(element, result any) error {
				keep, err := truth("filter", result)
				if err != nil || !keep {
					return err
				}
				out = append(out, element)
				return e.charge(16)
			})
			return orUndefined(out, defined), err
		}}, true
	case "map":
		return function{least: 2, most: 2, lambda: true, lazy: func(e *evaluator, args []node) (any, error) {
			out := []any{}
			defined, err := e.each(args, func(_, result any) error {
				if _, gone := result.(Undefined); gone {
					result = nil
				}
				out = append(out, result)
				return e.charge(16)
			})
			return orUndefined(out, defined), err
		}}, true
	case "split":
		return function{least: 2, most: 2, do: (*evaluator).split}, true
	default:
		return function{}, false
	}
}

func orUndefined(v []any, defined bool) any {
	if !defined {
		return Undefined{}
	}
	return v
}

// lengthOf counts characters, elements or members; -1 where v has none.
func lengthOf(v any) int {
	switch v := v.(type) {
	case string:
		return len([]rune(v))
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	default:
		return -1
	}
}

func (e *evaluator) contains(args []any) (any, error) {
	switch of := args[0].(type) {
	case string:
		part, ok := args[1].(string)
		if !ok {
			return nil, evaluation("a string contains strings, not %s", kindOf(args[1]))
		}
		return strings.Contains(of, part), nil
	case []any:
		for _, element := range of {
			same, err := e.equal(element, args[1])
			if err != nil || same {
				return same, err
			}
		}
		return false, nil
	case map[string]any:
		name, ok := args[1].(string)
		_, has := of[name]
		return ok && has, nil
	default:
		return nil, evaluation("contains takes a string, an array or an object, not %s", kindOf(of))
	}
}

// end gives the first or the last character or element.
func end(of any, last bool) (any, error) {
	at := func(n int) int {
		if last {
			return n - 1
		}
		return 0
	}
	switch of := of.(type) {
	case string:
		if letters := []rune(of); len(letters) > 0 {
			return string(letters[at(len(letters))]), nil
		}
		return Undefined{}, nil
	case []any:
		if len(of) > 0 {
			return of[at(len(of))], nil
		}
		return Undefined{}, nil
	default:
		return nil, evaluation("first and last take a string or an array, not %s", kindOf(of))
	}
}

// part gives what is left when n characters or elements are skipped, or what they are.
func part(of, count any, skip bool) (any, error) {
	n, ok := count.(int64)
	if !ok {
		return nil, evaluation("skip and take count in whole numbers, not %s", kindOf(count))
	}
	length := int64(lengthOf(of))
	n = max(0, min(n, length))
	from, to := int64(0), n
	if skip {
		from, to = n, length
	}
	switch of := of.(type) {
	case string:
		return string([]rune(of)[from:to]), nil
	case []any:
		return slices.Clone(of[from:to]), nil
	default:
		return nil, evaluation("skip and take take a string or an array, not %s", kindOf(of))
	}
}

func (e *evaluator) split(args []any) (any, error) {
	of, ok := args[0].(string)
	if !ok {
		return nil, evaluation("split takes a string, not %s", kindOf(args[0]))
	}
	var separators []string
	switch by := args[1].(type) {
	case string:
		separators = []string{by}
	case []any:
		for _, s := range by {
			if text, ok := s.(string); ok {
				separators = append(separators, text)
			}
		}
	}
	separators = slices.DeleteFunc(separators, func(s string) bool { return s == "" })
	if len(separators) == 0 || len(separators) > 10 {
		return nil, evaluation("split takes one separator or up to ten of them")
	}
	parts := []string{of}
	for _, by := range separators {
		var next []string
		for _, p := range parts {
			next = append(next, strings.Split(p, by)...)
		}
		parts = next
		if err := e.charge(16 * len(parts)); err != nil {
			return nil, err
		}
	}
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out, nil
}

// weigh charges a value with all that it holds, as often as it holds it: what several places share may be far more when it
// is walked through than when it was made.
func (e *evaluator) weigh(v any) error {
	if err := e.charge(sizeOf(v) + 1); err != nil {
		return err
	}
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			if err := e.weigh(element); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, element := range v {
			if err := e.charge(len(name)); err != nil {
				return err
			}
			if err := e.weigh(element); err != nil {
				return err
			}
		}
	}
	return nil
}

// equal compares strictly by kind; numbers are one kind.
func (e *evaluator) equal(a, b any) (bool, error) {
	if err := e.charge(1); err != nil {
		return false, err
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		for i := range a {
			if same, err := e.equal(a[i], b[i]); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		for _, name := range slices.Sorted(maps.Keys(a)) {
			other, has := b[name]
			if !has {
				return false, nil
			}
			if same, err := e.equal(a[name], other); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case int64, float64:
		x, _ := float(a)
		y, ok := float(b)
		return ok && x == y, nil
	default:
		switch b.(type) {
		case []any, map[string]any:
			return false, nil
		}
		return a == b, nil
	}
}

// order compares two numbers, or two strings as text.
func order(a, b any) (int, error) {
	x, isNumber := float(a)
	y, alsoNumber := float(b)
	s, isText := a.(string)
	t, alsoText := b.(string)
	switch {
	case isNumber && alsoNumber && x < y:
		return -1, nil
	case isNumber && alsoNumber && x > y:
		return 1, nil
	case isNumber && alsoNumber:
		return 0, nil
	case isText && alsoText:
		return strings.Compare(s, t), nil
	default:
		return 0, evaluation("%s and %s have no order", kindOf(a), kindOf(b))
	}
}

// float gives a number as a float64.
func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	default:
		return 0, false
	}
}
