package app

import (
	"slices"
	"strings"
)

func collections(name string) (function, bool) {
	switch name {
	case "contains":
		return function{least: 2, most: 2, do: (*evaluator).contains}, true
	case "empty":
		return function{least: 1, most: 1, undefined: true, do: func(_ *evaluator, args []any) (any, error) {
			switch v := args[0].(type) {
			case nil, Undefined:
				return true, nil
			case string, []any, map[string]any, Object:
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
		return function{
			least: 1, most: 1,
			do: func(_ *evaluator, args []any) (any, error) { return end(args[0], name == "last") },
		}, true
	case "skip", "take":
		return function{
			least: 2, most: 2,
			do: func(_ *evaluator, args []any) (any, error) { return part(args[0], args[1], name == "skip") },
		}, true
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
	case Object:
		return len(v.names)
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
	case map[string]any, Object:
		o, _ := objectOf(of)
		name, ok := args[1].(string)
		_, has := o.of[name]
		return ok && has, nil
	default:
		return nil, evaluation("contains takes a string, an array or an object, not %s", kindOf(of))
	}
}

// end returns the first or the last character or element, or an object of the first or the last member.
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
	case map[string]any, Object:
		o, _ := objectOf(of)
		if n := len(o.names); n > 0 {
			return o.part(at(n), at(n)+1), nil
		}
		return Undefined{}, nil
	default:
		return nil, evaluation("first and last take a string, an array or an object, not %s", kindOf(of))
	}
}

// part returns what is left when n characters, elements or members are skipped, or what they are.
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
	case map[string]any, Object:
		o, _ := objectOf(of)
		return o.part(int(from), int(to)), nil
	default:
		return nil, evaluation("skip and take take a string, an array or an object, not %s", kindOf(of))
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
