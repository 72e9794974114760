package app

import (
	"encoding/base64"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// onText makes a function of strings alone.
func onText(name string, count int, do func(e *evaluator, s []string) (any, error)) (function, bool) {
	return function{least: count, most: count, do: func(e *evaluator, args []any) (any, error) {
		s := make([]string, len(args))
		for i, a := range args {
			t, ok := a.(string)
			if !ok {
				return nil, evaluation("%s takes strings, not %s", name, kindOf(a))
			}
			s[i] = t
		}
		return do(e, s)
	}}, true
}

func texts(name string) (function, bool) {
	switch name {
	case "concat":
		return function{least: 1, most: -1, do: (*evaluator).concat}, true
	case "endswith":
		return onText(name, 2,
			func(_ *evaluator, s []string) (any, error) { return strings.HasSuffix(s[0], s[1]), nil })
	case "startswith":
		return onText(name, 2,
			func(_ *evaluator, s []string) (any, error) { return strings.HasPrefix(s[0], s[1]), nil })
	case "guid":
		return function{do: func(e *evaluator, _ []any) (any, error) {
			if e.values.NewID == nil {
				return Undefined{}, nil
			}
			return e.values.NewID(), nil
		}}, true
	case "indexof":
		return onText(name, 2,
			func(_ *evaluator, s []string) (any, error) { return position(s[0], strings.Index(s[0], s[1])), nil })
	case "lastindexof":
		return onText(name, 2,
			func(_ *evaluator, s []string) (any, error) { return position(s[0], strings.LastIndex(s[0], s[1])), nil })
	case "replace":
		return onText(name, 3, func(e *evaluator, s []string) (any, error) {
			if s[1] == "" {
				return s[0], nil
			}
			if n := strings.Count(s[0], s[1]); n > 0 && len(s[2]) > e.left.size/n {
				return nil, e.charge(e.left.size + 1)
			}
			return strings.ReplaceAll(s[0], s[1], s[2]), nil
		})
	case "substring":
		return function{least: 2, most: 3, do: substring}, true
	case "tolower":
		return onText(name, 1, func(_ *evaluator, s []string) (any, error) { return strings.ToLower(s[0]), nil })
	case "toupper":
		return onText(name, 1, func(_ *evaluator, s []string) (any, error) { return strings.ToUpper(s[0]), nil })
	default:
		return function{}, false
	}
}

// position counts in characters what is found at a byte; -1 stays.
func position(s string, at int) int64 {
	if at < 0 {
		return -1
	}
	return int64(len([]rune(s[:at])))
}

// concat joins strings, or arrays.
func (e *evaluator) concat(args []any) (any, error) {
	total := 0
	for _, a := range args {
		total += sizeOf(a)
	}
	if total > e.left.size {
		return nil, e.charge(total)
	}
	if _, ok := args[0].([]any); ok {
		out := []any{}
		for _, a := range args {
			list, ok := a.([]any)
			if !ok {
				return nil, evaluation("concat takes strings or arrays, not both")
			}
			out = append(out, list...)
		}
		return out, nil
	}
	var b strings.Builder
	for _, a := range args {
		switch a.(type) {
		case []any, map[string]any, Object, nil:
			return nil, evaluation("concat takes strings or arrays, not %s; wrap it in string()", kindOf(a))
		}
		b.WriteString(text(a))
	}
	return b.String(), nil
}

func substring(_ *evaluator, args []any) (any, error) {
	s, ok := args[0].(string)
	from, okFrom := args[1].(int64)
	letters := []rune(s)
	count := int64(len(letters)) - from
	okCount := true
	if len(args) == 3 {
		count, okCount = args[2].(int64)
	}
	if !ok || !okFrom || !okCount {
		return nil, evaluation("substring takes a string, a start and a length")
	}
	if from < 0 || count < 0 || from > int64(len(letters)) || count > int64(len(letters))-from {
		return nil, evaluation("substring goes beyond the string's %d characters", len(letters))
	}
	return string(letters[from : from+count]), nil
}

func conversions(name string) (function, bool) {
	one := func(do func(e *evaluator, v any) (any, error)) (function, bool) {
		return function{
			least: 1, most: 1,
			do: func(e *evaluator, args []any) (any, error) { return do(e, args[0]) },
		}, true
	}
	switch name {
	case "bool":
		return one(toBool)
	case "string":
		return one(func(e *evaluator, v any) (any, error) {
			if err := e.weigh(v); err != nil {
				return nil, err
			}
			return text(v), nil
		})
	case "parse":
		return one(func(_ *evaluator, v any) (any, error) {
			s, ok := v.(string)
			if !ok {
				return nil, evaluation("parse takes a string, not %s", kindOf(v))
			}
			return decode(s)
		})
	case "int":
		return one(func(_ *evaluator, v any) (any, error) { return toInt(v) })
	case "float":
		return one(func(_ *evaluator, v any) (any, error) { return toFloat(v) })
	case "decodebase64":
		return onText(name, 1, func(_ *evaluator, s []string) (any, error) {
			b, err := base64.StdEncoding.DecodeString(s[0])
			if err != nil {
				return nil, evaluation("decodeBase64 got what is not Base64")
			}
			return strings.ToValidUTF8(string(b), "\uFFFD"), nil
		})
	case "encodebase64":
		return onText(name, 1, func(_ *evaluator, s []string) (any, error) {
			return base64.StdEncoding.EncodeToString([]byte(s[0])), nil
		})
	case "decodeuricomponent":
		return onText(name, 1, func(_ *evaluator, s []string) (any, error) {
			t, err := url.PathUnescape(s[0])
			if err != nil {
				return nil, evaluation("decodeUriComponent got what is not encoded so")
			}
			return strings.ToValidUTF8(t, "\uFFFD"), nil
		})
	case "encodeuricomponent":
		return onText(name, 1, func(_ *evaluator, s []string) (any, error) {
			return strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(
				url.QueryEscape(s[0])), nil
		})
	default:
		return function{}, false
	}
}

// toBool gives false for 0, 'false' and false alone.
func toBool(_ *evaluator, v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case int64, float64:
		f, _ := float(v)
		return f != 0, nil
	case string:
		return !strings.EqualFold(v, "false") && v != "0", nil
	default:
		return nil, evaluation("bool takes a boolean, a number or a string, not %s", kindOf(v))
	}
}

// toInt gives a whole number; what is behind the point is dropped.
func toInt(v any) (any, error) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	if s, ok := v.(string); ok {
		if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := toFloat(v)
	if err != nil {
		return nil, err
	}
	return whole(math.Trunc(f))
}

func toFloat(v any) (float64, error) {
	if f, ok := float(v); ok {
		return f, nil
	}
	if s, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
	}
	return 0, evaluation("%s is not a number", clip(text(shallow(v))))
}

// shallow gives v where it is short to write, else the name of its kind.
func shallow(v any) any {
	switch v.(type) {
	case []any, map[string]any, Object:
		return kindOf(v)
	default:
		return v
	}
}

func whole(f float64) (any, error) {
	if math.IsNaN(f) || f < -(1<<63) || f >= 1<<63 {
		return nil, evaluation("a number is out of range")
	}
	return int64(f), nil
}

func dates(name string) (function, bool) {
	shift := func(unit time.Duration) (function, bool) {
		return function{least: 2, most: 2, do: func(_ *evaluator, args []any) (any, error) {
			s, ok := args[0].(string)
			n, isCount := args[1].(int64)
			if !ok || !isCount {
				return nil, evaluation("%s takes a time and a whole number", name)
			}
			t, err := instant(s)
			if err != nil {
				return nil, err
			}
			if most := int64(math.MaxInt64 / unit); n > most || n < -most {
				return nil, evaluation("a number is out of range")
			}
			return stamp(t.Add(time.Duration(n) * unit)), nil
		}}, true
	}
	switch name {
	case "addhours":
		return shift(time.Hour)
	case "addminutes":
		return shift(time.Minute)
	case "addseconds":
		return shift(time.Second)
	case "utcnow":
		return function{do: func(e *evaluator, _ []any) (any, error) { return stamp(e.values.Now), nil }}, true
	default:
		return function{}, false
	}
}

// instant reads a time of RFC 3339, whose seconds may be left out. A leap second counts as the end of the second before
// it, so that what is added to it comes out as if there were none.
func instant(s string) (time.Time, error) {
	const minutes, leap = "2006-01-02T15:04Z07:00", ":60"
	if at := len("2006-01-02T15:04"); len(s) > at+len(leap) && s[at:at+len(leap)] == leap {
		s = s[:at] + ":59" + s[at+len(leap):]
	}
	for _, layout := range []string{time.RFC3339Nano, minutes} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, evaluation("%q is not a time such as 2030-01-02T15:04:05Z", clip(s))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
