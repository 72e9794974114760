package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
)

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
	Maximum    float64           `yaml:"maximum"`
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
			b.operation(doc, op, method, path, op.ID)
			b.tidy(stranger, op.ID)
			known := b.known
			for _, v := range b.variants {
				for name := range v.known {
					if !strings.Contains(path, "{"+name+"}") {
						continue
					}
					b.known = maps.Clone(known)
					maps.Copy(b.known, v.known)
					b.operation(doc, op, method, path, op.ID+" "+v.name)
					b.known = known
					break
				}
			}
		}
	}
	attempts, err := json.Marshal(agentwire.Report{
		Version: "test",
		Denied: []agentwire.Denied{{
			Machine: b.known["machine"], Source: "198.51.100.7", Protocol: "tcp", Port: 22,
			Count: 7,
		}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.call("report of attempts", http.MethodPost, "/api/v1/agent/report", attempts)
	if _, err := stranger.Me(b.t.Context()); err != nil {
		b.t.Fatalf("the stranger's session did not outlive the test: %v", err)
	}
}

// tidy deletes what an operation made of the stranger's own, where it has a name or an id of the victim's in it.
func (b *border) tidy(stranger *api.Client, operation string) {
	b.t.Helper()
	var err error
	switch operation {
	case "setNetwork":
		err = stranger.DeleteNetwork(b.t.Context(), b.known["network"])
	case "createRole":
		err = stranger.DeleteRole(b.t.Context(), "border")
	}
	if err != nil {
		b.t.Error(err)
	}
}

// operation calls one operation.
func (b *border) operation(doc document, op operation, method, path, route string) {
	b.t.Helper()
	query, required := b.queries()[op.ID], false
	for _, p := range op.Parameters {
		required = required || p.In == "query" && p.Required
		value, known := b.known[p.Name]
		if value == "" && known {
			b.t.Fatalf("there is no value for %q", p.Name)
		}
		switch {
		case p.In == "path" && !known:
			b.t.Errorf("%s: the path has a parameter %q for which there is no border case", route, p.Name)
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == "query" && known:
			query = append(query, p.Name+"="+url.QueryEscape(value))
		}
	}
	if len(query) > 0 {
		if method == "get" && !strings.Contains(route, " ") && !required {
			b.call(route+" of everything", http.MethodGet, path, nil)
		}
		path += "?" + strings.Join(query, "&")
	}
	var body []byte
	if content, has := op.Body.Content["application/json"]; has {
		made := b.sample(doc, content.Schema, "", 0)
		if written, is := b.bodies()[op.ID]; is {
			made = written
		}
		var err error
		if body, err = json.Marshal(made); err != nil {
			b.t.Fatal(err)
		}
	}
	b.call(route, strings.ToUpper(method), path, body)
}

// queries gives what the query of an operation needs beside what is the victim's.
func (b *border) queries() map[string][]string {
	return map[string][]string{"proveConsistency": {"from=1", "to=2"}}
}

// bodies gives well-formed bodies by operation, where the schema alone does not make one: what an agent of the
// stranger's says of what is the victim's, and what has a form of its own.
func (b *border) bodies() map[string]any {
	b.t.Helper()
	request, _ := csr(b.t)
	return map[string]any{
		"enrollAgent": agentwire.Enroll{
			Token: b.known["token"], CSR: request, Name: "border", OS: "linux",
			Version: "test",
		},
		"renewAgent": agentwire.Renew{CSR: b.request},
		"report": agentwire.Report{
			Version: "test", Revision: 1,
			Observations: []agentwire.Observation{
				{Grant: b.known["grant"], Status: "failed", Detail: "border", Packets: 7, Bytes: 7},
			},
		},
		"reportBreakGlass": agentwire.GlassUse{
			Code: b.known["code"], Ports: "22", Protocol: "tcp", Source: "198.51.100.7",
			OpenedMicros: time.Now().UnixMicro(), ForSeconds: 60, Reason: "border",
		},
		"addMachine": api.NewMachine{Name: "border", Gateway: "vault-" + mark, Addresses: []string{"203.0.113.9"}},
		"createRole": api.RoleInput{
			Name: "border", Permissions: []api.Permission{{Actions: []string{"*/read"}}},
			AssignableScopes: []string{b.known["scope"]},
		},
		"setNetwork": api.NetworkInput{Prefixes: []string{"203.0.113.0/24"}},
		"createChannel": api.NewChannel{
			Name: "border", Kind: "webhook", URL: "https://203.0.113.9/",
			Secret: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
		},
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
		if s.Maximum > 0 {
			return min(max(s.Minimum, 60), s.Maximum)
		}
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
