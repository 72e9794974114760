package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestWhatARuleAddedIsJudgedAgain holds that people's votes carry what they agreed to, and that the rule is asked again
// for what was added to it since without them.
func TestWhatARuleAddedIsJudgedAgain(t *testing.T) {
	t.Parallel()
	for _, stays := range []bool{true, false} {
		w := newApprovable(t, fastTrack(`"oncall" in requester.groups`))
		w.group("oncall")
		in := ssh("web-1", time.Hour)
		in.Start = w.clock.now().Add(time.Hour)
		d := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
		d = must(w.Requests.Decide(w.ctx, w.bob, d.Request.ID, true, "", d.Request.Digest))(t)
		id := d.Grants[0].ID
		if err := w.Directory.AddMember(w.ctx, w.admin, "oncall", "ann"); err != nil {
			t.Fatal(err)
		}
		must(w.Requests.Extend(w.ctx, w.ann, id, requests.ExtendInput{For: time.Hour}))(t)
		if !stays {
			if err := w.Directory.RemoveMember(w.ctx, w.admin, "oncall", "ann"); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.advance(time.Hour)
		must(w.Reconcile(w.ctx))(t)
		g := w.grant(id)
		if opened := !g.State.Ended(); opened != stays {
			t.Errorf("on call still: %t, and the grant is %s: %s", stays, g.State, g.Reason)
		}
		if !stays && !strings.Contains(g.Reason, "that people decide") {
			t.Errorf("the reason is %q", g.Reason)
		}
	}
}

// TestARoleIsNotNarrowedFromWhereItIsHeld holds that a role stays assignable wherever somebody has it.
func TestARoleIsNotNarrowedFromWhereItIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("bob", "")
	a := must(w.Directory.CreateResourceGroup(w.ctx, w.admin, directory.ResourceGroupInput{Name: "a"}))(t)
	b := must(w.Directory.CreateResourceGroup(w.ctx, w.admin, directory.ResourceGroupInput{Name: "b"}))(t)
	at := func(g access.ResourceGroup) access.ResourceID {
		return access.ResourceGroupScope(g.Subscription, g.Name)
	}
	role := roles.RoleInput{
		Name: "Reads", Permissions: []rbac.Permission{{Actions: []string{rbac.MachinesRead}}},
		AssignableScopes: []access.ResourceID{at(a), at(b)},
	}
	role.ID = must(w.Roles.PutRole(w.ctx, w.admin, role))(t).ID
	narrow := role
	narrow.AssignableScopes = role.AssignableScopes[:1]
	given := must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "bob", Role: "Reads", Scope: at(b)}))(
		t)
	_, err := w.Roles.PutRole(w.ctx, w.admin, narrow)
	wantCode(t, err, access.KindConflict, "roleInUse")
	if err := w.Roles.UnassignRole(w.ctx, w.admin, given.Assignment.ID); err != nil {
		t.Fatal(err)
	}
	eligible := must(w.Roles.WriteEligibility(w.ctx, w.admin,
		roles.EligibilityInput{Principal: "bob", Role: "Reads", Scope: at(b)}))(
		t)
	_, err = w.Roles.PutRole(w.ctx, w.admin, narrow)
	wantCode(t, err, access.KindConflict, "roleInUse")
	if err := w.Roles.DeleteEligibility(w.ctx, w.admin, eligible.Eligibility.ID); err != nil {
		t.Fatal(err)
	}
	must(w.Roles.PutRole(w.ctx, w.admin, narrow))(t)
}

// TestUnusedNamesNobodyOfAnotherTenant holds that a group of another tenant stands for its members.
func TestUnusedNamesNobodyOfAnotherTenant(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	m.deploy(manual())
	m.clock.advance(48 * time.Hour)
	list := must(m.Roles.Unused(m.ctx, m.admin, m.clock.now().Add(-24*time.Hour), engine.Page{}))(t)
	group := false
	for _, e := range list.Items {
		if e.Person.ID == m.vic.Principal || strings.HasPrefix(e.Person.Name, "vic") {
			t.Errorf("vic is named: %+v", e)
		}
		group = group || e.Person.Name == "vendors@vendor"
	}
	if !group {
		t.Errorf("the group is not named: %+v", list.Items)
	}
}

// TestPasskeysAreBoundedHoweverManyAreAddedAtOnce holds that the bound is of what is kept, and not of what there was.
func TestPasskeysAreBoundedHoweverManyAreAddedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := caller(must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.User, Name: "ann", PasswordHash: "h"}))(
		t))
	w.opened(ann, "h", "s", office)
	ann, _, err := w.Directory.Session(w.ctx, "s")
	if err != nil {
		t.Fatal(err)
	}
	ann.SteppedUpAt = w.clock.now()
	done := make(chan error)
	const many = 60
	for range many {
		go func() {
			_, err := w.Directory.AddPasskey(w.ctx, ann,
				engine.Passkey{ID: uuid.NewString(), Name: uuid.NewString(), Body: "{}"})
			done <- err
		}()
	}
	kept := 0
	for range many {
		if err := <-done; err == nil {
			kept++
		}
	}
	if kept > 20 || kept == 0 {
		t.Errorf("%d were kept", kept)
	}
}
