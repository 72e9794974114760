package azure_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/api"
)

// TestNothingIsGivenWhereNothingIs holds that a role cannot be assigned, nor an eligibility be given, at what does not
// exist, and that the refusal names what is missing.
func TestNothingIsGivenWhereNothingIs(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	id, _ := c.servicePrincipal("vendor", "")
	sub := "/subscriptions/" + c.subscription
	for scope, want := range map[string][2]string{
		sub + "/resourceGroups/nowhere": {"ResourceGroupNotFound", `resource group "nowhere"`},
		sub + "/resourceGroups/nowhere/providers/Microsoft.Compute/virtualMachines/web-1": {
			"ResourceGroupNotFound",
			`resource group "nowhere"`,
		},
		c.machine.Resource + "9": {"ResourceNotFound", "web-19"},
	} {
		role := sub + "/providers/Microsoft.Authorization/roleDefinitions/" + contributorRole
		assignment := map[string]any{"properties": map[string]any{"principalId": id, "roleDefinitionId": role}}
		schedule := map[string]any{"properties": map[string]any{
			"requestType": "AdminAssign", "principalId": id, "roleDefinitionId": role,
			"scheduleInfo": map[string]any{"expiration": map[string]any{"type": "NoExpiration"}},
		}}
		for kind, one := range map[string]struct {
			version string
			body    any
		}{
			"roleAssignments": {"2022-04-01", assignment}, "roleAssignmentScheduleRequests": {"2020-10-01", schedule},
			"roleEligibilityScheduleRequests": {"2020-10-01", schedule},
		} {
			path := scope + "/providers/Microsoft.Authorization/" + kind + "/" + uuid.NewString() + "?api-version=" +
				one.version
			if message := x.fails(http.MethodPut, path, one.body, http.StatusNotFound,
				want[0]); !strings.Contains(message, want[1]) {
				t.Errorf("%s at %s does not say %q: %s", kind, scope, want[1], message)
			}
		}
	}
	// A policy guards the machines of its own resource group and location.
	_, err := c.admin.CreateResourceGroup(t.Context(), api.NewResourceGroup{Name: "abroad", Location: "westeurope"})
	c.must(err)
	for _, elsewhere := range []string{
		strings.Replace(c.policyPath(), "/default/", "/abroad/", 1),
		strings.Replace(c.policyPath(), "/local/", "/westeurope/", 1),
	} {
		if message := x.fails(http.MethodPut, elsewhere+v, c.policyBody(), http.StatusBadRequest,
			"InvalidRequestContent"); !strings.Contains(message,
			"in a different cloud, subscription, location or resource group") {
			t.Errorf("%s: %s", elsewhere, message)
		}
	}
	policy := strings.Replace(c.policyPath(), "/resourceGroups/default/", "/resourceGroups/nowhere/", 1)
	if message := x.fails(http.MethodPut, policy+v, c.policyBody(), http.StatusNotFound,
		"ResourceGroupNotFound"); !strings.Contains(message, `resource group "nowhere"`) {
		t.Errorf("the message of a policy names another group: %s", message)
	}
}

// TestWhatIsSeenBesideMachines holds that what Azure has resources of its own for is seen and written by the
// permissions of these resources: by those alone, and not without.
func TestWhatIsSeenBesideMachines(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	token, err := c.admin.CreateEnrollmentToken(t.Context(), api.NewEnrollmentToken{Name: "edge", Mode: "gateway"})
	c.must(err)
	c.enrollAgent(token.Token, t.TempDir())
	_, err = c.admin.AddMachine(t.Context(),
		api.NewMachine{Name: "web-2", Gateway: "edge", Addresses: []string{"198.51.100.7"}})
	c.must(err)
	sub := "/subscriptions/" + c.subscription
	group := sub + "/resourceGroups/default"
	machine := strings.TrimSuffix(c.machine.Resource, "web-1") + "web-2"
	as := func(name string, actions ...string) *caller {
		role := sub + "/providers/Microsoft.Authorization/roleDefinitions/" + uuid.NewString()
		status, answer := x.call(http.MethodPut, role+"?api-version=2022-04-01",
			map[string]any{"properties": map[string]any{
				"roleName": name, "type": "CustomRole", "permissions": []any{map[string]any{"actions": actions}},
				"assignableScopes": []any{sub},
			}})
		if status != http.StatusCreated {
			t.Fatalf("the role gave %d %v", status, answer)
		}
		return c.as(c.servicePrincipal(name, name))
	}
	const pricing = "Microsoft.Security/pricings/"
	for what, one := range map[string]struct {
		actions []string
		sees    []string
	}{
		"addresses":   {[]string{"Microsoft.Network/publicIPAddresses/read"}, []string{"addresses"}},
		"interfaces":  {[]string{"Microsoft.Network/networkInterfaces/read"}, []string{"interfaces"}},
		"machines":    {[]string{"Microsoft.Compute/virtualMachines/read"}, []string{"machines", "interfaces"}},
		"assessments": {[]string{"Microsoft.Security/assessments/read"}, []string{"assessments"}},
		"plan":        {[]string{pricing + "read"}, []string{"pricings"}},
		"plan, write": {[]string{pricing + "write"}, []string{"set the pricing"}},
		"policies":    {[]string{"Microsoft.Security/policies/read"}, []string{"policies"}},
		"security":    {[]string{"Microsoft.Security/*/read"}, []string{"assessments", "pricings", "policies"}},
	} {
		who := as(strings.ReplaceAll(what, ",", ""), one.actions...)
		const version = "?api-version=2022-12-01"
		for name, paths := range map[string][]string{
			"machines": {group + "/providers/Microsoft.Compute/virtualMachines", machine},
			"interfaces": {
				sub + "/providers/Microsoft.Network/networkInterfaces",
				group + "/providers/Microsoft.Network/networkInterfaces/web-2-nic",
			},
			"addresses": {
				sub + "/providers/Microsoft.Network/publicIPAddresses",
				group + "/providers/Microsoft.Network/publicIPAddresses/web-2-ip",
			},
			"assessments": {
				sub + "/providers/Microsoft.Security/assessments",
				machine + "/providers/Microsoft.Security/assessments",
			},
			"pricings": {
				sub + "/providers/Microsoft.Security/pricings",
				sub + "/providers/Microsoft.Security/pricings/VirtualMachines",
			},
			"policies": {
				sub + "/providers/Microsoft.Security/policies",
				sub + "/providers/Microsoft.Security/policies/default",
			},
		} {
			for _, path := range paths {
				status, answer := who.call(http.MethodGet, path+version, nil)
				if slices.Contains(one.sees, name) {
					if text := fmt.Sprint(
						answer); status != http.StatusOK || name == "addresses" && !strings.Contains(text,
						"198.51.100.7") {
						t.Errorf("who has %v asked for %s and got %d %v", one.actions, path, status, answer)
					}
				} else if status != http.StatusForbidden && status != http.StatusNotFound {
					t.Errorf("who has %v asked for %s and got %d %v", one.actions, path, status, answer)
				}
			}
		}
		if status, answer := who.call(http.MethodPut, group+"/providers/Microsoft.Security/policies/default"+version,
			`{"properties":{"recommendations":{"jitNetworkAccess":"Off"}}}`); status != http.StatusForbidden {
			t.Errorf("who has %v disabled just-in-time access and got %d %v", one.actions, status, answer)
		}
		want := http.StatusForbidden
		if slices.Contains(one.sees, "set the pricing") {
			want = http.StatusOK
		}
		if status, answer := who.call(http.MethodPut,
			sub+"/providers/Microsoft.Security/pricings/VirtualMachines"+version,
			`{"properties":{"pricingTier":"Standard"}}`); status != want {
			t.Errorf("who has %v set the pricing and got %d %v", one.actions, status, answer)
		}
	}
}

// TestNamesOfResourceGroups holds Azure's own rule for them, in every place that takes one.
func TestNamesOfResourceGroups(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	longest := strings.Repeat("g", 90)
	for name, taken := range map[string]bool{
		"_rg-(prod).eu": true, "(a)": true, "-dash": true, ".dot": true, longest: true,
		"6f0d3c5e-7a44-4c0b-9a3e-52b1f4d8c9e7": true,
		longest + "g":                          false, "ends.": false, "a b": false, "a/b": false, "a%b": false,
		"grün": false, "": false,
	} {
		_, err := c.admin.CreateResourceGroup(t.Context(), api.NewResourceGroup{Name: name})
		if (err == nil) != taken {
			t.Errorf("%q: %v", name, err)
		}
		if !taken || err != nil {
			continue
		}
		group := "/subscriptions/" + c.subscription + "/resourceGroups/" + name
		if status, answer := x.call(http.MethodGet, group+"?api-version=2022-12-01",
			nil); status != http.StatusOK || at(t, answer, "name") != name {
			t.Errorf("%q is %d %v", name, status, answer)
		}
		policy := group + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default"
		if status, answer := x.call(http.MethodPut, policy+v,
			`{"properties":{"virtualMachines":[]}}`); status != http.StatusOK || at(t, answer, "id") != policy {
			t.Errorf("a policy in %q is %d %v", name, status, answer)
		}
		if status, answer := x.call(http.MethodGet, group+"/providers/Microsoft.Security/jitNetworkAccessPolicies"+v,
			nil); status != http.StatusOK || len(at(t, answer, "value").([]any)) != 1 {
			t.Errorf("the policies of %q are %d %v", name, status, answer)
		}
		token, err := c.admin.CreateEnrollmentToken(t.Context(),
			api.NewEnrollmentToken{Name: "host", ResourceGroup: name})
		c.must(err)
		c.enrollAgent(token.Token, t.TempDir())
		if status, answer := x.call(http.MethodGet,
			group+"/providers/Microsoft.Compute/virtualMachines/host?api-version=2024-07-01",
			nil); status != http.StatusOK {
			t.Errorf("a machine in %q is %d %v", name, status, answer)
		}
	}
}

// TestWhoMadeItIsSaidByItsKind holds that what a program made is said to be an application's.
func TestWhoMadeItIsSaidByItsKind(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	vendorID, vendorSecret := c.servicePrincipal("vendor", "")
	app := c.deploy().application(authorization(vendorID, contributor))
	managed := "/subscriptions/" + c.subscription + "/resourceGroups/mrg-shop"
	request := managed + "/providers/Microsoft.Solutions/jitRequests/deploy"
	vendor := c.as(vendorID, vendorSecret)
	if status, answer := vendor.call(http.MethodPut, request+s19,
		map[string]any{"location": "local", "properties": map[string]any{
			"applicationResourceId": app, "jitAuthorizationPolicies": []any{authorization(vendorID, contributor)},
			"jitSchedulingPolicy": map[string]any{
				"duration":  "PT1H",
				"startTime": time.Now().UTC().Format(time.RFC3339),
			},
		}}); status >= http.StatusBadRequest {
		t.Fatalf("the request gave %d %v", status, answer)
	}
	x := c.deploy()
	for _, path := range []string{
		app, strings.Replace(app, "applications/shop", "applicationDefinitions/shop-def", 1),
		request,
	} {
		_, answer := x.call(http.MethodGet, path+s19, nil)
		if by := at(t, answer, "systemData", "createdByType"); by != "Application" {
			t.Errorf("%s was made by a %v", path, by)
		}
	}
	_, answer := vendor.call(http.MethodGet,
		managed+"/providers/Microsoft.Authorization/roleAssignmentScheduleInstances?api-version=2020-10-01&$filter=asTarget()",
		nil)
	if got := at(t, answer, "value", 0, "properties", "principalType"); got != "ServicePrincipal" {
		t.Errorf("a program's activation is of a %v", got)
	}
	_, answer = vendor.call(http.MethodGet,
		managed+"/providers/Microsoft.Authorization/roleAssignmentScheduleRequests?api-version=2020-10-01&$filter=asRequestor()",
		nil)
	if got := at(t, answer, "value", 0, "properties", "principalType"); got != "ServicePrincipal" {
		t.Errorf("a program's request is of a %v", got)
	}
}

// TestIDsOfAzure holds that a subscription and a machine are found under the ids and in the locations that they have in
// Azure.
func TestIDsOfAzure(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	const subscription = "6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e10"
	_, err := c.admin.CreateSubscription(t.Context(), api.NewSubscription{ID: subscription, Name: "production"})
	c.must(err)
	_, err = c.admin.CreateResourceGroup(t.Context(),
		api.NewResourceGroup{Name: "rg-(ops)", Subscription: subscription, Location: "westeurope"})
	c.must(err)
	group := "/subscriptions/" + subscription + "/resourceGroups/rg-(ops)"
	token, err := c.admin.CreateEnrollmentToken(t.Context(),
		api.NewEnrollmentToken{Name: "edge", Mode: "gateway", ResourceGroup: group})
	c.must(err)
	c.enrollAgent(token.Token, t.TempDir())
	_, err = c.admin.AddMachine(t.Context(),
		api.NewMachine{
			Name: "web01", Gateway: "edge", Addresses: []string{"10.1.2.3"}, ResourceGroup: group,
			Location: "northeurope",
		})
	c.must(err)
	_, err = c.admin.AssignRole(t.Context(),
		api.NewRoleAssignment{Principal: "deploy", Role: "Owner", Scope: "/subscriptions/" + subscription})
	c.must(err)
	x := c.deploy()
	machine := group + "/providers/Microsoft.Compute/virtualMachines/web01"
	if _, answer := x.call(http.MethodGet, machine+"?api-version=2024-07-01",
		nil); at(t, answer, "id") != machine || at(t, answer, "location") != "northeurope" {
		t.Errorf("the machine is %v", answer)
	}
	for _, list := range []string{"/locations", "/providers/Microsoft.Security/locations"} {
		_, answer := x.call(http.MethodGet, "/subscriptions/"+subscription+list+"?api-version=2022-12-01", nil)
		if names := fmt.Sprint(at(t, answer, "value", 0, "name"),
			at(t, answer, "value", 1, "name")); names != "northeuropewesteurope" {
			t.Errorf("%s gives %s", list, names)
		}
	}
	body := map[string]any{"properties": map[string]any{
		"virtualMachines": []any{map[string]any{"id": machine, "ports": []any{
			map[string]any{
				"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "*",
				"maxRequestAccessDuration": "PT3H",
			},
		}}},
	}}
	for location, want := range map[string]int{"northeurope": http.StatusOK, "westeurope": http.StatusBadRequest} {
		path := group + "/providers/Microsoft.Security/locations/" + location + "/jitNetworkAccessPolicies/default"
		if status, answer := x.call(http.MethodPut, path+v, body); status != want {
			t.Errorf("a policy in %s gave %d %v", location, status, answer)
		}
	}
}
