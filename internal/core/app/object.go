package app

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Object is a JSON object whose members keep their order, which first, last, skip, take and string show. The values of
// expressions may hold a map[string]any in its place, whose members stand by name.
type Object struct {
	names []string
	of    map[string]any
}

// newObject returns an empty object.
func newObject() Object { return Object{of: map[string]any{}} }

// with adds a member at the end, or gives the one of that name another value. The receiver is used up.
func (o Object) with(name string, v any) Object {
	if _, has := o.of[name]; !has {
		o.names = append(o.names, name)
	}
	o.of[name] = v
	return o
}

// part returns the members from one place up to another, in an object of its own.
func (o Object) part(from, to int) Object {
	out := newObject()
	for _, name := range o.names[from:to] {
		out = out.with(name, o.of[name])
	}
	return out
}

// member returns a member by its exact name, or else without regard to case.
func (o Object) member(name string) (any, bool) {
	if v, ok := o.of[name]; ok {
		return v, true
	}
	i := slices.IndexFunc(o.names, func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		return nil, false
	}
	return o.of[o.names[i]], true
}

// MarshalJSON writes the members in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(name); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // the encoder's line break
		b.WriteByte(':')
		if err := e.Encode(o.of[name]); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// objectOf returns v as an object with its order, where it is one.
func objectOf(v any) (Object, bool) {
	switch v := v.(type) {
	case Object:
		return v, true
	case map[string]any:
		return Object{names: sortedNames(v), of: v}, true
	default:
		return Object{}, false
	}
}
