package store_test

import (
	"reflect"
	"testing"
)

// TestWholePolicyIsWhole fails when a field is added to what a policy says of a machine, and TestRoundTrip does not fill it.
func TestWholePolicyIsWhole(t *testing.T) {
	t.Parallel()
	r, g, _ := (&fixture{machine: "m", user: "u"}).request(day())
	for what, v := range map[string]any{"MachinePolicy": wholeMachinePolicy("m"), "Item of a request": r.Items[0], "Grant": g, "Agent": agent("a", "b"), "Machine": machine("a", "b", "c")} {
		allowed := map[string]bool{"Until": true, "Reason": true, "WarnedAt": true, "OpenedAt": true, "EndedAt": true, "ClosedAt": true, "Packets": true, "Bytes": true, "Revoked": true, "LastAccess": true, "Role": true}
		for _, field := range empty(reflect.ValueOf(v), "") {
			if !allowed[field[1:]] {
				t.Errorf("%s%s is empty: fill it, and see that the store keeps it", what, field)
			}
		}
	}
}

// empty names the fields that have their zero value, down to the first element of each slice.
func empty(v reflect.Value, path string) []string {
	if v.IsZero() {
		return []string{path}
	}
	var found []string
	switch v.Kind() { //nolint:exhaustive // the others have no parts
	case reflect.Pointer:
		return empty(v.Elem(), path)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem().PkgPath() != "net/netip" {
			return empty(v.Index(0), path)
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			return nil
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "Groups" || f.Name == "People" {
				continue // a quorum has one or the other
			}
			found = append(found, empty(v.Field(i), path+"."+f.Name)...)
		}
	}
	return found
}
