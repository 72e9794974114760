package engine_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// owners gives who can act as Owner, by a snapshot of what is stored.
func (w *world) owners() []access.PrincipalID {
	w.tb.Helper()
	var owners []access.PrincipalID
	err := w.store.View(w.ctx, func(r engine.Reader) error {
		data, err := r.Directory(w.ctx)
		owners = rbac.Compile(data).Owners(w.admin.Tenant)
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return owners
}

// TestSomebodyWhoCanActStays takes the last Owner away on every way there is, while another assignment of Owner belongs
// to nobody who can act.
func TestSomebodyWhoCanActStays(t *testing.T) {
	t.Parallel()
	yes := true
	own := func(w *world) rbac.AssignmentID {
		list := must(w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{Principal: directory.AdminName},
			engine.Page{}))(
			w.tb)
		return list.Items[0].Assignment.ID
	}
	owner := func(w *world, name string) {
		must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: name, Role: "Owner", Scope: access.Root}))(
			w.tb)
	}
	group := func(w *world, name string) {
		must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.Group, Name: name}))(
			w.tb)
	}
	member := func(w *world, group, member string) {
		if err := w.Directory.AddMember(w.ctx, w.admin, group, member); err != nil {
			w.tb.Fatal(err)
		}
	}
	disable := func(w *world, by engine.Caller, name string) error {
		_, err := w.Directory.ChangePrincipal(w.ctx, by, name, directory.PrincipalChange{Disabled: &yes})
		return err
	}
	unassign := func(w *world) error { return w.Roles.UnassignRole(w.ctx, w.admin, own(w)) }
	for what, c := range map[string]func(w *world) error{
		"the other is disabled": func(w *world) error {
			w.user("ann", "Owner")
			must(w.Directory.ChangePrincipal(w.ctx, w.admin, "ann", directory.PrincipalChange{Disabled: &yes}))(w.tb)
			return unassign(w)
		},
		"the other is an empty group": func(w *world) error {
			group(w, "ops")
			owner(w, "ops")
			return unassign(w)
		},
		"the other is a program": func(w *world) error {
			must(w.Directory.CreatePrincipal(w.ctx, w.admin,
				directory.PrincipalInput{Kind: access.ServicePrincipal, Name: "deploy"}))(
				w.tb)
			owner(w, "deploy")
			return unassign(w)
		},
		"the last one is disabled": func(w *world) error {
			ann := w.user("ann", "") // Owner for an hour, who is none when it is over
			must(w.Roles.AssignRole(w.ctx, w.admin,
				roles.AssignInput{
					Principal: "ann", Role: "Owner", Scope: access.Root,
					End: w.clock.now().Add(time.Hour),
				}))(
				w.tb)
			return disable(w, ann, directory.AdminName)
		},
		"the last one leaves the group": func(w *world) error {
			group(w, "ops")
			member(w, "ops", directory.AdminName)
			owner(w, "ops")
			if err := unassign(w); err != nil {
				w.tb.Fatal(err)
			}
			return w.Directory.RemoveMember(w.ctx, w.admin, "ops", directory.AdminName)
		},
		"the group between is deleted": func(w *world) error {
			group(w, "ops")
			group(w, "inner")
			member(w, "ops", "inner")
			member(w, "inner", directory.AdminName)
			owner(w, "ops")
			if err := unassign(w); err != nil {
				w.tb.Fatal(err)
			}
			return w.Directory.DeleteGroup(w.ctx, w.admin, "inner")
		},
		"the group is disabled": func(w *world) error {
			group(w, "ops")
			member(w, "ops", directory.AdminName)
			owner(w, "ops")
			if err := unassign(w); err != nil {
				w.tb.Fatal(err)
			}
			return disable(w, w.admin, "ops")
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wantCode(t, c(w), access.KindConflict, "lastOwner")
			if owners := w.owners(); len(owners) != 1 || owners[0] != w.admin.Principal {
				t.Errorf("owners are %v", owners)
			}
		})
	}
}

// TestAssignmentsAreNotRepeated proves that the same role is not assigned twice: taking one back would leave the other.
func TestAssignmentsAreNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("ann", "Reader")
	in := roles.AssignInput{Principal: "ann", Role: "Reader", Scope: access.Root}
	_, err := w.Roles.AssignRole(w.ctx, w.admin, in)
	wantCode(t, err, access.KindConflict, "roleAssignmentExists")
	in.End = w.clock.now().Add(time.Hour) // another window is another assignment
	must(w.Roles.AssignRole(w.ctx, w.admin, in))(t)
}

// TestOwnersNeverRunOut does at random what makes and unmakes Owners, and holds that somebody who can act always stays,
// and that nothing is refused for it that would have left somebody.
func TestOwnersNeverRunOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		people := []string{directory.AdminName, "ann", "ben"}
		groups := []string{"inner", "outer"}
		callers := map[access.PrincipalID]engine.Caller{w.admin.Principal: w.admin}
		for _, name := range people[1:] {
			c := w.user(name, "")
			callers[c.Principal] = c
		}
		for _, name := range groups {
			must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.Group, Name: name}))(
				t)
		}
		everybody := append(append([]string{}, people...), groups...)
		for range 12 {
			before := w.owners()
			by := callers[before[rapid.IntRange(0, len(before)-1).Draw(rt, "by")]]
			name := rapid.SampledFrom(everybody).Draw(rt, "name")
			group := rapid.SampledFrom(groups).Draw(rt, "group")
			var err error
			what := rapid.SampledFrom([]string{"assign", "unassign", "add", "remove", "disable", "enable"}).Draw(rt,
				"what")
			switch what {
			case "assign":
				_, err = w.Roles.AssignRole(w.ctx, by,
					roles.AssignInput{Principal: name, Role: "Owner", Scope: access.Root})
			case "unassign":
				list := must(w.Roles.RoleAssignments(w.ctx, by, roles.AssignmentFilter{Principal: name},
					engine.Page{}))(
					t)
				if len(list.Items) > 0 {
					err = w.Roles.UnassignRole(w.ctx, by, list.Items[0].Assignment.ID)
				}
			case "add":
				err = w.Directory.AddMember(w.ctx, by, group, name)
			case "remove":
				err = w.Directory.RemoveMember(w.ctx, by, group, name)
			default:
				disabled := what == "disable"
				_, err = w.Directory.ChangePrincipal(w.ctx, by, name, directory.PrincipalChange{Disabled: &disabled})
			}
			after := w.owners()
			if len(after) == 0 {
				rt.Fatalf("%s %s, %s: nobody can act as Owner any more", what, name, group)
			}
			if access.CodeOf(err) == "lastOwner" && len(before) > 1 && what == "disable" && !isGroup(name) {
				rt.Fatalf("disabling %s is refused though there are %s", name, fmt.Sprint(before))
			}
		}
	})
}

func isGroup(name string) bool { return name == "inner" || name == "outer" }
