package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
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

// BenchmarkWholeRequest is requests from 64 people at once through the engine: authorized, judged by a policy,
// approved, granted, recorded with their events and durable. What it stands beside is BenchmarkBareCommit.
func BenchmarkWholeRequest(b *testing.B) {
	for name, engineDSN := range engines() {
		b.Run(name, func(b *testing.B) {
			c := newCrowd(b, open(b, engineDSN(b)))
			ctx := b.Context()
			callers(b, func(i int64) error {
				_, err := c.ask(ctx, i)
				return err
			})
		})
	}
}

// crowd is people who ask for machines; each may ask for all of them.
type crowd struct {
	*services.Services

	admin  engine.Caller
	policy access.MachinePolicy // of each machine
	people []engine.Caller
}

const crowdMachines = 64

func newCrowd(tb testing.TB, db *store.DB) *crowd {
	tb.Helper()
	e, admin := bootstrap(tb, db)
	policy := access.MachinePolicy{Ports: []access.PortRule{
		{Ports: access.PortRange{First: 1000, Last: 2000}, Protocol: access.TCP, Max: time.Hour},
	}}
	ctx := tb.Context()
	for i := range crowdMachines {
		name := fmt.Sprintf("web-%d", i)
		token, _, err := e.Machines.MakeEnrollmentToken(ctx, admin, machines.TokenInput{Name: name})
		if err == nil {
			in := machines.EnrollInput{Token: token, Name: name, OS: "linux", Version: "test"}
			_, err = e.Machines.Enroll(ctx, admin.Address, in,
				func(id access.AgentID) (string, error) { return "fingerprint of " + string(id), nil })
		}
		if err == nil {
			_, err = e.Machines.SetMachinePolicy(ctx, admin, name, policy, nil)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	c := &crowd{Services: e, admin: admin, policy: policy, people: make([]engine.Caller, benchCallers)}
	for i := range c.people {
		name := fmt.Sprintf("user-%d", i)
		p, err := e.Directory.CreatePrincipal(ctx, admin, directory.PrincipalInput{Kind: access.User, Name: name})
		if err == nil {
			_, err = e.Roles.AssignRole(ctx, admin,
				roles.AssignInput{Principal: name, Role: "JIT Access Requester", Scope: access.Root})
		}
		if err != nil {
			tb.Fatal(err)
		}
		c.people[i] = engine.Caller{Principal: p.ID, Name: p.Name, Tenant: p.Tenant, Address: admin.Address, Via: "api"}
	}
	return c
}

// pair says who asks with the i-th request, and for which machine: each person asks for one after another.
func pair(i int64) (person, machine int64) {
	person = i % benchCallers
	return person, (person + i/benchCallers) % crowdMachines
}

// ask makes the i-th request.
func (c *crowd) ask(ctx context.Context, i int64) (requests.RequestDetail, error) {
	person, machine := pair(i)
	return c.Requests.Submit(ctx, c.people[person], requests.SubmitInput{Items: []requests.ItemInput{{
		Machine: fmt.Sprintf("web-%d", machine),
		Port:    access.PortTarget{Ports: access.SinglePort(uint16(1000 + i%1000))},
		Item:    access.Item{Duration: time.Minute},
	}}})
}

// bootstrap starts an engine on an empty store and gives its administrator.
func bootstrap(tb testing.TB, db *store.DB) (*services.Services, engine.Caller) {
	tb.Helper()
	e, err := services.New(services.Config{
		Store: db, SealKey: make([]byte, engine.SealKeySize), Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := e.Directory.Bootstrap(tb.Context(), func(string) (string, error) { return "hash", nil }); err != nil {
		tb.Fatal(err)
	}
	found, err := e.Directory.Credentials(tb.Context(), "", directory.AdminName, netip.Addr{})
	if err != nil {
		tb.Fatal(err)
	}
	return e, engine.Caller{
		Principal: found.Principal.ID, Name: found.Principal.Name, Tenant: found.Principal.Tenant,
		Address: netip.MustParseAddr("203.0.113.7"), Via: "api",
	}
}
