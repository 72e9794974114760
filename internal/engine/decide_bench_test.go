package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// BenchmarkDecideAmongTenThousand evaluates, asks and decides where 10,000 people are in groups three deep and 1,000
// policies guard as many machines; each decision is durable, with its grant and events.
func BenchmarkDecideAmongTenThousand(b *testing.B) {
	w := newWorld(b)
	const people, leaves, machines = 10_000, 100, 1_000
	now := w.clock.now()
	ann := w.user("ann", "JIT Access Requester")
	id := func(kind string, i int) access.PrincipalID { return access.PrincipalID(fmt.Sprintf("%s-%d", kind, i)) }
	var err error
	save := func(tx engine.Tx, id access.PrincipalID, kind access.PrincipalKind, into access.PrincipalID) {
		p := access.Principal{ID: id, Tenant: w.admin.Tenant, Kind: kind, Name: string(id), CreatedAt: now, Revision: 1}
		if err == nil {
			err = tx.SavePrincipal(w.ctx, p, 0)
		}
		if err == nil && into != "" {
			err = tx.AddMember(w.ctx, into, id, "", w.clock.now())
		}
	}
	update := func(fn func(tx engine.Tx)) {
		b.Helper()
		if failed := w.store.Update(w.ctx, func(tx engine.Tx) error { err = nil; fn(tx); return err }); failed != nil {
			b.Fatal(failed)
		}
	}
	update(func(tx engine.Tx) {
		save(tx, "all", access.Group, "")
		for i := range 10 {
			save(tx, id("branch", i), access.Group, "all")
		}
		for i := range leaves {
			save(tx, id("leaf", i), access.Group, id("branch", i%10))
		}
		for i := range people {
			save(tx, id("person", i), access.User, id("leaf", i%leaves))
		}
	})
	subscriptions, groups := must(w.Directory.Subscriptions(w.ctx, w.admin))(b), "default"
	update(func(tx engine.Tx) {
		err = tx.SaveAgent(w.ctx,
			access.Agent{ID: "gate", Tenant: w.admin.Tenant, Name: "gate", Mode: access.ModeGateway, EnrolledAt: now})
		for i := range machines {
			name := fmt.Sprintf("web-%d", i)
			m := access.Machine{
				ID: access.MachineID(name), Resource: access.MachineResource(subscriptions[0].ID, groups, name),
				Tenant: w.admin.Tenant, Name: name,
				Location: "local", Agent: "gate", CreatedAt: now, Revision: 1,
			}
			rule := sshPolicy()
			rule.Machine, rule.Approval = m.ID, asks(
				access.Stage{AllOf: []access.Quorum{of(1, "all", id("branch", i%10), id("leaf", i%leaves))}})
			p := access.Policy{
				ID: access.PolicyID(name), Resource: access.PolicyResource(subscriptions[0].ID, groups, "local", name),
				Tenant: w.admin.Tenant, Name: name,
				Location: "local", Machines: []access.MachinePolicy{rule}, CreatedAt: now, UpdatedAt: now, Revision: 1,
			}
			if err == nil {
				err = tx.SaveMachine(w.ctx, m, 0)
			}
			if err == nil {
				err = tx.SavePolicy(w.ctx, p, 0)
			}
		}
	})
	evaluated, asked, decided := make([]time.Duration, 0,
		b.N), make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		x, err := w.Requests.Explain(w.ctx, ann,
			requests.Question{
				Machine: fmt.Sprintf("web-%d", i%machines), Ports: access.SinglePort(22),
				Duration: time.Minute,
			})
		if err != nil || x.Outcome != requests.ExplainApproval {
			b.Fatalf("it would be %s: %v", x.Outcome, err)
		}
		evaluated = append(evaluated, time.Since(began))
		began = time.Now()
		d, err := w.Requests.Submit(w.ctx, ann, ssh(fmt.Sprintf("web-%d", i%machines), time.Minute))
		if err != nil {
			b.Fatal(err)
		}
		asked = append(asked, time.Since(began))
		approver := engine.Caller{
			Principal: id("person", i*7919%people), Name: "p", Tenant: w.admin.Tenant,
			Address: office, Via: "api",
		}
		began = time.Now()
		if d, err = w.Requests.Decide(w.ctx, approver, d.Request.ID, true, "", d.Request.Digest); err != nil {
			b.Fatal(err)
		}
		decided = append(decided, time.Since(began))
		if d.Request.State != access.RequestApproved {
			b.Fatalf("the request is %s", d.Request.State)
		}
	}
	b.StopTimer()
	for what, took := range map[string][]time.Duration{"evaluate": evaluated, "submit": asked, "decide": decided} {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, what+"-p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, what+"-p99-ms")
	}
}
