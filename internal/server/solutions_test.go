package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
)

// Whoever may write a definition and not read it does not make it public by Azure's body, which has no words for that.
func TestAzuresPutKeepsWhatItDoesNotSay(t *testing.T) {
	t.Parallel()
	r := start(t)
	admin := r.admin()
	const name, body = "/providers/Microsoft.Solutions/applicationDefinitions/shop?api-version=2021-07-01",
		`{"location":"local","properties":{"lockLevel":"None","displayName":"Shop","managementPolicy":{"mode":"Unmanaged"}}}`
	made, err := admin.SetApplicationDefinition(t.Context(), "shop", api.ApplicationDefinitionInput{LockLevel: "None", Unmanaged: true}, 0)
	if err != nil {
		t.Fatal(err)
	}
	group, _, _ := strings.Cut(made.ID, "/providers/")
	role, err := admin.CreateRole(t.Context(), api.RoleInput{
		Name: "Definition Writer", AssignableScopes: []string{group},
		Permissions: []api.Permission{{Actions: []string{"Microsoft.Solutions/applicationDefinitions/write"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	user, err := admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "user", Name: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.AssignRole(t.Context(), api.NewRoleAssignment{Principal: "ann", Role: role.ID, Scope: group})
	if err != nil {
		t.Fatal(err)
	}
	ann := r.signIn("ann", user.Password, adminPassword)
	for who, status := range map[*api.Client]int{ann: http.StatusConflict, admin: http.StatusOK} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url()+group+name, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+who.Token())
		response, err := r.plain().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, response.Body)
		if text, _ := io.ReadAll(response.Body); response.StatusCode != status {
			t.Errorf("status %d, want %d: %s", response.StatusCode, status, text)
		}
		if d, err := admin.ApplicationDefinition(t.Context(), "shop"); err != nil || d.Public || d.JIT.Available {
			t.Errorf("the definition is now %+v, %v", d, err)
		}
	}
}
