package engine_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// group makes a group with members.
func (w *world) group(name string, members ...engine.Caller) access.PrincipalID {
	w.tb.Helper()
	g := must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.Group, Name: name}))(
		w.tb)
	for _, m := range members {
		if err := w.Directory.AddMember(w.ctx, w.admin, name, string(m.Principal)); err != nil {
			w.tb.Fatal(err)
		}
	}
	return g.ID
}

// asks gives a rule with one case, whose stages each need all of the quorums.
func asks(stages ...access.Stage) access.Rule {
	return access.Rule{Cases: []access.Case{{Stages: stages}}}
}

func of(count int, groups ...access.PrincipalID) access.Quorum {
	return access.Quorum{Count: count, Groups: groups}
}

// approvable is a world with a guarded machine, a requester and three approvers in the group ops.
type approvable struct {
	*world

	host                          machines.Enrolled
	ann, bob, cy, dora, bystander engine.Caller
	ops                           access.PrincipalID
}

func newApprovable(t *testing.T, rule func(ops access.PrincipalID) access.MachinePolicy) *approvable {
	t.Helper()
	w := &approvable{world: newWorld(t)}
	w.host = w.world.host("web-1")
	w.ann, w.bob, w.cy, w.dora = w.user("ann",
		"JIT Access Requester"), w.user("bob", ""), w.user("cy", ""), w.user("dora", "")
	w.bystander = w.user("eve", "Owner")
	w.ops = w.group("ops", w.bob, w.cy, w.dora)
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", rule(w.ops), nil))(t)
	return w
}

func twoOfOps(ops access.PrincipalID) access.MachinePolicy {
	p := sshPolicy()
	p.Approval = asks(access.Stage{AllOf: []access.Quorum{of(2, ops)}})
	return p
}

func oneOfOps(ops access.PrincipalID) access.MachinePolicy {
	p := sshPolicy()
	p.Approval = asks(access.Stage{AllOf: []access.Quorum{of(1, ops)}})
	return p
}

func (w *approvable) ask() requests.RequestDetail {
	w.tb.Helper()
	d := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(w.tb)
	if d.Request.State != access.RequestPending || len(d.Grants) != 0 {
		w.tb.Fatalf("the request is %s with %d grants, want it to wait", d.Request.State, len(d.Grants))
	}
	return d
}

func (w *approvable) decide(c engine.Caller, d requests.RequestDetail, approve bool) (requests.RequestDetail, error) {
	return w.Requests.Decide(w.ctx, c, d.Request.ID, approve, "as I see it", d.Request.Digest)
}

func TestDecide(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	d := w.ask()
	if len(d.Progress) != 1 || d.Progress[0].DeciderCount != 3 || d.Names[w.ops] != "ops" || d.Mine {
		t.Fatalf("the requester is shown %+v", d.Progress)
	}
	if len(w.desired(w.host.Agent.ID).Openings) != 0 {
		t.Fatal("something is open before the decision")
	}
	start := w.size()
	seen := must(w.Requests.Request(w.ctx, w.bob, d.Request.ID))(t)
	if !seen.Mine {
		t.Error("an approver is not told that it is theirs to decide")
	}
	w.clock.advance(30 * time.Minute)
	d = must(w.decide(w.bob, seen, true))(t)
	if d.Request.State != access.RequestPending || d.Progress[0].Open[0].Count != 1 || d.Mine {
		t.Fatalf("after one of two the request is %s, %+v", d.Request.State, d.Progress)
	}
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "alreadyDecided")
	d = must(w.decide(w.cy, d, true))(t)
	if d.Request.State != access.RequestApproved || len(d.Grants) != 1 || len(d.Decisions) != 2 {
		t.Fatalf("after two of two the request is %s with %d grants", d.Request.State, len(d.Grants))
	}
	if end := d.Grants[0].End; !end.Equal(w.clock.now().Add(time.Hour)) {
		t.Errorf("the clock began before the approval: it ends at %s", end)
	}
	if len(w.desired(w.host.Agent.ID).Openings) != 1 {
		t.Error("nothing is open after the approval")
	}
	_, err = w.decide(w.dora, d, true)
	wantCode(t, err, access.KindConflict, "requestNotPending")
	if !strings.Contains(err.Error(), "by cy") {
		t.Errorf("the surplus approver is not told who decided: %v", err)
	}
	want := "decision.made decision.refused decision.made request.approved grant.created decision.refused"
	if got := w.kinds(start); got != want {
		t.Errorf("events are %s, want %s", got, want)
	}
}

func TestWhoMayNotDecide(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	if err := w.Directory.AddMember(w.ctx, w.admin, "ops", "admin"); err != nil {
		t.Fatal(err)
	}
	d := w.ask()
	_, err := w.decide(w.ann, d, true)
	wantCode(t, err, access.KindForbidden, "ownRequest")
	_, err = w.decide(w.bystander, d, true) // an owner, but none whom the policy names
	wantCode(t, err, access.KindForbidden, "notAnApprover")
	nobody := w.user("nobody", "")
	_, err = w.decide(nobody, d, true)
	wantCode(t, err, access.KindNotFound, "unknownRequest")
	for _, digest := range []string{"another digest", ""} { // a decision is bound to what was shown
		_, err = w.Requests.Decide(w.ctx, w.bob, d.Request.ID, true, "", digest)
		wantCode(t, err, access.KindConflict, "requestChanged")
	}

	// an administrator, who is an approver too
	own := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t)
	_, err = w.decide(w.admin, own, true)
	wantCode(t, err, access.KindForbidden, "ownRequest")
	refused := 0
	for _, e := range w.events() {
		if e.Kind == access.DecisionRefused && e.Details["code"] == "ownRequest" {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d attempts at self-approval are on record, want 2", refused)
	}
	if got := must(w.Requests.Request(w.ctx, w.admin, d.Request.ID))(t).Request.State; got != access.RequestPending {
		t.Errorf("the request is %s", got)
	}
}

func TestDenyEndsIt(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	d := must(w.decide(w.bob, w.ask(), true))(t)
	d = must(w.decide(w.cy, d, false))(t)
	if d.Request.State != access.RequestDenied || d.Request.Reason != "as I see it" || len(d.Grants) != 0 {
		t.Errorf("the request is %s because %q", d.Request.State, d.Request.Reason)
	}
}

// TestTwoAtOnce proves that decisions at one instant, on two replicas, have one outcome and are both on record.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	for round := range 5 {
		d := w.ask()
		start := w.size()
		errs := make([]error, 3)
		var all sync.WaitGroup
		for i, c := range []engine.Caller{w.bob, w.cy, w.dora} {
			e := w.another()
			all.Go(func() { _, errs[i] = e.Requests.Decide(w.ctx, c, d.Request.ID, i != 1, "", d.Request.Digest) })
		}
		all.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				wantCode(t, err, access.KindConflict, "requestNotPending")
			}
		}
		kinds := w.kinds(start)
		if won != 1 || strings.Count(kinds, "decision.made") != 1 || strings.Count(kinds, "decision.refused") != 2 {
			t.Fatalf("round %d: %d won; events are %s", round, won, kinds)
		}
		got := must(w.Requests.Request(w.ctx, w.admin, d.Request.ID))(t)
		if approved := got.Request.State == access.RequestApproved; approved != (len(
			got.Grants) == 1) || !approved && got.Request.State != access.RequestDenied {
			t.Fatalf("the request is %s with %d grants", got.Request.State, len(got.Grants))
		}
	}
}

func TestPolicyChangedBeforeTheDecision(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	d := w.ask()
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", twoOfOps(w.ops), nil))(t)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestChanged")
	shown := must(w.Requests.Request(w.ctx, w.bob, d.Request.ID))(t)
	if shown.Request.Digest == d.Request.Digest || shown.Progress[0].Open[0].Count != 2 {
		t.Fatalf("what is shown now is %+v", shown.Progress)
	}
	if shown = must(w.decide(w.bob, shown, true))(t); shown.Request.State != access.RequestPending {
		t.Fatalf("under the new rule the request is %s after one approval", shown.Request.State)
	}
	if shown = must(w.decide(w.cy, shown, true))(t); shown.Request.State != access.RequestApproved {
		t.Fatalf("the request is %s", shown.Request.State)
	}

	narrow := oneOfOps(w.ops)
	d = w.ask()
	narrow.Ports[0].Max = 10 * time.Minute
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", narrow, nil))(t)
	_, err = w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestOutdated")
	if got := must(w.Requests.Request(w.ctx, w.ann, d.Request.ID))(
		t); got.Request.State != access.RequestDenied || !strings.Contains(got.Request.Reason, "10m") {
		t.Errorf("the request is %s because %q", got.Request.State, got.Request.Reason)
	}
}

func TestRequesterLostTheRightMeanwhile(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	d := w.ask()
	disabled := true
	must(w.Directory.ChangePrincipal(w.ctx, w.admin, "bob", directory.PrincipalChange{Disabled: &disabled}))(t)
	_, err := w.decide(w.bob, d, true)
	if err == nil {
		t.Error("a disabled approver decided")
	}
	list := must(w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{}, engine.Page{}))(t)
	for _, a := range list.Items {
		if a.Principal.Name == "ann" {
			if err := w.Roles.UnassignRole(w.ctx, w.admin, a.Assignment.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err = w.decide(w.cy, d, true)
	wantCode(t, err, access.KindConflict, "requestOutdated")
}

func TestStageGivesWay(t *testing.T) {
	t.Parallel()
	var boss engine.Caller
	w := newApprovable(t, oneOfOps)
	boss = w.user("boss", "")
	p := sshPolicy()
	p.Approval = asks(
		access.Stage{AllOf: []access.Quorum{of(2, w.ops)}, Timeout: time.Hour},
		access.Stage{AnyOf: []access.Quorum{{Count: 1, People: []access.PrincipalID{"boss"}}}})
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	d := w.ask()
	if !d.Progress[0].Until.Equal(w.clock.now().Add(time.Hour)) {
		t.Errorf("the stage waits until %s", d.Progress[0].Until)
	}
	_, err := w.decide(boss, d, true)
	wantCode(t, err, access.KindForbidden, "notThisStage")
	start := w.size()
	w.clock.advance(time.Hour)
	next := must(w.Reconcile(w.ctx))(t)
	if got := w.kinds(start); got != "request.stageOver" || !next.Equal(w.clock.now().Add(23*time.Hour*3/4)) { // its reminder
		t.Errorf("events are %q, next is %s", got, next)
	}
	_, err = w.decide(w.bob, d, true)
	wantCode(t, err, access.KindForbidden, "notThisStage")
	d = must(w.Requests.Request(w.ctx, boss, d.Request.ID))(t)
	if !d.Mine || d.Progress[0].Stage != 1 {
		t.Fatalf("the boss is shown %+v", d.Progress)
	}
	if d = must(w.decide(boss, d, true))(t); d.Request.State != access.RequestApproved {
		t.Errorf("the request is %s", d.Request.State)
	}
}

// TestStageGivesWayWithItsApprovals proves that whoever approved in vain is asked again.
func TestStageGivesWayWithItsApprovals(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	p := sshPolicy()
	p.Approval = asks(
		access.Stage{AllOf: []access.Quorum{of(2, w.ops)}, Timeout: time.Hour},
		access.Stage{AllOf: []access.Quorum{{Count: 1, People: []access.PrincipalID{"bob"}}}})
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	d := must(w.decide(w.bob, w.ask(), true))(t)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "alreadyDecided")
	w.clock.advance(time.Hour)
	w.reconcile()
	if d = must(w.Requests.Request(w.ctx, w.bob, d.Request.ID))(t); !d.Mine || d.Progress[0].DeciderCount != 1 {
		t.Fatalf("bob is shown %+v", d.Progress)
	}
	if d = must(w.decide(w.bob, d, true))(t); d.Request.State != access.RequestApproved {
		t.Errorf("the request is %s", d.Request.State)
	}
}

func TestPendingTimesOut(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	d := w.ask()
	w.clock.advance(25 * time.Hour)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestTimedOut")
	w.reconcile()
	if got := must(w.Requests.Request(w.ctx, w.ann, d.Request.ID))(t).Request.State; got != access.RequestTimedOut {
		t.Errorf("the request is %s", got)
	}
}

func TestCasesByConditionAndHours(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	p := sshPolicy()
	p.Approval = access.Rule{Cases: []access.Case{
		{
			Name: "long", When: `request.duration > duration("2h")`,
			Stages: []access.Stage{{AllOf: []access.Quorum{of(2, w.ops)}}},
		},
		{Name: "on call", When: `"oncall" in requester.groups`},
		{
			Name:  "office",
			Hours: access.Hours{Zone: "Europe/Berlin", Days: []time.Weekday{time.Monday}, From: 8 * 60, To: 18 * 60},
		},
		{Name: "labelled", When: `machine.labels["env"] == "prod"`},
	}}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	if d := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 3*time.Hour)))(
		t); d.Request.State != access.RequestPending || d.Request.Approvals[0].Case.Name != "long" {
		t.Errorf("three hours are %s", d.Request.State)
	}
	if d := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t); d.Request.State != access.RequestApproved {
		t.Errorf("on Monday at ten in Berlin it is %s", d.Request.State)
	}
	w.clock.advance(9 * time.Hour)
	// the last case cannot be evaluated: there is no such label
	_, err := w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 30*time.Minute))
	wantCode(t, err, access.KindInvalid, "ruleFailed")
	w.group("shift", w.ann)
	w.group("oncall")
	if err := w.Directory.AddMember(w.ctx, w.admin, "oncall", "shift"); err != nil {
		t.Fatal(err)
	}
	if d := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 30*time.Minute)))(
		t); d.Request.State != access.RequestApproved {
		t.Errorf("on call it is %s", d.Request.State)
	}
}

func TestRuleThatCannotBeMet(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	pair := w.group("pair", w.ann, w.bob)
	p := sshPolicy()
	p.Approval = asks(access.Stage{AllOf: []access.Quorum{of(2, pair)}})
	// two people could: but not when one of them asks
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	_, err := w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour))
	wantCode(t, err, access.KindInvalid, "quorumUnreachable")
	if !strings.Contains(err.Error(), "2 of pair") {
		t.Errorf("the reason does not say who is missing: %v", err)
	}

	robots := w.group("robots")
	must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.ServicePrincipal, Name: "ci"}))(
		t)
	if err := w.Directory.AddMember(w.ctx, w.admin, "robots", "ci"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		rule access.Rule
		code string
	}{
		"nobody":      {asks(access.Stage{AllOf: []access.Quorum{of(4, w.ops)}}), "quorumUnreachable"},
		"only robots": {asks(access.Stage{AllOf: []access.Quorum{of(1, robots)}}), "quorumUnreachable"},
		"unknown":     {asks(access.Stage{AllOf: []access.Quorum{of(1, "no such group")}}), "unknownGroup"},
		"bad CEL":     {access.Rule{Cases: []access.Case{{When: "machine.nmae == 1"}}}, "conditionInvalid"},
		"not bool":    {access.Rule{Cases: []access.Case{{When: "machine.name"}}}, "conditionNotBoolean"},
		"unknown zone": {
			access.Rule{Cases: []access.Case{{Hours: access.Hours{Zone: "Mars/Olympus", From: 1, To: 2}}}},
			"unknownZone",
		},
		"local zone": {
			access.Rule{Cases: []access.Case{{Hours: access.Hours{Zone: "Local", From: 1, To: 2}}}},
			"unknownZone",
		},
	} {
		p := sshPolicy()
		p.Approval = c.rule
		_, err := w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil)
		wantCode(t, err, access.KindInvalid, "malformedPolicy")
		if reasons := reasonCodes(err); !strings.Contains(reasons, c.code) {
			t.Errorf("%s: the reasons are %s, want %s", name, reasons, c.code)
		}
	}
}

// TestRuleThatOnlyItsRequestersCouldMeet proves that a rule is refused where everybody who may ask is needed to decide,
// and taken as soon as somebody else may ask.
func TestRuleThatOnlyItsRequestersCouldMeet(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	p := sshPolicy()
	p.Approval = asks(access.Stage{AllOf: []access.Quorum{{Count: 1, People: []access.PrincipalID{"admin"}}}})
	// ann may ask, and the administrator may decide
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	list := must(w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{}, engine.Page{}))(t)
	for _, a := range list.Items {
		if a.Principal.Name == "ann" || a.Principal.Name == "eve" {
			if err := w.Roles.UnassignRole(w.ctx, w.admin, a.Assignment.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil)
	wantCode(t, err, access.KindInvalid, "malformedPolicy")
	if reasons := reasonCodes(err); reasons != "quorumOnlyRequester" {
		t.Errorf("the reasons are %s", reasons)
	}
}

func reasonCodes(err error) string {
	var codes []string
	if e, ok := err.(*access.Error); ok { //nolint:errorlint // as the engine gives it
		for _, r := range e.Reasons {
			codes = append(codes, r.Code)
		}
	}
	return strings.Join(codes, " ")
}

func TestNeedsMyDecision(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	first, second := w.ask(), w.ask()
	must(w.decide(w.bob, first, true))(t)
	for who, want := range map[*engine.Caller][]access.RequestID{
		&w.ann: nil, &w.bystander: nil, &w.bob: {second.Request.ID}, &w.cy: {second.Request.ID, first.Request.ID},
	} {
		var got []access.RequestID
		for _, d := range must(w.Requests.Requests(w.ctx, *who, engine.RequestFilter{NeedsMe: true}, engine.Page{}))(
			t).Items {
			got = append(got, d.Request.ID)
			if len(d.Progress) != 1 || !d.Mine {
				t.Errorf("%s is shown %+v", who.Name, d.Progress)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is to decide %v, want %v", who.Name, got, want)
		}
	}
}

// TestManyPeopleInNestedGroups proves that a decision among very many people is the same as among few.
func TestManyPeopleInNestedGroups(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes a thousand people")
	}
	w := newApprovable(t, oneOfOps)
	inner := w.group("inner")
	err := w.store.Update(w.ctx, func(tx engine.Tx) error {
		for i := range 1000 {
			id := access.PrincipalID(fmt.Sprintf("00000000-0000-7000-8000-%012d", i))
			p := access.Principal{
				ID: id, Tenant: w.admin.Tenant, Kind: access.User, Name: fmt.Sprintf("person-%d", i),
				CreatedAt: w.clock.now(), Revision: 1,
			}
			if err := tx.SavePrincipal(w.ctx, p, 0); err != nil {
				return err
			}
			if err := tx.AddMember(w.ctx, inner, id, "", w.clock.now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Directory.AddMember(w.ctx, w.admin, "ops", "inner"); err != nil {
		t.Fatal(err)
	}
	d := w.ask()
	if d.Progress[0].DeciderCount == 0 || len(d.Progress[0].Deciders) > 50 {
		t.Errorf("%d deciders, %d shown", d.Progress[0].DeciderCount, len(d.Progress[0].Deciders))
	}
	some := engine.Caller{Principal: "00000000-0000-7000-8000-000000000777", Name: "person-777", Tenant: w.admin.Tenant}
	if d = must(w.decide(some, d, true))(
		t); d.Request.State != access.RequestApproved || d.Progress[0].Outcome != policy.Approved {
		t.Errorf("the request is %s", d.Request.State)
	}
}
