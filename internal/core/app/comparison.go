package app

import "strings"

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
	case map[string]any, Object:
		x, _ := objectOf(a)
		y, ok := objectOf(b)
		if !ok || len(x.names) != len(y.names) {
			return false, nil
		}
		for _, name := range x.names {
			other, has := y.of[name]
			if !has {
				return false, nil
			}
			if same, err := e.equal(x.of[name], other); err != nil || !same {
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
		case []any, map[string]any, Object:
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
