package azure_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDisablingJustInTimeAccess turns the security policy of a resource group, and of the subscription, off and on as
// Azure has it, and holds that machines there are not applicable, cannot be requested or configured, and stay guarded.
func TestDisablingJustInTimeAccess(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	sub := "/subscriptions/" + c.subscription
	group := sub + "/resourceGroups/default"
	const security = "/providers/Microsoft.Security"
	turn := func(scope, to string) {
		t.Helper()
		status, answer := x.call(http.MethodPut, scope+security+"/policies/default"+v, map[string]any{
			"properties": map[string]any{"recommendations": map[string]any{"jitNetworkAccess": to}},
		})
		if status != http.StatusOK || at(t, answer, "properties", "recommendations", "jitNetworkAccess") != to {
			t.Fatalf("turning %s %s gave %d %v", scope, to, status, answer)
		}
	}
	state := func(scope string) any {
		t.Helper()
		_, answer := x.call(http.MethodGet, scope+security+"/policies/default"+v, nil)
		return at(t, answer, "properties", "recommendations", "jitNetworkAccess")
	}
	code := func() string {
		t.Helper()
		_, answer := x.call(http.MethodGet,
			c.machine.Resource+security+"/assessments/805651bc-6ecd-4c73-9b55-97a19d0582d0?api-version=2020-01-01", nil)
		return fmt.Sprint(at(t, answer, "properties", "status", "code"), " ",
			at(t, answer, "properties", "status", "description"))
	}
	if got := code(); got != "Healthy " {
		t.Errorf("the assessment is %s", got)
	}
	for _, scope := range []string{group, sub} {
		turn(scope, "Off")
		if state(group) != "Off" || state(sub) == "Off" != (scope == sub) {
			t.Errorf("with %s off, the group is %v and the subscription %v", scope, state(group), state(sub))
		}
		if got := code(); !strings.HasPrefix(got, "NotApplicable just-in-time access is disabled by policy for ") ||
			!strings.HasSuffix(got, "its guarded ports stay closed") {
			t.Errorf("the assessment is %s", got)
		}
		status, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+v,
			c.initiateBody("10.77.0.1", 5*time.Minute))
		if text := fmt.Sprint(answer); status != http.StatusBadRequest || !strings.Contains(text, "is disabled by policy") {
			t.Errorf("initiate gave %d %v", status, answer)
		}
		body := c.policyBody()
		if status, answer := x.call(http.MethodPut, c.policyPath()+v, body); status != http.StatusOK {
			t.Errorf("the policy as it is gave %d %v", status, answer)
		}
		port := at(t, body, "properties", "virtualMachines", 0, "ports", 0).(map[string]any)
		port["maxRequestAccessDuration"] = "PT1H"
		x.fails(http.MethodPut, c.policyPath()+v, body, http.StatusConflict, "Conflict")
		if _, answer := x.call(http.MethodGet, c.policyPath()+v, nil); at(t, answer, "properties", "virtualMachines", 0,
			"ports", 0, "maxRequestAccessDuration") != "PT3H" {
			t.Errorf("the policy is %v", answer)
		}
		turn(scope, "On")
	}
	x.fails(http.MethodPut, group+security+"/policies/default"+v,
		map[string]any{"properties": map[string]any{"recommendations": map[string]any{"jitNetworkAccess": "Maybe"}}},
		http.StatusBadRequest, "InvalidParameter")
	x.fails(http.MethodPut, group+security+"/policies/other"+v, map[string]any{}, http.StatusNotFound, "ResourceNotFound")
	x.guard()
}
