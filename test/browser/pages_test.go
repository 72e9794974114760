//go:build linux

package browser_test

import (
	"os"
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestWatching goes through the pages of those who look after things: the log, alerts and reviews.
func TestWatching(t *testing.T) {
	w := newWorld(t, "web-1")
	once := w.person("anna", "Anna Keller", "JIT Access Requester")
	session, err := w.client("").SignIn(t.Context(),
		api.SignIn{Name: "anna", Password: once, NewPassword: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	anna := w.client(session.Token)
	w.policy("web-1", api.MachinePolicy{
		Ports:      []api.PortRule{ssh(2 * 3600)},
		BreakGlass: &api.BreakGlassRule{People: []string{"anna"}, MaxSeconds: 3600},
		Approval: []api.ApprovalCase{{
			Name:   "All",
			Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"admin"}}}}},
		}},
	})
	for range 5 {
		if _, err := anna.Submit(t.Context(),
			api.NewRequest{ForSeconds: 60, Items: []api.NewItem{{Machine: "web-1", Ports: "23"}}}, ""); err == nil {
			t.Fatal("port 23 is not guarded")
		}
	}
	broken, err := anna.Submit(t.Context(), api.NewRequest{
		ForSeconds: 600, BreakGlass: true, Justification: "Nobody answers the phone",
		Items: []api.NewItem{{Machine: "web-1", Ports: "22"}},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.Grant(t.Context(), broken.Grants[0].ID, patience); err != nil {
		t.Fatal(err)
	}
	w.browse("watch.mjs")
}

// TestManagedApplications goes through the two sides of a managed application: the customer deploys it and asks for
// approval, the publisher activates a role, the customer decides and ends it.
func TestManagedApplications(t *testing.T) {
	w := newWorld(t, "web-1")
	w.vendor()
	w.browse("applications.mjs")
}

// TestForm deploys managed applications by the forms of their packages.
func TestForm(t *testing.T) {
	w := newWorld(t, "web-1")
	form, err := os.ReadFile("testdata/lab.json")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.vendor().SetApplicationDefinition(t.Context(), "lab", api.ApplicationDefinitionInput{
		DisplayName: "Laboratory", Public: true, CreateUIDefinition: string(form),
		JIT:            api.ApplicationOffer{Available: true, MaxSeconds: 4 * 3600},
		Authorizations: []api.ApplicationAuthorization{{Principal: "vera", Role: "Contributor"}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.browse("form.mjs")
}

// TestPublish goes through what a publisher does with definitions.
func TestPublish(t *testing.T) {
	w := newWorld(t, "web-1")
	w.vendor()
	w.browse("publish.mjs")
}

// vendor makes the tenant of a publisher with an offer, and returns its administrator's client.
func (w *world) vendor() *api.Client {
	w.t.Helper()
	ctx := w.t.Context()
	vendor, err := w.admin.CreateTenant(ctx, api.NewTenant{Name: "vendor", Admin: "vera"})
	if err != nil {
		w.t.Fatal(err)
	}
	session, err := w.client("").SignIn(ctx,
		api.SignIn{Name: "vera@vendor", Password: vendor.Password, NewPassword: adminPassword})
	if err != nil {
		w.t.Fatal(err)
	}
	vera := w.client(session.Token)
	_, err = vera.SetApplicationDefinition(ctx, "shop", api.ApplicationDefinitionInput{
		DisplayName: "Web shop", Description: "A shop that its maker looks after", Public: true,
		JIT:            api.ApplicationOffer{Available: true, MaxSeconds: 4 * 3600},
		Authorizations: []api.ApplicationAuthorization{{Principal: "vera", Role: "Contributor"}},
	}, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return vera
}

// TestSettings goes through every page of the settings, and activates a role.
func TestSettings(t *testing.T) {
	newWorld(t, "web-1").browse("settings.mjs")
}
