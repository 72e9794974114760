package engine_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestNothingIsGivenWhereNothingIs holds that roles are given at what exists, by each way of giving one.
func TestNothingIsGivenWhereNothingIs(t *testing.T) {
	t.Parallel()
	w, host, policy, _ := stage(t)
	sub := host.Machine.Subscription()
	group := access.ResourceGroupScope(sub, "default")
	const unknown = access.SubscriptionID("5b1c1d8a-8d0a-4a5b-9a43-000000000000")
	w.user("cleo", "")
	for scope, code := range map[access.ResourceID]string{
		access.Root: "", access.SubscriptionScope(sub): "", group: "", host.Machine.Resource: "", policy.Resource: "",
		access.SubscriptionScope(unknown):                                     "forbidden",
		access.MachineResource(unknown, "default", "web-1"):                   "forbidden",
		access.ResourceGroupScope(sub, "nowhere"):                             "unknownResourceGroup",
		access.MachineResource(sub, "nowhere", "web-1"):                       "unknownResourceGroup",
		access.MachineResource(sub, "default", "web-9"):                       "unknownScope",
		host.Machine.Resource + "/extensions/x":                               "unknownScope",
		access.PolicyResource(sub, "default", "local", "other"):               "unknownScope",
		access.SubscriptionScope(sub) + "/providers/Microsoft.Security":       "unknownScope",
		group + "/providers/Microsoft.Storage/storageAccounts/x":              "unknownScope",
		"/providers/Microsoft.Management/managementGroups/x":                  "unknownScope",
		access.SubscriptionScope(sub) + "/default":                            "unknownScope",
		"/resourceGroups/default":                                             "unknownScope",
		access.ApplicationResource(sub, "default", "billing"):                 "unknownScope",
		access.ApplicationDefinitionResource(sub, "default", "billing-agent"): "unknownScope",
	} {
		for how, give := range map[string]func() error{
			"assigned": func() error {
				_, err := w.Roles.AssignRole(w.ctx, w.admin,
					roles.AssignInput{Principal: "cleo", Role: "Reader", Scope: scope})
				return err
			},
			"eligible": func() error {
				_, err := w.Roles.WriteEligibility(w.ctx, w.admin,
					roles.EligibilityInput{Principal: "cleo", Role: "Contributor", Scope: scope})
				return err
			},
			"assigned by a change": func() error {
				_, err := w.Roles.ChangeRole(w.ctx, w.admin, roles.RoleChangeInput{
					ID: access.RoleChangeID(uuid.NewString()), Of: access.OfAssignment, Kind: access.RoleChangeAssign,
					Principal: "cleo", Role: "Security Reader", Scope: scope,
				})
				return err
			},
			"eligible by a change": func() error {
				_, err := w.Roles.ChangeRole(w.ctx, w.admin, roles.RoleChangeInput{
					ID: access.RoleChangeID(uuid.NewString()), Of: access.OfEligibility, Kind: access.RoleChangeAssign,
					Principal: "cleo", Role: "Security Admin", Scope: scope,
				})
				return err
			},
		} {
			err := give()
			switch {
			case code == "" && err != nil:
				t.Errorf("%s at %s: %v", how, scope, err)
			case code == "forbidden": // as a subscription of another tenant is
				wantCode(t, err, access.KindForbidden, code)
			case code != "":
				wantCode(t, err, access.KindNotFound, code)
			}
		}
	}
}

// TestRolesGoWithTheirMachine holds that what was given at a machine is not in force at the next one of its name.
func TestRolesGoWithTheirMachine(t *testing.T) {
	t.Parallel()
	w, host, _, _ := stage(t)
	cleo := w.user("cleo", "")
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "cleo", Role: "Contributor", Scope: host.Machine.Resource}))(
		t)
	must(w.Roles.WriteEligibility(w.ctx, w.admin,
		roles.EligibilityInput{Principal: "cleo", Role: "Owner", Scope: host.Machine.Resource}))(
		t)
	must(w.Requests.Activate(w.ctx, cleo,
		requests.ActivateInput{Roles: []requests.EligibleRole{{Role: "Owner"}}, Duration: access.DefaultActivation}))(
		t)
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, "web-1"); err != nil {
		t.Fatal(err)
	}
	again := w.host("web-1")
	if !again.Machine.Resource.Equal(host.Machine.Resource) {
		t.Fatalf("the machine of the same name is %s", again.Machine.Resource)
	}
	if err := w.Directory.Check(w.ctx, cleo, rbac.MachinesRead,
		again.Machine.Resource); access.KindOf(err) != access.KindForbidden {
		t.Errorf("a role at the machine before counts at the one of its name: %v", err)
	}
	if left := must(w.Roles.EligibleRoles(w.ctx, cleo))(t); len(left) != 0 {
		t.Errorf("eligible still: %+v", left)
	}
}

// TestRolesGoWithTheirApplication holds that what was given at a managed application, in its managed resource group or
// at its definition is not in force at the next one of its name.
func TestRolesGoWithTheirApplication(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	a := m.deploy(manual()).Application
	cleo := m.user("cleo", "")
	must(m.Roles.AssignRole(m.ctx, m.admin, roles.AssignInput{Principal: "cleo", Role: "Owner", Scope: a.Resource}))(t)
	must(m.Roles.WriteEligibility(m.ctx, m.admin,
		roles.EligibilityInput{Principal: "cleo", Role: "Contributor", Scope: a.Resource}))(
		t)
	m.save(func(tx engine.Tx) error { // as a publisher's Owner may, whom the lock leaves out
		return tx.SaveRoleAssignment(m.ctx, rbac.Assignment{
			ID: rbac.AssignmentID(uuid.NewString()), Tenant: a.Tenant, Principal: cleo.Principal,
			Definition: rbac.Owner, Scope: a.Managed, CreatedAt: m.clock.now(),
		})
	})
	must(m.Roles.AssignRole(m.ctx, m.vera, roles.AssignInput{Principal: "vic", Role: "Owner", Scope: a.Definition}))(t)
	if err := m.Apps.DeleteApplication(m.ctx, m.admin, "shop", true); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apps.DeleteAppDefinition(m.ctx, m.vera, "shop"); err != nil {
		t.Fatal(err)
	}
	must2(m.Apps.WriteAppDefinition(m.ctx, m.vera, shopOffer(func(in *apps.AppDefinitionInput) { in.Public = true })))(
		t)
	again := m.deploy(manual()).Application
	if !again.Managed.Equal(a.Managed) || !again.Definition.Equal(a.Definition) {
		t.Fatalf("it is %s of %s", again.Managed, again.Definition)
	}
	if m.may(cleo, rbac.ApplicationsWrite,
		again.Resource) || m.may(cleo, rbac.MachinesRead,
		again.Managed) || m.may(m.vic, rbac.AppDefinitionsDelete, again.Definition) {
		t.Error("a role at what is gone counts at what is called so now")
	}
	if left := must(m.Roles.EligibleRoles(m.ctx, cleo))(t); len(left) != 0 {
		t.Errorf("eligible still: %+v", left)
	}
}
