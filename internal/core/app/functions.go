package app

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
	for _, group := range []func(string) (function, bool){
		references, logical, collections, texts, conversions, dates,
		arithmetic,
	} {
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
		return function{
			least: 2, most: -1,
			lazy: func(e *evaluator, args []node) (any, error) { return e.connect(args, false) },
		}, true
	case "or":
		return function{
			least: 2, most: -1,
			lazy: func(e *evaluator, args []node) (any, error) { return e.connect(args, true) },
		}, true
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
