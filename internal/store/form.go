package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unsafe"

	"github.com/postern-dev/postern/internal/core/access"
)

// form is how a type is written as JSON in a column. Types of the core carry no tags of storage, and a second type for
// each, copied field by field, forgets a field one day; so encoding/json gets a type that is made from theirs, with
// the same fields at the same places and the keys in its tags, for the same memory:
//
//   - a key is the field's name in lower case up to its first capital that begins a word;
//   - what is zero or empty is left out;
//   - an instant is in microseconds, as in a column of its own;
//   - a struct of one field is written as that field.
//
// testdata/stored.txt holds the keys of every column, since what is written is read by programs to come.
type form struct {
	as     reflect.Type
	fields bool // it has some, so a newer program may have written one that is not known
}

// parts says what of a type is written otherwise.
type parts struct {
	own    map[place]bool    // fields with columns of their own, which are left out
	inline []string          // structs whose fields stand among the others, as those of embedded ones do
	apart  []string          // paths of fields that are kept elsewhere
	called map[string]string // the key of a field that has another than its name gives
}

const elsewhere = ^uintptr(0) // behind a pointer or in a slice, where no column has a field

func formOf(t reflect.Type, p parts) form {
	m := maker{}
	return form{as: m.make(t, p, 0, ""), fields: m.fields}
}

// maker makes the type of a form.
type maker struct{ fields bool }

func (m *maker) make(t reflect.Type, p parts, offset uintptr, path string) reflect.Type {
	if t == reflect.TypeFor[time.Time]() {
		return reflect.TypeFor[stamp]()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ UnmarshalText(text []byte) error }]()) {
		return t
	}
	switch t.Kind() { //nolint:exhaustive // the others are as they are
	case reflect.Struct:
		return m.structOf(t, p, offset, path)
	case reflect.Slice:
		if of := m.make(t.Elem(), p, elsewhere, path); of != t.Elem() {
			return reflect.SliceOf(of)
		}
	case reflect.Pointer:
		if of := m.make(t.Elem(), p, elsewhere, path); of != t.Elem() {
			return reflect.PointerTo(of)
		}
	case reflect.Array, reflect.Map, reflect.Interface, reflect.Chan, reflect.Func:
		if t != reflect.TypeFor[map[string]string]() {
			panic(fmt.Sprintf("the store cannot write a %s", t))
		}
	}
	return t
}

func (m *maker) structOf(t reflect.Type, p parts, offset uintptr, path string) reflect.Type {
	if t.NumField() == 1 {
		return same(t, m.make(t.Field(0).Type, p, elsewhere, path))
	}
	m.fields = true
	fields := make([]reflect.StructField, t.NumField())
	for i := range fields {
		field := t.Field(i)
		fields[i] = reflect.StructField{Name: field.Name, Type: field.Type, Tag: `json:"-"`}
		at, to := elsewhere, strings.TrimPrefix(path+"."+field.Name, ".")
		if offset != elsewhere {
			at = offset + field.Offset
		}
		if p.owns(at, field.Type) || slices.Contains(p.apart, to) {
			continue
		}
		fields[i].Type = m.make(field.Type, p, at, to)
		fields[i].Tag = reflect.StructTag(`json:"` + p.key(field.Name) + `,omitempty,omitzero"`)
		if field.Anonymous || slices.Contains(p.inline, to) {
			fields[i].Anonymous, fields[i].Tag = true, ""
		}
	}
	return same(t, reflect.StructOf(fields))
}

// owns reports whether a field has a column of its own, or each of its fields has one.
func (p parts) owns(at uintptr, t reflect.Type) bool {
	if at == elsewhere {
		return false
	}
	if p.own[place{at, t}] {
		return true
	}
	if t.Kind() != reflect.Struct || t.NumField() == 0 {
		return false
	}
	for i := range t.NumField() {
		if !p.owns(at+t.Field(i).Offset, t.Field(i).Type) {
			return false
		}
	}
	return true
}

// key returns the key of a field.
func (p parts) key(field string) string {
	if called := p.called[field]; called != "" {
		return called
	}
	letters := []rune(field)
	for i := range letters {
		if i > 0 && (!unicode.IsUpper(letters[i]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			break
		}
		letters[i] = unicode.ToLower(letters[i])
	}
	return string(letters)
}

// same returns as, which must lie in memory as t does.
func same(t, as reflect.Type) reflect.Type {
	alike := t.Size() == as.Size() && t.Align() == as.Align()
	for i := 0; alike && as.Kind() == reflect.Struct && t.NumField() == as.NumField() && i < t.NumField(); i++ {
		alike = t.Field(i).Offset == as.Field(i).Offset
	}
	if !alike {
		panic(fmt.Sprintf("a %s does not lie in memory as a %s does", as, t))
	}
	return as
}

// text returns the JSON of the value at p, which is of the type that the form was made of.
func (f form) text(p unsafe.Pointer) (string, error) {
	text, err := json.Marshal(reflect.NewAt(f.as, p).Interface())
	if err != nil {
		return "", fmt.Errorf("encode a nested value: %w", err)
	}
	return string(text), nil
}

// read reads JSON into the value at p. A field that this program does not know is refused: what it says would be lost
// with the next write.
func (f form) read(text []byte, p unsafe.Pointer) error {
	into := reflect.NewAt(f.as, p).Interface()
	if !f.fields {
		return json.Unmarshal(text, into)
	}
	if string(text) == "{}" { // as most that hold what is left of a type
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			return fmt.Errorf("there is more behind a nested value")
		}
		return nil
	}
	if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return newer("a row has the field %s", field)
	}
	return err
}

// newer refuses what another version must have written: nothing is made of it that was not meant.
func newer(what string, args ...any) error {
	return access.Fault(access.KindInternal, "writtenByNewer", what+
		", which this version does not know: a newer version wrote it; use that one", args...)
}

// stamp is a time.Time as it is written.
type stamp time.Time

// IsZero has the zero time left out.
func (s stamp) IsZero() bool { return time.Time(s).IsZero() }

// MarshalJSON implements json.Marshaler.
func (s stamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, micros(time.Time(s)), 10), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *stamp) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("an instant is %.40q", text)
	}
	*s = stamp(instant(n))
	return nil
}
