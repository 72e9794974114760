//go:build linux

package browser_test

import (
	"os"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

func ssh(maxSeconds int64) api.PortRule {
	return api.PortRule{Ports: "22", Protocol: "tcp", MaxSeconds: maxSeconds}
}

// TestPortal goes through the portal as people do, down to the kernel: signing in with a one-time password, asking,
// approving, extending, ending, guarding a machine, and looking at every page in both themes and on a phone.
func TestPortal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1", "db-1", "spare-1")
	anna, ben := w.person("anna", "Anna Keller", "JIT Access Requester"), w.person("ben", "Ben Ito", "Security Admin")
	w.policy("web-1", api.MachinePolicy{Ports: []api.PortRule{ssh(2 * 3600)}})
	if _, err := w.admin.SetNetwork(t.Context(), "office",
		api.NetworkInput{Prefixes: []string{"10.77.0.0/24"}}, 0); err != nil {
		t.Fatal(err)
	}
	w.policy("db-1", api.MachinePolicy{
		Ports:         []api.PortRule{ssh(7200), {Ports: "5432", Protocol: "tcp", MaxSeconds: 7200}},
		Justification: api.JustificationRule{Required: true},
		Approval: []api.ApprovalCase{
			{
				Name:   "Databases",
				Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"ben"}}}}},
			},
		},
	})
	w.enroll("gw-dark", w.path("dark")) // its agent never runs, so nothing is ever seen open behind it
	w.behind("gw-dark", "dark-1", "linux", "10.88.7.7")
	w.policy("dark-1", api.MachinePolicy{Ports: []api.PortRule{ssh(3600)}})
	w.browse("access.mjs", "ANNA_PASSWORD="+anna, "BEN_PASSWORD="+ben, "WEB="+w.echo(0), "DB="+w.echo(1),
		"SPARE="+w.echo(2))
}

// TestSeries asks for a port on four weekdays, sees the same days before and after, and takes one of them back.
func TestSeries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1")
	anna := w.person("anna", "Anna Keller", "JIT Access Requester")
	w.policy("web-1", api.MachinePolicy{Ports: []api.PortRule{ssh(2 * 3600)}})
	w.browse("series.mjs", "ANNA_PASSWORD="+anna)
}

// TestScreenshots makes the pictures of the README, and those of every page, where it is asked to.
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("POSTERN_SCREENSHOTS")
	if folder == "" {
		t.Skip("make screenshots runs this")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	all := os.Getenv("POSTERN_SCREENSHOTS_ALL")
	if all != "" {
		if err := os.MkdirAll(all, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, "web-1", "web-2", "db-primary", "db-replica", "build-7", "bastion", "ledger", "spare-1", "spare-2")
	people := map[string]*api.Client{}
	for name, full := range map[string]string{
		"anna": "Anna Keller", "ben": "Ben Ito", "chidi": "Chidi Okafor",
		"dana": "Dana Novak",
	} {
		role := "JIT Access Requester"
		if name == "ben" {
			role = "Security Admin"
		}
		once := w.person(name, full, role)
		session, err := w.client("").SignIn(t.Context(),
			api.SignIn{Name: name, Password: once, NewPassword: adminPassword})
		if err != nil {
			t.Fatal(err)
		}
		people[name] = w.client(session.Token)
	}
	approval := []api.ApprovalCase{{
		Name:   "Databases",
		Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"ben", "admin"}}}}},
	}}
	for _, name := range []string{"web-1", "web-2", "build-7", "bastion"} {
		w.policy(name, api.MachinePolicy{Ports: []api.PortRule{ssh(8 * 3600), {Ports: "443", MaxSeconds: 8 * 3600}}})
	}
	for _, name := range []string{"db-primary", "db-replica", "ledger"} {
		w.policy(name,
			api.MachinePolicy{
				Ports:         []api.PortRule{ssh(4 * 3600), {Ports: "5432", MaxSeconds: 4 * 3600}},
				Justification: api.JustificationRule{Required: true}, Approval: approval,
			})
	}
	ask := func(who, machine, port, source string, lasting time.Duration, why string) api.Request {
		r, err := people[who].Submit(t.Context(), api.NewRequest{
			ForSeconds: int64(lasting / time.Second), Justification: why,
			Items: []api.NewItem{{Machine: machine, Ports: port, Sources: []string{source}}},
		}, "")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	ask("anna", "web-1", "22", "me", 95*time.Minute, "Deploy of the checkout service")
	ask("chidi", "build-7", "22", "198.51.100.24", 40*time.Minute, "Runner out of disk")
	ask("dana", "bastion", "22", "203.0.113.0/28", 3*time.Hour, "Maintenance window")
	ask("dana", "web-2", "443", "203.0.113.9", 12*time.Minute, "Look at the staging certificate")
	r := ask("chidi", "db-replica", "5432", "198.51.100.24", 2*time.Hour, "Slow query on the replica")
	if _, err := people["ben"].Decide(t.Context(), r.ID,
		api.NewDecision{Approve: true, Comment: "Go ahead", Digest: r.Digest}); err != nil {
		t.Fatal(err)
	}
	ask("anna", "db-primary", "5432", "10.77.0.1", time.Hour, "Failing migration 214: look at the locks, INC-4821")
	ask("dana", "ledger", "22", "203.0.113.9", 30*time.Minute, "Rotate the signing key")
	w.eventually("all grants are active", func() error {
		_, err := api.All(w.admin.Grants(t.Context(), api.GrantQuery{States: []string{"active"}}))
		return err
	})
	w.browse("screenshots.mjs", "FOLDER="+folder, "ALL="+all)
}
