package app

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

const maxDepth = 100 // of a JSON document

// ByteOrderMark stands before a text that some editors and shells write. It means nothing, and is no part of a
// document.
const ByteOrderMark = "\uFEFF"

// decode reads JSON into the values of expressions, with each object an Object. It refuses what is nested too deeply,
// what has something behind its end, and names that an object has twice.
func decode(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(s, ByteOrderMark)))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something stands behind its end")
		}
	}
	if err != nil {
		return nil, access.Fault(access.KindInvalid, "malformedJSON", "it is not JSON: %v", err)
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("it is nested too deeply")
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Number:
		return number(t)
	case json.Delim:
		if t == '[' {
			list := []any{}
			for d.More() {
				v, err := decodeValue(d, depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		return decodeMembers(d, depth)
	default:
		return t, nil // a string, a bool or nil
	}
}

func decodeMembers(d *json.Decoder, depth int) (any, error) {
	object := newObject()
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if _, twice := object.of[name]; twice {
			return nil, errors.New("an object has the name " + strconv.Quote(clip(name)) + " twice")
		}
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		object = object.with(name, v)
	}
	_, err := d.Token()
	return object, err
}

func number(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, errors.New("a number is out of range")
	}
	return f, nil
}

// Decode reads an answer to a form's element, with the order of what it holds.
func Decode(s string) (any, error) { return decode(s) }

// decodeObject is decode for what must be an object.
func decodeObject(s string) (Object, error) {
	v, err := decode(s)
	if err != nil {
		return Object{}, err
	}
	object, ok := v.(Object)
	if !ok {
		return Object{}, access.Fault(access.KindInvalid, "malformedJSON", "it is not a JSON object")
	}
	return object, nil
}

// encode writes a value as JSON; what is undefined is null.
func encode(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(plain(v)); err != nil {
		return "null"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// plain replaces what is undefined by null.
func plain(v any) any {
	switch v := v.(type) {
	case Undefined:
		return nil
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = plain(element)
		}
		return out
	case map[string]any, Object:
		o, _ := objectOf(v)
		out := newObject()
		for _, name := range o.names {
			out = out.with(name, plain(o.of[name]))
		}
		return out
	default:
		return v
	}
}
