package armapi

import (
	"net/http"
	"testing"
)

func TestRouterFindsPathsAsClientsWriteThem(t *testing.T) {
	t.Parallel()
	r := newRouter([]route{
		{method: http.MethodGet, pattern: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Security/locations/{location}/jitNetworkAccessPolicies/{name}"},
		{method: http.MethodPost, pattern: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Security/locations/{location}/jitNetworkAccessPolicies/{name}/initiate"},
		{method: http.MethodGet, pattern: "{scope...}/providers/Microsoft.Authorization/roleAssignments"},
	})
	for _, c := range []struct {
		method, path string
		found, known bool
		name, value  string
	}{
		{"GET", "/subscriptions/S/resourcegroups/rg/providers/microsoft.security/LOCATIONS/local/jitnetworkaccesspolicies/Default", true, true, "name", "Default"},
		{"POST", "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default/Initiate", true, true, "group", "rg"},
		{"DELETE", "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default", false, true, "", ""},
		{"GET", "//subscriptions/S/providers/Microsoft.Authorization/roleAssignments", true, true, "scope", "/subscriptions/S"},
		{"GET", "/providers/Microsoft.Authorization/roleAssignments", true, true, "scope", "/"},
		{"GET", "/subscriptions/S/providers/Microsoft.Nothing/things", false, false, "", ""},
	} {
		found, vars, known := r.find(c.method, c.path)
		if (found != nil) != c.found || known != c.known {
			t.Errorf("%s %s: found %t, known %t; want %t, %t", c.method, c.path, found != nil, known, c.found, c.known)
		}
		if c.name != "" && vars[c.name] != c.value {
			t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, c.name, vars[c.name], c.value)
		}
	}
}
