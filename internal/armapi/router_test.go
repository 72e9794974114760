package armapi

import (
	"net/http"
	"strings"
	"testing"
)

func TestRouterFindsPathsAsClientsWriteThem(t *testing.T) {
	t.Parallel()
	r := newRouter([]route{
		{
			method:  http.MethodGet,
			pattern: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Security/locations/{location}/jitNetworkAccessPolicies/{name}",
		},
		{
			method:  http.MethodPost,
			pattern: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Security/locations/{location}/jitNetworkAccessPolicies/{name}/initiate",
		},
		{method: http.MethodGet, pattern: "{scope...}/providers/Microsoft.Authorization/roleAssignments"},
	})
	for _, c := range []struct {
		method, path string
		found        bool
		others       string
		name, value  string
	}{
		{
			"GET",
			"/subscriptions/S/resourcegroups/rg/providers/microsoft.security/LOCATIONS/local/jitnetworkaccesspolicies/Default",
			true, "", "name", "Default",
		},
		{
			"POST",
			"/subscriptions/S/resourceGroups/rg/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default/Initiate",
			true, "", "group", "rg",
		},
		{
			"PATCH",
			"/subscriptions/S/resourceGroups/rg/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default",
			false, "GET", "", "",
		},
		{
			"GET", "//subscriptions/S/providers/Microsoft.Authorization/roleAssignments", true, "", "scope",
			"/subscriptions/S",
		},
		{"GET", "/providers/Microsoft.Authorization/roleAssignments", true, "", "scope", "/"},
		{"GET", "/subscriptions/S/providers/Microsoft.Nothing/things", false, "", "", ""},
	} {
		found, vars, others := r.find(c.method, c.path)
		if (found != nil) != c.found || strings.Join(others, " ") != c.others {
			t.Errorf("%s %s: found %t, others %v; want %t, %s", c.method, c.path, found != nil, others, c.found,
				c.others)
		}
		if c.name != "" && vars[c.name] != c.value {
			t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, c.name, vars[c.name], c.value)
		}
	}
}
