package azure_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// initiateBody asks for port 22 of web-1.
func (c *cloud) initiateBody(source string, d time.Duration) map[string]any {
	port := map[string]any{"number": 22, "endTimeUtc": time.Now().Add(d).UTC().Format("2006-01-02T15:04:05.0000000Z")}
	if source != "" {
		port["allowedSourceAddressPrefix"] = source
	}
	return map[string]any{"justification": "INC-4812 disk full", "virtualMachines": []any{map[string]any{"id": c.machine.Resource, "ports": []any{port}}}}
}

// TestInitiateOpensTheKernel goes from Azure's own request to a packet that passes, and back to one that does not.
func TestInitiateOpensTheKernel(t *testing.T) {
	t.Parallel()
	c := newCloudWithKernel(t)
	x := c.deploy()
	x.guard()
	c.shut()
	status, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+v, c.initiateBody("10.77.0.1", 2*time.Minute))
	if status != http.StatusAccepted {
		t.Fatalf("initiate gave %d %v", status, answer)
	}
	port := at(t, answer, "virtualMachines", 0, "ports", 0)
	if s := at(t, port, "status"); s != "Initiating" && s != "Initiated" || at(t, port, "statusReason") != "UserRequested" || at(t, answer, "requestor") != "deploy" {
		t.Errorf("initiate answered %v", answer)
	}
	c.eventually("the opening", c.knock)
	c.eventually("the report", func() error {
		_, policy := x.call(http.MethodGet, c.policyPath()+v, nil)
		if s := at(t, policy, "properties", "requests", 0, "virtualMachines", 0, "ports", 0, "status"); s != "Initiated" {
			return fmt.Errorf("the port is %v", s)
		}
		return nil
	})
	if status, _ := x.call(http.MethodDelete, c.policyPath()+v, nil); status != http.StatusOK {
		t.Errorf("delete gave %d", status)
	}
	if status, _ := x.call(http.MethodDelete, c.policyPath()+v, nil); status != http.StatusNoContent {
		t.Errorf("the second delete gave %d", status)
	}
}

// TestPolicyOnTheWire holds the exact shape that the strictest clients want.
func TestPolicyOnTheWire(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	for _, version := range []string{"2020-01-01", "2015-06-01-preview"} {
		path := strings.ToLower(c.policyPath())
		path = strings.Replace(path, "/subscriptions", "//Subscriptions", 1) + "?api-version=" + version
		status, answer := x.call(http.MethodPut, path, c.policyBody())
		if status != http.StatusOK {
			t.Fatalf("put gave %d %v", status, answer)
		}
		if at(t, answer, "type") != "Microsoft.Security/locations/jitNetworkAccessPolicies" || at(t, answer, "kind") != "Basic" || at(t, answer, "location") != "local" ||
			at(t, answer, "properties", "provisioningState") != "Succeeded" || len(at(t, answer, "properties", "requests").([]any)) != 0 {
			t.Errorf("put answered %v", answer)
		}
		rule := at(t, answer, "properties", "virtualMachines", 0, "ports", 0).(map[string]any)
		if rule["number"] != 22.0 || rule["protocol"] != "TCP" || rule["allowedSourceAddressPrefix"] != "10.77.0.0/16" || rule["maxRequestAccessDuration"] != "PT3H" || len(rule) != 4 {
			t.Errorf("the rule is %v", rule)
		}
	}
	prefix := "/subscriptions/" + c.subscription
	for _, list := range []string{
		prefix + "/providers/Microsoft.Security/jitNetworkAccessPolicies", prefix + "/providers/microsoft.security/locations/LOCAL/jitNetworkAccessPolicies",
		prefix + "/resourcegroups/DEFAULT/providers/Microsoft.Security/jitNetworkAccessPolicies", prefix + "/resourceGroups/default/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies",
	} {
		if status, answer := x.call(http.MethodGet, list+v, nil); status != http.StatusOK || len(at(t, answer, "value").([]any)) != 1 {
			t.Errorf("%s gave %d %v", list, status, answer)
		}
	}
	if _, answer := x.call(http.MethodGet, prefix+"/providers/Microsoft.Security/locations/elsewhere/jitNetworkAccessPolicies"+v, nil); len(at(t, answer, "value").([]any)) != 0 {
		t.Errorf("another location has %v", answer)
	}
}

// TestPutKeepsWhatAzureDoesNotKnow proves that a client of Azure's does not undo Postern's own settings, nor forge a history.
func TestPutKeepsWhatAzureDoesNotKnow(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	seen, err := c.admin.MachinePolicy(t.Context(), "web-1")
	c.must(err)
	next := seen.MachinePolicy
	next.Sessions = "keep"
	_, err = c.admin.SetMachinePolicy(t.Context(), "web-1", next, seen.Revision)
	c.must(err)
	body := c.policyBody()
	body["properties"].(map[string]any)["requests"] = []any{map[string]any{"requestor": "mallory", "startTimeUtc": "2030-01-01T00:00:00Z", "virtualMachines": []any{}}}
	if status, answer := x.call(http.MethodPut, c.policyPath()+v, body); status != http.StatusOK || len(at(t, answer, "properties", "requests").([]any)) != 0 {
		t.Errorf("put gave %d %v", status, answer)
	}
	after, err := c.admin.MachinePolicy(t.Context(), "web-1")
	c.must(err)
	if after.Sessions != "keep" {
		t.Errorf("sessions are %q after a PUT that does not tell of them", after.Sessions)
	}
	request := x.request(http.MethodPut, c.policyPath()+v, c.policyBody())
	request.Header.Set("If-Match", `"1"`)
	if status, answer := x.send(request); status != http.StatusPreconditionFailed {
		t.Errorf("an outdated ETag gave %d %v", status, answer)
	}
}

// TestRefusedRequestsSayEverything holds the words that Azure's tools look for, and that nothing is opened.
func TestRefusedRequestsSayEverything(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	body := c.initiateBody("192.0.2.1", 5*time.Hour)
	ports := at(t, body, "virtualMachines", 0).(map[string]any)["ports"].([]any)
	body["virtualMachines"].([]any)[0].(map[string]any)["ports"] = append(ports, map[string]any{"number": "3389", "endTimeUtc": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "allowedSourceAddressPrefix": "10.77.0.1"})
	message := x.fails(http.MethodPost, c.policyPath()+"/initiate"+v, body, http.StatusBadRequest, "AccessRequestNotSubsetOfPolicy")
	for _, want := range []string{"is not a subset of policy", "3h", "10.77.0.0/16", "3389"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message does not say %q: %s", want, message)
		}
	}
	list, err := c.admin.MachinePolicy(t.Context(), "web-1")
	c.must(err)
	if _, answer := x.call(http.MethodGet, c.policyPath()+v, nil); len(at(t, answer, "properties", "requests").([]any)) != 0 || list.Revision == 0 {
		t.Errorf("a refused request left %v", answer)
	}
}

// TestOwnAddress proves that a request without a source is for where it came from.
func TestOwnAddress(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	body := c.policyBody()
	body["properties"].(map[string]any)["virtualMachines"].([]any)[0].(map[string]any)["ports"].([]any)[0].(map[string]any)["allowedSourceAddressPrefix"] = "*"
	if status, answer := x.call(http.MethodPut, c.policyPath()+v, body); status != http.StatusOK {
		t.Fatalf("put gave %d %v", status, answer)
	}
	_, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+v, c.initiateBody("", time.Hour))
	if source := at(t, answer, "virtualMachines", 0, "ports", 0, "allowedSourceAddressPrefix"); source != "127.0.0.1" && source != "::1" {
		t.Errorf("the opening is for %v", source)
	}
}
