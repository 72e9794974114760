package rbac_test

import (
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

func TestDenyAssignments(t *testing.T) {
	t.Parallel()
	lock := rbac.DenyAssignment{
		ID: "lock", Name: "Lock", Scope: group, Exclude: []access.PrincipalID{"vendors"},
		Permissions: []rbac.Permission{{Actions: []string{"*"}, NotActions: []string{"*/read", rbac.GrantsRevoke}}},
	}
	bound := rbac.DenyAssignment{
		ID: "bound", Name: "Bound", Scope: group, Principals: []access.PrincipalID{"vendors"},
		Permissions: []rbac.Permission{{Actions: []string{"Microsoft.Authorization/*/write"}}},
	}
	d := rbac.Compile(rbac.Data{
		Definitions: rbac.BuiltIn(), Denials: []rbac.DenyAssignment{lock, bound},
		Memberships: []rbac.Membership{{Group: "vendors", Member: "vic"}},
		Assignments: []rbac.Assignment{assign("owner", rbac.Owner, access.Root), assign("vic", rbac.Owner, group)},
	})
	for name, tc := range map[string]struct {
		who    access.PrincipalID
		action string
		scope  access.ResourceID
		denied rbac.DenyID
	}{
		"the customer's owner changes nothing":       {"owner", rbac.MachinesWrite, machine, "lock"},
		"not at the scope itself either":             {"owner", rbac.RoleAssignmentsWrite, group, "lock"},
		"but reads":                                  {"owner", rbac.MachinesRead, machine, ""},
		"and ends what is open":                      {"owner", rbac.GrantsRevoke, machine, ""},
		"above the scope nothing is denied":          {"owner", rbac.MachinesWrite, sub, ""},
		"nor beside it, where a name only begins so": {"owner", rbac.MachinesWrite, group + "-2", ""},
		"case does not count": {
			"owner", rbac.MachinesWrite,
			"/SUBSCRIPTIONS" + machine[len("/subscriptions"):], "lock",
		},
		"a member of what is excluded is excluded": {"vic", rbac.MachinesWrite, machine, ""},
		"a member of what is named is denied":      {"vic", rbac.RoleAssignmentsWrite, machine, "bound"},
	} {
		got := d.Check(tc.who, tc.action, tc.scope, noon())
		if got.Denied != tc.denied || got.Allowed != (tc.denied == "") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if got := d.Check("stranger", rbac.MachinesWrite, machine, noon()); got.Allowed || got.Denied != "" {
		t.Errorf("a stranger needs no deny assignment to be refused: %+v", got)
	}
}

func TestMalformedDenialDeniesEverywhere(t *testing.T) {
	t.Parallel()
	d := rbac.Compile(rbac.Data{
		Definitions: rbac.BuiltIn(), Assignments: []rbac.Assignment{assign("owner", rbac.Owner, access.Root)},
		Denials: []rbac.DenyAssignment{{
			ID: "broken", Scope: "no/slash",
			Permissions: []rbac.Permission{{Actions: []string{"*"}}},
		}},
	})
	if d.Check("owner", rbac.MachinesRead, machine, noon()).Allowed {
		t.Error("a deny assignment that cannot be understood let something pass")
	}
}
