package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/api"
)

func printed(t *testing.T, output string, grants []api.Grant) string {
	t.Helper()
	var out, problems bytes.Buffer
	now := time.Date(2026, 1, 31, 13, 30, 0, 0, time.UTC)
	a := &app{
		out: &out, err: &problems, now: func() time.Time { return now }, local: time.FixedZone("CET", 3600),
		output: output, width: func() int { return 150 },
	}
	if err := printList(a, grants, grantColumns(), "none"); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func grants() []api.Grant {
	end := time.Date(2026, 1, 31, 13, 42, 20, 0, time.UTC)
	return []api.Grant{{
		ID: "01956a00-0000-7000-8000-0000deadbeef", Machine: "web-1", Ports: "22", Protocol: "tcp",
		Principal: "=cmd|'/C calc'!A0\x1b[2J",
		Sources:   []string{"203.0.113.7/32", "198.51.100.0/24", "192.0.2.0/24", "2001:db8::/32"}, State: "active",
		Start: end.Add(-time.Hour), End: end,
	}}
}

func TestTableIsForPeople(t *testing.T) {
	t.Parallel()
	want := `ID        MACHINE  PORTS   FROM                               WHO                    STATE   UNTIL
deadbeef  web-1    22/tcp  203.0.113.7/32,198.51.100.0/24 +2  =cmd|'/C calc'!A0·[2J  active  14:42:20 CET (12m left)
`
	if diff := cmp.Diff(want, printed(t, "table", grants())); diff != "" {
		t.Error(diff)
	}
}

func TestCSVIsWholeAndInert(t *testing.T) {
	t.Parallel()
	want := `id,machine,ports,from,who,state,until
01956a00-0000-7000-8000-0000deadbeef,web-1,22/tcp,"203.0.113.7/32,198.51.100.0/24,192.0.2.0/24,2001:db8::/32",'=cmd|'/C calc'!A0·[2J,active,2026-01-31T13:42:20.000000Z
`
	if diff := cmp.Diff(want, printed(t, "csv", grants())); diff != "" {
		t.Error(diff)
	}
}

func TestJSONAndYAMLSayTheSame(t *testing.T) {
	t.Parallel()
	var fromJSON, fromYAML any
	if err := json.Unmarshal([]byte(printed(t, "json", grants())), &fromJSON); err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal([]byte(printed(t, "yaml", grants())), &tree); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
		t.Error(diff)
	}
	if got := printed(t, "json", nil); got != "[]\n" {
		t.Errorf("no grants are %q in JSON, want []", got)
	}
}

// TestNothingSteersTheTerminal gives text of others, which begins commands to a terminal in each of the forms there are
// or turns the direction of what follows, to each way of printing: none of it gets through, and programs read back what
// it was.
func TestNothingSteersTheTerminal(t *testing.T) {
	t.Parallel()
	hostile := "a\x1b[2J\u009b31m\x7f\r\b\u0085b\u202e\u2066\u200f\u2028c"
	g := grants()[:1]
	g[0].Machine, g[0].Reason = "web-1"+hostile, "two\nlines "+hostile
	for _, output := range []string{"table", "csv", "json", "yaml"} {
		text := printed(t, output, g)
		if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && steers(r) }) {
			t.Errorf("as %s: %q", output, text)
		}
		var back []api.Grant
		switch output {
		case "json":
			if err := json.Unmarshal([]byte(text), &back); err != nil || len(back) != 1 ||
				back[0].Reason != g[0].Reason {
				t.Errorf("JSON reads as %+v, %v", back, err)
			}
		case "yaml":
			var tree []map[string]any
			if err := yaml.Unmarshal([]byte(text),
				&tree); err != nil || len(tree) != 1 || tree[0]["reason"] != g[0].Reason {
				t.Errorf("YAML reads as %v, %v", tree, err)
			}
		}
	}
	for name, print := range map[string]func(*app){
		"say":  func(a *app) { a.say("%s: %s", hostile, errors.New(hostile)) },
		"line": func(a *app) { a.line("%s", hostile) },
		"problem": func(a *app) {
			a.explain(&api.Problem{Detail: hostile, Reasons: []api.Reason{{Field: hostile, Message: hostile}}})
		},
		"hint":        func(a *app) { a.explain(fail(exitRefused, hostile, "the request is %s", "denied")) },
		"consequence": func(a *app) { _ = a.confirm(true, hostile) },
	} {
		var text bytes.Buffer
		print(&app{out: &text, err: &text, in: strings.NewReader("")})
		if strings.ContainsFunc(text.String(), func(r rune) bool { return r != '\n' && steers(r) }) || text.Len() == 0 {
			t.Errorf("%s: %q", name, text.String())
		}
	}
}
