package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

func change(of access.RoleSubject, kind access.RoleChangeKind, principal string, v *vendor,
	end time.Duration,
) roles.RoleChangeInput {
	in := roles.RoleChangeInput{
		ID: access.RoleChangeID(uuid.NewString()), Of: of, Kind: kind, Principal: principal,
		Role: "contributor", Scope: v.scope,
	}
	if end != 0 {
		in.End = v.clock.now().Add(end)
	}
	return in
}

// TestRoleChangesNeedTheirRight holds that each change asks for the right to it first, and that nothing comes of a
// refused one.
func TestRoleChangesNeedTheirRight(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	must(v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeAssign, "cleo", v, time.Hour)))(
		t)
	v.eligible(nil)
	for _, of := range []access.RoleSubject{access.OfAssignment, access.OfEligibility} {
		for _, kind := range []access.RoleChangeKind{
			access.RoleChangeAssign, access.RoleChangeUpdate,
			access.RoleChangeExtend, access.RoleChangeRenew, access.RoleChangeRemove,
		} {
			for _, principal := range []string{"cleo", "vic", "vendors", "nobody"} {
				_, err := v.Roles.ChangeRole(v.ctx, v.vic, change(of, kind, principal, v, 9*time.Hour))
				wantCode(t, err, access.KindForbidden, "forbidden")
			}
		}
		_, err := v.Roles.ChangeRole(v.ctx, v.vic, change(of, access.RoleChangeAskExtend, "cleo", v, 9*time.Hour))
		wantCode(t, err, access.KindNotFound, "nothingToChange")
	}
	list := must(v.Roles.RoleChanges(v.ctx, v.admin, engine.RoleChangeFilter{}, engine.Page{}))(t)
	if len(list.Items) != 1 || !list.Items[0].Standing || list.Items[0].Change.End.Sub(v.clock.now()) != time.Hour {
		t.Errorf("on record is %+v", list.Items)
	}
	if list := must(v.Roles.RoleChanges(v.ctx, v.vic, engine.RoleChangeFilter{}, engine.Page{}))(
		t); len(list.Items) != 0 {
		t.Errorf("another sees %+v", list.Items)
	}
}

// TestRoleChangeIsKeptOnce holds that the same call gives the same record, that an id names one thing, and that the log
// tells of the change.
func TestRoleChangeIsKeptOnce(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	start := v.size()
	in := change(access.OfAssignment, access.RoleChangeAssign, "cleo", v, time.Hour)
	for range 2 {
		if d := must(v.Roles.ChangeRole(v.ctx, v.admin, in))(
			t); d.Change.ID != in.ID || d.Change.Target != string(in.ID) || !d.Standing {
			t.Errorf("the change is %+v", d)
		}
	}
	longer := change(access.OfAssignment, access.RoleChangeExtend, "cleo", v, 2*time.Hour)
	must(v.Roles.ChangeRole(v.ctx, v.admin, longer))(t)
	remove := change(access.OfAssignment, access.RoleChangeRemove, "cleo", v, 0)
	if d := must(v.Roles.ChangeRole(v.ctx, v.admin, remove))(t); d.Standing {
		t.Error("what was taken away is there")
	}
	if got, want := v.kinds(start), "role.assigned role.assigned role.unassigned"; got != want {
		t.Errorf("events are %q, want %q", got, want)
	}
	remove.Kind = access.RoleChangeUpdate
	_, err := v.Roles.ChangeRole(v.ctx, v.admin, remove)
	wantCode(t, err, access.KindConflict, "requestIdTaken")
	v.eligible(nil)
	activation := contributor(time.Hour)
	activation.ID = access.RequestID(in.ID)
	_, err = v.Requests.Activate(v.ctx, v.vic, activation)
	wantCode(t, err, access.KindConflict, "requestIdTaken")
	activation.ID = ""
	request := must(v.Requests.Activate(v.ctx, v.vic, activation))(t).Request.ID
	taken := change(access.OfAssignment, access.RoleChangeAssign, "cleo", v, time.Hour)
	taken.ID = access.RoleChangeID(request)
	_, err = v.Roles.ChangeRole(v.ctx, v.admin, taken)
	wantCode(t, err, access.KindConflict, "requestIdTaken")
}

// TestMoreTimeIsGivenByAnother holds that what one asks for waits for another person, whatever one's own rights.
func TestMoreTimeIsGivenByAnother(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	boss := v.user("boss", "Owner")
	given := change(access.OfAssignment, access.RoleChangeAssign, "boss", v, time.Hour)
	must(v.Roles.ChangeRole(v.ctx, v.admin, given))(t)
	start := v.size()
	ask := must(v.Roles.ChangeRole(v.ctx, boss,
		change(access.OfAssignment, access.RoleChangeAskExtend, "boss", v, 2*time.Hour)))(
		t)
	state := func() access.RoleChange { return must(v.Roles.RoleChange(v.ctx, boss, ask.Change.ID))(t).Change }
	must(v.Roles.ChangeRole(v.ctx, boss, change(access.OfAssignment, access.RoleChangeExtend, "boss", v, 3*time.Hour)))(
		t)
	if got := state(); got.State != access.RoleChangeWaiting {
		t.Errorf("who asked has given it to themselves: %+v", got)
	}
	must(v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeUpdate, "boss", v, 2*time.Hour)))(
		t)
	if got := state(); got.State != access.RoleChangeWaiting {
		t.Errorf("less time has settled it: %+v", got)
	}
	must(v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeExtend, "boss", v, 4*time.Hour)))(
		t)
	if got := state(); got.State != access.RoleChangeDone || got.DecidedBy != v.admin.Principal {
		t.Errorf("the change is %+v", got)
	}
	if got, want := v.kinds(start), "role.timeAsked role.assigned role.assigned role.assigned role.timeGiven"; got != want {
		t.Errorf("events are %q, want %q", got, want)
	}
	wantCode(t, v.Roles.CancelRoleChange(v.ctx, boss, ask.Change.ID), access.KindConflict, "roleChangeSettled")

	// An eligibility of a group, by the native way too.
	e := v.eligible(func(in *roles.EligibilityInput) { in.End = v.clock.now().Add(time.Hour) })
	ask = must(v.Roles.ChangeRole(v.ctx, v.vic,
		change(access.OfEligibility, access.RoleChangeAskExtend, "vendors", v, 2*time.Hour)))(
		t)
	wantCode(t, v.Roles.CancelRoleChange(v.ctx, v.admin, ask.Change.ID), access.KindForbidden, "notYourRequest")
	if got := must(v.Roles.RoleChanges(v.ctx, v.admin, engine.RoleChangeFilter{NeedsMe: true}, engine.Page{}))(
		t).Items; len(got) != 1 {
		t.Errorf("%d wait for the administrator", len(got))
	}
	must(v.Roles.WriteEligibility(v.ctx, v.admin,
		roles.EligibilityInput{ID: e.Eligibility.ID, Was: 1, Max: time.Hour, End: v.clock.now().Add(3 * time.Hour)}))(
		t)
	if got := must(v.Roles.RoleChange(v.ctx, v.vic, ask.Change.ID))(t).Change; got.State != access.RoleChangeDone {
		t.Errorf("the change is %+v", got)
	}
}

// TestRoleChangeKeepsTheLastOwner holds that the last Owner of everything is not given an end.
func TestRoleChangeKeepsTheLastOwner(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	in := change(access.OfAssignment, access.RoleChangeUpdate, string(v.admin.Principal), v, time.Hour)
	in.Role, in.Scope = string(rbac.Owner), access.Root
	_, err := v.Roles.ChangeRole(v.ctx, v.admin, in)
	wantCode(t, err, access.KindConflict, "lastOwner")
}

// TestRenewalLeavesTheGap holds that what has ended is renewed from now on, and is not extended.
func TestRenewalLeavesTheGap(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	must(v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeAssign, "cleo", v, time.Hour)))(
		t)
	v.clock.advance(2 * time.Hour)
	_, err := v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeExtend, "cleo", v, time.Hour))
	wantCode(t, err, access.KindInvalid, "roleEnded")
	d := must(v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeRenew, "cleo", v, time.Hour)))(
		t)
	if !d.Change.Start.Equal(v.clock.now()) || !v.may(v.cleo, rbac.PoliciesWrite) {
		t.Errorf("the renewal is %+v", d.Change)
	}
}

// TestExtensionIsMadeOnce holds that the same call gives the same request, and that its id names nothing else.
func TestExtensionIsMadeOnce(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	first := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t).Grants[0].ID
	second := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t).Grants[0].ID
	in := requests.ExtendInput{ID: access.RequestID(uuid.NewString()), Until: v.clock.now().Add(2 * time.Hour)}
	start := v.size()
	for range 2 {
		if d := must(v.Requests.Extend(v.ctx, v.vic, first, in))(t); d.Request.ID != in.ID ||
			d.Request.Extends != first {
			t.Errorf("the request is %+v", d.Request)
		}
	}
	if got, want := v.kinds(start), "request.submitted request.approved grant.extended"; got != want {
		t.Errorf("events are %q, want %q", got, want)
	}
	_, err := v.Requests.Extend(v.ctx, v.vic, second, in)
	wantCode(t, err, access.KindConflict, "requestIdTaken")
}

// TestShorterRoleEndsWhatOutlastsIt holds that what is open by right of a role ends no later than the role, also where
// that is given an earlier end, and without a job that has to be there then.
func TestShorterRoleEndsWhatOutlastsIt(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.guard("web-1")
	must(v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeAssign, "cleo", v, 3*time.Hour)))(
		t)
	long := must(v.Requests.Submit(v.ctx, v.cleo, ssh("web-1", 2*time.Hour)))(t).Grants[0].ID
	must(v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeUpdate, "cleo", v, 2*time.Hour)))(
		t)
	v.reconcile()
	if got := v.grant(long); got.State.Ended() {
		t.Errorf("what ends with the role is %s: %s", got.State, got.Reason)
	}
	must(v.Roles.ChangeRole(v.ctx, v.admin,
		change(access.OfAssignment, access.RoleChangeUpdate, "cleo", v, time.Hour)))(
		t)
	v.reconcile()
	if got := v.grant(long); got.State != access.GrantRevoked || !strings.Contains(got.Reason, "ends before it does") {
		t.Errorf("what outlasts the role is %s: %s", got.State, got.Reason)
	}
}
