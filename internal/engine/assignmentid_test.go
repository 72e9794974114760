package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestARoleUnderTheIdOfAGrantIsTakenAway holds that whoever chooses the id of a role assignment cannot have it taken
// for what a grant enforces, which ends with the grant: it could not be taken away then, or the grant would be ended in
// its place.
func TestARoleUnderTheIdOfAGrantIsTakenAway(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	ended := must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t).Grants[0]
	must(v.Requests.Revoke(v.ctx, v.vic, ended.ID, ""))(t)
	later := contributor(time.Hour)
	later.Start = v.clock.now().Add(time.Hour)
	scheduled := must(v.Requests.Activate(v.ctx, v.vic, later))(t).Grants[0]
	for what, id := range map[string]access.GrantID{"ended": ended.ID, "scheduled": scheduled.ID} {
		in := roles.AssignInput{ID: rbac.AssignmentID(id), Principal: "vic", Role: "Owner", Scope: v.scope}
		if _, err := v.Roles.AssignRole(v.ctx, v.admin, in); access.KindOf(err) != access.KindConflict {
			t.Errorf("the id of a grant that is %s is taken for a role assignment: %v", what, err)
		}
	}

	if t.Failed() {
		return
	}
	// Such as are there from before: what is there under the id of a grant is its own only where it is of the same.
	assigned := func(id access.GrantID) bool {
		list := must(v.Roles.RoleAssignments(v.ctx, v.admin, roles.AssignmentFilter{}, engine.Page{}))(t)
		return slices.ContainsFunc(list.Items,
			func(d engine.AssignmentDetail) bool { return d.Assignment.ID == rbac.AssignmentID(id) })
	}
	for what, g := range map[string]access.Grant{"ended": ended, "scheduled": scheduled} {
		err := v.store.Update(v.ctx, func(tx engine.Tx) error {
			return tx.SaveRoleAssignment(v.ctx, rbac.Assignment{
				ID: rbac.AssignmentID(g.ID), Tenant: g.Tenant, Principal: g.Principal, Definition: rbac.Owner,
				Scope: v.scope, CreatedAt: v.clock.now(),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Roles.UnassignRole(v.ctx, v.admin, rbac.AssignmentID(g.ID)); err != nil || assigned(g.ID) {
			t.Errorf("a role under the id of a grant that is %s is there after it was taken away: %v", what, err)
		}
	}
	if is := must(v.Requests.Grant(v.ctx, v.vic, scheduled.ID))(t).Grant; is.State != access.GrantScheduled {
		t.Errorf("a grant whose assignment is none of the role that was taken away is %s", is.State)
	}
}
