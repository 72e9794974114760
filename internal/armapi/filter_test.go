package armapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFilter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]filter{
		"":                                nil,
		"atScope()":                       {{field: "atscope()"}},
		"principalId eq 'x'":              {{field: "principalid", operator: "eq", value: "x"}},
		"atScope() and assignedTo('a b')": {{field: "atscope()"}, {field: "assignedto()", value: "a b"}},
		"caller EQ 'O''Neil' AND status eq Succeeded": {
			{field: "caller", operator: "eq", value: "O'Neil"}, {field: "status", operator: "eq", value: "Succeeded"},
		},
		"eventTimestamp ge 2026-11-20T20:47:35.249997 and caller eq x": {
			{field: "eventtimestamp", operator: "ge", value: "2026-11-20T20:47:35.249997"},
			{field: "caller", operator: "eq", value: "x"},
		},
		"resourceUri eq '/subscriptions/s/a and b'": {
			{field: "resourceuri", operator: "eq", value: "/subscriptions/s/a and b"},
		},
	} {
		got, err := parseFilter(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(condition{})); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for _, text := range []string{
		"principalId", "principalId eq", "principalId eq 'x", "eq 'x'",
		"a eq 'x' or b eq 'y'", "a eq 'x' and", "atScope( and", "a like 'x'", "'x' eq a", "a eq 'x''",
		"a eq 'x'b eq 'y'",
	} {
		if got, err := parseFilter(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	f.Add("eventTimestamp ge '2026-11-20' and caller eq 'O''Neil'")
	f.Add("atScope() and assignedTo('x')")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseFilter(text)
		if err != nil {
			return
		}
		for _, c := range all {
			if c.field == "" {
				t.Errorf("%q has a condition without a field: %+v", text, all)
			}
		}
	})
}

func FuzzRouter(f *testing.F) {
	r := newRouter(jitRoutes())
	f.Add("GET",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Security/locations/l/jitNetworkAccessPolicies/p")
	f.Fuzz(func(t *testing.T, method, path string) {
		found, vars, others := r.find(method, path)
		if found != nil && (len(others) > 0 || vars["subscription"] == "") {
			t.Errorf("%s %q is %s with %v", method, path, found.pattern, vars)
		}
	})
}
