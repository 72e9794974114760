package rbac_test

import (
	"fmt"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// fifty is a directory in which ann has 50 assignments, half of them through nested groups, and the one that counts
// is looked at last.
func fifty() *rbac.Directory {
	roles := []rbac.DefinitionID{
		rbac.Contributor, rbac.Reader, rbac.SecurityAdmin, rbac.SecurityReader,
		rbac.JITAccessRequester,
	}
	var assignments []rbac.Assignment
	for i := range 49 {
		holder := access.PrincipalID("ann")
		if i%2 == 1 {
			holder = "ops"
		}
		scope := sub // every other one lies above the machine, and lacks the action
		role := rbac.SecurityReader
		if i%4 < 2 {
			scope, role = access.ResourceID(fmt.Sprintf("%s/resourceGroups/group-%02d", sub, i)), roles[i%len(roles)]
		}
		a := assign(holder, role, scope)
		a.ID = rbac.AssignmentID(fmt.Sprintf("%02d", i))
		assignments = append(assignments, a)
	}
	return directory(append(assignments, assign("all", rbac.UserAccessAdministrator, access.Root)),
		[]rbac.Membership{
			{Group: "team", Member: "ann"},
			{Group: "ops", Member: "team"},
			{Group: "all", Member: "ops"},
		})
}

func BenchmarkCheck50(b *testing.B) {
	d, now := fifty(), noon()
	for _, bench := range []struct {
		name   string
		action string
		want   bool
	}{{"allowed by the last", rbac.RoleAssignmentsWrite, true}, {"refused", rbac.MachinesWrite, false}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d.Check("ann", bench.action, machine, now).Allowed != bench.want {
					b.Fatal("wrong answer")
				}
			}
		})
	}
}

// BenchmarkCheckDenied has a thousand deny assignments, as a thousand managed applications would, and one that counts.
func BenchmarkCheckDenied(b *testing.B) {
	data := rbac.Data{Definitions: rbac.BuiltIn(), Assignments: []rbac.Assignment{assign("ann", rbac.Owner, sub)}}
	for i := range 1000 {
		data.Denials = append(data.Denials, rbac.DenyAssignment{
			ID:          rbac.DenyID(fmt.Sprintf("%04d", i)),
			Scope:       access.ResourceID(fmt.Sprintf("%s/resourceGroups/managed-%04d", sub, i)),
			Permissions: []rbac.Permission{{Actions: []string{"*"}, NotActions: []string{"*/read"}}},
			Exclude:     []access.PrincipalID{"publisher"},
		})
	}
	data.Denials = append(data.Denials,
		rbac.DenyAssignment{
			ID: "last", Scope: group,
			Permissions: []rbac.Permission{{Actions: []string{"*"}, NotActions: []string{"*/read"}}},
		})
	d, now := rbac.Compile(data), noon()
	b.ReportAllocs()
	for b.Loop() {
		if got := d.Check("ann", rbac.MachinesWrite, machine, now); got.Allowed || got.Denied != "last" {
			b.Fatal("wrong answer")
		}
	}
}

func BenchmarkCompile10000(b *testing.B) {
	data := rbac.Data{Subscriptions: subscriptions(), Definitions: rbac.BuiltIn()}
	for i := range 10_000 {
		person := access.PrincipalID(fmt.Sprintf("p%05d", i))
		data.Memberships = append(data.Memberships,
			rbac.Membership{Group: access.PrincipalID(fmt.Sprintf("g%03d", i%500)), Member: person})
	}
	for i := range 500 {
		name := access.PrincipalID(fmt.Sprintf("g%03d", i))
		data.Memberships = append(data.Memberships,
			rbac.Membership{Group: access.PrincipalID(fmt.Sprintf("g%03d", i/2)), Member: name})
		data.Assignments = append(data.Assignments, assign(name, rbac.Reader, sub))
	}
	b.ReportAllocs()
	for b.Loop() {
		rbac.Compile(data)
	}
}
