package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/fleet"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
)

func refusedAsDisabled(t *testing.T, what string, err error) {
	t.Helper()
	var refusal *access.Error
	if !engine.AsError(err, &refusal) || refusal.Code != policy.Disabled &&
		!slices.ContainsFunc(refusal.Reasons, func(r access.Reason) bool { return r.Code == policy.Disabled }) {
		t.Errorf("%s gives %v", what, err)
	}
}

// TestDisablingAScopeOpensAndEndsNothing holds that where just-in-time access is disabled the guarded ports stay closed
// and what is open stays open; that nothing new is asked for, extended, approved, begun or configured, on machines that
// come later as well; and that enabling it again gives all of it back.
func TestDisablingAScopeOpensAndEndsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	entry := sshPolicy()
	entry.BreakGlass = &access.BreakGlass{People: []access.PrincipalID{w.admin.Principal}, Max: time.Hour}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", entry, nil))(t)
	open := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t).Grants[0]
	later := ssh("web-1", time.Hour)
	later.Start = w.clock.now().Add(2 * time.Hour)
	scheduled := must(w.Requests.Submit(w.ctx, w.admin, later))(t).Grants[0]
	before := w.desired(host.Agent.ID)

	effect := must(w.Fleet.ScopeEffect(w.ctx, w.admin, fleet.ScopeRef{Group: "default"}))(t)
	if effect.Machines != 1 || effect.Guarded != 1 || len(effect.Standing) != 2 || effect.More || effect.Disabled.Off {
		t.Errorf("it is said to follow: %+v", effect)
	}
	since := w.size()
	off := must(w.Fleet.DisableScope(w.ctx, w.admin, fleet.DisableInput{
		ScopeRef: fleet.ScopeRef{Group: "default"}, Reason: " a freeze ",
	}))(t)
	if !off.Off || off.Reason != "a freeze" || w.kinds(since) != "policy.disabled" {
		t.Errorf("it is %+v with %s", off, w.kinds(since))
	}
	if got := w.desired(host.Agent.ID); !slices.EqualFunc(got.Protected, before.Protected,
		func(a, b access.Protected) bool { return a.Ports == b.Ports }) || len(got.Openings) != len(before.Openings) {
		t.Errorf("the agent is to do %+v, want %+v", got, before)
	}
	if g := w.grant(open.ID); g.State.Ended() {
		t.Errorf("what is open has ended: %s", g.State)
	}

	m := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t)
	want := "just-in-time access is disabled by policy for resource group default: a freeze; " +
		"its guarded ports stay closed"
	if m.Standing != access.Unsupported || m.StandingReason != want {
		t.Errorf("it is %s: %s", m.Standing, m.StandingReason)
	}
	for standing, n := range map[access.Standing]int{
		access.Unsupported: 1, access.Configured: 0, access.NotConfigured: 0,
	} {
		list := must(w.Machines.Machines(w.ctx, w.admin, engine.MachineFilter{Standing: standing}, engine.Page{}))(t)
		counts := must(w.Fleet.MachineOverview(w.ctx, w.admin, engine.MachineFilter{}))(t).Counts
		if len(list.Items) != n || counts[standing] != n {
			t.Errorf("%d are listed and %d counted as %s", len(list.Items), counts[standing], standing)
		}
	}

	emergency := ssh("web-1", time.Hour)
	emergency.BreakGlass = true
	for what, in := range map[string]requests.SubmitInput{
		"a request": ssh("web-1", time.Hour), "breaking glass": emergency,
	} {
		_, err := w.Requests.Submit(w.ctx, w.admin, in)
		refusedAsDisabled(t, what, err)
	}
	_, err := w.Requests.Extend(w.ctx, w.admin, open.ID, requests.ExtendInput{
		Until: open.End.Add(time.Hour), Justification: "more",
	})
	refusedAsDisabled(t, "an extension", err)
	_, err = w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsFor(time.Hour, 22, 80), nil)
	refusedAsDisabled(t, "a policy", err)
	_, err = w.Machines.SetScopePolicy(w.ctx, w.admin, machines.ScopePolicyInput{
		Name: "group", ResourceGroup: "default", Rules: portsFor(time.Hour, 22),
	}, nil)
	refusedAsDisabled(t, "a policy of the scope", err)
	_, _, err = w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 1)
	refusedAsDisabled(t, "a code", err)
	x := must(w.Requests.Explain(w.ctx, w.admin, requests.Question{
		Machine: "web-1", Ports: access.SinglePort(22), Protocol: access.TCP,
	}))(t)
	if x.Outcome != requests.ExplainRefused || x.Reasons[0].Code != policy.Disabled {
		t.Errorf("it is explained as %s: %v", x.Outcome, x.Reasons)
	}
	w.host("web-2")
	if m := must(w.Machines.Machine(w.ctx, w.admin, "web-2"))(t); m.Standing != access.Unsupported {
		t.Errorf("a machine that comes later is %s", m.Standing)
	}
	w.clock.advance(2*time.Hour + time.Minute)
	w.reconcile()
	if g := w.grant(scheduled.ID); g.State != access.GrantRevoked {
		t.Errorf("what was scheduled is %s", g.State)
	}

	since = w.size()
	if on := must(w.Fleet.EnableScope(w.ctx, w.admin, fleet.ScopeRef{Group: "default"}))(t); on.Off {
		t.Error("it is off still")
	}
	if got := w.kinds(since); got != "policy.enabled" {
		t.Errorf("events: %s", got)
	}
	must(w.Fleet.EnableScope(w.ctx, w.admin, fleet.ScopeRef{Group: "default"}))(t)
	if got := w.kinds(since); got != "policy.enabled" {
		t.Errorf("enabling it twice gives %s", got)
	}
	since = w.size()
	must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t)
	if got := w.kinds(since); !strings.Contains(got, string(access.PolicyExploited)) {
		t.Errorf("who enabled it asks for access, and nobody is told: %s", got)
	}
}

// TestDisablingAScopeEndsWhatItIsToEnd holds that with the option everything that stands in the scope ends, in one
// resource group and not in another, also where it is more than one transaction ends; and that what waits for a
// decision is denied at the next look at it.
func TestDisablingAScopeEndsWhatItIsToEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	web := w.host("web-1")
	must(w.Directory.CreateResourceGroup(w.ctx, w.admin, directory.ResourceGroupInput{Name: "other"}))(t)
	w.guard("web-1")
	var ids []access.GrantID
	for i := range engine.ActChunk + 3 {
		later := ssh("web-1", time.Minute)
		later.Start = w.clock.now().Add(time.Duration(i+1) * time.Hour)
		ids = append(ids, must(w.Requests.Submit(w.ctx, w.admin, later))(t).Grants[0].ID)
	}
	open := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t).Grants[0]
	ids = append(ids, open.ID)
	effect := must(w.Fleet.ScopeEffect(w.ctx, w.admin, fleet.ScopeRef{}))(t)
	if len(effect.Standing) != engine.ActChunk || !effect.More {
		t.Errorf("%d stand, more: %t", len(effect.Standing), effect.More)
	}
	must(w.Fleet.DisableScope(w.ctx, w.admin, fleet.DisableInput{
		ScopeRef: fleet.ScopeRef{Group: "other"}, End: true,
	}))(t)
	if g := w.grant(open.ID); g.State.Ended() {
		t.Errorf("what is open in another group is %s", g.State)
	}
	must(w.Fleet.DisableScope(w.ctx, w.admin, fleet.DisableInput{End: true}))(t)
	if got := w.desired(web.Agent.ID).Openings; len(got) != 0 {
		t.Errorf("with the commit %v is open", got)
	}
	w.reconcile()
	w.reconcile()
	for _, id := range ids {
		if g := w.grant(id); g.State != access.GrantRevoked {
			t.Fatalf("grant %s is %s", id, g.State)
		}
	}
}

// TestWhoMayDisableAScope holds that it takes the right to the security policy at the scope: who may change machines
// and policies, or ask for access, turns it neither off nor on.
func TestWhoMayDisableAScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	for role, may := range map[string]bool{
		"Owner": true, "Security Admin": true, "Contributor": false, "Security Reader": false,
		"JIT Access Requester": false,
	} {
		c := w.user("who-"+strings.ToLower(strings.ReplaceAll(role, " ", "-")), role)
		_, off := w.Fleet.DisableScope(w.ctx, c, fleet.DisableInput{})
		_, on := w.Fleet.EnableScope(w.ctx, c, fleet.ScopeRef{})
		if (off == nil) != may || (on == nil) != may {
			t.Errorf("%s: off %v, on %v", role, off, on)
		}
		_, err := w.Fleet.ScopeEffect(w.ctx, c, fleet.ScopeRef{})
		if reads := role != "JIT Access Requester"; (err == nil) != reads {
			t.Errorf("%s reads: %v", role, err)
		}
	}
	_, err := w.Fleet.DisableScope(w.ctx, w.admin, fleet.DisableInput{Reason: strings.Repeat("x", 257)})
	wantCode(t, err, access.KindInvalid, "reasonTooLong")
}
