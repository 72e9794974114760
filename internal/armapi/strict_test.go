package armapi

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestNothingIsIgnored holds which members of a body are read, passed over and refused.
func TestNothingIsIgnored(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{"kind":"Basic","properties":{"virtualMachines":[]}}`: nil,
		`{"id":"x","NAME":"y","type":"z","location":"l","systemData":{"a":1},"properties":{"requests":[{"x":1}],"provisioningState":"Succeeded","virtualMachines":[]}}`: nil,
		`{"properties":{"virtualMachines":[],"appendMode":true}}`: {
			"properties.appendMode",
		},
		`{"properties":{"virtualMachines":[],"appendMode":false,"other":null,"more":[ ],"text":"","none":{ }}}`: nil,
		`{"Properties":{"VirtualMachines":[{"ID":"x","ports":[{"number":22,"except":["a"]}],"publicIpAddress":"x"}]}}`: {
			"Properties.VirtualMachines[0].ports[0].except",
		},
		`{"mode":"append","properties":{"virtualMachines":"x"}}`: {
			"mode",
		},
		`[]`: nil, `"x"`: nil, `{`: nil,
	} {
		if diff := cmp.Diff(want, unknownMembers([]byte(body), reflect.TypeFor[*putPolicy](), "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

// TestNoMemberIsLost puts a member anywhere into a body that is understood, and holds that it is refused by its name.
func TestNoMemberIsLost(t *testing.T) {
	t.Parallel()
	const whole = `{"kind":"Basic","properties":{"virtualMachines":[{"id":"x","ports":[{"number":22,"protocol":"*"},{"number":23}]},{"id":"y","ports":[]}]}}`
	rapid.Check(t, func(t *rapid.T) {
		var body any
		if err := json.Unmarshal([]byte(whole), &body); err != nil {
			t.Fatal(err)
		}
		var objects []map[string]any
		var walk func(any)
		walk = func(v any) {
			switch v := v.(type) {
			case map[string]any:
				objects = append(objects, v)
				for _, one := range v {
					walk(one)
				}
			case []any:
				for _, one := range v {
					walk(one)
				}
			}
		}
		walk(body)
		name := "x" + rapid.StringMatching(`[A-Za-z]{3,8}`).Draw(t, "name")
		value := rapid.SampledFrom([]any{true, "yes", 1, []int{0}, map[string]any{"a": nil}}).Draw(t, "value")
		objects[rapid.IntRange(0, len(objects)-1).Draw(t, "where")][name] = value
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := notUnderstood(text, &putPolicy{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Fatalf("%s gives %v", text, err)
		}
	})
}

// FuzzUnknownMembers holds that whatever comes is walked through without a fault, and that bodies without objects have
// no members.
func FuzzUnknownMembers(f *testing.F) {
	f.Add([]byte(`{"properties":{"virtualMachines":[{"ports":[{"a":{"b":[1]}}]}]}}`))
	f.Add([]byte(`{"properties":{"properties":[[[{}]]]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		unknown := unknownMembers(data, reflect.TypeFor[putPolicy](), "")
		if len(unknown) > 0 && !json.Valid(data) {
			t.Errorf("%q is no JSON, and has %q", data, unknown)
		}
		if slices.Contains(unknown, "") {
			var object map[string]json.RawMessage
			if json.Unmarshal(data, &object) != nil || object[""] == nil {
				t.Errorf("%q has a member without a name", data)
			}
		}
	})
}
