package azure_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// caller calls the Azure-compatible API with exact requests.
type caller struct {
	cloud *cloud
	http  *http.Client
	token string
	host  string // overrides the Host header where it is not empty
}

// as signs a service principal in.
func (c *cloud) as(client, secret string) *caller {
	c.t.Helper()
	x := &caller{cloud: c, http: c.http()}
	status, answer := x.form("/adfs/oauth2/token",
		url.Values{
			"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret},
			"scope": {c.url + "/.default"},
		})
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		c.t.Fatalf("sign in gave %d %v", status, answer)
	}
	x.token = token
	return x
}

// deploy is the service principal that may do everything.
func (c *cloud) deploy() *caller { return c.as(c.client, c.secret) }

// form posts a form and reads JSON.
func (x *caller) form(path string, values url.Values) (int, map[string]any) {
	x.cloud.t.Helper()
	r, err := http.NewRequestWithContext(x.cloud.t.Context(), http.MethodPost, x.cloud.url+path,
		strings.NewReader(values.Encode()))
	x.cloud.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return x.send(r)
}

func (x *caller) send(r *http.Request) (int, map[string]any) {
	x.cloud.t.Helper()
	if x.host != "" {
		r.Host = x.host
	}
	response, err := x.http.Do(r)
	x.cloud.must(err)
	defer func() { x.cloud.must(response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	x.cloud.must(err)
	var answer map[string]any
	if len(text) > 0 && json.Unmarshal(text, &answer) != nil {
		x.cloud.t.Fatalf("%s %s gave %d %q, which is not JSON", r.Method, r.URL, response.StatusCode, text)
	}
	return response.StatusCode, answer
}

// request makes a call; body is sent as it is where it is text, as JSON else, and not at all where it is nil.
func (x *caller) request(method, path string, body any) *http.Request {
	x.cloud.t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		x.cloud.must(err)
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(x.cloud.t.Context(), method, x.cloud.url+path, content)
	x.cloud.must(err)
	if x.token != "" {
		r.Header.Set("Authorization", "Bearer "+x.token)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (x *caller) call(method, path string, body any) (int, map[string]any) {
	x.cloud.t.Helper()
	return x.send(x.request(method, path, body))
}

// fails makes a call that must be refused with a status and a code, and gives the message.
func (x *caller) fails(method, path string, body any, status int, code string) string {
	x.cloud.t.Helper()
	got, answer := x.call(method, path, body)
	e, _ := answer["error"].(map[string]any)
	message, _ := e["message"].(string)
	if got != status || e["code"] != code || message == "" {
		x.cloud.t.Errorf("%s %s gave %d %v, want %d %s", method, path, got, answer, status, code)
	}
	return message
}

const v = "?api-version=2020-01-01"

// policyBody guards port 22 of web-1.
func (c *cloud) policyBody() map[string]any {
	return map[string]any{
		"kind": "Basic",
		"properties": map[string]any{"virtualMachines": []any{map[string]any{"id": c.machine.Resource, "ports": []any{
			map[string]any{
				"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "10.77.0.0/16",
				"maxRequestAccessDuration": "PT3H",
			},
		}}}},
	}
}

// guard writes the policy that most tests use.
func (x *caller) guard() {
	x.cloud.t.Helper()
	x.guardBy(x.cloud.policyBody())
}

// guardBy writes a policy.
func (x *caller) guardBy(body map[string]any) {
	x.cloud.t.Helper()
	if status, answer := x.call(http.MethodPut, x.cloud.policyPath()+v, body); status != http.StatusOK {
		x.cloud.t.Fatalf("put gave %d %v", status, answer)
	}
}

// initiate asks for port 22 of web-1.
func (x *caller) initiate(source string, d time.Duration) {
	x.cloud.t.Helper()
	if status, answer := x.call(http.MethodPost, x.cloud.policyPath()+"/initiate"+v,
		x.cloud.initiateBody(source, d)); status != http.StatusAccepted {
		x.cloud.t.Fatalf("initiate gave %d %v", status, answer)
	}
}

// at walks through nested JSON by names and indexes.
func at(t testing.TB, value any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			next, has := object[s]
			if !has {
				t.Fatalf("there is no %q in %v", s, value)
			}
			value = next
		case int:
			array, _ := value.([]any)
			if s >= len(array) {
				t.Fatalf("there is no index %d in %v", s, value)
			}
			value = array[s]
		}
	}
	return value
}
