package azure_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

const (
	reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	s19    = "?api-version=2019-07-01"
)

// application deploys an application that gives roles to principals on request, which approves by itself, and gives its
// path.
func (x *caller) application(authorizations ...any) string {
	x.cloud.t.Helper()
	group := "/subscriptions/" + x.cloud.subscription + "/resourceGroups/default/providers/Microsoft.Solutions/"
	for path, properties := range map[string]map[string]any{
		group + "applicationDefinitions/shop-def": {"lockLevel": "None", "authorizations": authorizations},
	} {
		if status, answer := x.call(http.MethodPut, path+s19,
			map[string]any{"location": "local", "properties": properties}); status != http.StatusCreated {
			x.cloud.t.Fatalf("%s gave %d %v", path, status, answer)
		}
	}
	status, answer := x.call(http.MethodPut, group+"applications/shop"+s19,
		map[string]any{"location": "local", "kind": "ServiceCatalog", "properties": map[string]any{
			"applicationDefinitionId": group + "applicationDefinitions/shop-def",
			"managedResourceGroupId":  "/subscriptions/" + x.cloud.subscription + "/resourceGroups/mrg-shop",
			"jitAccessPolicy": map[string]any{
				"jitAccessEnabled": true, "jitApprovalMode": "AutoApprove",
				"maximumJitAccessDuration": "PT4H",
			},
		}})
	if status != http.StatusCreated {
		x.cloud.t.Fatalf("the application gave %d %v", status, answer)
	}
	return group + "applications/shop"
}

func authorization(principal, role string) any {
	return map[string]any{"principalId": principal, "roleDefinitionId": role}
}

// TestJITRequestsByName tells the life of requests for roles by the words of the clients of 2019, whose models only
// read the type of the schedule and never send it.
func TestJITRequestsByName(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	vendorID, vendorSecret := c.servicePrincipal("vendor", "")
	made, err := c.admin.CreatePrincipal(t.Context(),
		api.NewPrincipal{Kind: "user", Name: "ann", Password: adminPassword})
	c.must(err)
	team, err := c.admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "group", Name: "team"})
	c.must(err)
	c.must(c.admin.AddMember(t.Context(), "team", "vendor"))
	other, err := c.admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "group", Name: "other"})
	c.must(err)
	ann := made.Principal.ID
	const securityReader = "39bc4728-0917-49c7-9d2c-d95423bc2eb4"
	app := c.deploy().application(authorization(vendorID, contributor), authorization(ann, contributor),
		authorization(team.Principal.ID, securityReader),
		authorization(other.Principal.ID, securityReader), authorization(vendorID, reader))
	vendor := c.as(vendorID, vendorSecret)
	path := "/subscriptions/" + c.subscription + "/resourceGroups/mrg-shop/providers/Microsoft.Solutions/jitRequests/deploy"
	ask := func(principal, role string) map[string]any {
		return map[string]any{"location": "local", "properties": map[string]any{
			"applicationResourceId": app, "jitAuthorizationPolicies": []any{authorization(principal, role)},
			"jitSchedulingPolicy": map[string]any{
				"duration":  "PT1H",
				"startTime": time.Now().UTC().Format(time.RFC3339Nano),
			},
		}}
	}

	// Nobody gets what was asked for another.
	for who, principal := range map[string]string{
		"a person who is authorized too":    ann,
		"a group that the caller is not in": other.Principal.ID, "nobody": "6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e10",
	} {
		role := contributor
		if principal == other.Principal.ID {
			role = securityReader
		}
		message := vendor.fails(http.MethodPut, path+s19, ask(principal, role), http.StatusForbidden,
			"PrincipalNotAuthorized")
		if !strings.Contains(message, principal) {
			t.Errorf("%s: the message does not name %s: %s", who, principal, message)
		}
	}
	message := vendor.fails(http.MethodPut, path+s19, ask(vendorID, reader), http.StatusForbidden,
		"AuthorizationFailed")
	if !strings.Contains(message, "Reader") || !strings.Contains(message, "already") {
		t.Errorf("of a role that is held for good it says %q", message)
	}
	if status, _ := vendor.call(http.MethodGet, path+s19, nil); status != http.StatusNotFound {
		t.Errorf("a refused request is there: %d", status)
	}

	// The name is free again each time that its request is deleted.
	for i, principal := range []string{vendorID, strings.ToUpper(vendorID), team.Principal.ID, vendorID} {
		role := contributor
		if i == 2 {
			role = securityReader
		}
		status, answer := vendor.call(http.MethodPut, path+s19, ask(principal, role))
		if status != http.StatusCreated || at(t, answer, "properties",
			"jitRequestState") != "Approved" || at(t, answer, "properties", "jitSchedulingPolicy", "type") != "Once" ||
			at(t, answer, "properties", "jitAuthorizationPolicies", 0, "principalId") != vendorID {
			t.Fatalf("%d: put gave %d %v", i, status, answer)
		}
		again := ask(vendorID, contributor)
		again["tags"] = map[string]string{"another": "body"}
		vendor.fails(http.MethodPut, path+s19, again, http.StatusConflict, "JitRequestAlreadyExists")
		if status, _ := vendor.call(http.MethodGet, path+s19, nil); status != http.StatusOK {
			t.Errorf("%d: get gave %d", i, status)
		}
		for _, want := range []int{http.StatusOK, http.StatusNoContent} {
			if status, answer := vendor.call(http.MethodDelete, path+s19, nil); status != want {
				t.Errorf("%d: delete gave %d %v, want %d", i, status, answer, want)
			}
		}
		vendor.fails(http.MethodGet, path+s19, nil, http.StatusNotFound, "ResourceNotFound")
		if _, list := vendor.call(http.MethodGet, strings.TrimSuffix(path, "/deploy")+s19,
			nil); len(at(t, list, "value").([]any)) != 0 {
			t.Errorf("%d: it is listed: %v", i, list)
		}
	}
	requests, err := api.All(c.admin.Requests(t.Context(), api.RequestQuery{}))
	c.must(err)
	if len(requests) != 4 {
		t.Errorf("%d requests are on record, want 4", len(requests))
	}
	recurring := ask(vendorID, contributor)
	at(t, recurring, "properties", "jitSchedulingPolicy").(map[string]any)["type"] = "Sometimes"
	vendor.fails(http.MethodPut, path+s19, recurring, http.StatusBadRequest, "InvalidJitSchedulingPolicy")
}
