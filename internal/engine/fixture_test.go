package engine_test

import (
	"context"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/store"
)

// TestMain runs fewer checks of each property than rapid does by itself, since each makes a database.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f != nil && f.Value.String() == f.DefValue {
		if err := f.Value.Set("30"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// clock is a wall clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is an engine on a real store, with an administrator and a clock.
type world struct {
	tb    testing.TB
	ctx   context.Context //nolint:containedctx // the test's
	clock *clock
	store *store.DB
	*services.Services
	admin engine.Caller
}

var office = netip.MustParseAddr("203.0.113.7")

// migrated is an empty database with every migration, which is made once: each test makes at least one, a property
// hundreds.
var migrated = sync.OnceValues(func() (file []byte, err error) { //nolint:gochecknoglobals // made once
	dir, err := os.MkdirTemp("", "postern-engine-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of the test's own
	path := filepath.Join(dir, "postern.db")
	db, err := store.Open(context.Background(), store.Config{DSN: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path) //nolint:gosec // the test's own
})

func newWorld(tb testing.TB) *world {
	tb.Helper()
	ctx := context.Background() //nolint:usetesting // the store is closed after the test's own context has ended
	log := slog.New(slog.DiscardHandler)
	path := filepath.Join(tb.TempDir(), "postern.db")
	empty, err := migrated()
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		tb.Fatal(err)
	}
	db, err := store.Open(ctx, store.Config{DSN: path, Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	c := &clock{at: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}
	w := &world{tb: tb, ctx: ctx, clock: c, store: db}
	w.Services = w.another()
	password, err := w.Directory.Bootstrap(ctx, func(p string) (string, error) { return "hash of " + p, nil })
	if err != nil || password == "" {
		tb.Fatalf("bootstrap gave %q, %v", password, err)
	}
	found, err := w.Directory.Credentials(ctx, "", directory.AdminName, office)
	if err != nil {
		tb.Fatal(err)
	}
	w.admin = caller(found.Principal)
	return w
}

// another makes one more engine on the same store, as a second replica would have, unless change says otherwise.
func (w *world) another(change ...func(*services.Config)) *services.Services {
	w.tb.Helper()
	config := services.Config{
		Store: w.store, SealKey: make([]byte, engine.SealKeySize), Now: w.clock.now,
		Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&config)
	}
	return must(services.New(config))(w.tb)
}

func caller(p access.Principal) engine.Caller {
	return engine.Caller{Principal: p.ID, Name: p.Name, Tenant: p.Tenant, Address: office, Via: "api"}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// must2 is must for what gives two things, of which the second does not matter.
func must2[T, U any](v T, _ U, err error) func(testing.TB) T { return must(v, err) }

// tenant makes another tenant, and gives its administrator.
func (w *world) tenant(name string) (directory.TenantDetail, engine.Caller) {
	w.tb.Helper()
	d := must(w.Directory.CreateTenant(w.ctx, w.admin, directory.TenantInput{Name: name, PasswordHash: "hash"}))(w.tb)
	return d, caller(d.Admin)
}

// userOf makes a user in the tenant of another caller.
func (w *world) userOf(admin engine.Caller, name string) engine.Caller {
	w.tb.Helper()
	return caller(must(w.Directory.CreatePrincipal(w.ctx, admin,
		directory.PrincipalInput{Kind: access.User, Name: name}))(
		w.tb))
}

// user makes a user with a role at the root; without one where role is empty.
func (w *world) user(name, role string) engine.Caller {
	w.tb.Helper()
	p := must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.User, Name: name}))(
		w.tb)
	if role != "" {
		must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: name, Role: role, Scope: access.Root}))(
			w.tb)
	}
	return caller(p)
}

// host enrols an agent in host mode.
func (w *world) host(name string) machines.Enrolled {
	w.tb.Helper()
	return w.enrol(name, access.ModeHost)
}

func (w *world) enrol(name string, mode access.Mode) machines.Enrolled {
	w.tb.Helper()
	token := must2(w.Machines.MakeEnrollmentToken(w.ctx, w.admin, machines.TokenInput{Name: name, Mode: mode}))(w.tb)
	in := machines.EnrollInput{
		Token: token, Name: "ignored", OS: "linux",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Version: "test",
	}
	return must(w.Machines.Enroll(w.ctx, office, in, fingerprint))(w.tb)
}

func fingerprint(id access.AgentID) (string, error) { return "fingerprint of " + string(id), nil }

// guard gives a machine the policy of most tests: ssh for three hours, from anywhere.
func (w *world) guard(machine string) engine.PolicyDetail {
	w.tb.Helper()
	return must(w.Machines.SetMachinePolicy(w.ctx, w.admin, machine, sshPolicy(), nil))(w.tb)
}

// portOf returns a target that is a port.
func portOf(t access.Target) access.PortTarget {
	return t.(access.PortTarget) //nolint:errcheck,forcetypeassert // the tests that look at ports asked for them
}

func sshPolicy() access.MachinePolicy {
	return access.MachinePolicy{Ports: []access.PortRule{
		{Ports: access.SinglePort(22), Protocol: access.TCP, Max: 3 * time.Hour},
	}}
}

func ssh(machine string, d time.Duration) requests.SubmitInput {
	return requests.SubmitInput{
		Items: []requests.ItemInput{
			{
				Machine: machine,
				Port:    access.PortTarget{Ports: access.SinglePort(22)},
				Item:    access.Item{Duration: d},
			},
		},
		Justification: "because",
	}
}

// events gives the whole activity log, oldest first.
func (w *world) events() []access.Event {
	w.tb.Helper()
	var all []access.Event
	p := engine.Page{Limit: 1000}
	for {
		list := must(w.Records.Events(w.ctx, w.admin, engine.EventFilter{OldestFirst: true}, p))(w.tb)
		all = append(all, list.Items...)
		if list.Next == "" {
			return all
		}
		p.Cursor = list.Next
	}
}

// kinds gives the kinds of the events since the seq'th, as one text.
func (w *world) kinds(since int) string {
	w.tb.Helper()
	var kinds []string
	for _, e := range w.events()[since:] {
		kinds = append(kinds, string(e.Kind))
	}
	return strings.Join(kinds, " ")
}

// size gives the number of events.
func (w *world) size() int {
	w.tb.Helper()
	var size int64
	err := w.store.View(w.ctx, func(r engine.Reader) error {
		var err error
		size, err = r.AuditSize(w.ctx)
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return int(size)
}

func (w *world) report(agent access.AgentID, r access.Report) {
	w.tb.Helper()
	if err := w.Machines.Report(w.ctx, agent, office, r); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) reconcile() {
	w.tb.Helper()
	must(w.Reconcile(w.ctx))(w.tb)
}

func (w *world) desired(agent access.AgentID) access.DesiredState {
	w.tb.Helper()
	return must(w.Machines.Desired(w.ctx, agent))(w.tb)
}

func (w *world) grant(id access.GrantID) access.Grant {
	w.tb.Helper()
	return must(w.Requests.Grant(w.ctx, w.admin, id))(w.tb).Grant
}

func wantCode(tb testing.TB, err error, kind access.Kind, code string) {
	tb.Helper()
	if access.KindOf(err) != kind || access.CodeOf(err) != code {
		tb.Errorf("got %v (%s, %s), want %s, %s", err, access.KindOf(err), access.CodeOf(err), kind, code)
	}
}
