package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// reminded gives whom each reminder goes to, and until when there is time.
func (w *approvable) reminded() (got []string) {
	w.tb.Helper()
	names := map[access.PrincipalID]string{
		w.ann.Principal: "ann", w.bob.Principal: "bob", w.cy.Principal: "cy", w.dora.Principal: "dora",
		w.bystander.Principal: "eve",
	}
	for _, n := range w.told() {
		if n.Kind != engine.NotifyReminder {
			continue
		}
		var who []string
		for _, id := range n.Recipients {
			who = append(who, names[id])
		}
		got = append(got, fmt.Sprint(who, " ", n.Subject.Until.Sub(n.At)))
	}
	return got
}

// TestPeopleAreRemindedBeforeAStageEnds: once in each stage, those who have not decided and whoever asked, when three
// quarters of it are over; however many replicas look, and however often.
func TestPeopleAreRemindedBeforeAStageEnds(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	p := twoOfOps(w.ops)
	p.Approval.Cases[0].Stages[0].Timeout = time.Hour
	p.Approval.Cases[0].Stages = append(p.Approval.Cases[0].Stages, access.Stage{AllOf: []access.Quorum{
		{Count: 1, People: []access.PrincipalID{w.bystander.Principal}},
	}})
	p.PendingTimeout = 5 * time.Hour
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	w.listen(w.admin.Tenant)
	d := w.ask()
	must(w.decide(w.bob, d, true))(t)
	replica := w.another()
	look := func(after time.Duration, want ...string) {
		t.Helper()
		w.clock.advance(after)
		for range 2 {
			w.reconcile()
			must(replica.Reconcile(w.ctx))(t)
		}
		if got := w.reminded(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("reminded is %v, want %v", got, want)
		}
	}
	look(44 * time.Minute)
	first, second := "[cy dora ann] 15m0s", "[eve ann] 1h0m0s"
	start := w.size()
	look(time.Minute, first)
	if got := w.kinds(start); got != "request.reminded" {
		t.Errorf("the log has %q", got)
	}
	w.hears(w.cy, "!reminder?, !needsDecision?")
	w.hears(w.ann, "!reminder, requested")
	w.hears(w.bob, "requested")
	look(15*time.Minute, first) // the second stage begins
	w.hears(w.cy, "!requested")
	look(179*time.Minute, first)
	look(time.Minute, first, second)
	look(59*time.Minute, first, second)
	look(2*time.Minute, first, second) // it has timed out
	w.hears(w.ann, "!decided by postern")
}

// TestShortWaitsAreNotReminded: of a wait that is so short, too little would be left.
func TestShortWaitsAreNotReminded(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	p := oneOfOps(w.ops)
	p.PendingTimeout = 3 * time.Minute
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	w.listen(w.admin.Tenant)
	w.ask()
	w.clock.advance(3*time.Minute - time.Second)
	if w.reconcile(); len(w.reminded()) != 0 {
		t.Errorf("reminded is %v", w.reminded())
	}
}
