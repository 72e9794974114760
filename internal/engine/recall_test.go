package engine_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
	"github.com/postern-dev/postern/internal/engine/services"
)

// crowded is a world in which ann has more on web-1 than one transaction ends: many open ports, and a series ahead.
func crowded(t *testing.T) (w *world, ann engine.Caller, host access.AgentID) {
	t.Helper()
	w = newWorld(t)
	host = w.host("web-1").Agent.ID
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsPolicy(1000, 1999), nil))(t)
	ann = w.user("ann", "")
	w.group("team", ann)
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "team", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	must(w.Requests.Submit(w.ctx, ann, ports("web-1", 1000, 150, 3*time.Hour)))(t)
	must(w.Requests.Submit(w.ctx, ann, requests.SubmitInput{
		Items: []requests.ItemInput{{
			Machine: "web-1",
			Port:    access.PortTarget{Ports: access.SinglePort(1500)},
			Item:    access.Item{Duration: time.Hour},
		}},
		Justification: "because", Start: w.clock.now().Add(24 * time.Hour), Repeat: "FREQ=DAILY;COUNT=120",
	}))(t)
	w.reconcile()
	if d := w.desired(host); len(d.Openings) != 150 {
		t.Fatalf("%d are open", len(d.Openings))
	}
	return w, ann, host
}

func portsPolicy(first, last uint16) access.MachinePolicy {
	return access.MachinePolicy{Ports: []access.PortRule{
		{Ports: access.PortRange{First: first, Last: last}, Protocol: access.TCP, Max: 3 * time.Hour},
	}}
}

// ports asks for so many ports of a machine, from first on, each for itself.
func ports(machine string, first, many uint16, d time.Duration) requests.SubmitInput {
	in := requests.SubmitInput{Justification: "because"}
	for i := range many {
		in.Items = append(in.Items,
			requests.ItemInput{
				Machine: machine,
				Port:    access.PortTarget{Ports: access.SinglePort(first + i)},
				Item:    access.Item{Duration: d},
			})
	}
	return in
}

// openPorts has somebody ask for so many ports of a machine, from first on, in as many requests as that takes.
func (w *world) openPorts(of engine.Caller, machine string, first, many int, d time.Duration) {
	w.tb.Helper()
	for at := 0; at < many; at += access.MaxItems {
		must(w.Requests.Submit(w.ctx, of, ports(machine, uint16(first+at), uint16(min(access.MaxItems, many-at)), d)))(
			w.tb)
	}
}

func (w *world) disable(name string, yes bool) {
	w.tb.Helper()
	must(w.Directory.ChangePrincipal(w.ctx, w.admin, name, directory.PrincipalChange{Disabled: &yes}))(w.tb)
}

// standing counts ann's grants that have not ended.
func (w *world) standing(of engine.Caller) (n int) {
	w.tb.Helper()
	for p := (engine.Page{Limit: 1000}); ; {
		list := must(w.Requests.Grants(w.ctx, w.admin,
			engine.GrantFilter{Principal: of.Principal, States: access.NotEnded()}, p))(
			w.tb)
		if n, p.Cursor = n+len(list.Items), list.Next; p.Cursor == "" {
			return n
		}
	}
}

// Whatever ends much at once closes all of it with its own commit, before any job has run, and the job ends each once.
func TestAnActThatEndsMuchClosesItAtOnce(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		act  func(w *world, ann engine.Caller)
		open int // what stays open
	}{
		"disabled": {act: func(w *world, _ engine.Caller) { w.disable("ann", true) }},
		"disabled, and enabled again": {act: func(w *world, _ engine.Caller) {
			w.disable("ann", true)
			w.disable("ann", false)
		}},
		"revoked": {act: func(w *world, _ engine.Caller) {
			if ended := must(w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", ""))(
				w.tb); len(ended.Grants) != 100 || !ended.More {
				w.tb.Errorf("%d were ended, more %v", len(ended.Grants), ended.More)
			}
		}},
		"policy narrowed": {open: 120, act: func(w *world, _ engine.Caller) {
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsPolicy(1000, 1119), nil))(w.tb)
		}},
		"policy deleted": {act: func(w *world, _ engine.Caller) {
			if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-1", nil); err != nil {
				w.tb.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, ann, host := crowded(t)
			revision := w.desired(host).Revision
			one.act(w, ann)
			d := w.desired(host)
			if len(d.Openings) != one.open || d.Revision <= revision {
				t.Fatalf("%d are open at revision %d after %d", len(d.Openings), d.Revision, revision)
			}
			if left := w.standing(ann); left < 150 {
				t.Fatalf("%d are left: one transaction has ended too much", left)
			}
			// What the agent says of what has closed is no drift.
			var gone access.GrantID
			for _, g := range must(w.Requests.Grants(w.ctx, w.admin,
				engine.GrantFilter{States: []access.GrantState{access.GrantOpening}}, engine.Page{Limit: 1000}))(
				t).Items {
				if portOf(g.Grant.Target).Ports.First > 1119 {
					gone = g.Grant.ID
				}
			}
			before := w.size()
			if gone != "" {
				w.report(host,
					access.Report{
						Revision:     d.Revision,
						Observations: []access.Observation{{Grant: gone, Status: access.StatusClosed}},
					})
				if kinds := w.kinds(before); kinds != "" {
					t.Errorf("a report of what is recalled led to %s", kinds)
				}
			}
			// The server stops here; two others go on, at the time of the first window ahead.
			w.clock.advance(24*time.Hour + time.Minute)
			var both sync.WaitGroup
			for range 2 {
				e := w.another()
				both.Go(func() {
					if _, err := e.Reconcile(w.ctx); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			if got := w.desired(host); len(got.Openings) != 0 || w.standing(ann) != 0 {
				t.Errorf("%d are open, %d have not ended", len(got.Openings), w.standing(ann))
			}
			ended := map[access.GrantID]int{}
			for _, event := range w.events() {
				switch event.Kind { //nolint:exhaustive // the others are not about the end
				case access.GrantWasRevoked, access.GrantDidExpire:
					ended[event.Grant]++
					if event.Scope == "" {
						t.Errorf("the end of %s does not say where", event.Grant)
					}
				case access.GrantBegan:
					t.Errorf("%s began", event.Grant)
				}
			}
			for id, n := range ended {
				if n != 1 {
					t.Errorf("%s ended %d times", id, n)
				}
			}
			if len(ended) != 270 {
				t.Errorf("%d have ended, of 270", len(ended))
			}
		})
	}
}

// Whoever loses the right to much loses all of it in one commit of the reconciler, and what is inside of the right
// stays.
func TestLosingTheRightToMuchClosesItAtOnce(t *testing.T) {
	t.Parallel()
	w, ann, host := crowded(t)
	other := w.user("ben", "JIT Access Requester")
	must(w.Requests.Submit(w.ctx, other,
		requests.SubmitInput{Items: []requests.ItemInput{
			{
				Machine: "web-1",
				Port:    access.PortTarget{Ports: access.SinglePort(1000)},
				Item:    access.Item{Duration: time.Hour},
			},
		}}))(
		t)
	if err := w.Directory.RemoveMember(w.ctx, w.admin, "team", "ann"); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if got := w.desired(host); len(got.Openings) != 1 || w.standing(ann) != 0 || w.standing(other) != 1 {
		t.Errorf("%d are open; ann has %d, ben %d", len(got.Openings), w.standing(ann), w.standing(other))
	}
	var kinds []string
	for _, event := range w.events() {
		if event.Kind == access.GrantsRecalled || event.Kind == access.GrantWasRevoked && len(kinds) == 0 {
			kinds = append(kinds, string(event.Kind))
		}
	}
	if fmt.Sprint(kinds) != "[grant.recalled]" {
		t.Errorf("%v", kinds)
	}
}

// A request that was made before everything of its requester was taken back is not approved while the job is on its
// way.
func TestNothingIsApprovedThatIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy { return oneOfOps(ops) })
	var last requests.RequestDetail
	for i := range 101 {
		in := ssh("web-1", time.Hour)
		in.IdempotencyKey = fmt.Sprint(i)
		last = must(w.Requests.Submit(w.ctx, w.ann, in))(t)
		if i == 0 {
			w.clock.advance(time.Second)
			defer func(first requests.RequestDetail) {
				_, err := w.Requests.Decide(w.ctx, w.bob, first.Request.ID, true, "", first.Request.Digest)
				wantCode(t, err, access.KindConflict, "requestRecalled")
				w.reconcile()
				if got := must(w.Requests.Request(w.ctx, w.ann, first.Request.ID))(
					t); got.Request.State != access.RequestCanceled {
					t.Errorf("the oldest request is %s", got.Request.State)
				}
			}(last)
		}
	}
	if ended := must(w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", "left"))(t); !ended.More {
		t.Error("the one transaction has canceled everything")
	}
}

// TestARecallThatJudgesDoesNotCancelRequests holds that what is asked for goes on being decided while the grants of its
// requester are only looked at.
func TestARecallThatJudgesDoesNotCancelRequests(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy { return oneOfOps(ops) })
	d := w.ask()
	recall := access.Recall{
		ID: "r", Tenant: d.Request.Tenant, Principal: w.ann.Principal, Judge: true, By: access.System(),
		At: w.clock.now(), Revision: 1,
	}
	err := w.store.Update(w.ctx, func(tx engine.Tx) error { return tx.SaveRecall(w.ctx, recall, 0) })
	if err != nil {
		t.Fatal(err)
	}
	must(w.Requests.Decide(w.ctx, w.bob, d.Request.ID, true, "", d.Request.Digest))(t)
}

// A recall that is on its way does not stand in for the one that is due: it covers less, or has looked already.
func TestLosingTheRightBesideARecall(t *testing.T) {
	t.Parallel()
	w, ann, host := crowded(t)
	if ended := must(w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", ""))(t); !ended.More {
		t.Fatal("everything has ended at once")
	}
	w.clock.advance(time.Second)
	must(w.Requests.Submit(w.ctx, ann, ports("web-1", 1200, 150, time.Hour)))(t)
	if err := w.Directory.RemoveMember(w.ctx, w.admin, "team", "ann"); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if got := w.desired(host); len(got.Openings) != 0 || w.standing(ann) != 0 {
		t.Errorf("%d are open, %d have not ended, without a right to any of it", len(got.Openings), w.standing(ann))
	}
}

// A role that is recalled was taken away, and asking for more time on it does not give it back.
func TestNoMoreTimeOnWhatIsRecalled(t *testing.T) {
	t.Parallel()
	w, ann, _ := crowded(t)
	must(w.Roles.WriteEligibility(w.ctx, w.admin,
		roles.EligibilityInput{Principal: "ann", Role: "Contributor", Max: 4 * time.Hour}))(
		t)
	w.clock.advance(time.Minute)
	d := must(w.Requests.Activate(w.ctx, ann, contributor(time.Hour)))(t)
	may := func() bool {
		return w.Directory.Check(w.ctx, ann, "Microsoft.Resources/subscriptions/resourceGroups/write",
			d.Grants[0].Place().Scope) == nil
	}
	if !may() {
		t.Fatal("the role is not in force")
	}
	if ended := must(w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", ""))(
		t); !ended.More || w.grant(d.Grants[0].ID).State.Ended() {
		t.Fatal("everything has ended at once")
	}
	_, err := w.Requests.Extend(w.ctx, ann, d.Grants[0].ID, requests.ExtendInput{For: time.Hour})
	wantCode(t, err, access.KindConflict, "grantEnded")
	if may() {
		t.Error("the role that was taken away is in force again")
	}
}

// Votes that come to suffice approve nothing that is just being taken back.
func TestVotesThatCountAgainForWhatIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	first := w.ask()
	for _, c := range []engine.Caller{w.bob, w.cy} {
		must(w.decide(c, first, true))(t)
		if c.Name == "bob" {
			w.leave("removed", w.bob, false)
		}
	}
	w.clock.advance(time.Second)
	for i := range 100 {
		in := ssh("web-1", time.Hour)
		in.IdempotencyKey = fmt.Sprint(i)
		must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	}
	if ended := must(w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", "left"))(t); !ended.More {
		t.Fatal("the one transaction has canceled everything")
	}
	w.leave("removed", w.bob, true)
	w.reconcile()
	if got := must(w.Requests.Request(w.ctx, w.ann, first.Request.ID))(
		t); got.Request.State != access.RequestCanceled || len(got.Grants) != 0 {
		t.Errorf("the request is %s with %d grants", got.Request.State, len(got.Grants))
	}
}

// A recall covers what stands when it is given, also what a replica made whose clock is ahead.
func TestARecallCoversWhatAReplicaMadeAhead(t *testing.T) {
	t.Parallel()
	w, ann, host := crowded(t)
	ahead := w.another(func(c *services.Config) {
		c.Now = func() time.Time {
			return w.clock.now().Add(
				2 * time.Second)
		}
	})
	must(ahead.Requests.Submit(w.ctx, ann, ports("web-1", 1200, 150, time.Hour)))(t)
	w.clock.advance(time.Second)
	if ended := must(w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", ""))(t); !ended.More {
		t.Fatal("everything has ended at once")
	}
	w.clock.advance(2 * time.Second)
	if got := w.desired(host); len(got.Openings) != 0 {
		t.Errorf("%d are open", len(got.Openings))
	}
	w.reconcile()
	if left := w.standing(ann); left != 0 {
		t.Errorf("%d have not ended", left)
	}
}

// A role that its holder has lost the right to counts for nothing with the act that took the right, whatever else they
// have and however many have it.
func TestARoleWithoutARightCountsForNothingAtOnce(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		times int // how often the role is activated
		act   func(w *world, eligible engine.EligibilityDetail) error
	}{
		"out of the group": {1, func(w *world, _ engine.EligibilityDetail) error {
			return w.Directory.RemoveMember(w.ctx, w.admin, "team", "ann")
		}},
		"the group out of the group": {1, func(w *world, _ engine.EligibilityDetail) error {
			return w.Directory.RemoveMember(w.ctx, w.admin, "all", "team")
		}},
		"the group is disabled": {1, func(w *world, _ engine.EligibilityDetail) error {
			yes := true
			_, err := w.Directory.ChangePrincipal(w.ctx, w.admin, "all", directory.PrincipalChange{Disabled: &yes})
			return err
		}},
		"the eligibility is shorter": {150, func(w *world, d engine.EligibilityDetail) error {
			_, err := w.Roles.WriteEligibility(w.ctx, w.admin,
				roles.EligibilityInput{ID: d.Eligibility.ID, Was: d.Eligibility.Revision, Max: time.Hour})
			return err
		}},
		"the eligibility ends sooner": {150, func(w *world, d engine.EligibilityDetail) error {
			_, err := w.Roles.WriteEligibility(w.ctx, w.admin, roles.EligibilityInput{
				ID: d.Eligibility.ID, Was: d.Eligibility.Revision, Max: 4 * time.Hour,
				End: w.clock.now().Add(time.Hour),
			})
			return err
		}},
		"the eligibility begins later": {150, func(w *world, d engine.EligibilityDetail) error {
			_, err := w.Roles.WriteEligibility(w.ctx, w.admin, roles.EligibilityInput{
				ID: d.Eligibility.ID, Was: d.Eligibility.Revision, Max: 4 * time.Hour,
				Start: w.clock.now().Add(time.Hour),
			})
			return err
		}},
		"the eligibility is gone": {150, func(w *world, d engine.EligibilityDetail) error {
			return w.Roles.DeleteEligibility(w.ctx, w.admin, d.Eligibility.ID)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, ann, _ := crowded(t)
			all := w.group("all")
			if err := w.Directory.AddMember(w.ctx, w.admin, "all", "team"); err != nil {
				t.Fatal(err)
			}
			d := must(w.Roles.WriteEligibility(w.ctx, w.admin,
				roles.EligibilityInput{Principal: "all", Role: "Contributor", Max: 4 * time.Hour}))(
				t)
			bystander := w.user("ben", "")
			if err := w.Directory.AddMember(w.ctx, w.admin, "all", "ben"); err != nil {
				t.Fatal(err)
			}
			activate := func(c engine.Caller, length time.Duration) access.Grant {
				return must(w.Requests.Activate(w.ctx, c, contributor(length)))(t).Grants[0]
			}
			var last access.Grant
			for range one.times {
				last = activate(ann, 2*time.Hour)
			}
			activate(bystander, 30*time.Minute)
			may := func(c engine.Caller) bool {
				return w.Directory.Check(w.ctx, c, "Microsoft.Resources/subscriptions/resourceGroups/write",
					last.Place().Scope) == nil
			}
			if !may(ann) || !may(bystander) {
				t.Fatal("the role is not in force")
			}
			for _, a := range must(w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{},
				engine.Page{Limit: 1000}))(
				t).Items {
				if string(a.Assignment.ID) == string(last.ID) && a.Assignment.Through != all {
					t.Errorf("the role is held through %q", a.Assignment.Through)
				}
			}
			if err := one.act(w, d); err != nil {
				t.Fatal(err)
			}
			if may(ann) {
				t.Error("the role is in force though there is no right to it")
			}
			keeps := name != "the eligibility is gone" && name != "the eligibility begins later" &&
				name != "the group is disabled"
			if may(bystander) != keeps {
				t.Errorf("somebody else has the role: %t", !keeps)
			}
			w.reconcile()
			if may(ann) || !w.grant(last.ID).State.Ended() {
				t.Errorf("the grant is %s", w.grant(last.ID).State)
			}
		})
	}
}
