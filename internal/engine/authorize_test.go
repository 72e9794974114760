package engine_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// stage is a world with one of everything.
func stage(t *testing.T) (w *world, host machines.Enrolled, policy access.Policy, request requests.RequestDetail) {
	t.Helper()
	w = newWorld(t)
	host = w.host("web-1")
	w.enrol("gate", access.ModeGateway)
	policy = w.guard("web-1").Policy
	ann := w.user("ann", "JIT Access Requester")
	must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.Group, Name: "people"}))(t)
	if err := w.Directory.AddMember(w.ctx, w.admin, "people", "ann"); err != nil {
		t.Fatal(err)
	}
	request = must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t)
	if err := w.Records.Seal(w.ctx); err != nil {
		t.Fatal(err)
	}
	return w, host, policy, request
}

// useCases calls each use case that a caller may not do without a role.
func useCases(w *world, host machines.Enrolled, policy access.Policy,
	request requests.RequestDetail,
) map[string]func(engine.Caller) error {
	assignment := func() rbac.AssignmentID {
		list, err := w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{Principal: "ann"}, engine.Page{})
		if err != nil || len(list.Items) != 1 {
			w.tb.Fatalf("ann has %d roles, %v", len(list.Items), err)
		}
		return list.Items[0].Assignment.ID
	}()
	name, yes := "new", true
	drop := func(_ any, err error) error { return err }
	cases := map[string]func(engine.Caller) error{
		"Check": func(c engine.Caller) error {
			return w.Directory.Check(w.ctx, c, rbac.MachinesRead,
				access.Root)
		},
		"MayCreatePrincipal": func(c engine.Caller) error { return w.Directory.MayCreatePrincipal(w.ctx, c) },
		"Submit": func(c engine.Caller) error {
			return drop(
				w.Requests.Submit(w.ctx, c, ssh("web-1", time.Hour)))
		},
		"Request": func(c engine.Caller) error {
			return drop(
				w.Requests.Request(w.ctx, c, request.Request.ID))
		},
		"Requests": func(c engine.Caller) error {
			return drop(w.Requests.Requests(w.ctx, c, engine.RequestFilter{Requester: request.Request.Requester},
				engine.Page{}))
		},
		"Cancel": func(c engine.Caller) error { return drop(w.Requests.Cancel(w.ctx, c, request.Request.ID, "")) },
		"Grant":  func(c engine.Caller) error { return drop(w.Requests.Grant(w.ctx, c, request.Grants[0].ID)) },
		"WaitGrant": func(c engine.Caller) error {
			return drop(w.Requests.WaitGrant(w.ctx, c, request.Grants[0].ID, time.Second))
		},
		"Grants": func(c engine.Caller) error {
			return drop(w.Requests.Grants(w.ctx, c, engine.GrantFilter{Principal: request.Request.Requester},
				engine.Page{}))
		},
		"Revoke":  func(c engine.Caller) error { return drop(w.Requests.Revoke(w.ctx, c, request.Grants[0].ID, "")) },
		"Machine": func(c engine.Caller) error { return drop(w.Machines.Machine(w.ctx, c, "web-1")) },
		"Machines": func(c engine.Caller) error {
			return drop(w.Machines.Machines(w.ctx, c, engine.MachineFilter{}, engine.Page{}))
		},
		"MachineOverview": func(c engine.Caller) error {
			return drop(
				w.Fleet.MachineOverview(w.ctx, c, engine.MachineFilter{}))
		},
		"AddMachine": func(c engine.Caller) error {
			return drop(w.Machines.AddMachine(w.ctx, c,
				machines.AddMachineInput{
					Name: "db-1", Gateway: "gate",
					Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")},
				}))
		},
		"DeleteMachine": func(c engine.Caller) error { return w.Machines.DeleteMachine(w.ctx, c, "web-1") },
		"MakeEnrollmentToken": func(c engine.Caller) error {
			_, _, err := w.Machines.MakeEnrollmentToken(w.ctx, c, machines.TokenInput{Name: "web-2"})
			return err
		},
		"MachinePolicy": func(c engine.Caller) error { return drop(w.Machines.MachinePolicy(w.ctx, c, "web-1")) },
		"ScopePolicies": func(c engine.Caller) error { return drop(w.Machines.ScopePolicies(w.ctx, c)) },
		"ScopePolicy":   func(c engine.Caller) error { return drop(w.Machines.ScopePolicy(w.ctx, c, "all")) },
		"SetScopePolicy": func(c engine.Caller) error {
			return drop(w.Machines.SetScopePolicy(w.ctx, c, machines.ScopePolicyInput{Name: "all", Rules: sshPolicy()},
				nil))
		},
		"DeleteScopePolicy": func(c engine.Caller) error { return w.Machines.DeleteScopePolicy(w.ctx, c, "all", nil) },
		"SetMachinePolicy": func(c engine.Caller) error {
			return drop(w.Machines.SetMachinePolicy(w.ctx, c, "web-1", sshPolicy(), nil))
		},
		"DeleteMachinePolicy": func(c engine.Caller) error {
			return w.Machines.DeleteMachinePolicy(w.ctx, c, "web-1",
				nil)
		},
		"Policies": func(c engine.Caller) error {
			return drop(w.Machines.Policies(w.ctx, c, engine.PolicyFilter{}, engine.Page{}))
		},
		"PolicyByResource": func(c engine.Caller) error {
			return drop(
				w.Machines.PolicyByResource(w.ctx, c, policy.Resource))
		},
		"PutPolicy": func(c engine.Caller) error {
			_, _, err := w.Machines.PutPolicy(w.ctx, c,
				machines.PolicyInput{Resource: policy.Resource, Machines: policy.Machines}, nil)
			return err
		},
		"DeletePolicy": func(c engine.Caller) error { return w.Machines.DeletePolicy(w.ctx, c, policy.Resource, nil) },
		"CreatePrincipal": func(c engine.Caller) error {
			return drop(w.Directory.CreatePrincipal(w.ctx, c, directory.PrincipalInput{Kind: access.User, Name: "eve"}))
		},
		"Principal": func(c engine.Caller) error { return drop(w.Directory.Principal(w.ctx, c, "ann")) },
		"Principals": func(c engine.Caller) error {
			return drop(w.Directory.Principals(w.ctx, c, engine.PrincipalFilter{}, engine.Page{}))
		},
		"ChangePrincipal": func(c engine.Caller) error {
			return drop(w.Directory.ChangePrincipal(w.ctx, c, "ann",
				directory.PrincipalChange{Disabled: &yes, DisplayName: &name}))
		},
		"AddMember":       func(c engine.Caller) error { return w.Directory.AddMember(w.ctx, c, "people", "nobody") },
		"RemoveMember":    func(c engine.Caller) error { return w.Directory.RemoveMember(w.ctx, c, "people", "ann") },
		"RoleDefinitions": func(c engine.Caller) error { return drop(w.Roles.RoleDefinitions(w.ctx, c)) },
		"AssignRole": func(c engine.Caller) error {
			return drop(w.Roles.AssignRole(w.ctx, c,
				roles.AssignInput{Principal: "nobody", Role: "Owner", Scope: access.Root}))
		},
		"RoleAssignments": func(c engine.Caller) error {
			return drop(w.Roles.RoleAssignments(w.ctx, c, roles.AssignmentFilter{}, engine.Page{}))
		},
		"UnassignRole": func(c engine.Caller) error { return w.Roles.UnassignRole(w.ctx, c, assignment) },
		"Agents":       func(c engine.Caller) error { return drop(w.Machines.Agents(w.ctx, c, engine.Page{})) },
		"Events": func(c engine.Caller) error {
			return drop(w.Records.Events(w.ctx, c, engine.EventFilter{}, engine.Page{}))
		},
		"Event": func(c engine.Caller) error { return drop(w.Records.Event(w.ctx, c, 0)) },
		"Export": func(c engine.Caller) error {
			return drop(w.Records.Export(w.ctx, c, 0, func(int64, []byte) error { return nil }))
		},
		"Checkpoints":      func(c engine.Caller) error { return drop(w.Records.Checkpoints(w.ctx, c, engine.Page{})) },
		"MayResetPassword": func(c engine.Caller) error { return w.Directory.MayResetPassword(w.ctx, c, "ann") },
		"ResetPassword": func(c engine.Caller) error {
			return w.Directory.ResetPassword(w.ctx, c, "ann",
				"$argon2id$x", true)
		},
		"PasskeysOf":       func(c engine.Caller) error { return drop(w.Directory.PasskeysOf(w.ctx, c, "ann")) },
		"DeletePasskeyOf":  func(c engine.Caller) error { return w.Directory.DeletePasskeyOf(w.ctx, c, "ann", "k") },
		"EnrollmentTokens": func(c engine.Caller) error { return drop(w.Machines.EnrollmentTokens(w.ctx, c)) },
		"DeleteEnrollmentToken": func(c engine.Caller) error {
			return w.Machines.DeleteEnrollmentToken(w.ctx, c, "0123456789abcdef")
		},
		"Checkpoint":       func(c engine.Caller) error { return drop(w.Records.Checkpoint(w.ctx, c)) },
		"InclusionProof":   func(c engine.Caller) error { return drop(w.Records.InclusionProof(w.ctx, c, 0, 0)) },
		"ConsistencyProof": func(c engine.Caller) error { return drop(w.Records.ConsistencyProof(w.ctx, c, 1, 0)) },
	}
	_ = host
	return cases
}

func TestNothingIsAllowedWithoutARole(t *testing.T) { //nolint:tparallel // the cases share the state
	t.Parallel()
	w, host, policy, request := stage(t)
	nobody := w.user("nobody", "")
	for name, call := range useCases(w, host, policy, request) {
		t.Run(name, func(t *testing.T) {
			before := w.picture()
			err := call(nobody)
			// Whether a request or a grant exists is nothing to a caller who may not see it.
			hidden := slices.Contains([]string{"Request", "Cancel", "Grant", "WaitGrant", "Revoke"}, name)
			if kind := access.KindOf(err); kind != access.KindForbidden && (!hidden || kind != access.KindNotFound) {
				t.Errorf("got %v (%s), want it to be forbidden", err, kind)
			}
			if diff := cmp.Diff(before, w.picture(), comparers()...); diff != "" {
				t.Errorf("it changed something: %s", diff)
			}
			err = call(engine.Caller{})
			if access.KindOf(err) != access.KindUnauthenticated {
				t.Errorf("nobody at all got %v (%s), want unauthenticated", err, access.KindOf(err))
			}
		})
	}
	for name, call := range useCases(w, host, policy, request) {
		if name == "Check" || name == "DeletePolicy" || name == "DeleteMachine" || name == "DeleteMachinePolicy" ||
			name == "UnassignRole" || name == "Cancel" {
			continue
		}
		t.Run("admin "+name, func(t *testing.T) {
			if err := call(w.admin); access.KindOf(err) == access.KindForbidden {
				t.Errorf("the administrator got %v", err)
			}
		})
	}
}

// picture is all that a use case may change, but for the activity log.
type picture struct {
	Machines    []machines.MachineDetail
	Policies    []access.Policy
	Requests    []requests.RequestDetail
	Grants      []engine.GrantDetail
	Principals  []access.Principal
	Assignments []engine.AssignmentDetail
	Agents      []access.Agent
	Members     []access.Principal
}

func (w *world) picture() picture {
	w.tb.Helper()
	most := engine.Page{Limit: 1000}
	return picture{
		Machines:    must(w.Machines.Machines(w.ctx, w.admin, engine.MachineFilter{}, most))(w.tb).Items,
		Policies:    must(w.Machines.Policies(w.ctx, w.admin, engine.PolicyFilter{}, most))(w.tb).Items,
		Requests:    must(w.Requests.Requests(w.ctx, w.admin, engine.RequestFilter{}, most))(w.tb).Items,
		Grants:      must(w.Requests.Grants(w.ctx, w.admin, engine.GrantFilter{}, most))(w.tb).Items,
		Principals:  must(w.Directory.Principals(w.ctx, w.admin, engine.PrincipalFilter{}, most))(w.tb).Items,
		Assignments: must(w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{}, most))(w.tb).Items,
		Agents:      must(w.Machines.Agents(w.ctx, w.admin, most))(w.tb).Items,
		Members: must(w.Directory.Principals(w.ctx, w.admin, engine.PrincipalFilter{Group: "people"}, most))(
			w.tb).Items,
	}
}

func comparers() []cmp.Option {
	return []cmp.Option{
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	}
}

func TestRefusedAttemptIsOnRecord(t *testing.T) {
	t.Parallel()
	w, _, _, _ := stage(t)
	nobody := w.user("nobody", "")
	start := w.size()
	if err := w.Machines.DeleteMachine(w.ctx, nobody, "web-1"); err == nil {
		t.Fatal("nobody deleted a machine")
	}
	events := w.events()[start:]
	if len(events) != 1 || events[0].Kind != access.AccessRefused || events[0].Action != rbac.MachinesDelete ||
		events[0].Actor.Name != "nobody" {
		t.Errorf("events are %+v", events)
	}
}

func TestRoleAtAGroupIsForThatGroupAlone(t *testing.T) {
	t.Parallel()
	w, host, _, _ := stage(t)
	here := access.ResourceGroupScope(host.Machine.Subscription(), "default")
	w.user("near", "")
	near := caller(must(w.Directory.Principal(w.ctx, w.admin, "near"))(t))
	far := w.user("far", "")
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "near", Role: "Reader", Scope: here}))(t)
	must(w.Directory.CreateResourceGroup(w.ctx, w.admin, directory.ResourceGroupInput{Name: "default-2"}))(t)
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "far", Role: "Reader", Scope: here + "-2"}))(t)
	if list := must(w.Machines.Machines(w.ctx, near, engine.MachineFilter{}, engine.Page{}))(t); len(list.Items) != 1 {
		t.Errorf("near sees %d machines", len(list.Items))
	}
	if list := must(w.Machines.Machines(w.ctx, far, engine.MachineFilter{}, engine.Page{}))(t); len(list.Items) != 0 {
		t.Errorf("far sees %d machines", len(list.Items))
	}
	_, err := w.Machines.Machine(w.ctx, far, "web-1")
	_, missing := w.Machines.Machine(w.ctx, far, "web-9")
	wantCode(t, err, access.KindNotFound, "unknownMachine")
	wantCode(t, missing, access.KindNotFound, "unknownMachine")
	events := must(w.Records.Events(w.ctx, near, engine.EventFilter{}, engine.Page{Limit: 1000}))(t)
	for _, e := range events.Items {
		if !e.Scope.Within(here) {
			t.Errorf("near sees the event %s at %q", e.Kind, e.Scope)
		}
	}
	if len(events.Items) == 0 {
		t.Error("near sees no events")
	}
}

func TestRightsFollowTheDirectoryAtOnce(t *testing.T) {
	t.Parallel()
	w, _, _, _ := stage(t)
	w.user("temp", "")
	temp := caller(must(w.Directory.Principal(w.ctx, w.admin, "temp"))(t))
	replica := w.another()
	now := w.clock.now()
	d := must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{
			Principal: "temp", Role: "Reader", Scope: access.Root, Start: now.Add(time.Hour),
			End: now.Add(2 * time.Hour),
		}))(
		t)
	allowed := func() bool {
		_, first := w.Machines.Machine(w.ctx, temp, "web-1")
		_, second := replica.Machines.Machine(w.ctx, temp, "web-1")
		if (first == nil) != (second == nil) {
			t.Errorf("replicas differ: %v, %v", first, second)
		}
		return first == nil
	}
	if allowed() {
		t.Error("allowed before the start")
	}
	w.clock.advance(time.Hour)
	if !allowed() {
		t.Error("not allowed after the start")
	}
	w.clock.advance(time.Hour)
	if allowed() {
		t.Error("allowed after the end")
	}
	if err := w.Directory.AddMember(w.ctx, w.admin, "people", "temp"); err != nil {
		t.Fatal(err)
	}
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "people", Role: "Reader", Scope: access.Root}))(
		t)
	if !allowed() {
		t.Error("not allowed through the group")
	}
	if err := w.Directory.RemoveMember(w.ctx, w.admin, "people", "temp"); err != nil {
		t.Fatal(err)
	}
	if allowed() {
		t.Error("allowed after leaving the group")
	}
	if err := w.Roles.UnassignRole(w.ctx, w.admin, d.Assignment.ID); err != nil {
		t.Fatal(err)
	}
}

func TestTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := must(w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{Principal: directory.AdminName},
		engine.Page{}))(
		t).Items[0].Assignment.ID
	wantCode(t, w.Roles.UnassignRole(w.ctx, w.admin, own), access.KindConflict, "lastOwner")
	yes := true
	_, err := w.Directory.ChangePrincipal(w.ctx, w.admin, directory.AdminName,
		directory.PrincipalChange{Disabled: &yes})
	wantCode(t, err, access.KindConflict, "ownPrincipal")
	w.user("second", "Owner")
	if err := w.Roles.UnassignRole(w.ctx, w.admin, own); err != nil {
		t.Error(err)
	}
}

func TestDirectoryRefusals(t *testing.T) {
	t.Parallel()
	w, _, _, _ := stage(t)
	_, err := w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.User, Name: "ANN"})
	wantCode(t, err, access.KindConflict, "principalExists")
	_, err = w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: "robot", Name: "r2"})
	wantCode(t, err, access.KindInvalid, "unknownKind")
	for _, name := range []string{"", " a", "a\nb", "/x", "0190c3c8-0000-7000-8000-000000000000"} {
		_, err = w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.User, Name: name})
		wantCode(t, err, access.KindInvalid, "malformedName")
	}
	must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.Group, Name: "inner"}))(t)
	if err := w.Directory.AddMember(w.ctx, w.admin, "people", "inner"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.Directory.AddMember(w.ctx, w.admin, "inner", "people"), access.KindInvalid, "membershipLoop")
	wantCode(t, w.Directory.AddMember(w.ctx, w.admin, "inner", "inner"), access.KindInvalid, "membershipLoop")
	wantCode(t, w.Directory.AddMember(w.ctx, w.admin, "ann", "inner"), access.KindInvalid, "notAGroup")
	wantCode(t, w.Directory.RemoveMember(w.ctx, w.admin, "inner", "ann"), access.KindNotFound, "notAMember")
	size := w.size()
	if err := w.Directory.AddMember(w.ctx, w.admin, "people", "inner"); err != nil || w.size() != size {
		t.Errorf("adding a member again: %v, %d events", err, w.size()-size)
	}
	_, err = w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "ann", Role: "King"})
	wantCode(t, err, access.KindNotFound, "unknownRole")
	_, err = w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "ann", Role: "Reader", Scope: "nonsense"})
	wantCode(t, err, access.KindInvalid, "malformedResourceId")
}

// TestAbleIsWhatOneMayDo compares what a person is offered with what they may do.
func TestAbleIsWhatOneMayDo(t *testing.T) {
	t.Parallel()
	w, host, _, _ := stage(t)
	w.user("near", "")
	near := caller(must(w.Directory.Principal(w.ctx, w.admin, "near"))(t))
	if able := must(w.Roles.Able(w.ctx, near))(t); len(able) != 0 {
		t.Errorf("without a role one may do %v", able)
	}
	here := access.ResourceGroupScope(host.Machine.Subscription(), "default")
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "near", Role: "Reader", Scope: here}))(t)
	able := must(w.Roles.Able(w.ctx, near))(t)
	for _, action := range rbac.Actions() {
		if may := w.Directory.Check(w.ctx, near, action, here) == nil; may != slices.Contains(able, action) {
			t.Errorf("%s: may do it %t, is offered it %t", action, may, !may)
		}
	}
	if all := must(w.Roles.Able(w.ctx, w.admin))(t); !slices.Equal(all, rbac.Actions()) {
		t.Errorf("an owner is offered %v", all)
	}
}
