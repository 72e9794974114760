package azure_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/api"
)

// initiateBody asks for port 22 of web-1.
func (c *cloud) initiateBody(source string, d time.Duration) map[string]any {
	port := map[string]any{"number": 22, "endTimeUtc": time.Now().Add(d).UTC().Format("2006-01-02T15:04:05.0000000Z")}
	if source != "" {
		port["allowedSourceAddressPrefix"] = source
	}
	return map[string]any{
		"justification":   "INC-4812 disk full",
		"virtualMachines": []any{map[string]any{"id": c.machine.Resource, "ports": []any{port}}},
	}
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
	if s := at(t, port,
		"status"); s != "Initiating" && s != "Initiated" || at(t, port,
		"statusReason") != "UserRequested" || at(t, answer, "requestor") != "deploy" {
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
		if at(t, answer,
			"type") != "Microsoft.Security/locations/jitNetworkAccessPolicies" || at(t, answer,
			"kind") != "Basic" || at(t, answer, "location") != "local" ||
			at(t, answer, "properties",
				"provisioningState") != "Succeeded" || len(at(t, answer, "properties", "requests").([]any)) != 0 {
			t.Errorf("put answered %v", answer)
		}
		rule := at(t, answer, "properties", "virtualMachines", 0, "ports", 0).(map[string]any)
		if rule["number"] != 22.0 || rule["protocol"] != "TCP" ||
			rule["allowedSourceAddressPrefix"] != "10.77.0.0/16" ||
			rule["maxRequestAccessDuration"] != "PT3H" || len(
			rule) != 4 {
			t.Errorf("the rule is %v", rule)
		}
	}
	prefix := "/subscriptions/" + c.subscription
	for _, list := range []string{
		prefix + "/providers/Microsoft.Security/jitNetworkAccessPolicies",
		prefix + "/providers/microsoft.security/locations/LOCAL/jitNetworkAccessPolicies",
		prefix + "/resourcegroups/DEFAULT/providers/Microsoft.Security/jitNetworkAccessPolicies",
		prefix + "/resourceGroups/default/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies",
	} {
		if status, answer := x.call(http.MethodGet, list+v,
			nil); status != http.StatusOK || len(at(t, answer, "value").([]any)) != 1 {
			t.Errorf("%s gave %d %v", list, status, answer)
		}
	}
	if _, answer := x.call(http.MethodGet,
		prefix+"/providers/Microsoft.Security/locations/elsewhere/jitNetworkAccessPolicies"+v,
		nil); len(at(t, answer, "value").([]any)) != 0 {
		t.Errorf("another location has %v", answer)
	}
}

// TestPutKeepsWhatAzureDoesNotKnow proves that a client of Azure's does not undo Postern's own settings, nor forge a
// history.
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
	body["properties"].(map[string]any)["requests"] = []any{
		map[string]any{"requestor": "mallory", "startTimeUtc": "2030-01-01T00:00:00Z", "virtualMachines": []any{}},
	}
	if status, answer := x.call(http.MethodPut, c.policyPath()+v,
		body); status != http.StatusOK || len(at(t, answer, "properties", "requests").([]any)) != 0 {
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
	body["virtualMachines"].([]any)[0].(map[string]any)["ports"] = append(ports,
		map[string]any{
			"number": "3389", "endTimeUtc": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
			"allowedSourceAddressPrefix": "10.77.0.1",
		})
	message := x.fails(http.MethodPost, c.policyPath()+"/initiate"+v, body, http.StatusBadRequest,
		"AccessRequestNotSubsetOfPolicy")
	for _, want := range []string{"is not a subset of policy", "3h", "10.77.0.0/16", "3389"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message does not say %q: %s", want, message)
		}
	}
	list, err := c.admin.MachinePolicy(t.Context(), "web-1")
	c.must(err)
	if _, answer := x.call(http.MethodGet, c.policyPath()+v,
		nil); len(at(t, answer, "properties", "requests").([]any)) != 0 || list.Revision == 0 {
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
	if source := at(t, answer, "virtualMachines", 0, "ports", 0,
		"allowedSourceAddressPrefix"); source != "127.0.0.1" && source != "::1" {
		t.Errorf("the opening is for %v", source)
	}
}

// TestInitiateByDuration holds that a request says how long or until when, and one of the two: scripts and the portal
// say how long, SDKs until when.
func TestInitiateByDuration(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guardBy(from(c.policyBody(), "*"))
	path := c.policyPath() + "/initiate" + v
	port := func(members map[string]any) map[string]any {
		members["number"] = 22
		return map[string]any{"virtualMachines": []any{
			map[string]any{"id": c.machine.Resource, "ports": []any{members}},
		}}
	}
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }

	// What the portal of Azure sends, and what its answer shows.
	status, answer := x.call(http.MethodPost, path,
		port(map[string]any{
			"duration":                     "PT2H",
			"allowedSourceAddressPrefixes": []any{"192.0.2.10", "192.0.2.11", "198.51.100.0/24"},
		}))
	if status != http.StatusAccepted {
		t.Fatalf("the portal's body gave %d %v", status, answer)
	}
	shown := at(t, answer, "virtualMachines", 0, "ports", 0)
	if diff := cmp.Diff([]any{"192.0.2.10", "192.0.2.11", "198.51.100.0/24"},
		at(t, shown, "allowedSourceAddressPrefixes")); diff != "" {
		t.Errorf("the sources (-want +got):\n%s", diff)
	}
	if end, err := time.Parse(time.RFC3339,
		at(t, shown,
			"endTimeUtc").(string)); err != nil || time.Until(end) < 119*time.Minute || time.Until(end) > 2*time.Hour {
		t.Errorf("it ends at %v, %v", at(t, shown, "endTimeUtc"), err)
	}
	for name, body := range map[string]map[string]any{
		"duration alone": {"duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.20"},
		"end and null":   {"endTimeUtc": in(time.Hour), "duration": nil, "allowedSourceAddressPrefix": "192.0.2.21"},
		"duration, null": {
			"endTimeUtc": nil, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.22",
			"allowedSourceAddressPrefixes": nil,
		},
		"end and list": {
			"endTimeUtc":                   in(time.Hour),
			"allowedSourceAddressPrefixes": []any{"192.0.2.23", "192.0.2.24"},
		},
		"empty list": {"duration": "PT1H", "allowedSourceAddressPrefixes": []any{}},
	} {
		if status, answer := x.call(http.MethodPost, path, port(body)); status != http.StatusAccepted {
			t.Errorf("%s gave %d %v", name, status, answer)
		}
	}
	one := "Only one of fields 'EndTimeUtc' and 'Duration' can be set."
	for name, bad := range map[string]struct {
		body       map[string]any
		code, says string
	}{
		"neither": {map[string]any{"allowedSourceAddressPrefix": "192.0.2.1"}, "InvalidInitiateInput", one},
		"both": {
			map[string]any{"endTimeUtc": in(time.Hour), "duration": "PT1H"},
			"InvalidInitiateInput",
			one,
		},
		"no duration": {map[string]any{"duration": "an hour"}, "InvalidParameter", "ISO 8601"},
		"too long":    {map[string]any{"duration": "PT4H"}, "AccessRequestNotSubsetOfPolicy", "3h"},
		"nothing":     {map[string]any{"duration": "PT0S"}, "InvalidParameter", "too short"},
		"one and a list": {
			map[string]any{
				"duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.1",
				"allowedSourceAddressPrefixes": []any{"192.0.2.2"},
			},
			"InvalidParameter", "exclude each other",
		},
		"a list in a text": {
			map[string]any{"duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.1 192.0.2.2"},
			"InvalidParameter", "send several as allowedSourceAddressPrefixes",
		},
		"no address": {
			map[string]any{"duration": "PT1H", "allowedSourceAddressPrefixes": []any{"192.0.2.1", "home"}},
			"InvalidParameter", "home",
		},
		"too many days": {
			map[string]any{"duration": "P1000000D", "allowedSourceAddressPrefix": "192.0.2.1"},
			"InvalidParameter", "duration",
		},
	} {
		if message := x.fails(http.MethodPost, path, port(bad.body), http.StatusBadRequest,
			bad.code); !strings.Contains(message, bad.says) {
			t.Errorf("%s: the message does not say %q: %s", name, bad.says, message)
		}
	}
	missing := strings.Replace(path, "jitNetworkAccessPolicies/default", "jitNetworkAccessPolicies/nix", 1)
	x.fails(http.MethodPost, missing, port(map[string]any{"duration": "PT1H"}), http.StatusNotFound, "PolicyNotFound")
}

// TestSourcesAreEchoed holds that a client reads back the form in which it wrote sources, in policies and in requests.
func TestSourcesAreEchoed(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	_, err := c.admin.SetNetwork(t.Context(), "office", api.NetworkInput{Prefixes: []string{"10.77.0.0/16"}}, 0)
	c.must(err)
	for name, given := range map[string]any{
		"one": "10.77.0.0/16", "one in a list": []any{"10.77.0.0/16"}, "two": []any{"10.77.0.0/16", "10.78.0.0/16"},
		"any": "*", "any in a list": []any{"*"},
		"a network in a list": []any{"office"},
	} {
		for what, read := range map[string]func() any{
			"put": func() any {
				_, a := x.call(http.MethodPut, c.policyPath()+v,
					from(c.policyBody(), given))
				return a
			},
			"get": func() any { _, a := x.call(http.MethodGet, c.policyPath()+v, nil); return a },
		} {
			if what == "get" {
				x.call(http.MethodPut, c.policyPath()+v, from(c.policyBody(), given))
			}
			echoed(t, name+", "+what, given, at(t, read(), "properties", "virtualMachines", 0, "ports", 0))
		}
	}
	x.call(http.MethodPut, c.policyPath()+v, from(c.policyBody(), "*"))
	for name, given := range map[string]any{
		"one": "192.0.2.1", "one in a list": []any{"192.0.2.2"},
		"two": []any{"192.0.2.3", "192.0.2.4"}, "any": "*", "any in a list": []any{"*"},
	} {
		status, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+v,
			from(c.initiateBody("", time.Hour), given))
		if status != http.StatusAccepted {
			t.Fatalf("%s gave %d %v", name, status, answer)
		}
		echoed(t, name+", initiate", given, at(t, answer, "virtualMachines", 0, "ports", 0))
		_, policy := x.call(http.MethodGet, c.policyPath()+v, nil)
		echoed(t, name+", requests", given,
			at(t, policy, "properties", "requests", 0, "virtualMachines", 0, "ports", 0))
	}
}

func echoed(t *testing.T, what string, given, port any) {
	t.Helper()
	p, _ := port.(map[string]any)
	one, many := p["allowedSourceAddressPrefix"], p["allowedSourceAddressPrefixes"]
	if _, single := given.(string); single && (!cmp.Equal(one,
		given) || many != nil) || !single && (!cmp.Equal(many, given) || one != nil) {
		t.Errorf("%s: %v came back as %v", what, given, p)
	}
}

// TestProtocolAny holds that an opening of a port that is guarded for both protocols is of both.
func TestProtocolAny(t *testing.T) {
	t.Parallel()
	c := newCloudWithKernel(t)
	udp, err := c.network.Machine.EchoUDP(netip.AddrPortFrom(c.network.MachineAddrs[0], 22))
	c.must(err)
	t.Cleanup(func() { c.must(udp.Close()) })
	x := c.deploy()
	body := from(c.policyBody(), "*")
	at(t, body, "properties", "virtualMachines", 0, "ports", 0).(map[string]any)["protocol"] = "*"
	if status, answer := x.call(http.MethodPut, c.policyPath()+v, body); status != http.StatusOK {
		t.Fatalf("put gave %d %v", status, answer)
	}
	c.shut()
	ask := func() error {
		return c.network.Client.Ask("udp", c.network.ClientAddrs[0], netip.AddrPortFrom(c.network.MachineAddrs[0], 22),
			500*time.Millisecond)
	}
	if ask() == nil {
		t.Fatal("the port answers by UDP though it is guarded")
	}
	x.initiate("10.77.0.1", 2*time.Minute)
	c.eventually("the opening for TCP", c.knock)
	c.eventually("the opening for UDP", ask)
	if g := c.only(); g.Protocol != "any" {
		t.Errorf("the grant is for %s", g.Protocol)
	}
}
