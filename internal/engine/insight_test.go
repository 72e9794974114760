package engine_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/records"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestWhoHad follows one grant through time: nobody before it was asked for, by its window until an agent speaks, then
// as the agent saw it, until it was seen gone however late that was.
func TestWhoHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host("web-1")
	w.guard("web-1")
	w.clock.advance(time.Hour)
	start := w.clock.now()
	grant := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t).Grants[0].ID
	who := func(at time.Time) (names []string) {
		t.Helper()
		for _, a := range must(w.Records.WhoHad(w.ctx, w.admin, "web-1", at, engine.Page{}))(t).Items {
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
	w.report(agent.Agent.ID,
		access.Report{
			Revision:     w.desired(agent.Agent.ID).Revision,
			Observations: []access.Observation{{Grant: grant, Status: access.StatusOpen}},
		})
	opened := w.clock.now()
	w.clock.advance(2 * time.Hour)
	w.reconcile()
	check("before the agent saw it", opened.Add(-time.Second))
	check("once the agent saw it", opened, "admin seen")
	check("ended, and nobody saw it gone", w.clock.now(), "admin seen")
	w.report(agent.Agent.ID,
		access.Report{
			Revision:     w.desired(agent.Agent.ID).Revision,
			Observations: []access.Observation{{Grant: grant, Status: access.StatusClosed}},
		})
	check("seen gone", w.clock.now())
	check("in the past all the same", opened.Add(time.Hour), "admin seen")
	if _, err := w.Records.WhoHad(w.ctx, w.user("ben", "JIT Access Requester"), "web-1", opened,
		engine.Page{}); access.KindOf(err) != access.KindForbidden {
		t.Errorf("whoever may not read grants sees them: %v", err)
	}
	unused := must(w.Records.NeverUsed(w.ctx, w.admin, start, engine.Page{}))(t).Items
	if len(unused) != 1 || unused[0].Grant.ID != grant {
		t.Errorf("never used: %+v", unused)
	}
}

// TestWhoHadByACode proves that whoever opened a machine with a code had access to it, from when they used it until its
// time was over, whenever the server was told; and that it is known to be open meanwhile, to whoever may read what is
// open there.
func TestWhoHadByACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ben := w.user("ben", "JIT Access Requester")
	if _, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 2); err != nil {
		t.Fatal(err)
	}
	codes := w.desired(host.Agent.ID).Codes
	opened := w.clock.now()
	w.clock.advance(10 * time.Minute) // until the agent reaches the server again
	use := requests.GlassUse{
		Code: engine.GlassCodeID(codes[0].ID), Ports: access.SinglePort(22), Protocol: access.TCP,
		Source: netip.MustParsePrefix("203.0.113.7/32"),
		Opened: opened, Duration: 30 * time.Minute, Reason: "site down",
	}
	if err := w.Requests.GlassUsed(w.ctx, host.Agent.ID, office, use); err != nil {
		t.Fatal(err)
	}
	line := func(a records.Access) string {
		port := portOf(a.Grant.Target)
		return fmt.Sprintf("%s %s/%s from %s until %s, %s, seen %t, by code %t, grant %q, on %s", a.Grant.PrincipalName,
			port.Ports, port.Protocol, port.Sources,
			a.Until.Format(time.RFC3339), a.Grant.State, a.Seen, a.ByCode, a.Grant.ID, a.MachineName)
	}
	until := opened.Add(30 * time.Minute)
	want := "admin 22/tcp from [203.0.113.7/32] until " + until.Format(
		time.RFC3339) + ", active, seen true, by code true, grant \"\", on web-1"
	who := func(at time.Time) (lines []string) {
		for _, a := range must(w.Records.WhoHad(w.ctx, w.admin, "web-1", at, engine.Page{}))(t).Items {
			if lines = append(lines, line(a)); a.Grant.Request == "" || !a.From.Equal(opened) {
				t.Errorf("its request is %q, and it was opened at %s", a.Grant.Request, a.From)
			}
		}
		return lines
	}
	open := func(c engine.Caller) (lines []string) {
		for _, a := range must(w.Records.NotClosed(w.ctx, c, engine.NotClosedFilter{}, engine.Page{}))(t).Items {
			lines = append(lines, line(a))
		}
		return lines
	}
	activity := func() (lines []string) {
		machines := must(w.Machines.Machines(w.ctx, w.admin, engine.MachineFilter{Open: w.clock.now()}, engine.Page{}))(
			t).Items
		if err := w.Fleet.WithActivity(w.ctx, w.admin, machines); err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			for _, a := range m.Activity.NotClosed {
				a.MachineName = m.Machine.Name
				lines = append(lines, line(a))
			}
		}
		return lines
	}
	check := func(what string, got, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("before", who(opened.Add(-time.Second)), nil)
	check("before the server knew", who(opened), []string{want})
	check("now", who(w.clock.now()), []string{want})
	check("it is open", open(w.admin), []string{want})
	check("to somebody who may not read it", open(ben), nil)
	check("on its machine", activity(), []string{want})
	w.clock.advance(20 * time.Minute)
	check("it is over", open(w.admin), nil)
	check("on its machine", activity(), nil)
	check("afterwards", who(w.clock.now()), nil)
	check("in the past all the same", who(until.Add(-time.Second)),
		[]string{strings.Replace(want, "active", "expired", 1)})

	// By a clock that is ahead it is over no later than it can be.
	use.Code, use.Opened = engine.GlassCodeID(codes[1].ID), w.clock.now().Add(24*time.Hour)
	if err := w.Requests.GlassUsed(w.ctx, host.Agent.ID, office, use); err != nil {
		t.Fatal(err)
	}
	opened, until = w.clock.now(), w.clock.now().Add(30*time.Minute)
	check("by a clock that is ahead", who(opened),
		[]string{"admin 22/tcp from [203.0.113.7/32] until " + until.Format(
			time.RFC3339) + ", active, seen true, by code true, grant \"\", on web-1"})
}

// TestNotClosed follows access that was ended while its agent was out of reach: it may be open until somebody sees it
// closed, and is said to be so to whoever holds it and whoever may read it.
func TestNotClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ben, cy := w.user("ben", "JIT Access Requester"), w.user("cy", "JIT Access Requester")
	grant := must(w.Requests.Submit(w.ctx, ben, ssh("web-1", time.Hour)))(t).Grants[0].ID
	w.report(host.Agent.ID,
		access.Report{
			Revision:     w.desired(host.Agent.ID).Revision,
			Observations: []access.Observation{{Grant: grant, Status: access.StatusOpen}},
		})
	later := must(w.Requests.Submit(w.ctx, ben, at(w.clock.now().Add(2*time.Hour), time.Hour)))(t).Grants[0].ID
	for _, id := range []access.GrantID{later, grant} {
		must(w.Requests.Revoke(w.ctx, w.admin, id, "over"))(t)
	}
	check := func(what string, want ...string) {
		t.Helper()
		for _, c := range []engine.Caller{w.admin, ben} {
			var got []string
			for _, a := range must(w.Records.NotClosed(w.ctx, c, engine.NotClosedFilter{}, engine.Page{}))(t).Items {
				got = append(got, a.Grant.PrincipalName+" "+string(a.Grant.State)+" until "+a.Until.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, to %s (-want +got):\n%s", what, c.Name, diff)
			}
		}
		if n := len(must(w.Records.NotClosed(w.ctx, cy, engine.NotClosedFilter{}, engine.Page{}))(t).Items); n != 0 {
			t.Errorf("%s: whoever may not read grants sees %d of others", what, n)
		}
		open := must(w.Machines.Machines(w.ctx, w.admin, engine.MachineFilter{Open: w.clock.now()}, engine.Page{}))(
			t).Items
		if len(open) != len(want) {
			t.Errorf("%s: %d machines are open", what, len(open))
		}
	}
	unseen := "ben revoked until " + time.Time{}.String()
	check("revoked, and the agent did not say", unseen)
	w.clock.advance(2 * time.Hour)
	check("its end has passed, and the agent did not say", unseen)
	who := must(w.Records.WhoHad(w.ctx, w.admin, "web-1", w.clock.now(), engine.Page{}))(t).Items
	if len(who) != 1 {
		t.Errorf("%d had access", len(who))
	}
	w.report(host.Agent.ID,
		access.Report{
			Revision:     w.desired(host.Agent.ID).Revision,
			Observations: []access.Observation{{Grant: grant, Status: access.StatusClosed}},
		})
	check("seen closed")

	// What no agent ever spoke of may have been opened all the same, until its time is over or it is seen closed.
	w.clock.advance(time.Hour)
	must(w.Requests.Revoke(w.ctx, w.admin, must(w.Requests.Submit(w.ctx, ben, ssh("web-1", time.Hour)))(t).Grants[0].ID,
		"over"))(
		t)
	w.clock.advance(10 * time.Minute)
	check("revoked before the agent spoke", unseen)
	if who := must(w.Records.WhoHad(w.ctx, w.admin, "web-1", w.clock.now(), engine.Page{}))(
		t).Items; len(who) != 1 || who[0].Seen || !who[0].Until.IsZero() {
		t.Errorf("who had access: %+v", who)
	}
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, "web-1"); err != nil {
		t.Fatal(err)
	}
	if n := len(must(w.Records.NotClosed(w.ctx, w.admin, engine.NotClosedFilter{}, engine.Page{}))(t).Items); n != 1 {
		t.Errorf("of a machine that was deleted %d may be open before its time is over", n)
	}
	w.clock.advance(time.Hour)
	if n := len(must(w.Records.NotClosed(w.ctx, w.admin, engine.NotClosedFilter{}, engine.Page{}))(t).Items); n != 0 {
		t.Errorf("of a machine that was deleted, and that nobody can see closed, %d may be open after its time", n)
	}
}

// TestWhoHadIsWhole proves that nobody is hidden by whoever opened more, and that the pages of a list are of one
// instant.
func TestWhoHadIsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsPolicy(1, 1001), nil))(t)
	ben, ann := w.user("ben", "JIT Access Requester"), w.user("ann", "JIT Access Requester")
	w.openPorts(ben, "web-1", 1, 1, time.Hour)
	w.clock.advance(30 * time.Minute)
	w.openPorts(ann, "web-1", 2, 1000, time.Hour)
	for _, limit := range []int{1000, 300} {
		seen := map[string]int{}
		p := engine.Page{Limit: limit}
		began := w.clock.now()
		for {
			list := must(w.Records.WhoHad(w.ctx, w.admin, "web-1", time.Time{}, p))(t)
			for _, a := range list.Items {
				seen[a.Grant.PrincipalName]++
			}
			if p.Cursor = list.Next; p.Cursor == "" {
				break
			}
			w.clock.advance(20 * time.Minute) // and ben's time is over
		}
		if seen["ann"] != 1000 || seen["ben"] != 1 {
			t.Errorf("in pages of %d: %v", limit, seen)
		}
		w.clock.advance(began.Sub(w.clock.now()))
	}
	for cursor, code := range map[string]string{
		"x.y": "malformedCursor", "1": "malformedCursor",
		fmt.Sprint(w.clock.now().Add(time.Hour).UnixMicro(), "."): "timeAhead",
	} {
		_, err := w.Records.WhoHad(w.ctx, w.admin, "web-1", time.Time{}, engine.Page{Cursor: cursor})
		if access.CodeOf(err) != code {
			t.Errorf("%q: %v", cursor, err)
		}
	}
}

// TestUnused proves who counts as eligible and idle: people by themselves and through groups, whose assignment is old
// enough and who asked for nothing since.
func TestUnused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	ann, ben := w.user("ann", ""), w.user("ben", "")
	w.user("cy", "Reader")
	w.group("ops", ann, ben)
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "ops", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	w.clock.advance(100 * 24 * time.Hour)
	must(w.Requests.Submit(w.ctx, ben, ssh("web-1", time.Hour)))(t)
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "cy", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	idle := func(p engine.Page) (names []string) {
		for {
			list := must(w.Roles.Unused(w.ctx, w.admin, w.clock.now().Add(-30*24*time.Hour), p))(t)
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
	if _, err := w.Roles.Unused(w.ctx, ann, w.clock.now(), engine.Page{}); access.KindOf(err) != access.KindForbidden {
		t.Errorf("whoever may not read assignments sees them: %v", err)
	}
}

// TestUnusedRoles proves that whoever is eligible for a role and has not activated it for long is named, through groups
// too, and that activations, which no packet goes through, are not taken for unused grants.
func TestUnusedRoles(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	zoe := v.user("zoe", "")
	if err := v.Directory.AddMember(v.ctx, v.admin, "vendors", "zoe"); err != nil {
		t.Fatal(err)
	}
	v.eligible(nil)
	idle := func(p engine.Page) (names []string) {
		for {
			list := must(v.Roles.Unused(v.ctx, v.admin, v.clock.now().Add(-30*24*time.Hour), p))(t)
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
	if diff := cmp.Diff([]string{"vic for Contributor via vendors", "zoe for Contributor via vendors"},
		idle(engine.Page{Limit: 1})); diff != "" {
		t.Errorf("idle (-want +got):\n%s", diff)
	}
	must(v.Requests.Activate(v.ctx, zoe, contributor(time.Hour)))(t)
	v.clock.advance(2 * time.Hour)
	v.reconcile()
	if diff := cmp.Diff([]string{"vic for Contributor via vendors"}, idle(engine.Page{})); diff != "" {
		t.Errorf("after one was activated (-want +got):\n%s", diff)
	}
	if list := must(v.Records.NeverUsed(v.ctx, v.admin, v.clock.now().Add(-30*24*time.Hour), engine.Page{}))(
		t); len(list.Items) != 0 {
		t.Errorf("activations count as never used: %+v", list.Items)
	}
}
