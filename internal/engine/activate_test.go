package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// vendor is a world in which vic, a member of vendors, may become Contributor, and cleo of ops agrees where the rule
// asks.
type vendor struct {
	*world
	host      machines.Enrolled
	vic, cleo engine.Caller
	ops       access.PrincipalID
	scope     access.ResourceID
}

func newVendor(tb testing.TB) *vendor {
	tb.Helper()
	w := newWorld(tb)
	v := &vendor{world: w, host: w.host("web-1"), vic: w.user("vic", ""), cleo: w.user("cleo", "")}
	for _, group := range []string{"vendors", "ops"} {
		p := must(w.Directory.CreatePrincipal(w.ctx, w.admin,
			directory.PrincipalInput{Kind: access.Group, Name: group}))(
			tb)
		if group == "ops" {
			v.ops = p.ID
		}
	}
	for group, member := range map[string]string{"vendors": "vic", "ops": "cleo"} {
		if err := w.Directory.AddMember(w.ctx, w.admin, group, member); err != nil {
			tb.Fatal(err)
		}
	}
	v.scope = v.host.Machine.Resource
	return v
}

func (v *vendor) opsDecide() access.Rule {
	return access.Rule{Cases: []access.Case{
		{Stages: []access.Stage{{AllOf: []access.Quorum{{Count: 1, Groups: []access.PrincipalID{v.ops}}}}}},
	}}
}

// eligible makes the group vendors eligible for Contributor of the machine, for four hours.
func (v *vendor) eligible(change func(*roles.EligibilityInput)) engine.EligibilityDetail {
	v.tb.Helper()
	in := roles.EligibilityInput{Principal: "vendors", Role: "Contributor", Scope: v.scope, Max: 4 * time.Hour}
	if change != nil {
		change(&in)
	}
	return must(v.Roles.WriteEligibility(v.ctx, v.admin, in))(v.tb)
}

func contributor(d time.Duration) requests.ActivateInput {
	return requests.ActivateInput{
		Roles: []requests.EligibleRole{{Role: "contributor"}}, Duration: d,
		Justification: "upgrade",
	}
}

func (v *vendor) may(c engine.Caller, action string) bool {
	return v.Directory.Check(v.ctx, c, action, v.scope) == nil
}

func TestActivationIsARoleForAWhile(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	if v.may(v.vic, rbac.PoliciesWrite) {
		t.Fatal("an eligibility alone gives the role")
	}
	if list := must(v.Roles.EligibleRoles(v.ctx, v.vic))(
		t); len(list) != 1 || list[0].Role.Name != "Contributor" || len(list[0].Active) != 0 {
		t.Fatalf("eligible for %+v", list)
	}
	if list := must(v.Roles.EligibleRoles(v.ctx, v.cleo))(t); len(list) != 0 {
		t.Errorf("who is in no group is eligible for %+v", list)
	}
	start := v.size()
	d := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t)
	if got, want := v.kinds(start), "request.submitted request.approved grant.created grant.opened"; got != want {
		t.Errorf("events are %q, want %q", got, want)
	}
	g := d.Grants[0]
	if d.Request.State != access.RequestApproved || g.State != access.GrantActive || g.Target.Title() != "Contributor" ||
		g.OpenedAt.IsZero() {
		t.Fatalf("the request is %s, the grant %+v", d.Request.State, g)
	}
	if !v.may(v.vic, rbac.PoliciesWrite) || v.may(v.cleo, rbac.PoliciesWrite) {
		t.Error("the role is not in force for the one who activated it, or for another too")
	}
	if list := must(v.Roles.EligibleRoles(v.ctx, v.vic))(t); len(list[0].Active) != 1 {
		t.Error("the list of eligible roles does not say that it is active")
	}
	v.clock.advance(time.Hour - time.Microsecond)
	if !v.may(v.vic, rbac.PoliciesWrite) {
		t.Error("the role ends early")
	}
	v.clock.advance(time.Microsecond)
	if v.may(v.vic, rbac.PoliciesWrite) {
		t.Error("the role outlasts its end until somebody takes it away")
	}
	start = v.size()
	v.reconcile()
	if got, want := v.kinds(start), "grant.expired grant.closed"; got != want {
		t.Errorf("events are %q, want %q", got, want)
	}
	if got := v.grant(g.ID); got.State != access.GrantExpired || got.ClosedAt.IsZero() {
		t.Errorf("the grant is %+v", got)
	}
	for _, a := range must(v.Roles.RoleAssignments(v.ctx, v.admin, roles.AssignmentFilter{}, engine.Page{}))(t).Items {
		if string(a.Assignment.ID) == string(g.ID) {
			t.Error("its assignment is still there")
		}
	}
}

func TestScheduledActivation(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	in := contributor(time.Hour)
	in.Start = v.clock.now().Add(2 * time.Hour)
	g := must(v.Requests.Activate(v.ctx, v.vic, in))(t).Grants[0]
	if g.State != access.GrantScheduled || v.may(v.vic, rbac.PoliciesWrite) {
		t.Fatalf("the grant is %s before its start", g.State)
	}
	v.clock.advance(2 * time.Hour)
	if v.may(v.vic, rbac.PoliciesWrite) {
		t.Error("the role is in force before anybody looked whether it may begin")
	}
	v.reconcile()
	if got := v.grant(g.ID); got.State != access.GrantActive || !v.may(v.vic, rbac.PoliciesWrite) {
		t.Errorf("the grant is %s", got.State)
	}
}

func TestActivationThatNeedsApproval(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	eligible := v.eligible(func(in *roles.EligibilityInput) { in.Approval = v.opsDecide() })
	d := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t)
	if d.Request.State != access.RequestPending || v.may(v.vic, rbac.PoliciesWrite) {
		t.Fatalf("the request is %s", d.Request.State)
	}
	_, err := v.Requests.Decide(v.ctx, v.vic, d.Request.ID, true, "", d.Request.Digest)
	wantCode(t, err, access.KindForbidden, "ownRequest")
	_, err = v.Requests.Decide(v.ctx, v.admin, d.Request.ID, true, "", d.Request.Digest)
	wantCode(t, err, access.KindForbidden, "notAnApprover")
	if list := must(v.Requests.Requests(v.ctx, v.cleo, engine.RequestFilter{NeedsMe: true}, engine.Page{}))(
		t); len(list.Items) != 1 || list.Items[0].Request.ID != d.Request.ID {
		t.Errorf("%d requests need the approver", len(list.Items))
	}

	// Settings that become looser while it waits do not loosen what waits.
	must(v.Roles.WriteEligibility(v.ctx, v.admin, roles.EligibilityInput{
		ID: eligible.Eligibility.ID, Was: 1, Principal: "vendors", Role: "Contributor", Scope: v.scope,
		Max: 8 * time.Hour,
	}))(t)
	_, err = v.Requests.Decide(v.ctx, v.cleo, d.Request.ID, true, "", d.Request.Digest)
	wantCode(t, err, access.KindConflict, "requestChanged")
	again := must(v.Requests.Request(v.ctx, v.cleo, d.Request.ID))(t)
	if again.Request.State != access.RequestPending || v.may(v.vic, rbac.PoliciesWrite) {
		t.Fatalf("after the settings were loosened the request is %s", again.Request.State)
	}
	done := must(v.Requests.Decide(v.ctx, v.cleo, d.Request.ID, true, "fine", again.Request.Digest))(t)
	if done.Request.State != access.RequestApproved || done.Grants[0].State != access.GrantActive || !v.may(v.vic,
		rbac.PoliciesWrite) {
		t.Errorf("approved, the request is %s and the grant %+v", done.Request.State, done.Grants)
	}

	denied := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t)
	if denied.Request.State != access.RequestApproved {
		t.Errorf("under the settings of now the request is %s", denied.Request.State)
	}
}

func TestActivationIsRefused(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(func(in *roles.EligibilityInput) {
		in.Justification = access.JustificationRule{Required: true, MinLength: 5}
		in.End = v.clock.now().Add(10 * time.Hour)
	})
	eve := v.user("eve", "")
	v.eligible(func(in *roles.EligibilityInput) { in.Principal = "eve" })
	must(v.Roles.AssignRole(v.ctx, v.admin, roles.AssignInput{Principal: "vendors", Role: "Reader", Scope: v.scope}))(t)
	for name, c := range map[string]struct {
		who    engine.Caller
		change func(*requests.ActivateInput)
		kind   access.Kind
		code   string
	}{
		"not eligible": {v.cleo, nil, access.KindForbidden, "notEligible"},
		"another role": {
			v.vic, func(in *requests.ActivateInput) { in.Roles[0].Role = "Owner" },
			access.KindForbidden, "notEligible",
		},
		"another scope": {
			v.vic, func(in *requests.ActivateInput) { in.Roles[0].Scope = access.Root },
			access.KindForbidden, "notEligible",
		},
		"unknown id": {
			v.vic,
			func(in *requests.ActivateInput) { in.Roles[0] = requests.EligibleRole{Eligibility: "x"} },
			access.KindForbidden, "notEligible",
		},
		"for another": {
			v.vic, func(in *requests.ActivateInput) { in.Roles[0].Principal = v.cleo.Principal },
			access.KindForbidden, "notYourself",
		},
		"for another group": {
			v.vic, func(in *requests.ActivateInput) { in.Roles[0].Principal = v.ops },
			access.KindForbidden, "notYourself",
		},
		"another eligible": {
			v.vic, func(in *requests.ActivateInput) { in.Roles[0].Principal = eve.Principal },
			access.KindForbidden, "notYourself",
		},
		"held already": {
			v.vic,
			func(in *requests.ActivateInput) { in.Roles[0].Role, in.Roles[0].Scope = "Reader", v.scope },
			access.KindForbidden, "roleHeldAlready",
		},
		"no role": {
			v.vic, func(in *requests.ActivateInput) { in.Roles = nil }, access.KindInvalid,
			"rolesOutOfRange",
		},
		"too long": {
			v.vic, func(in *requests.ActivateInput) { in.Duration = 5 * time.Hour },
			access.KindInvalid, "durationTooLong",
		},
		"no duration": {
			v.vic, func(in *requests.ActivateInput) { in.Duration = 0 }, access.KindInvalid,
			"durationMissing",
		},
		"in the past": {
			v.vic, func(in *requests.ActivateInput) { in.Start = v.clock.now().Add(-time.Hour) },
			access.KindInvalid, "startInPast",
		},
		"beyond its end": {
			v.vic,
			func(in *requests.ActivateInput) { in.Start = v.clock.now().Add(9*time.Hour + time.Minute) },
			access.KindInvalid, "eligibilityEnds",
		},
		"no justification": {
			v.vic, func(in *requests.ActivateInput) { in.Justification = "" }, access.KindInvalid,
			"justificationRequired",
		},
		"a token elsewhere": {engine.Caller{}, nil, access.KindForbidden, "tokenBounds"},
	} {
		in := contributor(time.Hour)
		if c.change != nil {
			c.change(&in)
		}
		if c.who.Principal == "" {
			c.who = v.vic
			c.who.Bounds = &engine.Bounds{Scope: "/subscriptions/other"}
		}
		start := v.size()
		_, err := v.Requests.Activate(v.ctx, c.who, in)
		if access.KindOf(err) != c.kind || access.CodeOf(err) != c.code {
			t.Errorf("%s: got %v (%s), want %s", name, err, access.CodeOf(err), c.code)
		}
		if got := v.kinds(start); got != "request.refused" {
			t.Errorf("%s: events are %q", name, got)
		}
	}
	if v.may(v.vic, rbac.PoliciesWrite) {
		t.Error("something was given")
	}
	vendors := v.eligible(func(in *roles.EligibilityInput) { in.Role = "Owner" }).Principal.ID
	for _, self := range []access.PrincipalID{
		"", v.vic.Principal,
		access.PrincipalID(strings.ToUpper(string(v.vic.Principal))), vendors,
	} {
		in := contributor(time.Hour)
		in.Roles[0].Principal = self
		if d := must(v.Requests.Activate(v.ctx, v.vic, in))(t); d.Request.Requester != v.vic.Principal {
			t.Errorf("named %q, %q asks", self, d.Request.Requester)
		}
	}
}

func TestOpeningsEndWithTheRole(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(v *vendor, g access.Grant){
		"in time": func(v *vendor, _ access.Grant) { v.clock.advance(time.Hour) },
		"revoked": func(v *vendor, g access.Grant) { must(v.Requests.Revoke(v.ctx, v.admin, g.ID, "enough"))(v.tb) },
		"given back": func(v *vendor, g access.Grant) {
			must(v.Requests.Revoke(v.ctx, v.vic, g.ID, "done"))(v.tb)
		},
		"assignment taken": func(v *vendor, g access.Grant) {
			if err := v.Roles.UnassignRole(v.ctx, v.admin, rbac.AssignmentID(g.ID)); err != nil {
				v.tb.Fatal(err)
			}
		},
		"eligibility taken": func(v *vendor, g access.Grant) {
			if err := v.Roles.DeleteEligibility(v.ctx, v.admin, g.Target.Guard().Eligibility); err != nil {
				v.tb.Fatal(err)
			}
		},
		"out of the group": func(v *vendor, _ access.Grant) {
			if err := v.Directory.RemoveMember(v.ctx, v.admin, "vendors", "vic"); err != nil {
				v.tb.Fatal(err)
			}
		},
		"eligibility shortened": func(v *vendor, g access.Grant) {
			must(v.Roles.WriteEligibility(v.ctx, v.admin, roles.EligibilityInput{
				ID: g.Target.Guard().Eligibility, Was: 1, Principal: "vendors", Role: "Contributor", Scope: v.scope,
				Max: 30 * time.Minute,
			}))(v.tb)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			v.guard("web-1")
			v.eligible(nil)
			role := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t).Grants[0]
			opening := must(v.Requests.Submit(v.ctx, v.vic, ssh("web-1", 3*time.Hour)))(t).Grants[0]
			if !opening.End.Equal(role.End) {
				t.Errorf("the opening ends at %s, the role that it rests on at %s", opening.End, role.End)
			}
			if open := v.desired(v.host.Agent.ID).Openings; len(open) != 1 {
				t.Fatalf("open is %+v", open)
			}
			end(v, role)
			v.reconcile()
			v.reconcile()
			if got := v.grant(role.ID); !got.State.Ended() || got.ClosedAt.IsZero() {
				t.Errorf("the role's grant is %s", got.State)
			}
			if got := v.grant(opening.ID); !got.State.Ended() {
				t.Errorf("the opening is %s", got.State)
			}
			if open := v.desired(v.host.Agent.ID).Openings; len(open) != 0 {
				t.Errorf("still open is %+v", open)
			}
			if v.may(v.vic, rbac.PoliciesInitiate) {
				t.Error("the role is still in force")
			}
		})
	}
}

func TestActivationsOfOneRoleAreAUnion(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	first := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t).Grants[0]
	second := must(v.Requests.Activate(v.ctx, v.vic, contributor(2*time.Hour)))(t).Grants[0]
	must(v.Requests.Revoke(v.ctx, v.vic, first.ID, ""))(t)
	if !v.may(v.vic, rbac.PoliciesWrite) {
		t.Error("ending one closes the other")
	}
	more := must(v.Requests.Extend(v.ctx, v.vic, second.ID, requests.ExtendInput{For: time.Hour}))(t)
	if got := v.grant(second.ID); more.Request.State != access.RequestApproved || !got.End.Equal(
		second.End.Add(time.Hour)) {
		t.Errorf("extended, it ends at %s", got.End)
	}
	_, err := v.Requests.Extend(v.ctx, v.vic, second.ID, requests.ExtendInput{For: 2 * time.Hour})
	wantCode(t, err, access.KindInvalid, "durationTooLong")
	v.clock.advance(3*time.Hour - time.Second)
	if !v.may(v.vic, rbac.PoliciesWrite) {
		t.Error("the extension is not in force")
	}
	v.clock.advance(time.Second)
	if v.may(v.vic, rbac.PoliciesWrite) {
		t.Error("it outlasts the extension")
	}
}

func TestActivateOnceForOneKey(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	in := contributor(time.Hour)
	in.IdempotencyKey = "k"
	first := must(v.Requests.Activate(v.ctx, v.vic, in))(t)
	if again := must(v.Requests.Activate(v.ctx, v.vic, in))(t); again.Request.ID != first.Request.ID {
		t.Error("the same key makes another request")
	}
	in.Duration *= 2
	_, err := v.Requests.Activate(v.ctx, v.vic, in)
	wantCode(t, err, access.KindConflict, "idempotencyKeyReused")
}

func TestEligibilitiesAreManagedByWhoeverMay(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	d := v.eligible(nil)
	in := roles.EligibilityInput{Principal: "vic", Role: "Owner", Scope: v.scope}
	_, err := v.Roles.WriteEligibility(v.ctx, v.vic, in)
	wantCode(t, err, access.KindForbidden, "forbidden")
	wantCode(t, v.Roles.DeleteEligibility(v.ctx, v.vic, d.Eligibility.ID), access.KindForbidden, "forbidden")
	wantCode(t, v.Roles.DeleteEligibility(v.ctx, v.cleo, d.Eligibility.ID), access.KindNotFound, "unknownEligibility")
	_, err = v.Roles.Eligibilities(v.ctx, v.cleo, engine.EligibilityFilter{}, engine.Page{})
	wantCode(t, err, access.KindForbidden, "forbidden")
	in.Max = -time.Hour
	_, err = v.Roles.WriteEligibility(v.ctx, v.admin, in)
	wantCode(t, err, access.KindInvalid, "malformedEligibility")
	in.Max, in.Approval = 0, access.Rule{
		Cases: []access.Case{{Stages: []access.Stage{
			{AllOf: []access.Quorum{{Count: 2, Groups: []access.PrincipalID{"ops"}}}},
		}}},
	}
	_, err = v.Roles.WriteEligibility(v.ctx, v.admin, in)
	if access.KindOf(err) != access.KindInvalid {
		t.Errorf("a quorum that cannot be met is taken: %v", err)
	}
	change := roles.EligibilityInput{
		ID: d.Eligibility.ID, Was: 7, Principal: "vendors", Role: "Contributor",
		Scope: v.scope,
	}
	_, err = v.Roles.WriteEligibility(v.ctx, v.admin, change)
	wantCode(t, err, access.KindConflict, "eligibilityChanged")
	change.Was, change.Role = 1, "Reader"
	_, err = v.Roles.WriteEligibility(v.ctx, v.admin, change)
	wantCode(t, err, access.KindConflict, "eligibilityFixed")
	if list := must(v.Roles.Eligibilities(v.ctx, v.admin, engine.EligibilityFilter{}, engine.Page{}))(
		t); len(list.Items) != 1 || list.Items[0].Principal.Name != "vendors" {
		t.Errorf("the list is %+v", list)
	}
}

// TestChosenIDs proves that a client may name its request, once, and that the name is nobody else's then.
func TestChosenIDs(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	const id = "0B1C2D3E-0000-4000-8000-000000000001"
	in := contributor(time.Hour)
	in.ID, in.IdempotencyKey = id, "arm/"+id
	made := must(v.Requests.Activate(v.ctx, v.vic, in))(t)
	if string(made.Request.ID) != "0b1c2d3e-0000-4000-8000-000000000001" {
		t.Errorf("the request is %s", made.Request.ID)
	}
	if again := must(v.Requests.Activate(v.ctx, v.vic, in))(
		t); again.Request.ID != made.Request.ID || len(again.Grants) != 1 {
		t.Errorf("the same call again gives %+v", again)
	}
	in.IdempotencyKey = ""
	if _, err := v.Requests.Activate(v.ctx, v.vic,
		in); access.CodeOf(err) != "requestIdTaken" || access.KindOf(err) != access.KindConflict {
		t.Errorf("an id that is taken gave %v", err)
	}
	extend := requests.ExtendInput{ID: id, For: time.Hour}
	if _, err := v.Requests.Extend(v.ctx, v.vic, made.Grants[0].ID, extend); access.CodeOf(err) != "requestIdTaken" {
		t.Errorf("an extension with an id that is taken gave %v", err)
	}
	extend.ID = "0b1c2d3e-0000-4000-8000-000000000002"
	if d := must(v.Requests.Extend(v.ctx, v.vic, made.Grants[0].ID, extend))(t); d.Request.ID != extend.ID {
		t.Errorf("the extension is %s", d.Request.ID)
	}
	in.ID = "soon"
	if _, err := v.Requests.Activate(v.ctx, v.vic, in); access.CodeOf(err) != "malformedRequestId" {
		t.Errorf("an id that is no GUID gave %v", err)
	}
}

// TestReleasedNamesAreUsedAgain holds that a name stands for the one request that has it, however often it was released
// before, and that all of them stay on record.
func TestReleasedNamesAreUsedAgain(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	name := v.scope + "/providers/Microsoft.Solutions/jitRequests/Deploy"
	ask := func() (requests.RequestDetail, error) {
		in := contributor(time.Hour)
		in.Resource = name
		return v.Requests.Activate(v.ctx, v.vic, in)
	}
	var ids []access.RequestID
	for i := range 12 {
		d := must(ask())(t)
		if slices.Contains(ids, d.Request.ID) {
			t.Fatalf("%d: the request %s was made before", i, d.Request.ID)
		}
		ids = append(ids, d.Request.ID)
		if again := must(ask())(t); again.Request.ID != d.Request.ID {
			t.Errorf("%d: the same again made %s of %s", i, again.Request.ID, d.Request.ID)
		}
		if found := must(v.Requests.RequestNamed(v.ctx, v.vic, access.ResourceID(strings.ToUpper(string(name)))))(
			t); found.Request.ID != d.Request.ID {
			t.Errorf("%d: the name stands for %s, want %s", i, found.Request.ID, d.Request.ID)
		}
		wantCode(t, v.Requests.ReleaseRequest(v.ctx, v.vic, d.Request.ID), access.KindConflict, "requestNotOver")
		must(v.Requests.Revoke(v.ctx, v.vic, d.Grants[0].ID, ""))(t)
		if i == 0 {
			wantCode(t, v.Requests.ReleaseRequest(v.ctx, v.cleo, d.Request.ID), access.KindNotFound, "unknownRequest")
		}
		for range 2 {
			if err := v.Requests.ReleaseRequest(v.ctx, v.vic, d.Request.ID); err != nil {
				t.Fatal(err)
			}
		}
		_, err := v.Requests.RequestNamed(v.ctx, v.vic, name)
		wantCode(t, err, access.KindNotFound, "unknownRequest")
	}
	for _, id := range ids {
		if d := must(v.Requests.Request(v.ctx, v.vic, id))(t); !d.Request.Released || d.Request.Resource != name {
			t.Errorf("of %s the record says %+v", id, d.Request)
		}
	}
}

// TestNamesAreTakenByNobodyElse has somebody of another tenant, who may activate something there, choose the ids that
// the name of a request stands for, before and after it is used, and ask by the name itself.
func TestNamesAreTakenByNobodyElse(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	name := v.scope + "/providers/Microsoft.Solutions/jitRequests/Deploy"
	_, thief := v.tenant("thieves")
	theirs := must(v.Directory.Subscriptions(v.ctx, thief))(t)[0]
	must(v.Roles.WriteEligibility(v.ctx, thief,
		roles.EligibilityInput{
			Principal: string(thief.Principal), Role: "Reader",
			Scope: access.SubscriptionScope(theirs.ID), Max: time.Hour,
		}))(
		t)
	steal := func(n int) {
		t.Helper()
		text := name.Fold()
		if n > 0 {
			text += fmt.Sprintf("#%d", n)
		}
		in := requests.ActivateInput{
			Roles: []requests.EligibleRole{{Role: "Reader"}}, Duration: time.Minute,
			Justification: "mine",
		}
		in.ID = access.RequestID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(text)).String())
		must(v.Requests.Activate(v.ctx, thief, in))(t)
	}
	in := requests.ActivateInput{
		Roles: []requests.EligibleRole{{Role: "Reader"}}, Duration: time.Minute,
		Justification: "mine", Resource: name,
	}
	_, err := v.Requests.Activate(v.ctx, thief, in)
	wantCode(t, err, access.KindForbidden, "subscriptionOfAnother")
	var ids []access.RequestID
	for _, n := range []int{0, 1, 4, 5, 9} {
		steal(n)
	}
	for i, ahead := range []int{3, 7, 10, 15, 16, 31, 17} { // where it is looked, and just behind what is used
		in := contributor(time.Hour)
		in.Resource = name
		d := must(v.Requests.Activate(v.ctx, v.vic, in))(t)
		if slices.Contains(ids, d.Request.ID) || d.Request.Requester != v.vic.Principal {
			t.Fatalf("%d: it is %+v", i, d.Request)
		}
		ids = append(ids, d.Request.ID)
		steal(ahead)
		if again := must(v.Requests.Activate(v.ctx, v.vic, in))(t); again.Request.ID != d.Request.ID {
			t.Errorf("%d: the same again made %s of %s", i, again.Request.ID, d.Request.ID)
		}
		if found := must(v.Requests.RequestNamed(v.ctx, v.vic, name))(t); found.Request.ID != d.Request.ID {
			t.Errorf("%d: the name stands for %s, want %s", i, found.Request.ID, d.Request.ID)
		}
		must(v.Requests.Revoke(v.ctx, v.vic, d.Grants[0].ID, ""))(t)
		if err := v.Requests.ReleaseRequest(v.ctx, v.vic, d.Request.ID); err != nil {
			t.Fatal(err)
		}
	}
}
