package engine_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// TestAnAgentThatIsAheadBeginsAnEpoch proves that the word of an agent which has seen more than the database is not
// dropped: the agent gets a state that it takes at once, and its report is asked for again, or taken where it cannot be
// asked for.
func TestAnAgentThatIsAheadBeginsAnEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	g := must(w.Requests.Submit(w.ctx, w.user("ann", "JIT Access Requester"), ssh("web-1", time.Hour)))(t).Grants[0]
	before := w.desired(host.Agent.ID)
	open := []access.Observation{{Grant: g.ID, Status: access.StatusOpen}}
	lost := access.Observation{Grant: "lost", Status: access.StatusOpen}
	again := func(r access.Report) access.DesiredState {
		t.Helper()
		start := w.size()
		wantCode(t, w.Machines.Report(w.ctx, host.Agent.ID, office, r), access.KindConflict, "anotherEpoch")
		if got := w.kinds(start); got != string(access.AgentAhead) {
			t.Errorf("events are %s", got)
		}
		after := w.desired(host.Agent.ID)
		if after.Epoch == before.Epoch || after.Epoch == "" || after.Revision <= r.Revision ||
			len(after.Openings) != 1 {
			t.Errorf("the agent is to hold %+v, after %+v", after, before)
		}
		return after
	}
	after := again(access.Report{Epoch: before.Epoch, Revision: before.Revision + 14, Observations: open})
	start := w.size()
	wantCode(t,
		w.Machines.Report(w.ctx, host.Agent.ID, office,
			access.Report{Epoch: before.Epoch, Revision: 1, Observations: open}),
		access.KindConflict, "anotherEpoch")
	if w.size() != start {
		t.Errorf("a late report of the epoch before was recorded: %s", w.kinds(start))
	}
	w.report(host.Agent.ID, access.Report{Epoch: after.Epoch, Revision: after.Revision, Observations: open})
	if got := w.grant(g.ID); got.State != access.GrantActive {
		t.Errorf("the grant is %s", got.State)
	}
	// Revisions may have caught up with those that were lost; the openings tell.
	before = after
	after = again(access.Report{Epoch: after.Epoch, Revision: after.Revision, Observations: append(open, lost)})
	lost.Status = access.StatusClosed
	w.report(host.Agent.ID,
		access.Report{Epoch: after.Epoch, Revision: after.Revision, Observations: append(open, lost)})

	// One that knows of no epochs.
	lost.Status = access.StatusOpen
	w.report(host.Agent.ID, access.Report{
		Revision: after.Revision + 100, Problem: "none",
		Observations: []access.Observation{{Grant: g.ID, Status: access.StatusDrifted}, lost},
	})
	if got := w.grant(g.ID); got.State != access.GrantOpening {
		t.Errorf("the grant is %s", got.State)
	}
	if d := w.desired(host.Agent.ID); d.Revision <= after.Revision+100 || d.Epoch == after.Epoch {
		t.Errorf("the agent is to hold revision %d of epoch %s", d.Revision, d.Epoch)
	}
	wantCode(t, w.Machines.Report(w.ctx, host.Agent.ID, office, access.Report{Revision: 1 << 60}), access.KindInvalid,
		"unknownRevision")
}

// TestAttemptsAtADeletedMachineAreNobodysBusiness proves that a gateway's report is not refused for what it saw of a
// machine that is gone by now.
func TestAttemptsAtADeletedMachineAreNobodysBusiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := w.enrol("gate", access.ModeGateway)
	m := must(w.Machines.AddMachine(w.ctx, w.admin,
		machines.AddMachineInput{Name: "plc-1", Gateway: "gate", Addresses: addresses("192.0.2.50")}))(
		t).Machine
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, "plc-1"); err != nil {
		t.Fatal(err)
	}
	w.report(gate.Agent.ID,
		access.Report{
			Problem: "so",
			Denied:  []access.Denied{{Machine: m.ID, Source: office, Protocol: access.TCP, Port: 22, Count: 1}},
		})
}
