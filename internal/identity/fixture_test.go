package identity_test

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/store"
)

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

// world is an identity over an engine on a real store, after the first start.
type world struct {
	tb       testing.TB
	ctx      context.Context //nolint:containedctx // the test's
	clock    *clock
	engine   *services.Services
	identity *identity.Identity
	config   identity.Config
	password string // the administrator's one-time one
}

var (
	office = netip.MustParseAddr("203.0.113.7")
	// generous is for tests that are not about rates.
	generous = identity.Rate{PerSecond: 1000, Burst: 1000}
)

func newWorld(tb testing.TB, change func(*identity.Config)) *world {
	tb.Helper()
	ctx := context.Background() //nolint:usetesting // the store is closed after the test's own context has ended
	log := slog.New(slog.DiscardHandler)
	dir := tb.TempDir()
	db, err := store.Open(ctx, store.Config{DSN: filepath.Join(dir, "postern.db"), Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	w := &world{tb: tb, ctx: ctx, clock: &clock{at: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}}
	if w.engine, err = services.New(services.Config{
		Store: db, SealKey: make([]byte, engine.SealKeySize),
		Now: w.clock.now, Log: log,
	}); err != nil {
		tb.Fatal(err)
	}
	if w.password, err = w.engine.Directory.Bootstrap(ctx, identity.HashPassword); err != nil {
		tb.Fatal(err)
	}
	ca, err := identity.OpenCA(dir, w.clock.now())
	if err != nil {
		tb.Fatal(err)
	}
	names, err := identity.NewNames("https://postern.example", nil)
	if err != nil {
		tb.Fatal(err)
	}
	c := identity.Config{Engine: w.engine, CA: ca, Names: names, Now: w.clock.now, Log: log, Anonymous: generous}
	if change != nil {
		change(&c)
	}
	w.config = c
	w.identity = w.again()
	return w
}

// again makes another identity over the same engine, as another replica has.
func (w *world) again() *identity.Identity {
	w.tb.Helper()
	i, err := identity.New(w.config)
	if err != nil {
		w.tb.Fatal(err)
	}
	return i
}

func (w *world) signIn(name, password, fresh string) (identity.SignedIn, error) {
	w.tb.Helper()
	return w.identity.SignIn(w.ctx,
		identity.SignInInput{
			Name: name, Password: password, NewPassword: fresh, Address: office, Via: "cli",
			Client: "test",
		})
}

const goodPassword = "correct horse battery"

// admin signs the administrator in, with the password changed.
func (w *world) admin() engine.Caller {
	w.tb.Helper()
	s, err := w.signIn("admin", w.password, goodPassword)
	if err != nil {
		w.tb.Fatal(err)
	}
	c, err := w.identity.Authenticate(w.ctx, s.Token, office, "cli")
	if err != nil {
		w.tb.Fatal(err)
	}
	return c
}

// kinds counts the events of a kind.
func (w *world) count(kind access.EventKind) int {
	w.tb.Helper()
	found, err := w.engine.Directory.Credentials(w.ctx, "", "admin", office)
	if err != nil {
		w.tb.Fatal(err)
	}
	c := engine.Caller{Principal: found.Principal.ID, Name: "admin", Tenant: found.Principal.Tenant}
	list, err := w.engine.Records.Events(w.ctx, c, engine.EventFilter{Kind: kind}, engine.Page{Limit: 1000})
	if err != nil {
		w.tb.Fatal(err)
	}
	return len(list.Items)
}

func wantCode(tb testing.TB, err error, kind access.Kind, code string) {
	tb.Helper()
	if access.KindOf(err) != kind || access.CodeOf(err) != code {
		tb.Errorf("got %v (%s, %s), want %s, %s", err, access.KindOf(err), access.CodeOf(err), kind, code)
	}
}
