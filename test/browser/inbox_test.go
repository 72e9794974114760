//go:build linux

package browser_test

import (
	"os"
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestNotifications follows a request through the bells of two people, one on a phone and one at a desk with keys
// alone: what is asked, decided, open and about to end, each as it happens.
func TestNotifications(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1", "db-1")
	anna, ben := w.person("anna", "Anna Keller", "JIT Access Requester"), w.person("ben", "Ben Ito", "Reader")
	cleo := w.person("cleo", "Cleo Marsh", "Reader")
	if _, err := w.admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "group", Name: "dba"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ben", "cleo"} {
		if err := w.admin.AddMember(t.Context(), "dba", name); err != nil {
			t.Fatal(err)
		}
	}
	w.policy("web-1", api.MachinePolicy{Ports: []api.PortRule{ssh(7200)}})
	w.policy("db-1", api.MachinePolicy{
		Ports: []api.PortRule{ssh(7200)},
		Approval: []api.ApprovalCase{{
			Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, Groups: []string{"dba"}}}}},
		}},
	})
	w.browse("inbox.mjs", "ANNA_PASSWORD="+anna, "BEN_PASSWORD="+ben, "CLEO_PASSWORD="+cleo,
		"LOOK="+os.Getenv("POSTERN_LOOK"))
}
