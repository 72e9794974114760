package cli

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// What somebody else sets between the look and the write is not lost unasked: the write names the revision that was
// looked at. Where nothing may be looked at, nobody can say what would be lost, and the command wants to be told so.
func TestPolicySetWritesOverWhatItSaw(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		unread    bool
		yes       bool
		code      int
		revisions string // of the writes
	}{
		{"seen", false, false, exitOK, `"7"`},
		{"unread", true, false, exitRefused, ""},
		{"unread, agreed", true, true, exitOK, "any"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var written []string
			view := api.MachinePolicyView{
				MachinePolicy: api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", MaxSeconds: 10800}}},
				Machine:       "web-1", Revision: 7,
			}
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					written = append(written, orElse(r.Header.Get("If-Match"), "any"))
				} else if c.unread {
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusForbidden)
					_ = json.NewEncoder(w).Encode(api.Problem{Code: "forbidden", Detail: "no", Status: 403})
					return
				}
				_ = json.NewEncoder(w).Encode(view)
			}))
			defer server.Close()
			ca := filepath.Join(t.TempDir(), "ca.pem")
			authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			if err := os.WriteFile(ca, authority, 0o600); err != nil {
				t.Fatal(err)
			}
			env := map[string]string{"POSTERN_SERVER": server.URL, "POSTERN_TOKEN": "t", "POSTERN_CA": ca}
			var out, problems bytes.Buffer
			a := &app{
				in: strings.NewReader(""), out: &out, err: &problems, now: time.Now, local: time.UTC,
				getenv: func(name string) string { return env[name] },
			}
			args := []string{"policy", "set", "web-1", "--port", "22"}
			if c.yes {
				args = append(args, "--yes")
			}
			if code := a.run(t.Context(), args); code != c.code || strings.Join(written, ",") != c.revisions {
				t.Errorf("exit code %d, wrote over %q; want %d and %q\n%s", code, written, c.code, c.revisions,
					problems.String())
			}
			if c.unread && !c.yes && !strings.Contains(problems.String(), "Use --yes") {
				t.Errorf("it does not say what to do:\n%s", problems.String())
			}
		})
	}
}

// What somebody wrote makes no line of its own in a question.
func TestNoTextForgesALineOfAQuestion(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	a := &app{err: &text, in: strings.NewReader("")}
	if err := a.confirm(true, "Deleting x\n  - ends nothing"); err != nil || text.String() != "Deleting x·  - ends nothing\n" {
		t.Errorf("%q, %v", text.String(), err)
	}
}
