package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// What is set for one machine is nobody else's business: agents of others get no new state, what others saw of theirs
// may still be changed, and requests for others are decided as they were shown.
func TestSettingOneMachineLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy { return oneOfOps(ops) })
	w.world.host("web-2")
	seen := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).Guards[0]
	agent := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t).Machine.Agent
	revision := w.desired(agent).Revision
	pending := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t).Request
	if other := w.guard("web-2"); other.Policy.ID != seen.Policy.ID {
		t.Fatal("the machines are not of one policy")
	}
	if now := w.desired(agent).Revision; now != revision {
		t.Errorf("the other machine's agent went from revision %d to %d", revision, now)
	}
	if d := must(w.Requests.Decide(w.ctx, w.bob, pending.ID, true, "", pending.Digest))(
		t); d.Request.State != access.RequestApproved {
		t.Errorf("the request is %s", d.Request.State)
	}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", oneOfOps(w.ops), &seen.Entry.Revision))(t)
	_, err := w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", oneOfOps(w.ops), &seen.Entry.Revision)
	wantCode(t, err, access.KindConflict, "policyChanged")
}

// peopled is a world in which the policy "default" guards n machines, web-0 to web-(n-1), behind one gateway, and there
// is one machine more that nothing guards.
func peopled(tb testing.TB, n int) (w *world, id access.ResourceID) {
	tb.Helper()
	w = newWorld(tb)
	return w, w.people(must(w.Directory.Subscriptions(w.ctx, w.admin))(tb)[0].ID, "default", n+1, n)
}

// people gives a resource group machines behind one gateway, web-0 and so on, and a policy "default" that guards the
// first of them.
func (w *world) people(sub access.SubscriptionID, group string, count, guarded int) (policy access.ResourceID) {
	w.tb.Helper()
	now := w.clock.now()
	policy = access.PolicyResource(sub, group, "local", engine.DefaultPolicy)
	p := access.Policy{
		ID: "default", Resource: policy, Tenant: w.admin.Tenant, Name: engine.DefaultPolicy,
		Location: "local", CreatedAt: now, UpdatedAt: now, Revision: 1,
	}
	w.save(func(tx engine.Tx) error {
		err := tx.SaveAgent(w.ctx,
			access.Agent{ID: "gate", Tenant: w.admin.Tenant, Name: "gate", Mode: access.ModeGateway, EnrolledAt: now})
		for i := 0; i < count && err == nil; i++ {
			name := fmt.Sprintf("web-%d", i)
			m := access.Machine{
				ID: access.MachineID(name), Resource: access.MachineResource(sub, group, name), Tenant: w.admin.Tenant,
				Name:     name,
				Location: "local", Agent: "gate", CreatedAt: now, Revision: 1,
			}
			err = tx.SaveMachine(w.ctx, m, 0)
			if entry := sshPolicy(); i < guarded {
				entry.Machine, entry.Revision = m.ID, 1
				p.Machines = append(p.Machines, entry)
			}
		}
		if err != nil {
			return err
		}
		return tx.SavePolicy(w.ctx, p, 0)
	})
	return policy
}

// A policy may name any number of machines, as long as nobody writes it as a whole.
func TestAPolicyMayNameManyMachines(t *testing.T) {
	t.Parallel()
	w, id := peopled(t, 1000)
	if d := w.guard("web-1000"); d.Policy.Resource != id || d.Policy.Revision != 2 {
		t.Fatalf("the machine is guarded by %+v", d.Policy)
	}
	must(w.Requests.Submit(w.ctx, w.user("ann", "JIT Access Requester"), ssh("web-1000", time.Hour)))(t)
	if p := must(w.Machines.PolicyByResource(w.ctx, w.admin, id))(
		t); len(p.Machines) != 1001 || p.Machines[1000].Machine != "web-1000" {
		t.Errorf("it names %d machines", len(p.Machines))
	}
	entry := sshPolicy()
	entry.Machine = "web-0"
	_, _, err := w.Machines.PutPolicy(w.ctx, w.admin,
		machines.PolicyInput{Resource: id, Machines: []access.MachinePolicy{entry}}, nil)
	wantCode(t, err, access.KindInvalid, "malformedPolicy") // it would drop a thousand in one transaction
	if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-0", nil); err != nil {
		t.Fatal(err)
	}
	before := w.size()
	stale := int64(1)
	wantCode(t, w.Machines.DeletePolicy(w.ctx, w.admin, id, &stale), access.KindConflict, "policyChanged")
	if err := w.Machines.DeletePolicy(w.ctx, w.admin, id, nil); err != nil {
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
	_, err = w.Machines.PolicyByResource(w.ctx, w.admin, id)
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
				must(w.Machines.SetMachinePolicy(w.ctx, w.admin, fmt.Sprintf("web-%d", beside), entry, nil))(b)
			}
		})
	}
}

// BenchmarkBesideLiveGrants asks for access that is given at once, asks for access that somebody decides, decides, has
// the agent report what was opened and revokes it: beside 10 and beside 10,000 live grants of the same person
// elsewhere, of others on the same machine, of others under the same policy, and of all three at once. The two take
// turns; it gives the medians and how they compare.
func BenchmarkBesideLiveGrants(b *testing.B) {
	for _, of := range []string{"person", "machine", "policy", "all"} {
		b.Run("of="+of, func(b *testing.B) {
			few, many := newBeside(b, of, 10), newBeside(b, of, 10_000)
			b.ResetTimer()
			for range b.N {
				few.round()
				many.round()
			}
			b.ReportMetric(0, "ns/op") // which is of all acts, twice
			for act := range few.took {
				slices.Sort(few.took[act])
				slices.Sort(many.took[act])
				a, z := few.took[act][b.N/2], many.took[act][b.N/2]
				b.ReportMetric(float64(a.Microseconds()), "µs-"+act+"-10")
				b.ReportMetric(float64(z.Microseconds()), "µs-"+act+"-10000")
				b.ReportMetric(float64(z)/float64(a), "x-"+act)
			}
		})
	}
}

// beside is a world with a machine web-1 and live grants beside.
type beside struct {
	*world

	ann, bob engine.Caller
	agent    access.AgentID
	took     map[string][]time.Duration
}

func newBeside(b *testing.B, of string, live int) *beside {
	b.Helper()
	w := newWorld(b)
	quota := engine.Quota{Open: 1 << 20}
	w.Services = w.with(engine.Quotas{Person: quota, Tenant: quota})
	c := &beside{world: w, took: map[string][]time.Duration{}}
	c.ann, c.bob = w.user("ann", "JIT Access Requester"), w.user("bob", "")
	var policy access.MachinePolicy
	for i := range uint16(11) {
		policy.Ports = append(policy.Ports, access.PortRule{
			Ports: access.PortRange{First: 1000 * (i + 1), Last: 1000*(i+1) + 999}, Protocol: access.TCP,
			Max: time.Hour,
		})
	}
	policy.Approval = access.Rule{Cases: []access.Case{
		{Name: "short", When: `request.duration <= duration("20m")`},
		{
			Name: "long",
			Stages: []access.Stage{{AllOf: []access.Quorum{
				{Count: 1, People: []access.PrincipalID{c.bob.Principal}},
			}}},
		},
	}}
	hosts := []string{"web-1"}
	c.agent = w.host("web-1").Agent.ID
	if of == "person" || of == "policy" { // they are on other hosts
		hosts = hosts[:0]
		for i := range (live + 999) / 1000 {
			name := fmt.Sprint("other-", i)
			w.host(name)
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, name, policy, nil))(b)
			hosts = append(hosts, name)
		}
	}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", policy, nil))(b)
	holder := c.ann
	if of == "machine" || of == "policy" {
		holder = w.user("bert", "JIT Access Requester")
	}
	for i := range (live + 999) / 1000 {
		must(w.Requests.Submit(w.ctx, holder,
			ports(hosts[i%len(hosts)], uint16(1000*(i+1)), uint16(min(live, 1000)), 20*time.Minute)))(
			b)
	}
	w.reconcile()
	return c
}

// round does each act once.
func (c *beside) round() {
	timed := func(act string, do func()) {
		began := time.Now()
		do()
		c.took[act] = append(c.took[act], time.Since(began))
	}
	ask := func(d time.Duration) requests.SubmitInput { return ports("web-1", 11_500, 1, d) }
	var opened access.GrantID
	timed("request", func() { opened = must(c.Requests.Submit(c.ctx, c.ann, ask(10*time.Minute)))(c.tb).Grants[0].ID })
	timed("report", func() {
		c.report(c.agent, access.Report{Observations: []access.Observation{{Grant: opened, Status: access.StatusOpen}}})
	})
	timed("revoke", func() { must(c.Requests.Revoke(c.ctx, c.ann, opened, ""))(c.tb) })
	c.report(c.agent, access.Report{Observations: []access.Observation{{Grant: opened, Status: access.StatusClosed}}})
	c.clock.advance(time.Second)
	var pending access.Request
	timed("pending", func() { pending = must(c.Requests.Submit(c.ctx, c.ann, ask(30*time.Minute)))(c.tb).Request })
	timed("decide", func() {
		opened = must(c.Requests.Decide(c.ctx, c.bob, pending.ID, true, "", pending.Digest))(c.tb).Grants[0].ID
	})
	must(c.Requests.Revoke(c.ctx, c.ann, opened, ""))(c.tb)
	c.report(c.agent, access.Report{Observations: []access.Observation{{Grant: opened, Status: access.StatusClosed}}})
	c.clock.advance(time.Second)
}
