//go:build linux

package browser_test

import (
	"fmt"
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestTwoOfEverything picks, changes and ends one of two wherever a page shows several, with the mouse and with keys:
// the other one stays as it was.
func TestTwoOfEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1", "db-1")
	anna, ben := w.person("anna", "Anna Keller", "JIT Access Requester"), w.person("ben", "Ben Ito", "Security Admin")
	agree := []api.ApprovalCase{{
		Name:   "Databases",
		Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"ben"}}}}},
	}}
	w.policy("web-1",
		api.MachinePolicy{Ports: []api.PortRule{ssh(2 * 3600), {Ports: "443", Protocol: "tcp", MaxSeconds: 2 * 3600}}})
	w.policy("db-1",
		api.MachinePolicy{
			Ports:    []api.PortRule{ssh(7200), {Ports: "5432", Protocol: "tcp", MaxSeconds: 7200}},
			Approval: agree,
		})
	for i := range 52 { // more than a page, none of them guarded
		w.behind("gw-berlin", fmt.Sprintf("spare-%02d", i), "", fmt.Sprintf("10.88.9.%d", i+1))
	}
	w.browse("two.mjs", "ANNA_PASSWORD="+anna, "BEN_PASSWORD="+ben)
}
