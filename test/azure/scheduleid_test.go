package azure_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
)

// TestScheduleIDsAreUsedOnce holds that a used id gives what was made by it to the same request alone, and is refused
// to another.
func TestScheduleIDsAreUsedOnce(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	vendor, secret := c.servicePrincipal("vendor", "")
	other, _ := c.servicePrincipal("other", "")
	scope := "/subscriptions/" + c.subscription
	body := func(kind, principal, role string) map[string]any {
		return map[string]any{"properties": map[string]any{
			"requestType": kind, "principalId": principal,
			"roleDefinitionId": scope + "/providers/Microsoft.Authorization/roleDefinitions/" + role,
			"justification":    "INC-7",
			"scheduleInfo": map[string]any{
				"expiration": map[string]any{"type": "AfterDuration", "duration": "PT1H"},
			},
		}}
	}
	type ask struct {
		who  *caller
		kind string
		body map[string]any
	}
	const assignments, eligibilities = "roleAssignmentScheduleRequests", "roleEligibilityScheduleRequests"
	for name, one := range map[string]struct {
		first  ask
		others []ask
	}{
		"assigned": {ask{x, assignments, body("AdminAssign", vendor, reader)}, []ask{
			{x, assignments, body("AdminAssign", other, reader)},
			{x, assignments, body("AdminAssign", vendor, owner)},
			{x, assignments, body("AdminRemove", vendor, reader)},
			{x, eligibilities, body("AdminAssign", vendor, reader)},
		}},
		"eligible": {ask{x, eligibilities, body("AdminAssign", vendor, contributor)}, []ask{
			{x, eligibilities, body("AdminAssign", other, contributor)},
			{x, assignments, body("AdminAssign", vendor, contributor)},
		}},
	} {
		id := uuid.NewString()
		put := func(a ask) (int, map[string]any) {
			return a.who.call(http.MethodPut,
				scope+"/providers/Microsoft.Authorization/"+a.kind+"/"+id+"?api-version=2020-10-01", a.body)
		}
		status, made := put(one.first)
		if status != http.StatusCreated {
			t.Fatalf("%s: %d %v", name, status, made)
		}
		if status, again := put(one.first); status != http.StatusCreated || at(t, again,
			"id") != at(t, made,
			"id") || at(t, again, "properties", "createdOn") != at(t, made, "properties", "createdOn") {
			t.Errorf("%s: the same again gave %d %v", name, status, again)
		}
		for _, another := range one.others {
			if status, answer := put(another); status != http.StatusConflict {
				t.Errorf("%s: %v under the same id gave %d %v", name, another.body, status, answer)
			}
		}
	}
	// An activation, which its holder asks for, and which ends before the eligibility does.
	short := func(body map[string]any) map[string]any {
		at(t, body, "properties", "scheduleInfo", "expiration").(map[string]any)["duration"] = "PT30M"
		return body
	}
	holder := c.as(vendor, secret)
	id := scope + "/providers/Microsoft.Authorization/" + assignments + "/" + uuid.NewString() +
		"?api-version=2020-10-01"
	first := short(body("SelfActivate", vendor, contributor))
	status, made := holder.call(http.MethodPut, id, first)
	if status != http.StatusCreated || at(t, made, "properties", "status") != "Provisioned" {
		t.Fatalf("an activation gave %d %v", status, made)
	}
	if status, again := holder.call(http.MethodPut, id,
		first); status != http.StatusCreated || at(t, again, "properties",
		"createdOn") != at(t, made, "properties", "createdOn") {
		t.Errorf("the same activation gave %d %v", status, again)
	}
	longer := short(body("SelfActivate", vendor, contributor))
	longer["properties"].(map[string]any)["justification"] = "INC-8"
	for what, another := range map[string]ask{
		"another reason": {holder, assignments, longer},
		"another kind":   {x, assignments, body("AdminAssign", other, reader)},
	} {
		if status, answer := another.who.call(http.MethodPut, id, another.body); status != http.StatusConflict {
			t.Errorf("%s under the id of an activation gave %d %v", what, status, answer)
		}
	}
}
