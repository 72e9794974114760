package engine_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/services"
)

// with makes an engine with quotas on the same store.
func (w *world) with(q engine.Quotas) *services.Services {
	w.tb.Helper()
	return w.another(func(c *services.Config) { c.Quotas = q })
}

func port(number uint16) requests.SubmitInput {
	return requests.SubmitInput{
		Items: []requests.ItemInput{
			{
				Machine: "web-1",
				Port:    access.PortTarget{Ports: access.SinglePort(number)},
				Item:    access.Item{Duration: time.Hour},
			},
		},
		Justification: "because",
	}
}

func later(w *world, number uint16, windows int) requests.SubmitInput {
	in := port(number)
	in.Start, in.Repeat = w.clock.now().Add(24*time.Hour), fmt.Sprintf("FREQ=DAILY;COUNT=%d", windows)
	return in
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy {
		p := portsPolicy(1000, 1010)
		return p
	})
	w.world.host("web-2")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-2", oneOfOps(w.ops), nil))(t)
	other := w.user("otto", "JIT Access Requester")
	e := w.with(engine.Quotas{
		Person: engine.Quota{Open: 2, Scheduled: 5, Pending: 2},
		Tenant: engine.Quota{Open: 3, Scheduled: 7, Pending: 3},
	})
	refused := func(code string, c engine.Caller, in requests.SubmitInput) {
		t.Helper()
		before := w.standing(c)
		_, err := e.Requests.Submit(w.ctx, c, in)
		wantCode(t, err, access.KindConflict, code)
		if after := w.standing(c); after != before {
			t.Errorf("the refused request left %d grants, of %d", after, before)
		}
	}
	for number := range uint16(2) {
		must(e.Requests.Submit(w.ctx, w.ann, port(1000+number)))(t)
	}
	refused("quotaExceeded", w.ann, port(1002))
	must(e.Requests.Submit(w.ctx, w.ann, port(1001)))(t) // takes the place of the one before
	must(e.Requests.Submit(w.ctx, other, port(1000)))(t)
	refused("tenantQuotaExceeded", other, port(1001))

	refused("quotaExceeded", w.ann, later(w.world, 1003, 6))
	must(e.Requests.Submit(w.ctx, w.ann, later(w.world, 1003, 5)))(t)
	refused("quotaExceeded", w.ann, later(w.world, 1004, 1))
	refused("tenantQuotaExceeded", other, later(w.world, 1004, 3))
	must(e.Requests.Submit(w.ctx, other, later(w.world, 1004, 2)))(t)

	ask := ssh("web-2", time.Hour)
	pending := must(e.Requests.Submit(w.ctx, w.ann, ask))(t).Request
	must(e.Requests.Submit(w.ctx, w.ann, ask))(t)
	refused("quotaExceeded", w.ann, ask)
	must(e.Requests.Submit(w.ctx, other, ask))(t)
	refused("tenantQuotaExceeded", other, ask)

	// What was asked for before is held to the quota when it would open, and can be approved once there is room.
	_, err := e.Requests.Decide(w.ctx, w.bob, pending.ID, true, "", pending.Digest)
	wantCode(t, err, access.KindConflict, "quotaExceeded")
	must(e.Requests.RevokePrincipal(w.ctx, w.admin, "otto", ""))(t)
	must(e.Requests.Revoke(w.ctx, w.ann,
		must(w.Requests.Grants(w.ctx, w.ann, engine.GrantFilter{States: []access.GrantState{access.GrantOpening}},
			engine.Page{Limit: 1}))(
			t).Items[0].Grant.ID,
		""))(
		t)
	if d := must(e.Requests.Decide(w.ctx, w.bob, pending.ID, true, "", pending.Digest))(
		t); d.Request.State != access.RequestApproved {
		t.Errorf("it is %s", d.Request.State)
	}
}

// TestUsageIsWhatThereIs compares what is counted with what there is, after whatever may happen to grants and requests.
func TestUsageIsWhatThereIs(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return portsPolicy(1000, 1010) })
	w.world.host("web-2")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-2", oneOfOps(w.ops), nil))(t)
	agent := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t).Machine.Agent
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			number := rapid.Uint16Range(1000, 1010).Draw(rt, "port")
			switch rapid.SampledFrom([]string{"open", "later", "ask", "wait", "report", "revoke", "everything"}).Draw(
				rt, "step") {
			case "open":
				must(w.Requests.Submit(w.ctx, w.ann, port(number)))(t)
			case "later":
				must(w.Requests.Submit(w.ctx, w.ann, later(w.world, number, 3)))(t)
			case "ask":
				must(w.Requests.Submit(w.ctx, w.ann, ssh("web-2", time.Hour)))(t)
			case "wait":
				w.clock.advance(time.Duration(rapid.IntRange(1, 30).Draw(rt, "hours")) * time.Hour)
				w.reconcile()
			case "report":
				var seen []access.Observation
				for _, o := range w.desired(agent).Openings {
					status := rapid.SampledFrom([]access.GrantStatus{access.StatusOpen, access.StatusFailed}).Draw(rt,
						"status")
					seen = append(seen, access.Observation{Grant: o.Grants[0], Status: status})
				}
				w.report(agent, access.Report{Observations: seen})
			case "revoke":
				if list := must(w.Requests.Grants(w.ctx, w.ann, engine.GrantFilter{States: access.NotEnded()},
					engine.Page{Limit: 1}))(
					t).Items; len(list) > 0 && w.clock.now().Before(list[0].Grant.End) {
					must(w.Requests.Revoke(w.ctx, w.ann, list[0].Grant.ID, ""))(t)
				}
			case "everything":
				must(w.Requests.RevokePrincipal(w.ctx, w.ann, "ann", ""))(t)
			}
			var want engine.Quota
			for _, g := range must(w.Requests.Grants(w.ctx, w.admin, engine.GrantFilter{States: access.NotEnded()},
				engine.Page{Limit: 1000}))(
				t).Items {
				if g.Grant.State == access.GrantScheduled {
					want.Scheduled++
				} else {
					want.Open++
				}
			}
			want.Pending = len(must(w.Requests.Requests(w.ctx, w.admin,
				engine.RequestFilter{State: access.RequestPending}, engine.Page{Limit: 1000}))(
				t).Items)
			err := w.store.View(w.ctx, func(r engine.Reader) error {
				got, err := r.Usage(w.ctx, w.admin.Tenant, w.ann.Principal)
				if got != (engine.Quotas{Person: want, Tenant: want}) {
					rt.Fatalf("%+v are counted, and there are %+v of each", got, want)
				}
				return err
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
	})
}
