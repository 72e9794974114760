package azure_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/api"
)

// TestGraph holds the requests of az 2.74 for names and kinds of principals, byte for byte, and that what Graph has and
// Postern has not is answered in the form in which az reads errors.
func TestGraph(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	user, err := c.admin.CreatePrincipal(t.Context(),
		api.NewPrincipal{Kind: "user", Name: "ann@example.org", DisplayName: "Ann O'Hara", Password: adminPassword})
	c.must(err)
	group, err := c.admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "group", Name: "team"})
	c.must(err)
	ann, team := user.Principal.ID, group.Principal.ID

	_, err = c.admin.AssignRole(t.Context(), api.NewRoleAssignment{Principal: "deploy", Role: "Owner", Scope: "/"})
	c.must(err)

	// az role assignment list, and create with --assignee-object-id.
	const missing = "6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e10"
	types := []string{"user", "group", "servicePrincipal", "directoryObjectPartnerReference"}
	byIDs := func(x *caller, ids ...string) []any {
		t.Helper()
		status, answer := x.call(http.MethodPost, "/v1.0/directoryObjects/getByIds",
			map[string]any{"ids": ids, "types": types})
		if status != http.StatusOK {
			t.Fatalf("getByIds gave %d %v", status, answer)
		}
		return at(t, answer, "value").([]any)
	}
	found := byIDs(x, ann, strings.ToUpper(c.client), team, missing, "no id")
	if len(found) != 3 {
		t.Fatalf("found %v", found)
	}
	shown := map[string]any{}
	for _, one := range found {
		p := one.(map[string]any)
		name := p["displayName"]
		if n, is := p["userPrincipalName"]; is {
			name = n
		} else if n, is := p["servicePrincipalNames"]; is {
			name = n.([]any)[0]
		}
		shown[p["id"].(string)] = p["@odata.type"].(string) + " " + name.(string)
	}
	want := map[string]any{
		ann:      "#microsoft.graph.user ann@example.org",
		c.client: "#microsoft.graph.servicePrincipal " + c.client, team: "#microsoft.graph.group team",
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("getByIds (-want +got):\n%s", diff)
	}

	// az role assignment create --assignee.
	for _, one := range []struct{ path, filter, id string }{
		{"servicePrincipals", "servicePrincipalNames/any(c:c eq '" + c.client + "')", c.client},
		{"servicePrincipals", "servicePrincipalNames/any(c:c eq 'deploy')", c.client},
		{"servicePrincipals", "servicePrincipalNames/any(c:c eq '" + ann + "')", ""},
		{"servicePrincipals", "servicePrincipalNames/any(c:c eq 'nobody''s')", ""},
		{"users", "userPrincipalName eq 'ann@example.org'", ann},
		{"users", "userPrincipalName eq '" + ann + "'", ""},
		{"users", "userPrincipalName eq 'deploy'", ""},
	} {
		status, answer := x.call(http.MethodGet,
			"/v1.0/"+one.path+"?$filter="+strings.ReplaceAll(url.QueryEscape(one.filter), "+", "%20"), nil)
		list, _ := answer["value"].([]any)
		switch {
		case status != http.StatusOK || list == nil:
			t.Errorf("%s gave %d %v", one.filter, status, answer)
		case one.id == "" && len(list) != 0, one.id != "" && (len(list) != 1 || at(t, list, 0, "id") != one.id):
			t.Errorf("%s found %v, want %q", one.filter, list, one.id)
		}
	}
	if _, answer := x.call(http.MethodGet, "/v1.0/users", nil); len(at(t, answer, "value").([]any)) != 2 {
		t.Errorf("the users are %v", answer)
	}

	// Errors are Graph's, which az reads as error.message.
	for _, one := range []struct {
		method, path string
		status       int
		code, says   string
	}{
		{http.MethodGet, "/v1.0/groups", http.StatusNotFound, "Request_ResourceNotFound", "getByIds"},
		{http.MethodGet, "/v1.0/applications/x", http.StatusNotFound, "Request_ResourceNotFound", "users"},
		{
			http.MethodGet, "/v1.0/users?$filter=startswith(displayName,'a')", http.StatusBadRequest,
			"Request_UnsupportedQuery", "startswith",
		},
		{
			http.MethodGet, "/v1.0/users?$filter=jobTitle%20eq%20'boss'", http.StatusBadRequest,
			"Request_UnsupportedQuery", "userPrincipalName",
		},
		{
			http.MethodGet, "/v1.0/servicePrincipals?$filter=servicePrincipalNames/any(c:d%20eq%20'x')",
			http.StatusBadRequest, "Request_UnsupportedQuery", "any",
		},
		{http.MethodPost, "/v1.0/directoryObjects/getByIds", http.StatusBadRequest, "Request_BadRequest", "JSON"},
		{http.MethodDelete, "/v1.0/users", http.StatusMethodNotAllowed, "HttpMethodNotSupported", "DELETE"},
	} {
		if message := x.fails(one.method, one.path, "x", one.status, one.code); !strings.Contains(message, one.says) {
			t.Errorf("%s says %q, want %q", one.path, message, one.says)
		}
	}
	nobody := &caller{cloud: c, http: c.http()}
	nobody.fails(http.MethodGet, "/v1.0/users", nil, http.StatusUnauthorized, "AuthenticationFailed")

	// Whoever may not read principals sees themselves, and whoever stands in an assignment that they may read.
	smallID, smallSecret := c.servicePrincipal("small", "")
	small := c.as(smallID, smallSecret)
	if found := byIDs(small, ann, smallID, team); len(found) != 1 || at(t, found, 0, "id") != smallID {
		t.Errorf("without a right one sees %v", found)
	}
	for who, role := range map[string]string{"small": "Reader", "team": "Reader"} {
		_, err = c.admin.AssignRole(t.Context(), api.NewRoleAssignment{Principal: who, Role: role})
		c.must(err)
	}
	if found := byIDs(small, ann, smallID, team); len(found) != 2 {
		t.Errorf("with a role at the subscription one sees %v", found)
	}
	small.fails(http.MethodGet, "/v1.0/users", nil, http.StatusForbidden, "Authorization_RequestDenied")
	small.fails(http.MethodGet, "/v1.0/users?$filter="+url.QueryEscape("userPrincipalName eq 'ann@example.org'"), nil,
		http.StatusForbidden, "Authorization_RequestDenied")
	if status, answer := small.call(http.MethodGet,
		"/v1.0/servicePrincipals?$filter="+url.QueryEscape("appId eq '"+smallID+"'"),
		nil); status != http.StatusOK || len(at(t, answer, "value").([]any)) != 1 {
		t.Errorf("oneself gave %d %v", status, answer)
	}
}
