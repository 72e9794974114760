package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
)

const placed = `ports:
  - {ports: "22", maxSeconds: 3600}
approval:
  - name: one
    when: "true"
  - stages:
      - allOf: [{count: 1, groups: [ops, opss]}]
`

func TestPlaces(t *testing.T) {
	t.Parallel()
	var view api.MachinePolicyView
	d, err := readDocument("web-1.yaml", []byte(placed), &view)
	if err != nil {
		t.Fatal(err)
	}
	if view.Ports[0].MaxSeconds != 3600 || view.Approval[1].Stages[0].AllOf[0].Groups[1] != "opss" {
		t.Errorf("read %+v", view)
	}
	for field, want := range map[string]string{
		"ports[0].maxSeconds":                      "2:31",
		"approval[0].when":                         "5:11",
		"approval[1].stages[0].allOf[0].groups[1]": "7:42",
		"approval[1].stages[0].timeoutSeconds":     "7:9", // it is not there: the stage is
		"approval[7]":                              "4:3", // nor is that
		"sessions":                                 "1:1",
		"":                                         "1:1",
	} {
		err := d.locate(&api.Problem{Reasons: []api.Reason{{Field: field, Message: "wrong"}, {Message: "of no field"}}})
		var p *api.Problem
		if !errors.As(err, &p) || p.Reasons[1].Field != "" {
			t.Fatalf("%v", err)
		}
		if got := p.Reasons[0].Field; field != "" && got != "web-1.yaml:"+want+": "+field {
			t.Errorf("%s is located as %q, want %s", field, got, want)
		}
	}
	for text, want := range map[string]string{
		"ports: []\nprots: []":                               `f:2:1: unknown field "prots"`,
		"approval:\n- stages: [{allOf: [{count: 1, x: 1}]}]": `f:2:32: unknown field "x"`,
		"ports: [":      "f: yaml",
		"":              "f is empty",
		"ports: twelve": "f: json",
	} {
		if _, err := readDocument("f", []byte(text), &view); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is refused with %v, want %s", text, err, want)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(placed), "approval[1].stages[0].allOf[0].groups[1]")
	f.Add([]byte("a: &a [*a]"), "a[0][0]")
	f.Fuzz(func(t *testing.T, data []byte, field string) {
		var view api.MachinePolicyView
		d, err := readDocument("f", data, &view)
		if err != nil {
			return
		}
		if line, column := d.at(field); line < 1 || column < 1 {
			t.Errorf("%q stands at %d:%d", field, line, column)
		}
	})
}

// A role never gives more than its file says, and no part of a file is passed over.
func TestFilesAreReadWhole(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"name: r\npermissions: [{actions: ['*']}]\nnotActions: ['*/delete']\n",
		"name: r\npermissions: [{actions: ['*']}]\nnotDataActions: ['*']\n",
		"name: r\nactions: ['*/read']\n---\nname: s\n",
		"name: r\nactions: ['*/read']\nActions: ['*']\n",
		"",
	} {
		var r roleFile
		_, err := readDocument("role.yaml", []byte(text), &r)
		if err == nil {
			_, err = r.whole()
		}
		if err == nil {
			t.Errorf("taken: %q", text)
		}
	}
	var r roleFile
	if _, err := readDocument("role.yaml", []byte("---\nname: r\nactions: ['*']\nnotActions: ['*/delete']\n"), &r); err != nil {
		t.Fatal(err)
	}
	if in, err := r.whole(); err != nil || len(in.Permissions) != 1 || len(in.Permissions[0].NotActions) != 1 {
		t.Errorf("%+v, %v", in, err)
	}
}

// Of a key that stands twice nobody knows which was meant, wherever it stands.
func TestKeysStandOnce(t *testing.T) {
	t.Parallel()
	var out struct {
		api.MachinePolicy

		Labels map[string]string `json:"labels"`
		Basics api.Answers       `json:"basics"`
	}
	for text, want := range map[string]string{
		"sessions: keep\nports: []\nsessions: cut\n": `f:3:1: "sessions" stands in line 1 already: keep one of them`,
		"ports: [{ports: '22', Ports: '23'}]":        `f:1:23: "Ports" stands in line 1 already: keep one of them`,
		"labels: {a: b,\n a: c}":                     `f:2:2: "a" stands in line 1 already: keep one of them`,
		"basics: {deep: [{x: 1, x: 2}]}":             `f:1:24: "x" stands in line 1 already: keep one of them`,
		`{"sessions": "cut", "sessions": "keep"}`:    `f:1:21: "sessions" stands in line 1 already: keep one of them`,
		"labels: {a: b, A: c}":                       "",
		"basics: &b {x: &y [*y]}\nlabels: {a: b}":    "f: yaml: anchor 'y' value contains itself",
	} {
		_, err := readDocument("f", []byte(text), &out)
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestCasesOfAllDocumentsAreRead(t *testing.T) {
	t.Parallel()
	cases, err := readCases([]byte("- {person: ann}\n---\n- {person: bob}\n- {person: cy}\n"))
	if err != nil || len(cases) != 3 {
		t.Errorf("%v, %v", cases, err)
	}
	for _, text := range []string{"", "---\n", "- {person: ann, person: bob}", "- {person: ann}\n---\n- {persn: bob}"} {
		if cases, err := readCases([]byte(text)); err == nil {
			t.Errorf("%q is taken: %v", text, cases)
		}
	}
}
