package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/store"
)

// engines gives, for each database, how a test gets an empty one of its own.
func engines() map[string]func(tb testing.TB) string {
	return map[string]func(tb testing.TB) string{
		"SQLite":     func(tb testing.TB) string { tb.Helper(); return filepath.Join(tb.TempDir(), "postern.db") },
		"PostgreSQL": postgresDSN,
	}
}

// fixture is a store with a tenant, a subscription, a user and an agent with a machine.
type fixture struct {
	*store.DB

	dsn     string
	agent   access.AgentID
	machine access.MachineID
	user    access.PrincipalID
	count   atomic.Int64
}

const (
	tenantID = access.TenantID("11111111-1111-1111-1111-111111111111")
	subID    = access.SubscriptionID("22222222-2222-2222-2222-222222222222")
)

// day is when the tests happen; it has microseconds.
func day() time.Time { return time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC) }

func open(tb testing.TB, dsn string) *store.DB {
	tb.Helper()
	db, err := store.Open(tb.Context(), store.Config{DSN: dsn, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return db
}

func newFixture(tb testing.TB, dsn string) *fixture {
	tb.Helper()
	f := &fixture{DB: open(tb, dsn), dsn: dsn, agent: "agent-1", machine: "machine-1", user: "user-1"}
	f.update(tb, func(ctx context.Context, tx engine.Tx) error {
		return firstOf(
			tx.SaveTenant(ctx, access.Tenant{ID: tenantID, Name: "Example", CreatedAt: day()}),
			tx.SaveSubscription(ctx,
				access.Subscription{ID: subID, Tenant: tenantID, Name: "default", CreatedAt: day()}),
			tx.SaveResourceGroup(ctx,
				access.ResourceGroup{Subscription: subID, Name: "Default", Location: "local", CreatedAt: day()}),
			tx.SavePrincipal(ctx, person(f.user, "Ada"), 0),
			tx.SaveAgent(ctx, agent(f.agent, "gate")),
			tx.SaveMachine(ctx, machine(f.machine, "web-1", f.agent), 0),
		)
	})
	return f
}

// update runs fn in an Update that must succeed.
func (f *fixture) update(tb testing.TB, fn func(ctx context.Context, tx engine.Tx) error) {
	tb.Helper()
	if err := f.try(tb, fn); err != nil {
		tb.Fatalf("update: %v", err)
	}
}

// try runs fn in an Update and gives its error.
func (f *fixture) try(tb testing.TB, fn func(ctx context.Context, tx engine.Tx) error) error {
	tb.Helper()
	return f.Update(tb.Context(), func(tx engine.Tx) error { return fn(tb.Context(), tx) })
}

// view runs fn in a View that must succeed.
func (f *fixture) view(tb testing.TB, fn func(ctx context.Context, r engine.Reader) error) {
	tb.Helper()
	if err := f.View(tb.Context(), func(r engine.Reader) error { return fn(tb.Context(), r) }); err != nil {
		tb.Fatalf("view: %v", err)
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func person(id access.PrincipalID, name string) access.Principal {
	return access.Principal{
		ID: id, Tenant: tenantID, Kind: access.User, Name: name, DisplayName: "Ada L.",
		Email: "ada@example.com", CreatedAt: day(), Revision: 1,
	}
}

func agent(id access.AgentID, name string) access.Agent {
	return access.Agent{
		ID: id, Tenant: tenantID, Name: name, Mode: access.ModeHost, Version: "1.2", Fingerprint: "ab12",
		EnrolledAt: day(), LastSeenAt: day(),
		Skew: 1234567 * time.Nanosecond, Revision: 7, Reported: 6, ReportedAt: day(), Problem: "none",
		Foreign: []access.ForeignRule{{
			Table: "inet filter", Chain: "input", Effect: access.ForeignAccepts,
			Protocol: access.TCP, Ports: access.SinglePort(22), Text: "tcp dport 22 accept",
		}},
		Scope: access.ResourceGroupScope(subID, "Default"), Successor: "b", HoldsUntil: day(), Epoch: "e",
		Stream: access.Stream{
			ID: "s", Instance: "i", From: "192.0.2.1", Since: day(), AskedBy: "t", AskedFrom: "192.0.2.2",
			AskedAt: day(), AnsweredAt: day(), ToldAt: day(),
		},
		Predecessors: []access.Predecessor{{Agent: "c", Since: day(), Until: day().Add(time.Hour)}},
	}
}

func machine(id access.MachineID, name string, agent access.AgentID) access.Machine {
	return access.Machine{
		ID: id, Resource: access.MachineResource(subID, "Default", name), Tenant: tenantID, Name: name,
		Location: "local", OS: "linux",
		Labels:    map[string]string{"env": "prod"},
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}, Agent: agent,
		CreatedAt: day(), Revision: 1,
	}
}

func policy(id access.PolicyID, name string, machines ...access.MachineID) access.Policy {
	p := access.Policy{
		ID: id, Resource: access.PolicyResource(subID, "Default", "local", name), Tenant: tenantID, Name: name,
		Location: "local", CreatedAt: day(),
		UpdatedAt: day(), Revision: 1,
	}
	for _, m := range machines {
		p.Machines = append(p.Machines,
			access.MachinePolicy{
				Machine: m, Ports: access.RecommendedPorts(), Sessions: access.SessionsCut,
				WhenServerIsLost: 5 * time.Minute,
			})
	}
	return p
}

// request makes an approved request with one grant and its three events, each with an id of its own.
func (f *fixture) request(created time.Time) (access.Request, access.Grant, []access.Event) {
	id := fmt.Sprintf("%06d", f.count.Add(1))
	pending, submitted := access.NewRequest(access.Request{
		ID: access.RequestID("request-" + id), Tenant: tenantID, Requester: f.user, RequesterName: "Ada",
		Address: netip.MustParseAddr("203.0.113.9"), Via: "cli", Justification: "deploy the fix", Ticket: "OPS-1",
		Items: []access.Item{{
			Target:         access.PortTarget{Machine: f.machine, Policy: "policy-1", Ports: access.SinglePort(22), Protocol: access.TCP, Sources: []netip.Prefix{netip.MustParsePrefix("203.0.113.9/32")}},
			PolicyRevision: 1,
			Networks:       []string{"office"},
			SourceList:     true,
			Duration:       time.Hour,
		}},
	}, access.Actor{ID: f.user, Name: "Ada", Via: "cli"}, 0, created)
	approved, grants, events, err := pending.Approve(access.System(), nil,
		func() access.GrantID { return access.GrantID("grant-" + id) }, created)
	if err != nil {
		panic(err)
	}
	return approved, grants[0], append(submitted, events...)
}

// submit saves what request makes, as a whole request is saved.
func (f *fixture) submit(ctx context.Context, tx engine.Tx, created time.Time) error {
	r, g, events := f.request(created)
	return firstOf(tx.SaveRequest(ctx, r, 0), tx.SaveGrant(ctx, g, 0), tx.Append(ctx, events...),
		tx.BumpAgent(ctx, f.agent))
}

func definition(id rbac.DefinitionID, name string) rbac.Definition {
	return rbac.Definition{ID: id, Name: name, Description: "all of it", BuiltIn: true, Permissions: []rbac.Permission{{
		Actions: []string{"*"}, NotActions: []string{"a/b"},
		DataActions: []string{"c"}, NotDataActions: []string{"d"},
	}}, AssignableScopes: []access.ResourceID{"/"}, CreatedAt: day(), UpdatedAt: day()}
}
