package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
	"github.com/postern-dev/postern/internal/engine/services"
)

// leave gives the ways in which somebody can lose the right to vote, and how they get it back.
func (w *approvable) leave(how string, c engine.Caller, back bool) {
	w.tb.Helper()
	var err error
	switch {
	case how == "disabled":
		off := !back
		_, err = w.Directory.ChangePrincipal(w.ctx, w.admin, c.Name, directory.PrincipalChange{Disabled: &off})
	case back:
		err = w.Directory.AddMember(w.ctx, w.admin, "ops", c.Name)
	default:
		err = w.Directory.RemoveMember(w.ctx, w.admin, "ops", c.Name)
	}
	if err != nil {
		w.tb.Fatal(err)
	}
}

// TestVoteCountsWhileItsVoterMayVote holds that the votes are counted anew, of those who may vote now, at each
// decision.
func TestVoteCountsWhileItsVoterMayVote(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"disabled", "removed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, twoOfOps)
			d := must(w.decide(w.bob, w.ask(), true))(t)
			w.leave(how, w.bob, false)
			d = must(w.decide(w.cy, d, true))(t)
			if d.Request.State != access.RequestPending || len(d.Grants) != 0 || d.Progress[0].Open[0].Count != 1 {
				t.Fatalf("with one vote that counts the request is %s, %+v", d.Request.State, d.Progress)
			}
			w.leave(how, w.bob, true)
			if again := must(w.Requests.Request(w.ctx, w.cy, d.Request.ID))(
				t); again.Request.State != access.RequestPending || again.Mine {
				t.Errorf("with both votes again it is %s, and for cy to decide: %t", again.Request.State, again.Mine)
			}
			w.leave(how, w.bob, false)
			w.reconcile()
			if d = must(w.decide(w.dora, d, true))(t); d.Request.State != access.RequestApproved || len(d.Grants) != 1 {
				t.Errorf("with two votes that count the request is %s", d.Request.State)
			}
			w.leave(how, w.dora, false)
			w.reconcile()
			if g := w.grant(d.Grants[0].ID); g.State.Ended() || len(w.desired(w.host.Agent.ID).Openings) != 1 {
				t.Errorf("what is open is %s once its approver is gone", g.State)
			}
			if seen := must(w.Requests.Request(w.ctx, w.admin, d.Request.ID))(t); seen.Progress[0].Outcome != "approved" {
				t.Errorf("what was approved is shown as %s", seen.Progress[0].Outcome)
			}
		})
	}
}

// TestVotesThatCountAgain holds that a request does not stall whose votes suffice because their voters are back.
func TestVotesThatCountAgain(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	d := must(w.decide(w.bob, w.ask(), true))(t)
	w.leave("removed", w.bob, false)
	d = must(w.decide(w.cy, d, true))(t)
	w.reconcile()
	if got := must(w.Requests.Request(w.ctx, w.ann, d.Request.ID))(t); got.Request.State != access.RequestPending {
		t.Fatalf("with one vote it is %s", got.Request.State)
	}
	w.leave("removed", w.bob, true)
	w.reconcile()
	if got := must(w.Requests.Request(w.ctx, w.ann, d.Request.ID))(
		t); got.Request.State != access.RequestApproved || len(got.Grants) != 1 {
		t.Errorf("with both votes again it is %s", got.Request.State)
	}
}

// TestVoteCountsWhenItOpens holds that the votes are counted once more when what was agreed to begins.
func TestVoteCountsWhenItOpens(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"disabled", "removed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, twoOfOps)
			w.listen(w.admin.Tenant)
			in := at(w.clock.now().Add(24*time.Hour), time.Hour)
			in.Repeat = "FREQ=DAILY;COUNT=4"
			d := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
			must(w.decide(w.bob, d, true))(t)
			d = must(w.decide(w.cy, d, true))(t)
			open := func() int { return len(w.desired(w.host.Agent.ID).Openings) }

			w.clock.advance(24 * time.Hour)
			if open() != 0 {
				t.Error("it is open before its votes were counted once more")
			}
			if w.reconcile(); open() != 1 {
				t.Fatal("it does not open though nobody is gone")
			}
			w.leave(how, w.bob, false)
			w.clock.advance(30 * time.Minute)
			if w.reconcile(); open() != 1 {
				t.Error("what is open closes with its approver")
			}
			w.clock.advance(23*time.Hour + 30*time.Minute)
			w.reconcile()
			g := w.grant(d.Grants[1].ID)
			if open() != 0 || g.State != access.GrantRevoked || !strings.Contains(g.Reason,
				"approval no longer holds: bob may not decide") {
				t.Errorf("without bob's vote %d are open, and it is %s because %q", open(), g.State, g.Reason)
			}
			told := false
			for _, n := range w.told() {
				told = told || n.Kind == engine.NotifyEnded && n.Grant == g.ID && n.Subject.Detail == g.Reason
			}
			if !told {
				t.Error("nobody is told why it did not open")
			}
			w.leave(how, w.bob, true)
			w.clock.advance(24 * time.Hour)
			if w.reconcile(); open() != 1 {
				t.Error("it does not open though bob is back")
			}
		})
	}
}

// TestVoteCountsWhenARoleBegins holds the same of roles, which are in force by an assignment.
func TestVoteCountsWhenARoleBegins(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		w := newApprovable(t, oneOfOps)
		must(w.Roles.WriteEligibility(w.ctx, w.admin, roles.EligibilityInput{
			Principal: "ann", Role: "Contributor", Max: time.Hour,
			Approval: asks(access.Stage{AllOf: []access.Quorum{of(1, w.ops)}}),
		}))(t)
		d := must(w.Requests.Activate(w.ctx, w.ann, requests.ActivateInput{
			Roles: []requests.EligibleRole{{Role: "Contributor"}}, Start: w.clock.now().Add(time.Hour),
			Duration: time.Hour, Justification: "x",
		}))(t)
		d = must(w.decide(w.bob, d, true))(t)
		if gone {
			w.leave("disabled", w.bob, false)
		}
		has := func() bool {
			return w.Directory.Check(w.ctx, w.ann, "Microsoft.Resources/subscriptions/resourceGroups/write",
				d.Grants[0].Place().Scope) == nil
		}
		w.clock.advance(time.Hour)
		if has() {
			t.Error("the role is in force before its votes were counted once more")
		}
		if w.reconcile(); has() == gone {
			t.Errorf("approver gone: %t, the role is in force: %t", gone, has())
		}
		w.clock.advance(time.Hour)
		if has() {
			t.Error("the role outlasts its end")
		}
	}
}

// TestMoreTimeThatPeopleGiveIsOnWhatHasBegun holds that nobody's vote lengthens what is to begin later: it would not be
// counted then.
func TestMoreTimeThatPeopleGiveIsOnWhatHasBegun(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := oneOfOps(ops)
		p.Approval.Cases = append([]access.Case{{Name: "short", When: `request.duration <= duration("1h")`}},
			p.Approval.Cases...)
		return p
	})
	g := must(w.Requests.Submit(w.ctx, w.ann, at(w.clock.now().Add(time.Hour), 30*time.Minute)))(t).Grants[0]
	must(w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: 30 * time.Minute}))(t)
	_, err := w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: time.Hour})
	wantCode(t, err, access.KindConflict, "grantNotBegun")
	w.clock.advance(time.Hour)
	w.reconcile()
	d := must(w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: time.Hour}))(t)
	if d.Request.State != access.RequestPending {
		t.Fatalf("two hours are %s", d.Request.State)
	}
	must(w.decide(w.bob, d, true))(t)
	if got := w.grant(g.ID); !got.End.Equal(g.Start.Add(2*time.Hour)) || !got.Decided {
		t.Errorf("it ends at %s, decided: %t", got.End, got.Decided)
	}
}

// away is a store that takes no changes for a while.
type away struct {
	engine.Store

	now atomic.Bool
}

func (s *away) Update(ctx context.Context, fn func(engine.Tx) error) error {
	if s.now.Load() {
		return errors.New("the database is away")
	}
	return s.Store.Update(ctx, fn)
}

// TestVotesAreCountedUntilTheyAreHeard holds that votes which count again are looked at until something came of it.
func TestVotesAreCountedUntilTheyAreHeard(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	store := &away{Store: w.store}
	w.Services = w.another(func(c *services.Config) { c.Store = store })
	d := must(w.decide(w.bob, w.ask(), true))(t)
	w.leave("removed", w.bob, false)
	d = must(w.decide(w.cy, d, true))(t)
	w.reconcile()
	w.leave("removed", w.bob, true)
	store.now.Store(true)
	_, _ = w.Reconcile(w.ctx)
	store.now.Store(false)
	w.clock.advance(10 * time.Second)
	w.reconcile()
	if got := must(w.Requests.Request(w.ctx, w.ann, d.Request.ID))(t); got.Request.State != access.RequestApproved {
		t.Errorf("with both votes, and the database back, it is %s", got.Request.State)
	}
}
