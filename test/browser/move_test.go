//go:build linux

package browser_test

import (
	"os"
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestUseFromHere has two ports open from another address than the browser's: one of them moves, alone, and the other
// from its own page. The page of a machine that nothing guards offers to guard it.
func TestUseFromHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1", "db-1", "spare-1")
	anna := w.person("anna", "Anna Berg", "JIT Access Requester")
	desktop := ssh(3600)
	desktop.Ports = "3389"
	w.policy("web-1", api.MachinePolicy{Ports: []api.PortRule{ssh(3600)}})
	w.policy("db-1", api.MachinePolicy{Ports: []api.PortRule{ssh(3600), desktop}, Approval: []api.ApprovalCase{
		{When: "!request.moves"},
		{Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"admin"}}}}}},
	}})
	w.browse("move.mjs", "ANNA_PASSWORD="+anna, "LOOK="+os.Getenv("POSTERN_LOOK"))
}
