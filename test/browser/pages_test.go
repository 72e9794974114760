//go:build linux

package browser_test

import (
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestWatching goes through the pages of those who look after things: the log, alerts and reviews.
func TestWatching(t *testing.T) {
	w := newWorld(t, "web-1")
	once := w.person("anna", "Anna Keller", "JIT Access Requester")
	session, err := w.client("").SignIn(t.Context(), api.SignIn{Name: "anna", Password: once, NewPassword: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	anna := w.client(session.Token)
	w.policy("web-1", api.MachinePolicy{
		Ports: []api.PortRule{ssh(2 * 3600)}, BreakGlass: &api.BreakGlassRule{People: []string{"anna"}, MaxSeconds: 3600},
		Approval: []api.ApprovalCase{{Name: "All", Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"admin"}}}}}}},
	})
	for range 5 {
		if _, err := anna.Submit(t.Context(), api.NewRequest{ForSeconds: 60, Items: []api.NewItem{{Machine: "web-1", Ports: "23"}}}, ""); err == nil {
			t.Fatal("port 23 is not guarded")
		}
	}
	broken, err := anna.Submit(t.Context(), api.NewRequest{
		ForSeconds: 600, BreakGlass: true, Justification: "Nobody answers the phone", Items: []api.NewItem{{Machine: "web-1", Ports: "22"}},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.Grant(t.Context(), broken.Grants[0].ID, patience); err != nil {
		t.Fatal(err)
	}
	w.browse("watch.mjs")
}

// TestSettings goes through every page of the settings, and activates a role.
func TestSettings(t *testing.T) {
	newWorld(t, "web-1").browse("settings.mjs")
}
