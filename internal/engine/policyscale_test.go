package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// What is set for one machine is nobody else's business: agents of others get no new state, what others saw of theirs may
// still be changed, and requests for others are decided as they were shown.
func TestSettingOneMachineLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy { return oneOfOps(ops) })
	w.world.host("web-2")
	seen := must(w.MachinePolicy(w.ctx, w.admin, "web-1"))(t)
	agent := must(w.Machine(w.ctx, w.admin, "web-1"))(t).Machine.Agent
	revision := w.desired(agent).Revision
	pending := must(w.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t).Request
	if other := w.guard("web-2"); other.Policy.ID != seen.Policy.ID {
		t.Fatal("the machines are not of one policy")
	}
	if now := w.desired(agent).Revision; now != revision {
		t.Errorf("the other machine's agent went from revision %d to %d", revision, now)
	}
	if d := must(w.Decide(w.ctx, w.bob, pending.ID, true, "", pending.Digest))(t); d.Request.State != access.RequestApproved {
		t.Errorf("the request is %s", d.Request.State)
	}
	must(w.SetMachinePolicy(w.ctx, w.admin, "web-1", oneOfOps(w.ops), &seen.Entry.Revision))(t)
	_, err := w.SetMachinePolicy(w.ctx, w.admin, "web-1", oneOfOps(w.ops), &seen.Entry.Revision)
	wantCode(t, err, access.KindConflict, "policyChanged")
}

// peopled is a world in which the policy "default" guards n machines, web-0 to web-(n-1), behind one gateway, and there is
// one machine more that nothing guards.
func peopled(tb testing.TB, n int) (w *world, id access.ResourceID) {
	tb.Helper()
	w = newWorld(tb)
	now := w.clock.now()
	sub := must(w.Subscriptions(w.ctx, w.admin))(tb)[0].ID
	id = access.PolicyResource(sub, "default", "local", engine.DefaultPolicy)
	p := access.Policy{ID: "default", Resource: id, Tenant: w.admin.Tenant, Name: engine.DefaultPolicy, Location: "local", CreatedAt: now, UpdatedAt: now, Revision: 1}
	err := w.store.Update(w.ctx, func(tx engine.Tx) error {
		err := tx.SaveAgent(w.ctx, access.Agent{ID: "gate", Tenant: w.admin.Tenant, Name: "gate", Mode: access.ModeGateway, EnrolledAt: now})
		for i := 0; i <= n && err == nil; i++ {
			name := fmt.Sprintf("web-%d", i)
			m := access.Machine{
				ID: access.MachineID(name), Resource: access.MachineResource(sub, "default", name), Tenant: w.admin.Tenant, Name: name,
				Location: "local", Agent: "gate", CreatedAt: now, Revision: 1,
			}
			err = tx.SaveMachine(w.ctx, m, 0)
			if entry := sshPolicy(); i < n {
				entry.Machine, entry.Revision = m.ID, 1
				p.Machines = append(p.Machines, entry)
			}
		}
		if err != nil {
			return err
		}
		return tx.SavePolicy(w.ctx, p, 0)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return w, id
}

// A policy may name any number of machines, as long as nobody writes it as a whole.
func TestAPolicyMayNameManyMachines(t *testing.T) {
	t.Parallel()
	w, id := peopled(t, 1000)
	if d := w.guard("web-1000"); d.Policy.Resource != id || d.Policy.Revision != 2 {
		t.Fatalf("the machine is guarded by %+v", d.Policy)
	}
	must(w.Submit(w.ctx, w.user("ann", "JIT Access Requester"), ssh("web-1000", time.Hour)))(t)
	if p := must(w.PolicyByResource(w.ctx, w.admin, id))(t); len(p.Machines) != 1001 || p.Machines[1000].Machine != "web-1000" {
		t.Errorf("it names %d machines", len(p.Machines))
	}
	entry := sshPolicy()
	entry.Machine = "web-0"
	_, _, err := w.PutPolicy(w.ctx, w.admin, engine.PolicyInput{Resource: id, Machines: []access.MachinePolicy{entry}}, nil)
	wantCode(t, err, access.KindInvalid, "malformedPolicy") // it would drop a thousand in one transaction
	if err := w.DeleteMachinePolicy(w.ctx, w.admin, "web-0", nil); err != nil {
		t.Fatal(err)
	}
	before := w.size()
	stale := int64(1)
	wantCode(t, w.DeletePolicy(w.ctx, w.admin, id, &stale), access.KindConflict, "policyChanged")
	if err := w.DeletePolicy(w.ctx, w.admin, id, nil); err != nil {
		t.Fatal(err)
	}
	written := 0
	for _, event := range w.events()[before:] {
		if event.Kind == access.PolicyWritten {
			written++
		}
	}
	if written != 9 {
		t.Errorf("its machines were taken out in %d steps", written)
	}
	_, err = w.PolicyByResource(w.ctx, w.admin, id)
	wantCode(t, err, access.KindNotFound, "unknownPolicy")
	if d := w.desired("gate"); len(d.Protected) != 0 || len(d.Openings) != 0 {
		t.Errorf("%d are protected, %d open", len(d.Protected), len(d.Openings))
	}
}

// BenchmarkGuardOneMachine sets what guards one machine, where the policy names so many beside it.
func BenchmarkGuardOneMachine(b *testing.B) {
	for _, beside := range []int{1, 1000, 50_000} {
		b.Run(fmt.Sprintf("beside=%d", beside), func(b *testing.B) {
			w, _ := peopled(b, beside)
			entry := sshPolicy()
			for i := 0; b.Loop(); i++ {
				entry.Ports[0].Max = time.Duration(1+i%100) * time.Minute
				must(w.SetMachinePolicy(w.ctx, w.admin, fmt.Sprintf("web-%d", beside), entry, nil))(b)
			}
		})
	}
}

// BenchmarkBesideLiveGrants asks for access, has the agent report it and revokes it, where the same person has so many other
// openings on the same machine under the same policy.
func BenchmarkBesideLiveGrants(b *testing.B) {
	for _, live := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			w := newWorld(b)
			many := engine.Quota{Open: 1 << 20}
			w.Engine = w.with(engine.Quotas{Person: many, Tenant: many})
			host := w.host("web-1").Agent.ID
			policy := access.MachinePolicy{}
			for i := range uint16(11) {
				policy.Ports = append(policy.Ports, access.PortRule{
					Ports: access.PortRange{First: 1000 * (i + 1), Last: 1000*(i+1) + 999}, Protocol: access.TCP, Max: time.Hour,
				})
			}
			must(w.SetMachinePolicy(w.ctx, w.admin, "web-1", policy, nil))(b)
			ann := w.user("ann", "JIT Access Requester")
			ask := func(port uint16, n int) engine.SubmitInput {
				in := engine.SubmitInput{Justification: "because"}
				for i := range n {
					in.Items = append(in.Items, engine.ItemInput{Machine: "web-1", Ports: access.SinglePort(port + uint16(i)), Duration: time.Hour})
				}
				return in
			}
			for i := range (live + 999) / 1000 {
				must(w.Submit(w.ctx, ann, ask(uint16(1000*(i+1)), min(live, 1000))))(b)
			}
			w.reconcile()
			var request, report, revoke time.Duration
			for b.Loop() {
				start := time.Now()
				id := must(w.Submit(w.ctx, ann, ask(11_500, 1)))(b).Grants[0].ID
				request += time.Since(start)
				start = time.Now()
				w.report(host, access.Report{Observations: []access.Observation{{Grant: id, Status: access.StatusOpen}}})
				report += time.Since(start)
				start = time.Now()
				must(w.Revoke(w.ctx, ann, id, ""))(b)
				revoke += time.Since(start)
			}
			for what, took := range map[string]time.Duration{"request": request, "report": report, "revoke": revoke} {
				b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/"+what)
			}
		})
	}
}
