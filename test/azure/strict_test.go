package azure_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestPowerShellStrictness sends the exact bodies of Az PowerShell's cmdlets and holds what its converters break on:
// four arrays that are never null, numbers that are numbers, and times that are times.
func TestPowerShellStrictness(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	pricing := "/subscriptions/" + c.subscription + "/providers/Microsoft.Security/pricings/VirtualMachines?api-version=2018-06-01"
	if status, answer := x.call(http.MethodPut, pricing,
		`{"properties":{"pricingTier":"Standard"}}`); status != http.StatusOK {
		t.Errorf("Set-AzSecurityPricing gave %d %v", status, answer)
	}
	put := `{"kind":"Basic","properties":{"virtualMachines":[{"id":"` + c.machine.Resource +
		`","ports":[{"number":22,"protocol":"*","allowedSourceAddressPrefix":"*","maxRequestAccessDuration":"PT3H0M"},` +
		`{"number":3389,"protocol":"*","allowedSourceAddressPrefix":"*","maxRequestAccessDuration":"PT24H"}]}]}}`
	if status, answer := x.call(http.MethodPut, c.policyPath()+v, put); status != http.StatusOK {
		t.Fatalf("Set-AzJitNetworkAccessPolicy gave %d %v", status, answer)
	}
	start := `{"virtualMachines":[{"id":"` + strings.ToUpper(
		c.machine.Resource) + `","ports":[{"number":22,"endTimeUtc":"` + time.Now().UTC().Add(time.Hour).Format(
		"2006-01-02T15:04:05.0000000Z") + `","allowedSourceAddressPrefix":"10.77.0.1"}]}]}`
	status, made := x.call(http.MethodPost, c.policyPath()+"/Initiate"+v, start)
	if status != http.StatusAccepted || at(t, made, "virtualMachines", 0, "id") != strings.ToUpper(c.machine.Resource) {
		t.Fatalf("Start-AzJitNetworkAccessPolicy gave %d %v", status, made)
	}
	_, got := x.call(http.MethodGet, c.policyPath()+v, nil)
	_, listed := x.call(http.MethodGet,
		"/subscriptions/"+c.subscription+"/providers/Microsoft.Security/jitNetworkAccessPolicies"+v, nil)
	for what, policy := range map[string]any{"get": got, "list": at(t, listed, "value", 0)} {
		text, err := json.Marshal(policy)
		c.must(err)
		var strict struct {
			Properties struct {
				VirtualMachines []struct {
					Ports []struct {
						Number int
					}
				}
				Requests []struct {
					Requestor       string
					StartTimeUtc    time.Time
					VirtualMachines []struct {
						Ports []struct {
							Number     int
							EndTimeUtc time.Time
						}
					}
				}
			}
		}
		c.must(json.Unmarshal(text, &strict))
		p := strict.Properties
		if p.VirtualMachines == nil || p.VirtualMachines[0].Ports == nil || len(
			p.VirtualMachines[0].Ports) != 2 || len(p.Requests) != 1 || len(p.Requests[0].VirtualMachines) != 1 ||
			len(p.Requests[0].VirtualMachines[0].Ports) != 1 || p.Requests[0].StartTimeUtc.IsZero() ||
			p.Requests[0].VirtualMachines[0].Ports[0].EndTimeUtc.IsZero() {
			t.Errorf("%s gives %s", what, text)
		}
		if strings.Contains(string(text), "null") {
			t.Errorf("%s has a null: %s", what, text)
		}
	}
	empty := `{"kind":"Basic","properties":{"virtualMachines":[]}}`
	if status, answer := x.call(http.MethodPut, c.policyPath()+v, empty); status != http.StatusOK ||
		at(t, answer, "properties", "virtualMachines") == nil || at(t, answer, "properties", "requests") == nil {
		t.Errorf("an empty policy gave %d %v", status, answer)
	}
}

// TestResources reads everything that scripts read around just-in-time access.
func TestResources(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	sub := "/subscriptions/" + c.subscription
	for path, want := range map[string]string{
		"/tenants": c.tenant, "/subscriptions": c.subscription, sub: c.subscription, sub + "/locations": "local",
		sub + "/resourceGroups":         "default",
		sub + "/resourceGroups/DEFAULT": `"default"`, sub + "/providers": "Microsoft.Security",
		"/providers/microsoft.security":                      "locations/jitNetworkAccessPolicies",
		"/providers/Microsoft.Security/operations":           "initiate/action",
		sub + "/providers/Microsoft.Compute/virtualMachines": "web-1", c.machine.Resource: c.machine.ID,
		c.machine.Resource + "/instanceView":                                                                             "Provisioning succeeded",
		sub + "/providers/Microsoft.Network/networkInterfaces":                                                           "web-1-nic",
		sub + "/resourceGroups/default/providers/Microsoft.Network/networkInterfaces/web-1-nic":                          c.machine.Resource,
		sub + "/providers/Microsoft.Network/publicIPAddresses":                                                           "value",
		sub + "/providers/Microsoft.Security/locations":                                                                  "local",
		sub + "/providers/Microsoft.Security/pricings":                                                                   "Standard",
		sub + "/providers/Microsoft.Security/policies":                                                                   "default",
		sub + "/providers/Microsoft.Security/assessments":                                                                "Unhealthy",
		c.machine.Resource + "/providers/Microsoft.Security/assessments/805651bc-6ecd-4c73-9b55-97a19d0582d0":            "JitNotConfigured",
		"/" + sub + "/providers/Microsoft.Authorization/permissions":                                                     `"*"`,
		"/providers/Microsoft.Subscription" + sub + "/providers/Microsoft.Authorization/roleAssignmentScheduleInstances": c.client,
		sub + "/providers/Microsoft.Authorization/denyAssignments":                                                       "value",
		"/providers/Microsoft.Authorization/providerOperations/microsoft.security":                                       "initiate/action",
		"/providers/Microsoft.Insights/operations":                                                                       "eventtypes/values/read",
		"/providers/Microsoft.Insights/eventcategories":                                                                  "Administrative",
		"/metadata/endpoints": "/adfs",
	} {
		version := "2022-12-01"
		switch {
		case strings.Contains(path, "Schedule"):
			version = "2020-10-01"
		case strings.Contains(path, "Microsoft.Authorization"):
			version = "2022-04-01"
		case strings.Contains(path, "Microsoft.Insights"):
			version = "2015-04-01"
		}
		status, answer := x.call(http.MethodGet, path+"?api-version="+version, nil)
		text, err := json.Marshal(answer)
		c.must(err)
		if status != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("%s gave %d %s, want %s in it", path, status, text, want)
		}
	}
	x.guard()
	if _, answer := x.call(http.MethodGet,
		c.machine.Resource+"/providers/Microsoft.Security/assessments?api-version=2020-01-01",
		nil); at(t, answer, "value", 0, "properties", "status", "code") != "Healthy" {
		t.Errorf("a guarded machine is %v", answer)
	}
	if status, answer := x.call(http.MethodPost, sub+"/providers/Microsoft.Security/register?api-version=2019-05-01",
		nil); status != http.StatusOK || at(t, answer, "registrationState") != "Registered" {
		t.Errorf("register gave %d %v", status, answer)
	}
	for version, array := range map[string]bool{"2015-01-01": false, "2022-09-01": false, "2019-05-01": true} {
		response, err := x.http.Do(x.request(http.MethodGet, "/metadata/endpoints?api-version="+version, nil))
		c.must(err)
		var answer any
		c.must(json.NewDecoder(response.Body).Decode(&answer))
		c.must(response.Body.Close())
		if _, is := answer.([]any); is != array {
			t.Errorf("version %s of the metadata is %v", version, answer)
		}
	}
}
