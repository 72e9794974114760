package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/armapi"
	"github.com/postern-dev/postern/internal/portal"
)

var updateBorder = flag.Bool("update-border", false, "write testdata/border.txt anew; look at every 2xx in it")

// mark is in the name of everything of the victim's.
const mark = "zq7"

// border is two tenants: somebody of one calls with the ids of what is the other's.
type border struct {
	*running

	stranger string            // token of the owner of the other tenant
	known    map[string]string // what parameters and fields of such a name are given
	got      map[string]string // status by route
}

// TestBorder calls every route of the native API, the Azure-compatible API and the portal as the owner of another tenant,
// with the ids of what is the victim's. No answer may hold anything that is the victim's and was not in the call, and
// nothing of the victim's may change. testdata/border.txt has the status that each route answers with, so that a new one
// fails here until somebody has thought of its border.
func TestBorder(t *testing.T) {
	t.Parallel()
	r := start(t)
	home := r.admin()
	b := &border{running: r, known: map[string]string{}, got: map[string]string{}}
	victim := b.tenant(home, "victim-"+mark)
	stranger := b.tenant(home, "stranger")
	b.furnish(victim)
	before := b.snapshot(victim)

	b.native(stranger)
	b.azure()
	b.pages()
	if after := b.snapshot(victim); after != before {
		t.Errorf("the victim's things have changed:\n%s\nbefore:\n%s", after, before)
	}

	lines := make([]string, 0, len(b.got))
	for route, status := range b.got {
		lines = append(lines, route+" "+status)
	}
	slices.Sort(lines)
	file := filepath.Join("testdata", "border.txt")
	text := strings.Join(lines, "\n") + "\n"
	if *updateBorder {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !slices.Contains(strings.Split(string(want), "\n"), line) {
			t.Errorf("not in %s, or with another status: %s\nlook whether that is right, then run this test with -update-border", file, line)
		}
	}
}

// tenant makes a tenant and gives its administrator; the last one made is the stranger.
func (b *border) tenant(home *api.Client, name string) *api.Client {
	b.t.Helper()
	made, err := home.CreateTenant(b.t.Context(), api.NewTenant{Name: name})
	if err != nil {
		b.t.Fatal(err)
	}
	c := b.client(nil)
	s, err := c.SignIn(b.t.Context(), api.SignIn{Name: "admin@" + name, Password: made.Password, NewPassword: adminPassword})
	if err != nil {
		b.t.Fatal(err)
	}
	b.stranger = s.Token
	if strings.Contains(name, mark) {
		b.known["tenant"], b.known["subscription"], b.known["principal"] = made.Tenant.ID, made.Subscription.ID, made.Admin.ID
		b.known["scope"] = made.Subscription.Scope
	}
	return c.WithToken(s.Token)
}

// furnish gives the victim one of everything that can be named.
func (b *border) furnish(victim *api.Client) {
	b.t.Helper()
	ctx := b.t.Context()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	b.enroll(victim, "vault-"+mark)
	m, err := victim.Machine(ctx, "vault-"+mark)
	must(err)
	b.known["machine"], b.known["resource"] = m.ID, m.Resource
	_, err = victim.SetMachinePolicy(ctx, m.ID, api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", Protocol: "tcp", MaxSeconds: 3600}}}, 0)
	must(err)
	asked, err := victim.Submit(ctx, api.NewRequest{ForSeconds: 3600, Items: []api.NewItem{{Machine: m.ID, Ports: "22"}}}, "")
	must(err)
	b.known["request"], b.known["grant"] = asked.ID, asked.Grants[0].ID
	group, err := victim.CreatePrincipal(ctx, api.NewPrincipal{Kind: "group", Name: "guild-" + mark})
	must(err)
	user, err := victim.CreatePrincipal(ctx, api.NewPrincipal{Kind: "user", Name: "victor-" + mark})
	must(err)
	b.known["group"], b.known["member"] = group.Principal.ID, user.Principal.ID
	_, err = victim.SetNetwork(ctx, "nest-"+mark, api.NetworkInput{Prefixes: []string{"203.0.113.0/24"}})
	must(err)
	b.known["network"] = "nest-" + mark
	role, err := victim.CreateRole(ctx, api.RoleInput{Name: "role-" + mark, Permissions: []api.Permission{{Actions: []string{"*/read"}}}, AssignableScopes: []string{"/"}})
	must(err)
	b.known["role"] = role.ID
	assignment, err := victim.AssignRole(ctx, api.NewRoleAssignment{Role: role.ID, Principal: user.Principal.ID, Scope: "/"})
	must(err)
	b.known["assignment"] = assignment.ID
	// What is not made here is named by an id that nobody has: the answer must be the same.
	for _, name := range []string{"review", "token", "passkey", "route", "channel", "delivery", "alert", "secret", "eligibility", "application", "definition"} {
		b.known[name] = "01a221d2-c6d6-7ec0-b8c9-91a02c43338c"
	}
	b.known["rule"], b.known["seq"] = "repeatedRefusals", "3"
}

// snapshot gives what the victim sees of its own.
func (b *border) snapshot(victim *api.Client) string {
	b.t.Helper()
	var out strings.Builder
	show := func(v any, err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			b.t.Fatal(err)
		}
		out.Write(text)
		out.WriteByte('\n')
	}
	ctx := b.t.Context()
	policy, err := victim.MachinePolicy(ctx, b.known["machine"])
	show(policy, err)
	request, err := victim.Request(ctx, b.known["request"], 0)
	show(request, err)
	principals, err := api.All(victim.Principals(ctx, api.PrincipalQuery{}))
	show(principals, err)
	networks, err := api.All(victim.Networks(ctx))
	show(networks, err)
	events, err := api.All(victim.Events(ctx, api.EventQuery{}))
	// That somebody tried to sign in to the tenant is the tenant's to know.
	show(slices.DeleteFunc(events, func(e api.Event) bool { return e.Kind == "session.refused" }), err)
	return out.String()
}

// call calls one route as the stranger, and looks at the answer.
func (b *border) call(route, method, path string, body []byte) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Second) // streams go on
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, b.url()+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+b.stranger)
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	client := b.plain()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		b.t.Errorf("%s: %v", route, err)
		return
	}
	defer response.Body.Close()            //nolint:errcheck // nothing is lost
	answer, _ := io.ReadAll(response.Body) //nolint:errcheck // a stream is cut by the time
	// The name of the network was in the call.
	text := strings.ReplaceAll(string(answer), b.known["network"], "")
	if strings.Contains(text, mark) {
		b.t.Errorf("%s answers %d with something of another tenant: %s", route, response.StatusCode, text)
	}
	b.got[route] = fmt.Sprint(response.StatusCode)
}

// document is as much of openapi.yaml as is needed here.
type document struct {
	Paths      map[string]map[string]operation `yaml:"paths"`
	Components struct {
		Schemas map[string]schema `yaml:"schemas"`
	} `yaml:"components"`
}

type operation struct {
	ID         string `yaml:"operationId"`
	Parameters []struct {
		Name     string `yaml:"name"`
		In       string `yaml:"in"`
		Required bool   `yaml:"required"`
	} `yaml:"parameters"`
	Body struct {
		Content map[string]struct {
			Schema schema `yaml:"schema"`
		} `yaml:"content"`
	} `yaml:"requestBody"`
}

type schema struct {
	Ref        string            `yaml:"$ref"`
	Type       any               `yaml:"type"`
	Format     string            `yaml:"format"`
	Enum       []any             `yaml:"enum"`
	Minimum    float64           `yaml:"minimum"`
	Required   []string          `yaml:"required"`
	Properties map[string]schema `yaml:"properties"`
	Items      *schema           `yaml:"items"`
}

// native calls every operation of openapi.yaml, which a test of its own holds to the routes.
func (b *border) native(stranger *api.Client) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "api", "openapi.yaml"))
	if err != nil {
		b.t.Fatal(err)
	}
	var doc document
	if err := yaml.Unmarshal(text, &doc); err != nil {
		b.t.Fatal(err)
	}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			if method == "delete" && (path == "/api/v1/sessions" || path == "/api/v1/sessions/current") {
				b.got[op.ID] = "of the caller's own alone" // it would end what this test calls with
				continue
			}
			at := path
			var query []string
			for _, p := range op.Parameters {
				value, known := b.known[p.Name]
				if value == "" && known {
					b.t.Fatalf("there is no value for %q", p.Name)
				}
				switch {
				case p.In == "path" && !known:
					b.t.Errorf("%s: the path has a parameter %q for which there is no border case", op.ID, p.Name)
				case p.In == "path":
					at = strings.ReplaceAll(at, "{"+p.Name+"}", value)
				case p.In == "query" && known:
					query = append(query, p.Name+"="+value)
				}
			}
			if len(query) > 0 {
				at += "?" + strings.Join(query, "&")
			}
			var body []byte
			if content, has := op.Body.Content["application/json"]; has {
				if body, err = json.Marshal(b.sample(doc, content.Schema, "", 0)); err != nil {
					b.t.Fatal(err)
				}
			}
			b.call(op.ID, strings.ToUpper(method), at, body)
		}
	}
	if _, err := stranger.Me(b.t.Context()); err != nil {
		b.t.Fatalf("the stranger's session did not outlive the test: %v", err)
	}
}

// sample makes a body by its schema, with the victim's ids in fields that are called like them.
func (b *border) sample(doc document, s schema, name string, depth int) any {
	if s.Ref != "" {
		return b.sample(doc, doc.Components.Schemas[filepath.Base(s.Ref)], name, depth)
	}
	if value, known := b.known[name]; known && (s.Type == "string" || s.Type == nil) {
		return value
	}
	kind := fmt.Sprint(s.Type)
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case strings.Contains(kind, "array"):
		if s.Items == nil || depth > 6 {
			return []any{}
		}
		return []any{b.sample(doc, *s.Items, strings.TrimSuffix(name, "s"), depth+1)}
	case strings.Contains(kind, "object"):
		made := map[string]any{}
		for field, part := range s.Properties {
			_, known := b.known[field]
			if known || slices.Contains(s.Required, field) || field == "forSeconds" {
				made[field] = b.sample(doc, part, field, depth+1)
			}
		}
		return made
	case strings.Contains(kind, "integer"), strings.Contains(kind, "number"):
		return max(s.Minimum, 60)
	case strings.Contains(kind, "boolean"):
		return true
	case s.Format == "date-time":
		return "2030-01-07T09:00:00Z"
	case name == "ports":
		return "22"
	}
	return "border"
}

// azure calls every route of the Azure-compatible API.
func (b *border) azure() {
	b.t.Helper()
	a, err := armapi.New(armapi.Config{Engine: b.inside.Engine, Identity: b.inside.Identity, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.t.Fatal(err)
	}
	values := map[string]string{"{scope...}": b.known["scope"], "{subscription}": b.known["subscription"], "{group}": "default", "{location}": "local"}
	for _, route := range a.Routes() {
		method, path, _ := strings.Cut(route, " ")
		for name, value := range values {
			path = strings.ReplaceAll(path, name, value)
		}
		for strings.Contains(path, "{") { // names of things
			from, to := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
			value := "default"
			if strings.Contains(path, "virtualMachines/{") {
				value = "vault-" + mark
			}
			path = path[:from] + value + path[to+1:]
		}
		var body []byte
		if method == http.MethodPut || method == http.MethodPost || method == http.MethodPatch {
			body = []byte(`{"properties":{"virtualMachines":[{"id":"` + b.known["resource"] + `","ports":[{"number":22,"protocol":"*","allowedSourceAddressPrefix":"*","maxRequestAccessDuration":"PT1H"}]}]}}`)
		}
		b.arm(route, method, path, body)
	}
}

// arm calls one route with each of its api-versions until one is taken; the name of the machine is in the call.
func (b *border) arm(route, method, path string, body []byte) {
	b.t.Helper()
	for _, version := range []string{"2020-01-01", "2022-04-01", "2024-07-01", "2015-04-01", "2021-07-01", "2020-10-01", "2021-04-01", "2016-09-01", "2019-07-01"} {
		ctx := b.t.Context()
		request, err := http.NewRequestWithContext(ctx, method, b.url()+path+"?api-version="+version, bytes.NewReader(body))
		if err != nil {
			b.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+b.stranger)
		request.Header.Set("Content-Type", "application/json")
		response, err := b.plain().Do(request)
		if err != nil {
			b.t.Errorf("%s: %v", route, err)
			return
		}
		answer, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		text := strings.ReplaceAll(strings.ReplaceAll(string(answer), b.known["resource"], ""), "vault-"+mark, "")
		if strings.Contains(text, mark) || strings.Contains(path, b.known["subscription"]) && strings.Contains(text, b.known["machine"]) {
			b.t.Errorf("%s answers %d with something of another tenant: %s", route, response.StatusCode, text)
		}
		b.got[route] = fmt.Sprint(response.StatusCode)
		if !strings.Contains(text, "api-version") {
			return
		}
	}
}

// pages calls every page of the portal: they are for nobody in particular, and show nothing of anybody.
func (b *border) pages() {
	b.t.Helper()
	for _, path := range append(portal.Paths(), "/"+b.known["tenant"]+"/oauth2/v2.0/authorize", "/") {
		route := "page " + strings.ReplaceAll(path, b.known["tenant"], "{tenant}")
		b.call(route, http.MethodGet, path, nil)
	}
}
