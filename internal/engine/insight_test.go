package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestWhoHad follows one grant through time: nobody before it was asked for, by its window until an agent speaks, then as
// the agent saw it, until it was seen gone however late that was.
func TestWhoHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host("web-1")
	w.guard("web-1")
	w.clock.advance(time.Hour)
	start := w.clock.now()
	grant := must(w.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t).Grants[0].ID
	who := func(at time.Time) (names []string) {
		t.Helper()
		for _, a := range must(w.WhoHad(w.ctx, w.admin, "web-1", at))(t) {
			seen := " by its window"
			if a.Seen {
				seen = " seen"
			}
			names = append(names, a.Grant.PrincipalName+seen)
		}
		return names
	}
	check := func(what string, at time.Time, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, who(at)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("before it was asked for", start.Add(-time.Minute))
	check("as soon as it was granted", start, "admin by its window")
	w.clock.advance(time.Minute)
	w.report(agent.Agent.ID, access.Report{Revision: w.desired(agent.Agent.ID).Revision, Observations: []access.Observation{{Grant: grant, Status: access.StatusOpen}}})
	opened := w.clock.now()
	w.clock.advance(2 * time.Hour)
	w.reconcile()
	check("before the agent saw it", opened.Add(-time.Second))
	check("once the agent saw it", opened, "admin seen")
	check("ended, and nobody saw it gone", w.clock.now(), "admin seen")
	w.report(agent.Agent.ID, access.Report{Revision: w.desired(agent.Agent.ID).Revision, Observations: []access.Observation{{Grant: grant, Status: access.StatusClosed}}})
	check("seen gone", w.clock.now())
	check("in the past all the same", opened.Add(time.Hour), "admin seen")
	if _, err := w.WhoHad(w.ctx, w.user("ben", "JIT Access Requester"), "web-1", opened); access.KindOf(err) != access.KindForbidden {
		t.Errorf("whoever may not read grants sees them: %v", err)
	}
	unused := must(w.NeverUsed(w.ctx, w.admin, start, engine.Page{}))(t).Items
	if len(unused) != 1 || unused[0].Grant.ID != grant {
		t.Errorf("never used: %+v", unused)
	}
}

// TestUnused proves who counts as eligible and idle: people by themselves and through groups, whose assignment is old enough
// and who asked for nothing since.
func TestUnused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	ann, ben := w.user("ann", ""), w.user("ben", "")
	w.user("cy", "Reader")
	w.group("ops", ann, ben)
	must(w.AssignRole(w.ctx, w.admin, engine.AssignInput{Principal: "ops", Role: "JIT Access Requester", Scope: access.Root}))(t)
	w.clock.advance(100 * 24 * time.Hour)
	must(w.Submit(w.ctx, ben, ssh("web-1", time.Hour)))(t)
	must(w.AssignRole(w.ctx, w.admin, engine.AssignInput{Principal: "cy", Role: "JIT Access Requester", Scope: access.Root}))(t)
	idle := func(p engine.Page) (names []string) {
		for {
			list := must(w.Unused(w.ctx, w.admin, w.clock.now().Add(-30*24*time.Hour), p))(t)
			for _, e := range list.Items {
				names = append(names, e.Person.Name+" as "+e.Role.Name+" via "+e.Principal.Name)
			}
			if p.Cursor = list.Next; p.Cursor == "" {
				return names
			}
		}
	}
	want := []string{"admin as Owner via admin", "ann as JIT Access Requester via ops"}
	if diff := cmp.Diff(want, idle(engine.Page{})); diff != "" {
		t.Errorf("idle (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, idle(engine.Page{Limit: 1})); diff != "" {
		t.Errorf("one to a page (-want +got):\n%s", diff)
	}
	if _, err := w.Unused(w.ctx, ann, w.clock.now(), engine.Page{}); access.KindOf(err) != access.KindForbidden {
		t.Errorf("whoever may not read assignments sees them: %v", err)
	}
}

// TestUnusedRoles proves that whoever is eligible for a role and has not activated it for long is named, through groups too,
// and that activations, which no packet goes through, are not taken for unused grants.
func TestUnusedRoles(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	zoe := v.user("zoe", "")
	if err := v.AddMember(v.ctx, v.admin, "vendors", "zoe"); err != nil {
		t.Fatal(err)
	}
	v.eligible(nil)
	idle := func(p engine.Page) (names []string) {
		for {
			list := must(v.Unused(v.ctx, v.admin, v.clock.now().Add(-30*24*time.Hour), p))(t)
			for _, e := range list.Items {
				if e.Eligibility != "" {
					names = append(names, e.Person.Name+" for "+e.Role.Name+" via "+e.Principal.Name)
				}
			}
			if p.Cursor = list.Next; p.Cursor == "" {
				return names
			}
		}
	}
	if got := idle(engine.Page{}); len(got) != 0 {
		t.Errorf("one that was given just now is idle: %v", got)
	}
	v.clock.advance(100 * 24 * time.Hour)
	if diff := cmp.Diff([]string{"vic for Contributor via vendors", "zoe for Contributor via vendors"}, idle(engine.Page{Limit: 1})); diff != "" {
		t.Errorf("idle (-want +got):\n%s", diff)
	}
	must(v.Activate(v.ctx, zoe, contributor(time.Hour)))(t)
	v.clock.advance(2 * time.Hour)
	v.reconcile()
	if diff := cmp.Diff([]string{"vic for Contributor via vendors"}, idle(engine.Page{})); diff != "" {
		t.Errorf("after one was activated (-want +got):\n%s", diff)
	}
	if list := must(v.NeverUsed(v.ctx, v.admin, v.clock.now().Add(-30*24*time.Hour), engine.Page{}))(t); len(list.Items) != 0 {
		t.Errorf("activations count as never used: %+v", list.Items)
	}
}
