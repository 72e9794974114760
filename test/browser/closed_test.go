//go:build linux

package browser_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// TestNotClosed has a machine opened by a code, and access to another ended while its agent is dead: nowhere is it said
// that everything is closed, or that what the agent said last is in force.
func TestNotClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1", "db-1", "spare-1")
	for _, name := range []string{"web-1", "db-1"} {
		w.policy(name, api.MachinePolicy{Ports: []api.PortRule{ssh(3600)}})
	}
	anna := w.person("anna", "Anna Berg", "JIT Access Requester")
	https := ssh(3600)
	https.Ports = "443"
	w.policy("spare-1", api.MachinePolicy{
		Ports: []api.PortRule{ssh(3600), https},
		Approval: []api.ApprovalCase{
			{
				When:   "request.firstPort == 22",
				Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"admin"}}}}},
			},
			{},
		},
		BreakGlass: &api.BreakGlassRule{People: []string{"anna"}, MaxSeconds: 3600},
	})
	grant := w.open("web-1")
	codes, err := w.admin.IssueGlassCodes(t.Context(), "db-1", api.NewGlassCodes{Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the code opens db-1", func() error { // once the agent has heard of it
		cmd := exec.Command(program, "agent", "break-glass", "--state", w.path("state"), "--machine", "db-1",
			"--code-file", "-", "--port", "22", "--from", "203.0.113.7", "--for", "30m", "--reason", "site down")
		cmd.Stdin = strings.NewReader(codes.Codes[0])
		said := &strings.Builder{}
		cmd.Stderr = said
		if err := w.net.Gateway.Start(cmd); err != nil {
			return err
		}
		if cmd.Wait() != nil {
			return errors.New(said.String())
		}
		return nil
	})
	w.eventually("the server knows of it", func() error {
		held, err := api.All(w.admin.NotClosed(t.Context(), "db-1", ""))
		if err == nil && len(held) != 1 {
			err = errors.New("it does not")
		}
		return err
	})
	w.kill("agent.log")
	if _, err := w.admin.Revoke(t.Context(), grant, "incident 12"); err != nil {
		t.Fatal(err)
	}
	shots := os.Getenv("POSTERN_LOOK")
	w.browse("closed.mjs", "LATER="+time.Now().Add(5*time.Minute).Format(time.RFC3339), "LOOK="+shots,
		"ANNA_PASSWORD="+anna)
}

// open has the administrator open port 22 of a machine, and gives the grant once it is active.
func (w *world) open(machine string) string {
	w.t.Helper()
	var r api.Request
	w.eventually("the port of "+machine+" is asked for", func() (err error) { // once its agent holds the policy
		r, err = w.admin.Submit(w.t.Context(),
			api.NewRequest{
				Items: []api.NewItem{{Machine: machine, Ports: "22"}}, ForSeconds: 1800,
				Justification: "deploy",
			},
			"")
		return err
	})
	w.eventually("the port of "+machine+" is open", func() error {
		g, err := w.admin.Grant(w.t.Context(), r.Grants[0].ID, time.Second)
		if err == nil && g.State != "active" {
			err = errors.New("it is " + g.State)
		}
		return err
	})
	return r.Grants[0].ID
}
