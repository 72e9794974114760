package azure_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/api"
)

// TestNothingIsGivenWhereNothingIs holds that a role cannot be assigned, nor an eligibility be given, at what does not exist, and
// that the refusal names what is missing.
func TestNothingIsGivenWhereNothingIs(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	id, _ := c.servicePrincipal("vendor", "")
	sub := "/subscriptions/" + c.subscription
	for scope, want := range map[string][2]string{
		sub + "/resourceGroups/nowhere": {"ResourceGroupNotFound", `resource group "nowhere"`},
		sub + "/resourceGroups/nowhere/providers/Microsoft.Compute/virtualMachines/web-1": {"ResourceGroupNotFound", `resource group "nowhere"`},
		c.machine.Resource + "9": {"ResourceNotFound", "web-19"},
	} {
		role := sub + "/providers/Microsoft.Authorization/roleDefinitions/" + contributorRole
		assignment := map[string]any{"properties": map[string]any{"principalId": id, "roleDefinitionId": role}}
		schedule := map[string]any{"properties": map[string]any{
			"requestType": "AdminAssign", "principalId": id, "roleDefinitionId": role, "scheduleInfo": map[string]any{"expiration": map[string]any{"type": "NoExpiration"}},
		}}
		for kind, one := range map[string]struct {
			version string
			body    any
		}{"roleAssignments": {"2022-04-01", assignment}, "roleAssignmentScheduleRequests": {"2020-10-01", schedule}, "roleEligibilityScheduleRequests": {"2020-10-01", schedule}} {
			path := scope + "/providers/Microsoft.Authorization/" + kind + "/" + uuid.NewString() + "?api-version=" + one.version
			if message := x.fails(http.MethodPut, path, one.body, http.StatusNotFound, want[0]); !strings.Contains(message, want[1]) {
				t.Errorf("%s at %s does not say %q: %s", kind, scope, want[1], message)
			}
		}
	}
	// A policy guards the machines of its own resource group and location.
	_, err := c.admin.CreateResourceGroup(t.Context(), api.NewResourceGroup{Name: "abroad", Location: "westeurope"})
	c.must(err)
	for _, elsewhere := range []string{strings.Replace(c.policyPath(), "/default/", "/abroad/", 1), strings.Replace(c.policyPath(), "/local/", "/westeurope/", 1)} {
		if message := x.fails(http.MethodPut, elsewhere+v, c.policyBody(), http.StatusBadRequest, "InvalidRequestContent"); !strings.Contains(message, "in a different cloud, subscription, location or resource group") {
			t.Errorf("%s: %s", elsewhere, message)
		}
	}
	policy := strings.Replace(c.policyPath(), "/resourceGroups/default/", "/resourceGroups/nowhere/", 1)
	if message := x.fails(http.MethodPut, policy+v, c.policyBody(), http.StatusNotFound, "ResourceGroupNotFound"); !strings.Contains(message, `resource group "nowhere"`) {
		t.Errorf("the message of a policy names another group: %s", message)
	}
}
