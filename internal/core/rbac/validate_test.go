package rbac_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

func fields(reasons []access.Reason) []string {
	var all []string
	for _, r := range reasons {
		all = append(all, r.Field+" "+r.Code)
	}
	return all
}

func TestValidateDefinition(t *testing.T) {
	t.Parallel()
	good := rbac.Definition{
		Name:             "Operators",
		Permissions:      []rbac.Permission{{Actions: []string{"Microsoft.Compute/*/read"}}},
		AssignableScopes: []access.ResourceID{sub},
	}
	if got := rbac.ValidateDefinition(good); got != nil {
		t.Errorf("a good role: %v", got)
	}
	bad := rbac.Definition{
		Name: " ", AssignableScopes: []access.ResourceID{"/subscriptions//x", sub + "/"},
		Permissions: []rbac.Permission{{NotActions: []string{"", "read"}, NotDataActions: []string{"a/b c"}}},
	}
	want := []string{
		"name nameMissing", "permissions[0].notActions[0] malformedAction",
		"permissions[0].notActions[1] malformedAction",
		"permissions[0].notDataActions[0] malformedAction", "permissions actionsMissing",
		"assignableScopes[0] malformedScope", "assignableScopes[1] malformedScope",
	}
	if diff := cmp.Diff(want, fields(rbac.ValidateDefinition(bad))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValidateAssignment(t *testing.T) {
	t.Parallel()
	role := rbac.Definition{ID: "ABC", Tenant: "t1", Name: "Operators", AssignableScopes: []access.ResourceID{group}}
	good := rbac.Assignment{
		Tenant: "t1", Home: "t3", Principal: "ann", Definition: "abc", Scope: machine,
		Start: noon(), End: noon().Add(1),
	}
	if got := rbac.ValidateAssignment(good, role); got != nil {
		t.Errorf("a good assignment: %v", got)
	}
	bad := rbac.Assignment{
		Tenant: "t2", Home: "t2", Definition: "other", Scope: sub, Start: noon(),
		End: noon().Add(-time.Second),
	}
	want := []string{
		"principal principalMissing", "role roleMissing", "role foreignRole", "scope notAssignableHere",
		"end endBeforeStart",
	}
	if diff := cmp.Diff(want, fields(rbac.ValidateAssignment(bad, role))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
