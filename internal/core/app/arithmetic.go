package app

import "math"

const maxRange = 10_000 // elements that range makes

func arithmetic(name string) (function, bool) {
	switch name {
	case "add", "sub", "mul", "div", "mod":
		return function{
			least: 2, most: 2,
			do: func(_ *evaluator, args []any) (any, error) { return reckon(name, args[0], args[1]) },
		}, true
	case "ceil", "floor":
		return function{least: 1, most: 1, do: func(_ *evaluator, args []any) (any, error) {
			f, err := toFloat(args[0])
			if err != nil {
				return nil, err
			}
			if name == "ceil" {
				return whole(math.Ceil(f))
			}
			return whole(math.Floor(f))
		}}, true
	case "max", "min":
		return function{
			least: 1, most: -1,
			do: func(_ *evaluator, args []any) (any, error) { return extreme(args, name == "max") },
		}, true
	case "rand":
		return function{least: 2, most: 2, do: func(e *evaluator, args []any) (any, error) {
			from, ok := args[0].(int64)
			to, okTo := args[1].(int64)
			if !ok || !okTo || to <= from || to-from <= 0 {
				return nil, evaluation("rand takes two whole numbers, the first below the second")
			}
			if e.values.Random == nil {
				return Undefined{}, nil
			}
			return from + e.values.Random(to-from), nil
		}}, true
	case "range":
		return function{least: 2, most: 2, do: func(_ *evaluator, args []any) (any, error) {
			from, ok := args[0].(int64)
			count, okCount := args[1].(int64)
			if !ok || !okCount || count < 0 || count > maxRange || from > math.MaxInt64-count {
				return nil, evaluation("range takes a whole number and a count of at most %d", maxRange)
			}
			out := make([]any, count)
			for i := range out {
				out[i] = from + int64(i)
			}
			return out, nil
		}}, true
	default:
		return function{}, false
	}
}

// reckon does one of the four operations, or mod. Whole numbers stay whole, and div of anything drops the rest.
func reckon(name string, a, b any) (any, error) {
	x, okX := float(a)
	y, okY := float(b)
	if !okX || !okY {
		return nil, evaluation("%s takes numbers, not %s and %s", name, kindOf(a), kindOf(b))
	}
	if y == 0 && (name == "div" || name == "mod") {
		return nil, evaluation("%s by zero", name)
	}
	i, okI := a.(int64)
	j, okJ := b.(int64)
	var f float64
	switch name {
	case "add":
		f = x + y
	case "sub":
		f = x - y
	case "mul":
		f = x * y
	case "div":
		f = math.Trunc(x / y)
	default:
		f = math.Mod(x, y)
	}
	if name == "div" && (!okI || !okJ) {
		return whole(f)
	}
	if !okI || !okJ {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, evaluation("a number is out of range")
		}
		return f, nil
	}
	if math.Abs(f) >= 1<<62 { // near the end of what is exact
		return nil, evaluation("a number is out of range")
	}
	switch name {
	case "add":
		return i + j, nil
	case "sub":
		return i - j, nil
	case "mul":
		return i * j, nil
	case "div":
		return i / j, nil
	default:
		return i % j, nil
	}
}

// extreme gives the greatest or the least of numbers, given one by one or as an array.
func extreme(args []any, greatest bool) (any, error) {
	if list, ok := args[0].([]any); ok && len(args) == 1 {
		args = list
	}
	if len(args) == 0 {
		return Undefined{}, nil
	}
	best := args[0]
	for _, a := range args {
		x, ok := float(a)
		y, okBest := float(best)
		if !ok || !okBest {
			return nil, evaluation("max and min take numbers, not %s", kindOf(a))
		}
		if greatest && x > y || !greatest && x < y {
			best = a
		}
	}
	return best, nil
}
