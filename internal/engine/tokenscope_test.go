package engine_test

import (
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestATokenForNoMachineCountsNone holds that a token whose scope is above no machine counts and lists none, neither at
// home nor where its owner is a guest: who counts by a part of a name learns the name.
func TestATokenForNoMachineCountsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("secret-1")
	_, owner := w.tenant("contoso")
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{
			Principal: string(owner.Principal), Role: string(rbac.Owner),
			Scope: w.host("other").Machine.Resource,
		}))(
		t)
	for name, scope := range map[string]access.ResourceID{
		"elsewhere": "/providers/Microsoft.Management/managementGroups/x", "everywhere": "/", "unbounded": "",
	} {
		c := w.bounded(owner, name, engine.Bounds{Scope: scope})
		o := must(w.Fleet.MachineOverview(w.ctx, c, engine.MachineFilter{Search: "secret"}))(t)
		list := must(w.Machines.Machines(w.ctx, c, engine.MachineFilter{Search: "secret"}, engine.Page{Limit: 1}))(t)
		if len(list.Items) != 0 || list.Next != "" {
			t.Errorf("a token for %s lists %+v, and goes on at %q", name, list.Items, list.Next)
		}
		for standing, n := range o.Counts {
			if n != 0 {
				t.Errorf("a token for %s counts %d machines that are %s", name, n, standing)
			}
		}
	}
}
