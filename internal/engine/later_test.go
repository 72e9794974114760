package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// officeRule asks one of ops between nine and five, and two at other times.
func officeRule(ops access.PrincipalID) access.MachinePolicy {
	p := sshPolicy()
	p.Approval = access.Rule{Cases: []access.Case{
		{
			Name: "office", Hours: access.Hours{Zone: "UTC", From: 9 * 60, To: 17 * 60},
			Stages: []access.Stage{{AllOf: []access.Quorum{of(1, ops)}}},
		},
		{Name: "night", Stages: []access.Stage{{AllOf: []access.Quorum{of(2, ops)}}}},
	}}
	return p
}

// TestRuleOfWhenItOpens holds that what opens when it is approved falls under the rule of that time too.
func TestRuleOfWhenItOpens(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, officeRule)
	d := w.ask() // at nine
	w.clock.advance(6 * time.Hour)
	if got := must(w.decide(w.bob, d, true))(t); got.Request.State != access.RequestApproved {
		t.Fatalf("by one, within the office hours, it is %s", got.Request.State)
	}
	d = w.ask()
	w.clock.advance(8 * time.Hour)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestChanged")
	d = must(w.Requests.Request(w.ctx, w.bob, d.Request.ID))(t)
	if d = must(w.decide(w.bob, d, true))(t); d.Request.State != access.RequestPending {
		t.Fatalf("by one, at night, it is %s", d.Request.State)
	}
	if d = must(w.decide(w.cy, d, true))(t); d.Request.State != access.RequestApproved {
		t.Errorf("by two, at night, it is %s", d.Request.State)
	}
}

// TestRuleOfAPlannedTime holds that what has a start stays under the rule of that time, whenever it is decided.
func TestRuleOfAPlannedTime(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, officeRule)
	d := must(w.Requests.Submit(w.ctx, w.ann, at(w.clock.now().Add(25*time.Hour), time.Hour)))(t)
	w.clock.advance(12 * time.Hour)
	if got := must(w.decide(w.bob, d, true))(t); got.Request.State != access.RequestApproved {
		t.Errorf("decided at night, what is for the office hours is %s", got.Request.State)
	}
}

// TestRuleOfTheMachineAsItIs holds that a request falls under the rule of what its machine is called by now.
func TestRuleOfTheMachineAsItIs(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := officeRule(ops)
		p.Approval.Cases[0].Hours, p.Approval.Cases[0].When = access.Hours{}, `machine.labels["env"] == "dev"`
		return p
	})
	must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "dev"}, nil))(t)
	d := w.ask()
	must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "prod"}, nil))(t)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestChanged")
	must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "dev"}, nil))(t)
	d = must(w.Requests.Request(w.ctx, w.bob, d.Request.ID))(t)
	if d = must(w.decide(w.bob, d, true))(t); d.Request.State != access.RequestPending {
		t.Errorf("what was put under the stricter rule is %s after one approval: labels loosen nothing that waits",
			d.Request.State)
	}
}

// TestNetworkThatShrinksMeanwhile holds that a request lies in the networks of its policy as they are when it is
// decided.
func TestNetworkThatShrinksMeanwhile(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	must(w.Machines.SetNetwork(w.ctx, w.admin, "office", prefixes("203.0.113.0/24", "198.51.100.0/24"), nil))(t)
	p := oneOfOps(w.ops)
	p.Ports[0].Networks = []string{"office"}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	d := w.ask()
	must(w.Machines.SetNetwork(w.ctx, w.admin, "office", prefixes("198.51.100.0/24"), nil))(t)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestOutdated")
}

// TestChainOfWhatWaits holds that what needs nobody is held to the longest when it opens, though it waited for the rest
// of its request.
func TestChainOfWhatWaits(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	w.world.host("web-2")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-2", oneOfOps(w.ops), nil))(t)
	in := ssh("web-1", 3*time.Hour)
	in.Items = append(in.Items, ssh("web-2", 3*time.Hour).Items...)
	d := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 3*time.Hour)))(t)
	w.clock.advance(3 * time.Hour)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestOutdated")
	if got := len(w.desired(w.host.Agent.ID).Openings); got != 0 {
		t.Errorf("%d are open after the longest", got)
	}
}

// TestPolicyMadeAnewMeanwhile holds that a request is decided on whose policy was deleted and set again.
func TestPolicyMadeAnewMeanwhile(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	d := w.ask()
	if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-1", nil); err != nil {
		t.Fatal(err)
	}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", oneOfOps(w.ops), nil))(t)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestChanged")
	d = must(w.Requests.Request(w.ctx, w.bob, d.Request.ID))(t)
	if d = must(w.decide(w.bob, d, true))(t); d.Request.State != access.RequestApproved {
		t.Errorf("it is %s", d.Request.State)
	}
}

// TestExtensionLiesWithinATokensBounds holds that a token that may not activate roles asks for no more time on one.
func TestExtensionLiesWithinATokensBounds(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	must(v.Roles.AssignRole(v.ctx, v.admin,
		roles.AssignInput{Principal: "vic", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	d := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t)
	token := v.vic
	token.Bounds = &engine.Bounds{Actions: []string{rbac.PoliciesInitiate, rbac.GrantsRead}}
	_, err := v.Requests.Extend(v.ctx, token, d.Grants[0].ID, requests.ExtendInput{For: time.Hour})
	wantCode(t, err, access.KindForbidden, "tokenBounds")
	token.Bounds = &engine.Bounds{Actions: []string{rbac.RoleActivate, rbac.GrantsRead}}
	must(v.Requests.Extend(v.ctx, token, d.Grants[0].ID, requests.ExtendInput{For: time.Hour}))(t)
}

// TestNetworkThatShrinksClosesWhatItHeld holds that a network which becomes smaller narrows the policies that name it:
// what is open or scheduled from outside of it ends, and the rest stays.
func TestNetworkThatShrinksClosesWhatItHeld(t *testing.T) {
	t.Parallel()
	inside, outside := netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")
	w := newApprovable(t, oneOfOps)
	must(w.Machines.SetNetwork(w.ctx, w.admin, "office", []netip.Prefix{inside, outside}, nil))(t)
	p := sshPolicy()
	p.Ports[0].Networks = []string{"office"}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	ask := func(from netip.Prefix, start time.Time) access.GrantID {
		in := at(start, time.Hour)
		in.Items[0].Port.Sources = []netip.Prefix{from}
		return must(w.Requests.Submit(w.ctx, w.ann, in))(t).Grants[0].ID
	}
	tomorrow := w.clock.now().Add(24 * time.Hour)
	stays, goes, later := ask(inside, time.Time{}), ask(outside, time.Time{}), ask(outside, tomorrow)
	w.reconcile()
	if n := len(w.desired(w.host.Agent.ID).Openings); n != 2 {
		t.Fatalf("%d are open", n)
	}
	// at the same instant, as by a replica whose clock is behind
	must(w.Machines.SetNetwork(w.ctx, w.admin, "office", []netip.Prefix{inside}, nil))(t)
	w.reconcile()
	for id, want := range map[access.GrantID]access.GrantState{
		stays: access.GrantOpening, goes: access.GrantRevoked,
		later: access.GrantRevoked,
	} {
		if g := w.grant(id); g.State != want {
			t.Errorf("from %s it is %s because %q, want %s", portOf(g.Target).Sources, g.State, g.Reason, want)
		}
	}
	if open := w.desired(w.host.Agent.ID).Openings; len(open) != 1 || open[0].Source != inside {
		t.Errorf("open are %+v", open)
	}
}
