package armapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// A member of a body that is not understood may be what turns the meaning of the rest round: "append" rather than
// "replace", or "only under this condition". So a type names what it reads and, in the tag also of a blank field, what
// means nothing in a body: what the server owns and clients send back, and what has no bearing on anybody's access. Any
// other member is refused by its name, unless its value is empty or false and so asks for nothing.

const maxUnknown = 5 // members that a refusal names

// unknownMembers gives the paths of the members of data that a body of type t neither reads nor passes over.
func unknownMembers(data []byte, t reflect.Type, at string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	switch t.Kind() { //nolint:exhaustive // the others have no members, or take any
	case reflect.Slice:
		var list []json.RawMessage
		if t.Elem().Kind() == reflect.Uint8 || json.Unmarshal(data, &list) != nil {
			return nil
		}
		var unknown []string
		for i, one := range list {
			if len(unknown) < maxUnknown {
				unknown = append(unknown, unknownMembers(one, t.Elem(), fmt.Sprintf("%s[%d]", at, i))...)
			}
		}
		return unknown
	case reflect.Struct:
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) != nil {
			return nil
		}
		var unknown []string
		for name, value := range object {
			here := strings.TrimPrefix(at+"."+name, ".")
			field, read, passed := memberOf(t, name)
			switch {
			case read:
				unknown = append(unknown, unknownMembers(value, field, here)...)
			case !passed && !asksNothing(value):
				unknown = append(unknown, here)
			}
		}
		slices.Sort(unknown)
		return unknown
	}
	return nil
}

// memberOf finds the field that a member of an object is read into, without regard to case as encoding/json finds it,
// and whether the type passes the member over.
func memberOf(t reflect.Type, name string) (field reflect.Type, read, passed bool) {
	for f := range t.Fields() {
		if called, _, _ := strings.Cut(f.Tag.Get("json"), ","); called != "" && strings.EqualFold(called, name) {
			return f.Type, true, false
		}
		passed = passed || containsFold(strings.Fields(f.Tag.Get("also")), name)
	}
	return nil, false, passed
}

// asksNothing reports whether a value is what a member would have that is not there.
func asksNothing(value []byte) bool {
	switch strings.Join(strings.Fields(string(value)), "") {
	case "null", "false", `""`, "[]", "{}", "0":
		return true
	}
	return false
}

// notUnderstood refuses a body with members of which nobody knows what they ask for.
func notUnderstood(data []byte, into any) error {
	unknown := unknownMembers(data, reflect.TypeOf(into), "")
	if len(unknown) == 0 {
		return nil
	}
	more := ""
	if len(unknown) > maxUnknown {
		unknown, more = unknown[:maxUnknown], " and others"
	}
	for i := range unknown {
		unknown[i] = clip(unknown[i])
	}
	return access.Fault(access.KindInvalid, "InvalidRequestContent",
		"not supported here, and not passed over since it might change what is asked for: %s%s; leave it out, or "+
			"correct its name",
		strings.Join(unknown, ", "), more)
}
