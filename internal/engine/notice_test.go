package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestNotices proves who is told what, in the transactions of the changes, and that nothing piles up where nobody listens.
func TestNotices(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := twoOfOps(ops)
		p.BreakGlass = &access.BreakGlass{People: []access.PrincipalID{"ann"}, Max: time.Hour}
		return p
	})
	w.ask()
	if told := w.told(); len(told) != 0 {
		t.Fatalf("without a channel there are %v", told)
	}
	err := w.store.Update(w.ctx, func(tx engine.Tx) error {
		return tx.SaveChannel(w.ctx, engine.Channel{
			ID: "c", Tenant: w.admin.Tenant, Name: "hook", Kind: engine.Webhook, Enabled: true, CreatedAt: w.clock.now(), Revision: 1,
		}, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	d := w.ask()
	d = must(w.decide(w.bob, d, true))(t)
	d = must(w.decide(w.cy, d, true))(t)
	g := d.Grants[0]
	w.report(w.host.Agent.ID, access.Report{Revision: w.desired(w.host.Agent.ID).Revision, Observations: []access.Observation{{Grant: g.ID, Status: access.StatusOpen}}})
	w.clock.advance(55 * time.Minute)
	w.reconcile()
	must(w.Revoke(w.ctx, w.dora, g.ID, "seen enough"))(t) // an approver may
	in := ssh("web-1", time.Minute)
	in.BreakGlass = true
	must(w.Submit(w.ctx, w.ann, in))(t)
	names := map[access.PrincipalID]string{w.ann.Principal: "ann", w.bob.Principal: "bob", w.cy.Principal: "cy", w.dora.Principal: "dora", w.ops: "ops"}
	var got []string
	for _, n := range w.told() {
		var who []string
		for _, id := range n.Recipients {
			who = append(who, names[id])
		}
		got = append(got, fmt.Sprintf("%s to %s %s", n.Kind, strings.Join(who, ","), n.Subject.Outcome))
		if n.Kind == engine.NotifyEnded && (n.Subject.Detail != "seen enough" || n.Subject.By != "dora") {
			t.Errorf("the end is told as %+v", n.Subject)
		}
	}
	want := []string{
		"requested to  ", "needsDecision to bob,cy,dora ", "decided to ann approved", "opened to ann ", "willEnd to ann ",
		"ended to ann,bob,cy revoked", "decided to ann approved", "breakGlass to ops approved",
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("told\n%q, want\n%q", got, want)
	}
}

func (w *world) told() []engine.Notification {
	w.tb.Helper()
	var list []engine.Notification
	err := w.store.View(w.ctx, func(r engine.Reader) (err error) {
		list, err = r.Unrouted(w.ctx, 100)
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return list
}
