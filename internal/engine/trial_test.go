package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/hosts"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// able enrolls a machine whose agent has said that it can end a trial.
func (w *world) able(name string) machines.Enrolled {
	w.tb.Helper()
	host := w.host(name)
	w.report(host.Agent.ID, access.Report{Version: "test"})
	w.find(host, access.Findings{Version: "test"})
	return host
}

func (w *world) find(host machines.Enrolled, f access.Findings) {
	w.tb.Helper()
	if err := w.Hosts.Find(w.ctx, host.Agent.ID, f); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) try(machine string, entry access.MachinePolicy) engine.PolicyDetail {
	w.tb.Helper()
	return must(w.Machines.TryMachinePolicy(w.ctx, w.admin, machine, entry, nil, access.DefaultTrial))(w.tb)
}

// seen has the agent say what became of the trial of its machine.
func (w *world) seen(host machines.Enrolled, undone bool) {
	w.tb.Helper()
	d := w.desired(host.Agent.ID)
	w.find(host, access.Findings{
		Version: "test", Trials: []access.TrialSeen{{Trial: d.Trials[0].Trial, Undone: undone}},
	})
}

// connected is the administrator, who calls over a connection of now.
func (w *world) connected() engine.Caller {
	c := w.admin
	c.ConnectedAt = w.clock.now()
	return c
}

// TestATrialIsUndoneUnlessItIsConfirmed guards a machine for a time: after it the machine is as it was, on record.
func TestATrialIsUndoneUnlessItIsConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.able("web-1")
	d := w.try("web-1", portsFor(time.Hour, 22, 3389))
	if d.Entry.Trial == nil || !d.Entry.Trial.Until.Equal(w.clock.now().Add(access.DefaultTrial)) {
		t.Fatalf("the trial is %+v", d.Entry.Trial)
	}
	state := w.desired(host.Agent.ID)
	if len(state.Trials) != 1 || len(state.Trials[0].Former) != 0 || len(state.Protected) != 2 {
		t.Fatalf("the agent is asked for %+v", state)
	}
	_, err := w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsFor(time.Hour, 22), nil)
	wantCode(t, err, access.KindConflict, "policyOnTrial")
	since := w.size()
	w.clock.advance(access.DefaultTrial - time.Second)
	w.reconcile()
	if got := w.guardedPorts(host.Agent.ID); !slices.Equal(got, []uint16{22, 3389}) {
		t.Errorf("before its end the agent guards %v", got)
	}
	w.clock.advance(time.Second)
	if got := w.guardedPorts(host.Agent.ID); len(got) != 0 {
		t.Errorf("after its end, before anything else is done, the agent guards %v", got)
	}
	w.reconcile()
	if m := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t); m.Standing != access.NotConfigured {
		t.Errorf("after it the machine is %s", m.Standing)
	}
	if kinds := w.kinds(since); kinds != "policy.deleted policy.undone" {
		t.Errorf("on record is %s", kinds)
	}
	last := w.events()[w.size()-1]
	if last.Actor != access.System() || last.Details["by"] != string(w.admin.Principal) || last.Details["reason"] == "" {
		t.Errorf("the record is %+v", last)
	}
	wantCode(t, w.Hosts.ConfirmMachinePolicy(w.ctx, w.connected(), "web-1"), access.KindConflict, "policyNotOnTrial")
}

// TestAnUndoGivesBackExactlyWhatWas tries another policy over one that stands.
func TestAnUndoGivesBackExactlyWhatWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.able("web-1")
	strict := portsFor(time.Hour, 22, 8080)
	strict.Justification = access.JustificationRule{Required: true, MinLength: 20}
	strict.Sessions, strict.Gap = access.SessionsKeep, time.Hour
	before := must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", strict, nil))(t).Entry
	for _, byHand := range []bool{false, true} {
		w.try("web-1", portsFor(3*time.Hour, 22, 443))
		if got := w.guardedPorts(host.Agent.ID); !slices.Equal(got, []uint16{22, 443}) {
			t.Errorf("during the trial the agent guards %v", got)
		}
		former := w.desired(host.Agent.ID).Trials[0].Former
		if len(former) != 2 || former[0].Sessions != access.SessionsKeep {
			t.Errorf("the agent would give back %+v", former)
		}
		if byHand {
			if err := w.Hosts.UndoMachinePolicy(w.ctx, w.admin, "web-1"); err != nil {
				t.Fatal(err)
			}
		} else {
			w.seen(host, true) // its clock is a little ahead of ours
		}
		after := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).Guards[0].Entry
		if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(access.MachinePolicy{}, "Revision", "Loosened"),
			cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("after it (-before +after):\n%s", diff)
		}
		if after.Revision <= before.Revision {
			t.Errorf("it has revision %d, after %d", after.Revision, before.Revision)
		}
		if len(w.desired(host.Agent.ID).Trials) != 0 {
			t.Error("the agent is still asked for a trial")
		}
	}
}

// TestOnlyANewConnectionConfirms holds each condition of a confirmation, and that what is confirmed stands, whatever
// an agent says later.
func TestOnlyANewConnectionConfirms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.able("web-1")
	w.try("web-1", portsFor(time.Hour, 22))
	trial := w.desired(host.Agent.ID).Trials[0].Trial
	wantCode(t, w.Hosts.ConfirmMachinePolicy(w.ctx, w.connected(), "web-1"), access.KindConflict, "guardNotInForce")
	old := w.connected()
	w.clock.advance(time.Second)
	w.seen(host, false)
	wantCode(t, w.Hosts.ConfirmMachinePolicy(w.ctx, old, "web-1"), access.KindConflict, hosts.OldConnection)
	wantCode(t, w.Hosts.ConfirmMachinePolicy(w.ctx, w.admin, "web-1"), access.KindConflict, hosts.OldConnection)
	w.clock.advance(time.Second)
	w.seen(host, false) // again, after the agent has connected anew for another reason
	w.clock.advance(time.Millisecond)
	if at := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).InForce; w.clock.now().Sub(at) < time.Second {
		t.Errorf("it is in force since %s", at)
	}
	nobody := w.user("nobody", "")
	nobody.ConnectedAt = w.clock.now()
	if err := w.Hosts.ConfirmMachinePolicy(w.ctx, nobody, "web-1"); err == nil {
		t.Error("somebody without a right confirmed it")
	}
	before := w.desired(host.Agent.ID).Revision
	if err := w.Hosts.ConfirmMachinePolicy(w.ctx, w.connected(), "web-1"); err != nil {
		t.Fatal(err)
	}
	if d := w.desired(host.Agent.ID); len(d.Trials) != 0 || d.Revision <= before || len(d.Protected) != 1 {
		t.Errorf("the agent is asked for %+v", d)
	}
	w.find(host, access.Findings{Version: "test", Trials: []access.TrialSeen{{Trial: trial, Undone: true}}})
	w.clock.advance(2 * access.DefaultTrial)
	w.reconcile()
	if got := w.guardedPorts(host.Agent.ID); !slices.Equal(got, []uint16{22}) {
		t.Errorf("later the agent guards %v", got)
	}
	w.try("web-1", portsFor(time.Hour, 22, 443))
	w.clock.advance(access.DefaultTrial)
	wantCode(t, w.Hosts.ConfirmMachinePolicy(w.ctx, w.connected(), "web-1"), access.KindConflict, "trialOver")
}

// TestAnAgentThatCannotEndATrialIsNotAskedTo refuses a trial where only the server would end it.
func TestAnAgentThatCannotEndATrialIsNotAskedTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.report(host.Agent.ID, access.Report{Version: "old"})
	try := func(within time.Duration) error {
		_, err := w.Machines.TryMachinePolicy(w.ctx, w.admin, "web-1", portsFor(time.Hour, 22), nil, within)
		return err
	}
	wantCode(t, try(access.DefaultTrial), access.KindConflict, "agentTooOld")
	w.find(host, access.Findings{Version: "new"})
	wantCode(t, try(access.DefaultTrial), access.KindConflict, "agentTooOld") // it is back at the old version
	w.report(host.Agent.ID, access.Report{Version: "new"})
	wantCode(t, try(time.Second), access.KindInvalid, "malformedTrial")
	wantCode(t, try(access.MaxTrial+1), access.KindInvalid, "malformedTrial")
	if err := try(access.MinTrial); err != nil {
		t.Error(err)
	}
}

// TestATrialGoesWithItsMachineAndItsPolicy leaves nothing behind that would end something else later.
func TestATrialGoesWithItsMachineAndItsPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.able("web-1")
	w.able("web-2")
	w.try("web-1", portsFor(time.Hour, 22))
	w.try("web-2", portsFor(time.Hour, 22))
	if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-1", nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, "web-2"); err != nil {
		t.Fatal(err)
	}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsFor(time.Hour, 22), nil))(t)
	since := w.size()
	w.clock.advance(access.DefaultTrial)
	w.reconcile()
	if got := w.guardedPorts(host.Agent.ID); !slices.Equal(got, []uint16{22}) || w.size() != since {
		t.Errorf("the agent guards %v, and on record is %s", got, w.kinds(since))
	}
}
