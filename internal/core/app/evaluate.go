package app

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Undefined is the value of what is not there, such as of a control that is not shown. It is not null: an expression
// that meets it is undefined as a whole, but for coalesce and empty.
type Undefined struct{}

// Values is what the expressions of a form refer to. A value is nil, a bool, an int64, a float64, a string, a []any, an
// Object or a map[string]any.
type Values struct {
	Basics        map[string]any
	Steps         map[string]map[string]any
	Location      string
	ResourceGroup map[string]any
	Subscription  map[string]any
	Now           time.Time
	Seed          string                  // of guid and rand in a form: the same gives the same
	NewID         func() string           // of guid
	Random        func(below int64) int64 // of rand
	Row           int64                   // of $rowIndex: the row of a grid, from 1; 0 outside of one
}

// budget is what one evaluation may use: a step for each part, and a byte or an element for what it makes.
type budget struct{ steps, size int }

const (
	maxSteps = 20_000
	maxSize  = 4 << 20
)

// Evaluate gives the value of the expression.
func (e Expression) Evaluate(values Values) (any, error) {
	ev := evaluator{values: values, left: &budget{steps: maxSteps, size: maxSize}}
	v, err := ev.value(e.root)
	if err != nil {
		return nil, err
	}
	if err := ev.weigh(v); err != nil {
		return nil, err
	}
	return v, nil
}

type evaluator struct {
	values    Values
	left      *budget
	variables []binding
}

type binding struct {
	name  string
	value any
}

func evaluation(format string, args ...any) error {
	return access.Fault(access.KindInvalid, "expressionFailed", format, args...)
}

// charge takes n from what may still be made.
func (e *evaluator) charge(n int) error {
	if n > e.left.size {
		return evaluation("the expression makes more than %d bytes", maxSize)
	}
	e.left.size -= n
	return nil
}

func (e *evaluator) value(n node) (any, error) {
	if e.left.steps--; e.left.steps < 0 {
		return nil, evaluation("the expression takes more than %d steps", maxSteps)
	}
	switch n.kind {
	case literal:
		return n.value, nil
	case variable:
		if n.name == rowIndex {
			if e.values.Row == 0 {
				return Undefined{}, nil
			}
			return e.values.Row, nil
		}
		for _, v := range slices.Backward(e.variables) {
			if v.name == n.name {
				return v.value, nil
			}
		}
		return Undefined{}, nil
	case property:
		of, err := e.value(n.args[0])
		if err != nil {
			return nil, err
		}
		return member(of, n.name), nil
	case index:
		return e.index(n)
	case call:
		return e.call(n)
	case array:
		out := make([]any, len(n.args))
		for i, a := range n.args {
			v, err := e.value(a)
			if err != nil {
				return nil, err
			}
			if _, gone := v.(Undefined); !gone {
				out[i] = v // what is not there is null
			}
		}
		return out, e.charge(sizeOf(out))
	case object:
		out := newObject()
		for i, a := range n.args {
			v, err := e.value(a)
			if err != nil {
				return nil, err
			}
			if _, gone := v.(Undefined); !gone {
				out = out.with(n.names[i], v)
			}
		}
		return out, e.charge(sizeOf(out))
	case lambda:
	}
	return nil, evaluation("a function stands where a value is needed")
}

// member gives a property of an object, by its exact name or else without regard to case.
func member(of any, name string) any {
	if object, ok := objectOf(of); ok {
		if v, ok := object.member(name); ok {
			return v
		}
	}
	return Undefined{}
}

func (e *evaluator) index(n node) (any, error) {
	of, err := e.value(n.args[0])
	if err != nil {
		return nil, err
	}
	at, err := e.value(n.args[1])
	if err != nil {
		return nil, err
	}
	switch at := at.(type) {
	case string:
		return member(of, at), nil
	case int64:
		if list, ok := of.([]any); ok && at >= 0 && at < int64(len(list)) {
			return list[at], nil
		}
	}
	return Undefined{}, nil
}

func (e *evaluator) call(n node) (any, error) {
	f, ok := lookUp(n.name)
	if !ok {
		return nil, evaluation("%s is not a function of forms", n.name)
	}
	if f.lazy != nil {
		return f.lazy(e, n.args)
	}
	args := make([]any, len(n.args))
	for i, a := range n.args {
		v, err := e.value(a)
		if err != nil {
			return nil, err
		}
		if _, gone := v.(Undefined); gone && !f.undefined {
			return Undefined{}, nil
		}
		if err := e.charge(sizeOf(v)); err != nil { // it may be read through, and again by the next call
			return nil, err
		}
		args[i] = v
	}
	v, err := f.do(e, args)
	if err != nil {
		return nil, err
	}
	if err := e.charge(sizeOf(v)); err != nil {
		return nil, err
	}
	return v, nil
}

// sizeOf gives what a new value is charged at: its own bytes or elements, since what is in it was charged already.
func sizeOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []any:
		return 16 * len(v)
	case map[string]any:
		return 32 * len(v)
	case Object:
		return 32 * len(v.names)
	default:
		return 1
	}
}

// each calls the function of filter and map for the elements of a list.
func (e *evaluator) each(args []node, do func(element, result any) error) (defined bool, err error) {
	of, err := e.value(args[0])
	if err != nil {
		return false, err
	}
	if _, gone := of.(Undefined); gone {
		return false, nil
	}
	list, ok := of.([]any)
	if !ok {
		return false, evaluation("filter and map take an array, not %s", kindOf(of))
	}
	for _, element := range list {
		e.variables = append(e.variables, binding{args[1].name, element})
		result, err := e.value(args[1].args[0])
		e.variables = e.variables[:len(e.variables)-1]
		if err != nil {
			return false, err
		}
		if err := do(element, result); err != nil {
			return false, err
		}
	}
	return true, nil
}

// kindOf names the sort of a value, for messages.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	case map[string]any, Object:
		return "an object"
	default:
		return "nothing"
	}
}

// Resolve gives v with every expression in it, at whatever depth, replaced by its value. A member that is undefined is
// left out. A text that begins with "[[" loses the first bracket.
func Resolve(v any, values Values) (any, error) {
	return resolveWithin(v, values, &budget{steps: maxSteps, size: maxSize})
}

// resolveWithin is Resolve with what is left of a budget that several evaluations share.
func resolveWithin(v any, values Values, left *budget) (any, error) {
	ev := evaluator{values: values, left: left}
	out, err := ev.resolve(v)
	if err != nil {
		return nil, err
	}
	if err := ev.weigh(out); err != nil {
		return nil, err
	}
	return out, nil
}

func (e *evaluator) resolve(v any) (any, error) {
	switch v := v.(type) {
	case string:
		switch {
		case strings.HasPrefix(v, "[["):
			return v[1:], nil
		case !IsExpression(v):
			return v, nil
		}
		x, err := ParseExpression(v)
		if err != nil {
			return nil, err
		}
		return e.value(x.root)
	case []any:
		out := make([]any, 0, len(v))
		for _, element := range v {
			r, err := e.resolve(element)
			if err != nil {
				return nil, err
			}
			if _, gone := r.(Undefined); gone {
				r = nil
			}
			out = append(out, r)
		}
		return out, nil
	case map[string]any, Object:
		o, _ := objectOf(v)
		out := newObject()
		for _, name := range o.names {
			r, err := e.resolve(o.of[name])
			if err != nil {
				return nil, err
			}
			if _, gone := r.(Undefined); !gone {
				out = out.with(name, r)
			}
		}
		return out, nil
	default:
		return v, nil
	}
}

// text writes a value as the string function does: texts as they are, the rest as JSON.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	default:
		return encode(v)
	}
}

// weigh charges a value with all that it holds, as often as it holds it: what several places share may be far more when
// it is walked through than when it was made.
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
	case map[string]any, Object:
		o, _ := objectOf(v)
		for _, name := range o.names {
			if err := e.charge(len(name)); err != nil {
				return err
			}
			if err := e.weigh(o.of[name]); err != nil {
				return err
			}
		}
	}
	return nil
}
