package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// TestWhoeverWasAskedHearsThatItIsSettled: once, whatever settles it, and those alone who were asked and have not
// decided.
func TestWhoeverWasAskedHearsThatItIsSettled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settle func(*testing.T, *approvable, requests.RequestDetail)
		want   string
	}{
		"approved": {func(t *testing.T, w *approvable, d requests.RequestDetail) {
			t.Helper()
			must(w.decide(w.bob, d, true))(t) // which the second stage has to follow
			must(w.decide(w.bystander, d, true))(t)
		}, "cy,dora approved by eve"},
		"denied": {func(t *testing.T, w *approvable, d requests.RequestDetail) {
			t.Helper()
			must(w.decide(w.dora, d, false))(t)
		}, "bob,cy denied by dora"},
		"canceled": {func(t *testing.T, w *approvable, d requests.RequestDetail) {
			t.Helper()
			must(w.Requests.Cancel(w.ctx, w.ann, d.Request.ID, "not needed"))(t)
		}, "bob,cy,dora canceled by ann"},
		"timed out in its second stage": {func(_ *testing.T, w *approvable, _ requests.RequestDetail) {
			w.clock.advance(2 * time.Hour)
			w.reconcile()
			w.clock.advance(22 * time.Hour)
			w.reconcile()
		}, "bob,cy,dora,eve timedOut by postern"},
		"approved in its second stage": {func(t *testing.T, w *approvable, d requests.RequestDetail) {
			t.Helper()
			w.clock.advance(2 * time.Hour)
			w.reconcile()
			must(w.decide(w.bystander, d, true))(t)
		}, "bob,cy,dora approved by eve"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, oneOfOps)
			p := oneOfOps(w.ops)
			p.Approval.Cases[0].Stages[0].Timeout = time.Hour
			p.Approval.Cases[0].Stages = append(p.Approval.Cases[0].Stages, access.Stage{AllOf: []access.Quorum{
				{Count: 1, People: []access.PrincipalID{w.bystander.Principal}},
			}})
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
			w.listen(w.admin.Tenant)
			c.settle(t, w, w.ask())
			names := map[access.PrincipalID]string{
				w.bob.Principal: "bob", w.cy.Principal: "cy", w.dora.Principal: "dora", w.bystander.Principal: "eve",
			}
			var got []string
			for _, n := range w.told() {
				if n.Kind != engine.NotifySettled {
					continue
				}
				var who []string
				for _, id := range n.Recipients {
					who = append(who, names[id])
				}
				slices.Sort(who)
				got = append(got, strings.Join(who, ",")+" "+n.Subject.Outcome+" by "+n.Subject.By)
			}
			if len(got) != 1 || got[0] != c.want {
				t.Errorf("told is %q, want %q", got, c.want)
			}
		})
	}
}
