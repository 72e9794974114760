package agent

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// TestRestoredServer proves with the real server that, after it was restored from an older backup, the agent holds what
// the server wants now, and that what the agent says is heard: both after a restart of the server, and where the
// database goes back behind the back of a server that runs.
func TestRestoredServer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	ready, stop := serve(t, data, "127.0.0.1:0")
	url := "https://" + ready.Address
	nobody, err := api.NewClient(api.Options{Server: url, CA: ready.CA})
	must(t, err)
	session, err := nobody.SignIn(t.Context(),
		api.SignIn{Name: "admin", Password: ready.AdminPassword, NewPassword: "a long enough password 42"})
	must(t, err)
	admin := nobody.WithToken(session.Token)
	token, err := admin.CreateEnrollmentToken(t.Context(), api.NewEnrollmentToken{Name: "web-1"})
	must(t, err)
	h := &host{t: t, dir: t.TempDir()}
	h.clock, err = SystemClock()
	must(t, err)
	_, err = Enroll(t.Context(),
		EnrollConfig{Server: url, Token: token.Token, CA: []byte(token.CA), StateDir: h.dir, Name: "web-1"})
	must(t, err)
	kernel := newTarget(h.clock.Boot)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	fast := defaultTiming()
	fast.backOff = 200 * time.Millisecond
	// the agent speaks when there is something to say, and no sign of life helps
	fast.leastReport, fast.mostReport = time.Hour, time.Hour
	go func() {
		ended <- Run(ctx,
			Config{
				StateDir: h.dir, Version: "test", Enforcer: kernel,
				Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)), timing: fast,
			})
	}()
	defer func() { cancel(); must(t, <-ended) }()
	_, err = admin.SetMachinePolicy(t.Context(), "web-1",
		api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", Protocol: "tcp", MaxSeconds: 3600}}}, 0)
	must(t, err)

	open := func(address string) string {
		t.Helper()
		asked, err := admin.Submit(t.Context(), api.NewRequest{
			ForSeconds: 600, Justification: "to see it work",
			Items: []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{address}}},
		}, "")
		must(t, err)
		g, err := admin.Grant(t.Context(), asked.Grants[0].ID, 20*time.Second)
		must(t, err)
		if g.State != "active" {
			t.Fatalf("the grant for %s is %s, want it active", address, g.State)
		}
		return g.ID
	}
	revoke := func(grant string) {
		t.Helper()
		_, err := admin.Revoke(t.Context(), grant, "done")
		must(t, err)
		eventually(t, "the grant was seen gone", func() bool {
			g, err := admin.Grant(t.Context(), grant, 0)
			must(t, err)
			return g.ClosedAt != nil
		})
	}
	holds := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s is open", want), func() bool { return slices.Equal(kernel.open(), want) })
		eventually(t, "the newest state is reported", func() bool {
			agents, err := api.All(admin.Agents(t.Context()))
			must(t, err)
			return len(agents) == 1 && agents[0].Reported == agents[0].Revision
		})
	}
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(data, "postern.db")+"?_pragma=busy_timeout(5000)")
	must(t, err)

	first := open("192.0.2.1")
	backup := filepath.Join(t.TempDir(), "backup.db")
	_, err = raw.ExecContext(t.Context(), "vacuum into ?", backup)
	must(t, err)
	for i := range 7 {
		revoke(open(fmt.Sprintf("198.51.100.%d", i+1)))
	}
	open("198.51.100.99") // nothing is known of it after the restore
	holds("192.0.2.1/32 22", "198.51.100.99/32 22")
	must(t, raw.Close())
	stop()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		must(t, ignoreMissing(os.Remove(filepath.Join(data, "postern.db"+suffix))))
	}
	must(t, os.Rename(backup, filepath.Join(data, "postern.db")))
	serve(t, data, ready.Address)
	holds("192.0.2.1/32 22")
	second := open("192.0.2.2")
	holds("192.0.2.1/32 22", "192.0.2.2/32 22")
	revoke(first)

	raw, err = sql.Open("sqlite", "file:"+filepath.Join(data, "postern.db")+"?_pragma=busy_timeout(5000)")
	must(t, err)
	_, err = raw.ExecContext(t.Context(), "update agents set revision = 1")
	must(t, err)
	must(t, raw.Close())
	revoke(second)
	open("192.0.2.3")
	holds("192.0.2.3/32 22")
}
