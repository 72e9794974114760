package azure_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestBadInput proves that whatever is wrong is answered in Azure's form with the reason, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	before, err := c.admin.MachinePolicy(t.Context(), "web-1")
	c.must(err)
	rule := func(change map[string]any) map[string]any {
		port := map[string]any{
			"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "*",
			"maxRequestAccessDuration": "PT3H",
		}
		maps.Copy(port, change)
		return map[string]any{
			"kind": "Basic",
			"properties": map[string]any{
				"virtualMachines": []any{map[string]any{"id": c.machine.Resource, "ports": []any{port}}},
			},
		}
	}
	roles := "/subscriptions/" + c.subscription + "/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter=roleName%20eq%20'"
	const put, post, get = http.MethodPut, http.MethodPost, http.MethodGet
	policy := c.policyPath() + v
	initiate := c.policyPath() + "/initiate" + v
	both := c.initiateBody("10.77.0.1", time.Hour)
	at(t, both, "virtualMachines", 0, "ports",
		0).(map[string]any)["allowedSourceAddressPrefixes"] = []string{"10.77.0.2"}
	stringified := c.initiateBody("10.77.0.1 10.77.0.2", time.Hour)
	past := c.initiateBody("10.77.0.1", -time.Hour)
	for _, one := range []struct {
		what, method, path string
		body               any
		status             int
		code, says         string
	}{
		{"no api-version", get, c.policyPath(), nil, 400, "MissingApiVersionParameter", "2020-01-01"},
		{
			"unknown api-version", get, c.policyPath() + "?api-version=1999-01-01", nil, 400, "InvalidApiVersionParameter",
			"2020-01-01",
		},
		{
			"malformed api-version", get, "/subscriptions?api-version=latest", nil, 400, "InvalidApiVersionParameter",
			"latest",
		},
		{
			"subscription that is no GUID", get, "/subscriptions/prod/resourceGroups?api-version=2022-12-01", nil, 400,
			"InvalidSubscriptionId", "GUID",
		},
		{
			"unknown subscription", get, "/subscriptions/00000000-0000-0000-0000-000000000001?api-version=2022-12-01", nil,
			404, "SubscriptionNotFound", "no subscription",
		},
		{
			"unknown provider", get,
			"/subscriptions/" + c.subscription + "/providers/Microsoft.Nothing/things?api-version=2022-12-01", nil, 404,
			"InvalidResourceNamespace", "Microsoft.Nothing",
		},
		{
			"unknown type", get,
			"/subscriptions/" + c.subscription + "/providers/Microsoft.Security/things?api-version=2022-12-01", nil,
			404, "InvalidResourceType", "things",
		},
		{"wrong method", http.MethodPatch, policy, `{}`, 405, "HttpMethodNotSupported", "PATCH"},
		{
			"unknown policy", get, strings.Replace(policy, "/default?", "/other?", 1), nil, 404, "ResourceNotFound",
			"other",
		},
		{"not JSON", put, policy, `{"properties":`, 400, "InvalidRequestContent", "malformed"},
		{"empty body", put, policy, ``, 400, "InvalidRequestContent", ""},
		{"no machines", put, policy, `{"properties":{}}`, 400, "InvalidRequestContent", "virtualMachines"},
		{"5 MB", put, policy, `{"x":"` + strings.Repeat("y", 5<<20) + `"}`, 413, "RequestContentTooLarge", "4194304"},
		{
			"too short", put, policy, rule(map[string]any{"maxRequestAccessDuration": "PT4M"}), 400, "InvalidParameter",
			"PT5M to P1D",
		},
		{
			"too long", put, policy, rule(map[string]any{"maxRequestAccessDuration": "P1DT1S"}), 400, "InvalidParameter",
			"PT5M to P1D",
		},
		{
			"no duration", put, policy, rule(map[string]any{"maxRequestAccessDuration": "3h"}), 400, "InvalidParameter",
			"ISO 8601",
		},
		{
			"unknown group", put, strings.Replace(policy, "/default/", "/nowhere/", 1), rule(nil), 404,
			"ResourceGroupNotFound", "nowhere",
		},
		{
			"group that is no name", put, strings.Replace(policy, "/default/", "/no%20where%3F/", 1), rule(nil), 400, "",
			"no where?",
		},
		{
			"policy name that is too long", put, strings.Replace(policy, "/default?", "/"+strings.Repeat("n", 300)+"?", 1),
			rule(nil), 400, "", "",
		},
		{"path that is not clean", get, strings.Replace(policy, "/default/", "/%2e%2e/", 1), nil, 400, "", ""},
		{"no protocol", put, policy, rule(map[string]any{"protocol": ""}), 400, "InvalidParameter", "TCP, UDP"},
		{"port 0", put, policy, rule(map[string]any{"number": 0}), 400, "InvalidRequestContent", "1 to 65535"},
		{"port 65536", put, policy, rule(map[string]any{"number": 65536}), 400, "InvalidRequestContent", "1 to 65535"},
		{
			"both sources", put, policy, rule(map[string]any{"allowedSourceAddressPrefixes": []string{"10.0.0.0/8"}}), 400,
			"InvalidParameter", "exclude each other",
		},
		{
			"machine that is no id", put, policy,
			strings.ReplaceAll(`{"properties":{"virtualMachines":[{"id":"garbage","ports":[]}]}}`, "garbage", "vm1"),
			400, "InvalidParameter", "slash",
		},
		{"both sources in a request", post, initiate, both, 400, "InvalidParameter", "exclude each other"},
		{"two sources in one", post, initiate, stringified, 400, "InvalidParameter", "10.77.0.1 10.77.0.2"},
		{"end in the past", post, initiate, past, 400, "", "does not lie after the start"},
		{
			"end that is no time", post, initiate,
			strings.ReplaceAll(`{"virtualMachines":[{"id":"XX","ports":[{"number":22,"endTimeUtc":"soon"}]}]}`, "XX",
				c.machine.Resource),
			400, "InvalidParameter", "soon",
		},
		{
			"no end", post, initiate,
			strings.ReplaceAll(`{"virtualMachines":[{"id":"XX","ports":[{"number":22}]}]}`, "XX", c.machine.Resource),
			400, "InvalidInitiateInput", "Only one of fields",
		},
		{
			"port as a text that is none", post, initiate,
			strings.ReplaceAll(`{"virtualMachines":[{"id":"XX","ports":[{"number":"ssh","endTimeUtc":"2099-01-01T00:00:00Z"}]}]}`,
				"XX", c.machine.Resource),
			400, "InvalidRequestContent", "1 to 65535",
		},
		{
			"port outside the policy", post, initiate,
			strings.ReplaceAll(strings.ReplaceAll(
				`{"virtualMachines":[{"id":"XX","ports":[{"number":23,"endTimeUtc":"TT","allowedSourceAddressPrefix":"10.77.0.1"}]}]}`,
				"XX", c.machine.Resource),
				"TT", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)),
			400, "AccessRequestNotSubsetOfPolicy", "23",
		},
		{
			"request by an unknown policy", post, strings.Replace(initiate, "/default/initiate", "/other/initiate", 1),
			c.initiateBody("10.77.0.1", time.Hour), 404, "PolicyNotFound", "other",
		},
		{"no items", post, initiate, `{"virtualMachines":[]}`, 400, "InvalidParameter", "at least one"},
		{
			"foreign machine", post, initiate,
			strings.ReplaceAll(`{"virtualMachines":[{"id":"XX","ports":[{"number":22,"endTimeUtc":"2099-01-01T00:00:00Z"}]}]}`,
				"XX", c.machine.Resource+"x"),
			404, "ResourceNotFound", "web-1x",
		},
		{
			"tampered link", get,
			"/subscriptions/" + c.subscription + "/providers/Microsoft.Security/jitNetworkAccessPolicies" + v +
				"&$skipToken=xxxx",
			nil, 400, "InvalidRequestContent", "cursor",
		},
		{
			"filter that cannot be read", get,
			"/subscriptions/" + c.subscription + "/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=principalId%20like%20'x'",
			nil, 400, "InvalidFilter", "principalId",
		},
		{"query that cannot be read", get, roles + "%zz'", nil, 400, "InvalidRequestUri", "%25"},
		{
			"end that was never set", post, initiate,
			strings.ReplaceAll(`{"virtualMachines":[{"id":"XX","ports":[{"number":22,"endTimeUtc":"0001-01-01T00:00:00"}]}]}`,
				"XX", c.machine.Resource),
			400, "", "",
		},
		{
			"log without a beginning", get,
			"/subscriptions/" + c.subscription + "/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01",
			nil, 400, "BadRequest", "eventTimestamp",
		},
	} {
		status, answer := x.call(one.method, one.path, one.body)
		e, _ := answer["error"].(map[string]any)
		message, _ := e["message"].(string)
		if status != one.status || one.code != "" && e["code"] != one.code || !strings.Contains(message,
			one.says) || message == "" {
			t.Errorf("%s gave %d %v, want %d %s that says %q", one.what, status, answer, one.status, one.code, one.says)
		}
	}
	after, err := c.admin.MachinePolicy(t.Context(), "web-1")
	c.must(err)
	if after.Revision != before.Revision {
		t.Errorf("the policy went from revision %d to %d", before.Revision, after.Revision)
	}
	if status, answer := x.call(get, roles+"a;b'",
		nil); status != http.StatusOK || len(at(t, answer, "value").([]any)) != 0 {
		t.Errorf("a filter with a semicolon gave %d %v", status, answer)
	}
	asText := rule(map[string]any{"number": "22", "maxRequestAccessDuration": "PT3H0M"})
	if status, answer := x.call(put, policy,
		asText); status != http.StatusOK || at(t, answer, "properties", "virtualMachines", 0, "ports", 0,
		"number") != 22.0 {
		t.Errorf("a port as text gave %d %v", status, answer)
	}
}

// TestConditionsOnPolicies proves that a PUT for what is not there yet, and one for what was seen, change nothing else,
// and that a method which a path has not is answered with those that it has.
func TestConditionsOnPolicies(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	answered := func(method string, header, value string) (int, http.Header) {
		r := x.request(method, c.policyPath()+v, c.policyBody())
		if header != "" {
			r.Header.Set(header, value)
		}
		response, err := x.http.Do(r)
		c.must(err)
		c.must(response.Body.Close())
		return response.StatusCode, response.Header
	}
	for _, step := range []struct {
		header, value string
		status        int
	}{
		{"If-None-Match", "*", http.StatusOK},
		{"If-None-Match", "*", http.StatusPreconditionFailed},
		{"If-None-Match", `"1"`, http.StatusBadRequest},
		{"If-Match", `"7"`, http.StatusPreconditionFailed},
		{"If-Match", "seven", http.StatusBadRequest},
		{"If-Match", `"1"`, http.StatusOK},
	} {
		if status, _ := answered(http.MethodPut, step.header, step.value); status != step.status {
			t.Errorf("%s: %s gave %d, want %d", step.header, step.value, status, step.status)
		}
	}
	if status, header := answered(http.MethodPatch, "",
		""); status != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, PUT, DELETE" {
		t.Errorf("another method gave %d, and Allow %q", status, header.Get("Allow"))
	}
}

// TestTamperedLinks proves that whoever alters the link to a next page gets an error, or what they may see anyway.
func TestTamperedLinks(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	for range 70 { // of three events each: more than one page
		x.initiate("10.77.0.1", time.Hour)
	}
	_, answer := x.call(http.MethodGet, c.logPath(""), nil)
	next, err := url.Parse(at(t, answer, "nextLink").(string))
	c.must(err)
	if next.Scheme != "https" || "https://"+next.Host != c.url || next.Query().Get(
		"api-version") != "2015-04-01" || next.Query().Get("$filter") == "" {
		t.Errorf("the link is %s", next)
	}
	follow := func(who *caller, path, token string) (int, map[string]any) {
		query := next.Query()
		query.Set("$skipToken", token)
		return who.call(http.MethodGet, path+"?"+query.Encode(), nil)
	}
	token := next.Query().Get("$skipToken")
	if status, answer := follow(x, next.Path,
		token); status != http.StatusOK || len(at(t, answer, "value").([]any)) == 0 {
		t.Errorf("the second page is %d %v", status, answer)
	}
	for what, bad := range map[string]string{
		"garbage": "%00\x00", "empty object": "e30", "negative": "LTE",
		"very long": strings.Repeat("A", 8000), "a statement": "' or 1=1 --",
	} {
		if status, answer := follow(x, next.Path,
			bad); status != http.StatusBadRequest || at(t, answer, "error", "message") == "" {
			t.Errorf("%s gave %d %v", what, status, answer)
		}
	}
	for i := range token { // one letter changed: another place in the same list, or none
		altered := []byte(token)
		altered[i] ^= 1
		if status, _ := follow(x, next.Path,
			string(altered)); status != http.StatusOK && status != http.StatusBadRequest {
			t.Errorf("%s gave %d", altered, status)
		}
	}
	// The link of one who may see the log helps nobody who may not.
	stranger := c.as(c.servicePrincipal("stranger", ""))
	if status, answer := follow(stranger, next.Path, token); status != http.StatusNotFound {
		t.Errorf("a stranger got %d %v", status, answer)
	}
	if status, answer := follow(x,
		strings.Replace(next.Path, c.subscription, "00000000-0000-0000-0000-000000000001", 1),
		token); status != http.StatusNotFound {
		t.Errorf("another subscription gave %d %v", status, answer)
	}
}

// TestRightsAreTheEngines proves that a role decides, on whatever path one comes.
func TestRightsAreTheEngines(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.deploy().guard()
	reader := c.as(c.servicePrincipal("reader", "Reader"))
	reader.fails(http.MethodPut, c.policyPath()+v, c.policyBody(), http.StatusForbidden, "AuthorizationFailed")
	message := reader.fails(http.MethodPost, c.policyPath()+"/initiate"+v, c.initiateBody("10.77.0.1", time.Hour),
		http.StatusForbidden, "AuthorizationFailed")
	if !strings.Contains(message, "jitNetworkAccessPolicies/initiate/action") {
		t.Errorf("the message does not name the action: %s", message)
	}
	stranger := c.as(c.servicePrincipal("stranger", ""))
	stranger.fails(http.MethodGet, c.policyPath()+v, nil, http.StatusForbidden, "AuthorizationFailed")
	if status, answer := stranger.call(http.MethodGet, "/subscriptions?api-version=2022-12-01",
		nil); status != http.StatusOK || len(at(t, answer, "value").([]any)) != 0 {
		t.Errorf("a stranger sees %d %v", status, answer)
	}
	requester := c.as(c.servicePrincipal("requester", "JIT Access Requester"))
	if status, answer := requester.call(http.MethodPost, c.policyPath()+"/initiate"+v,
		c.initiateBody("10.77.0.1", time.Hour)); status != http.StatusAccepted {
		t.Errorf("the requester got %d %v", status, answer)
	}
	nobody := &caller{cloud: c, http: c.http()}
	nobody.fails(http.MethodGet, c.policyPath()+v, nil, http.StatusUnauthorized, "AuthenticationFailed")
	response, err := nobody.http.Do(nobody.request(http.MethodGet, c.policyPath()+v, nil))
	c.must(err)
	c.must(response.Body.Close())
	if response.Header.Get("WWW-Authenticate") == "" || response.Header.Get(
		"x-ms-request-id") == "" || response.Header.Get("x-ms-correlation-request-id") == "" {
		t.Errorf("the headers of a 401 are %v", response.Header)
	}
}
