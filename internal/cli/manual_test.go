package cli

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/postern-dev/postern/internal/server"
)

// TestManual runs the examples of the operator's manual, in their order, each as the person that its block names.
func TestManual(t *testing.T) {
	t.Parallel()
	var scripts []string
	for _, page := range []string{
		"networks.md", "roles.md", "sign-in.md", "approvals.md", "break-glass.md", "access-reviews.md",
		"tenants.md", "applications.md",
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate", page))
		if err != nil {
			t.Fatal(err)
		}
		script, commands := manualScript(string(text))
		if commands < 3 {
			t.Fatalf("%s has %d commands", page, commands)
		}
		file := filepath.Join(t.TempDir(), strings.TrimSuffix(page, ".md")+".txtar")
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, file)
	}
	testscript.Run(t, testscript.Params{
		Files: scripts, RequireExplicitExec: true, Setup: serveWithTickets,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "normal": normal, "agent": joins,
			"text": text,
		},
	})
}

// serveWithTickets is serve, with a system that keeps tickets: those that begin with OPS- are good.
func serveWithTickets(env *testscript.Env) error {
	tickets := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Ticket, Requester, Tenant string
			Machines                  []string
		}
		err := json.NewDecoder(r.Body).Decode(&asked)
		good := err == nil && strings.HasPrefix(asked.Ticket,
			"OPS-") && asked.Requester != "" && asked.Tenant != "" && len(asked.Machines) > 0
		_ = json.NewEncoder(w).Encode(map[string]any{"ok": good, "message": "there is no such ticket"})
	}))
	env.Defer(tickets.Close)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tickets.Certificate().Raw}))
	return serveAs(env, func(c *server.Config) { c.TicketWebhook, c.TicketCA = tickets.URL, authority })
}

const manualSetting = `exec postern login --server $SERVER --ca ca.pem --user admin --password-file first-password --new-password-file password
exec postern machine token web-1
cp stdout token
agent token
exec postern user create ann --password-file password
exec postern user create bob --password-file password
exec postern user create cy --password-file password
exec postern group create ops
exec postern group add ops bob cy
exec postern role assign 'JIT Access Requester' --to ann
`

// manualScript makes a script of a page: blocks of sh are commands, and blocks of yaml are the files that they name
// themselves. The ids of the examples stand for the newest request, grant and review.
func manualScript(page string) (script string, commands int) {
	var run, files strings.Builder
	run.WriteString(manualSetting)
	who := "admin"
	newest := map[string]string{
		"7f3a9c12": "request list --needs-me", "3d90e7b5": "request list",
		"9b0e44d1": "grant list", "5c21aa07": "review list",
	}
	for _, block := range regexp.MustCompile("(?s)```([^\n]+)\n(.*?)```").FindAllStringSubmatch(page, -1) {
		kind, as, _ := strings.Cut(block[1], " as=")
		if kind == "yaml" {
			name, body, _ := strings.Cut(strings.TrimPrefix(block[2], "# "), "\n")
			fmt.Fprintf(&files, "-- %s --\n%s", name, body)
			continue
		}
		if as == "" {
			continue // it needs a browser
		}
		if as != who {
			fmt.Fprintf(&run, "exec postern login --server $SERVER --ca ca.pem --user %s --password-file password\n",
				as)
			who = as
		}
		for line := range strings.Lines(block[2]) {
			commands++
			for id, list := range newest {
				if strings.Contains(line, id) {
					fmt.Fprintf(&run, "exec postern %s -o json\ntext stdout '\"id\": \"([^\"]+)\"'\n", list)
					line = strings.ReplaceAll(line, id, "$FOUND")
				}
			}
			run.WriteString("exec " + strings.TrimSpace(line) + "\n")
		}
	}
	return run.String() + "\n" + files.String(), commands
}
