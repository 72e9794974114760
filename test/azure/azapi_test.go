package azure_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// TestBodiesOfAzapi holds what the azapi provider of Terraform sends: its own resources with what the configuration
// says, numbers as text where they were written so, and updates as the whole of what was read with the change put into
// it.
func TestBodiesOfAzapi(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	policy := func(members map[string]any) map[string]any {
		rule := map[string]any{
			"number": "22", "protocol": "*", "allowedSourceAddressPrefixes": []any{"10.77.0.0/16"},
			"maxRequestAccessDuration": "PT3H",
		}
		maps.Copy(rule, members)
		return map[string]any{
			"kind": "Basic",
			"properties": map[string]any{
				"virtualMachines": []any{map[string]any{"id": c.machine.Resource, "ports": []any{rule}}},
			},
		}
	}
	if status, answer := x.call(http.MethodPut, c.policyPath()+v, policy(nil)); status != http.StatusOK {
		t.Fatalf("create gave %d %v", status, answer)
	}
	// It plans a change wherever what it wrote is not what it reads.
	_, read := x.call(http.MethodGet, c.policyPath()+v, nil)
	want := map[string]any{
		"number": 22.0, "protocol": "*", "allowedSourceAddressPrefixes": []any{"10.77.0.0/16"},
		"maxRequestAccessDuration": "PT3H",
	}
	if diff := cmp.Diff(want, at(t, read, "properties", "virtualMachines", 0, "ports", 0)); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if status, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+v,
		map[string]any{"virtualMachines": []any{map[string]any{
			"id": c.machine.Resource,
			"ports": []any{map[string]any{
				"number": "22", "duration": "PT1H",
				"allowedSourceAddressPrefix": "10.77.0.1",
			}},
		}}}); status != http.StatusAccepted {
		t.Errorf("the action gave %d %v", status, answer)
	}

	// Everything that is read can be written back, as an update does.
	scope := "/subscriptions/" + c.subscription
	vendorID, vendorSecret := c.servicePrincipal("vendor", "")
	app := x.application(authorization(vendorID, contributor))
	assignment, role := scope+"/providers/Microsoft.Authorization/roleAssignments/"+
		uuid.NewString(), scope+"/providers/Microsoft.Authorization/roleDefinitions/"+uuid.NewString()
	for path, body := range map[string]any{
		assignment: map[string]any{"properties": map[string]any{
			"principalId":      vendorID,
			"roleDefinitionId": scope + "/providers/Microsoft.Authorization/roleDefinitions/" + reader,
			"principalType":    "ServicePrincipal",
		}},
		role: map[string]any{"properties": map[string]any{
			"roleName": "own", "type": "CustomRole", "description": "",
			"assignableScopes": []string{scope}, "permissions": []any{
				map[string]any{
					"actions": []string{"*/read"}, "notActions": []string{}, "dataActions": []string{},
					"notDataActions": []string{},
				},
			},
		}},
	} {
		if status, answer := x.call(http.MethodPut, path+
			"?api-version=2022-04-01", body); status != http.StatusCreated {
			t.Fatalf("%s gave %d %v", path, status, answer)
		}
	}
	for path, version := range map[string]string{
		c.policyPath(): v, assignment: "?api-version=2022-04-01", role: "?api-version=2022-04-01",
		app: "?api-version=2021-07-01",
		strings.Replace(app, "applications/shop", "applicationDefinitions/shop-def", 1): "?api-version=2021-07-01",
		scope + "/providers/Microsoft.Security/pricings/VirtualMachines":                "?api-version=2024-01-01",
	} {
		_, whole := x.call(http.MethodGet, path+version, nil)
		delete(at(t, whole, "properties").(map[string]any), "version") // of a definition, which a change counts up
		if status, answer := x.call(http.MethodPut, path+version,
			whole); status >= http.StatusMultipleChoices && !strings.Contains(at(t, answer, "error", "code").(string),
			"RoleAssignmentExists") {
			t.Errorf("%s written back gave %d %v", path, status, answer)
		}
	}
	request := scope + "/resourceGroups/mrg-shop/providers/Microsoft.Solutions/jitRequests/deploy?api-version=2021-07-01"
	vendor := c.as(vendorID, vendorSecret)
	body := map[string]any{"properties": map[string]any{
		"applicationResourceId": app, "jitAuthorizationPolicies": []any{authorization(vendorID, contributor)},
		"jitSchedulingPolicy": map[string]any{"type": "Once", "duration": "PT1H", "startTime": "2999-01-01T00:00:00Z"},
	}}
	// too far ahead, and read
	_ = vendor.fails(http.MethodPut, request, body, http.StatusBadRequest, "InvalidRequestContent")
	vendor.fails(http.MethodPatch, request,
		map[string]any{"properties": map[string]any{"jitSchedulingPolicy": map[string]any{"duration": "PT2H"}}},
		http.StatusBadRequest, "InvalidRequestContent")

	// What would change the meaning of a write, and is not understood, is refused by its name.
	condition := "@Resource[x] StringEquals 'y'"
	for _, one := range []struct {
		path, name string
		body       any
	}{
		{
			c.policyPath() + v, "appendMode",
			map[string]any{"properties": map[string]any{"virtualMachines": []any{}, "appendMode": true}},
		},
		{
			c.policyPath() + v, "excludedSourceAddressPrefixes",
			policy(map[string]any{"excludedSourceAddressPrefixes": []any{"10.77.1.0/24"}}),
		},
		{
			role + "?api-version=2022-05-01-preview", "condition",
			map[string]any{"properties": map[string]any{
				"roleName":    "own",
				"permissions": []any{map[string]any{"actions": []string{"*"}, "condition": condition}},
			}},
		},
		{
			assignment + "?api-version=2022-04-01", "delegatedManagedIdentityResourceId",
			map[string]any{"properties": map[string]any{
				"principalId": vendorID, "roleDefinitionId": reader,
				"delegatedManagedIdentityResourceId": "/x",
			}},
		},
		{
			app + "?api-version=2021-07-01", "identity",
			map[string]any{
				"kind": "ServiceCatalog", "identity": map[string]any{"type": "SystemAssigned"},
				"properties": map[string]any{},
			},
		},
	} {
		if message := x.fails(http.MethodPut, one.path, one.body, http.StatusBadRequest,
			"InvalidRequestContent"); !strings.Contains(message, one.name) {
			t.Errorf("%s is refused with %q", one.name, message)
		}
	}
	wrong := map[string]any{"properties": map[string]any{
		"principalId": vendorID, "roleDefinitionId": contributor,
		"principalType": "User",
	}}
	x.fails(http.MethodPut,
		scope+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString()+"?API-Version=2022-04-01", wrong,
		http.StatusBadRequest, "UnmatchedPrincipalType")
	_, after := x.call(http.MethodGet, c.policyPath()+v, nil)
	if diff := cmp.Diff(want, at(t, after, "properties", "virtualMachines", 0, "ports", 0)); diff != "" {
		t.Errorf("after refused writes (-want +got):\n%s", diff)
	}
	if status, _ := x.call(http.MethodPut, c.policyPath()+v,
		map[string]any{
			"kind": "Basic",
			"properties": map[string]any{
				"virtualMachines": at(t, after, "properties", "virtualMachines"),
				"appendMode":      false,
			},
		}); status != http.StatusOK {
		t.Errorf("appendMode false gave %d", status)
	}
}
