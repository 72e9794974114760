package rbac_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// TestOwnersEqualOracle compares who can act as Owner with a search that follows every membership by itself.
func TestOwnersEqualOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const people, groups = 4, 4
		var ids []access.PrincipalID
		data := rbac.Data{Definitions: rbac.BuiltIn(), Tenants: []access.Tenant{{ID: "t"}, {ID: "u"}}}
		for i := range people {
			ids = append(ids, access.PrincipalID(fmt.Sprint("p", i)))
			if i > 0 { // the first is a service principal
				data.People = append(data.People, ids[i])
			}
		}
		for i := range groups {
			ids = append(ids, access.PrincipalID(fmt.Sprint("g", i)))
		}
		for _, id := range ids {
			if rapid.IntRange(0, 3).Draw(t, "disabled") == 0 {
				data.Disabled = append(data.Disabled, id)
			}
		}
		for g := range groups {
			for m := range people + g { // a group holds earlier ones, so there is no circle
				if rapid.IntRange(0, 2).Draw(t, "member") == 0 {
					data.Memberships = append(data.Memberships, rbac.Membership{Group: ids[people+g], Member: ids[m]})
				}
			}
		}
		end := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range rapid.IntRange(0, 3).Draw(t, "assignments") {
			a := rbac.Assignment{
				ID: rbac.AssignmentID(fmt.Sprint("a", i)), Tenant: "t", Home: "t",
				Principal: rapid.SampledFrom(ids).Draw(t, "holder"), Scope: access.Root,
				Definition: rapid.SampledFrom([]rbac.DefinitionID{rbac.Owner, rbac.Owner, rbac.Contributor}).Draw(t,
					"role"),
			}
			if rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
				a.End = end
			}
			data.Assignments = append(data.Assignments, a)
		}
		dir := rbac.Compile(data)
		var want []access.PrincipalID
		for _, p := range data.People {
			if owner(data, p) {
				want = append(want, p)
			}
		}
		if got := dir.Owners("t"); !slices.Equal(got, want) {
			t.Fatalf("owners are %v, want %v", got, want)
		}
		if got := dir.Owners("u"); len(got) != 0 {
			t.Fatalf("another tenant has the owners %v", got)
		}
	})
}

// owner reports whether what is enabled leads from id to an assignment that makes Owner.
func owner(data rbac.Data, id access.PrincipalID) bool {
	if slices.Contains(data.Disabled, id) {
		return false
	}
	for _, a := range data.Assignments {
		if a.Principal == id && a.Definition == rbac.Owner && a.End.IsZero() {
			return true
		}
	}
	for _, m := range data.Memberships {
		if m.Member == id && owner(data, m.Group) {
			return true
		}
	}
	return false
}
