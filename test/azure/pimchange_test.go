package azure_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	pim "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/google/uuid"
)

// holds tells whether a request about a role is found by its name, once in the list too, as it should be.
func (p pimClients) holds(name string, kind pim.RequestType, status pim.Status) {
	p.cloud.t.Helper()
	got, err := p.requests.Get(p.cloud.t.Context(), p.scope, name, nil)
	p.cloud.must(err)
	if *got.Properties.RequestType != kind || *got.Properties.Status != status {
		p.cloud.t.Errorf("the request is %s, %s, want %s, %s", *got.Properties.RequestType, *got.Properties.Status,
			kind, status)
	}
	listed := 0
	for _, r := range all(p.cloud.t,
		p.requests.NewListForScopePager(p.scope,
			&pim.RoleAssignmentScheduleRequestsClientListForScopeOptions{Filter: new("asRequestor()")}),
		func(page pim.RoleAssignmentScheduleRequestsClientListForScopeResponse) []*pim.RoleAssignmentScheduleRequest {
			return page.Value
		}) {
		if *r.Name == name && *r.Properties.Status == status {
			listed++
		}
	}
	if listed != 1 {
		p.cloud.t.Errorf("the request %s is listed %d times", kind, listed)
	}
}

// holdsEligible is holds for requests about eligibilities.
func (p pimClients) holdsEligible(name string, kind pim.RequestType, status pim.Status) {
	p.cloud.t.Helper()
	requests := p.clients.NewRoleEligibilityScheduleRequestsClient()
	got, err := requests.Get(p.cloud.t.Context(), p.scope, name, nil)
	p.cloud.must(err)
	if *got.Properties.RequestType != kind || *got.Properties.Status != status {
		p.cloud.t.Errorf("the request is %s, %s, want %s, %s", *got.Properties.RequestType, *got.Properties.Status,
			kind, status)
	}
	listed := 0
	for _, r := range all(p.cloud.t,
		requests.NewListForScopePager(p.scope,
			&pim.RoleEligibilityScheduleRequestsClientListForScopeOptions{Filter: new("asRequestor()")}),
		func(page pim.RoleEligibilityScheduleRequestsClientListForScopeResponse) []*pim.RoleEligibilityScheduleRequest {
			return page.Value
		}) {
		if *r.Name == name && *r.Properties.Status == status {
			listed++
		}
	}
	if listed != 1 {
		p.cloud.t.Errorf("the request %s is listed %d times", kind, listed)
	}
}

func lasting(duration string) func(*pim.RoleAssignmentScheduleRequestProperties) {
	return func(p *pim.RoleAssignmentScheduleRequestProperties) { p.ScheduleInfo.Expiration.Duration = &duration }
}

// ends holds when the only instance of a principal's ends, give or take some minutes.
func (p pimClients) ends(principal string, in time.Duration) {
	p.cloud.t.Helper()
	found := p.instances("principalId eq '" + principal + "'")
	if len(found) != 1 || found[0].Properties.EndDateTime == nil || (time.Until(
		*found[0].Properties.EndDateTime)-in).Abs() > 20*time.Minute {
		p.cloud.t.Errorf("the instances are %v, want one that ends in %s", found, in)
	}
}

// TestPIMAssigned gives somebody a role, and more and less time with it, which they ask for too, by the Go SDK alone.
func TestPIMAssigned(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	admin := c.pim(c.goCredential())
	vicID, credential := c.user("vic")
	vic := c.pim(credential)
	_, assigned, err := admin.ask(pim.RequestTypeAdminAssign, vicID, nil)
	c.must(err)
	admin.holds(assigned, pim.RequestTypeAdminAssign, pim.StatusProvisioned)
	admin.ends(vicID, time.Hour)
	for kind, duration := range map[pim.RequestType]string{
		pim.RequestTypeAdminExtend: "PT30M",
		pim.RequestTypeAdminRenew:  "PT20M",
	} {
		_, _, err := admin.ask(kind, vicID, lasting(duration))
		admin.fails(string(kind)+" that gives no more time", err, "RoleAssignmentRequestPolicyValidationFailed",
			"ExpirationRule")
	}
	for _, kind := range []pim.RequestType{pim.RequestTypeAdminUpdate, pim.RequestTypeAdminAssign} {
		_, _, err = admin.ask(kind, vicID, lasting("PT0S"))
		admin.fails(string(kind)+" for no time", err, "InvalidRequestContent", "PT0S")
	}
	_, _, err = admin.ask(pim.RequestTypeAdminUpdate, vicID, func(p *pim.RoleAssignmentScheduleRequestProperties) {
		p.ScheduleInfo.Expiration = &pim.RoleAssignmentScheduleRequestPropertiesScheduleInfoExpiration{
			Type: new(pim.TypeAfterDateTime), EndDateTime: new(time.Now().Add(-time.Hour)),
		}
	})
	admin.fails("an end in the past", err, "RoleAssignmentRequestPolicyValidationFailed", "ExpirationRule")
	_, _, err = admin.ask(pim.RequestTypeAdminAssign, vicID, func(p *pim.RoleAssignmentScheduleRequestProperties) {
		p.ScheduleInfo.Expiration = &pim.RoleAssignmentScheduleRequestPropertiesScheduleInfoExpiration{
			Type: new(pim.TypeAfterDateTime), EndDateTime: new(time.Time{}),
		}
	})
	admin.fails("an end that was never set", err, "InvalidParameter", "endDateTime")
	_, _, err = admin.ask(pim.RequestTypeAdminUpdate, vicID,
		func(p *pim.RoleAssignmentScheduleRequestProperties) { p.ScheduleInfo = nil })
	admin.fails("a change without a time", err, "InvalidParameter", "scheduleInfo")
	for _, step := range []struct {
		kind     pim.RequestType
		duration string
		ends     time.Duration
	}{
		{pim.RequestTypeAdminExtend, "PT3H", 3 * time.Hour},
		{pim.RequestTypeAdminUpdate, "PT2H", 2 * time.Hour},
		{pim.RequestTypeAdminRenew, "PT4H", 4 * time.Hour},
	} {
		changed, name, err := admin.ask(step.kind, vicID, lasting(step.duration))
		c.must(err)
		if *changed.TargetRoleAssignmentScheduleID != assigned {
			t.Errorf("%s is of %s", step.kind, *changed.TargetRoleAssignmentScheduleID)
		}
		admin.holds(name, step.kind, pim.StatusProvisioned)
		admin.ends(vicID, step.ends)
		_, _, err = vic.ask(step.kind, vicID, lasting("PT9H"))
		vic.fails("one's own "+string(step.kind), err, "AuthorizationFailed", "roleAssignments/write")
	}

	// Who has the role asks for more, which waits for another.
	asked, more, err := vic.ask(pim.RequestTypeSelfExtend, vicID, lasting("PT6H"))
	c.must(err)
	if *asked.Status != pim.StatusPendingAdminDecision || *asked.RequestorID != vicID {
		t.Errorf("what was asked for is %+v", asked)
	}
	admin.ends(vicID, 4*time.Hour)
	_, _, err = vic.ask(pim.RequestTypeSelfRenew, vicID, lasting("PT6H"))
	vic.fails("asking twice", err, "Conflict", more)
	if n := len(vic.waiting()); n != 0 {
		t.Errorf("who asked is to decide on %d", n)
	}
	if found := admin.waiting(); len(found) != 1 || *found[0].Name != more {
		t.Errorf("the administrator is to decide on %v", found)
	}
	_, _, err = admin.ask(pim.RequestTypeAdminExtend, vicID, lasting("PT6H"))
	c.must(err)
	vic.holds(more, pim.RequestTypeSelfExtend, pim.StatusProvisioned)
	if n := len(admin.waiting()); n != 0 {
		t.Errorf("%d wait still", n)
	}
	_, again, err := vic.ask(pim.RequestTypeSelfRenew, vicID, lasting("PT8H"))
	c.must(err)
	if _, err := vic.requests.Cancel(t.Context(), vic.scope, again, nil); err != nil {
		t.Error(err)
	}
	vic.holds(again, pim.RequestTypeSelfRenew, pim.StatusCanceled)
	_, err = vic.requests.Cancel(t.Context(), vic.scope, more, nil)
	vic.fails("taking back what is done", err, "RoleAssignmentRequestCannotBeCanceled", "AdminRemove")

	_, removed, err := admin.ask(pim.RequestTypeAdminRemove, vicID, nil)
	c.must(err)
	admin.holds(removed, pim.RequestTypeAdminRemove, pim.StatusRevoked)
	admin.holds(assigned, pim.RequestTypeAdminAssign, pim.StatusRevoked)
	for _, kind := range []pim.RequestType{pim.RequestTypeAdminRemove, pim.RequestTypeAdminExtend} {
		_, _, err = admin.ask(kind, vicID, lasting("PT9H"))
		admin.fails(string(kind)+" of nothing", err, "RoleAssignmentDoesNotExist", "does not exist")
	}
	_, anna := c.user("anna")
	_, err = c.pim(anna).requests.Get(t.Context(), vic.scope, removed, nil)
	vic.fails("another's request", err, "AuthorizationFailed", "roleAssignments/read")
}

// waiting gives the requests about roles that wait for somebody.
func (p pimClients) waiting() []*pim.RoleAssignmentScheduleRequest {
	p.cloud.t.Helper()
	pager := p.requests.NewListForScopePager(p.scope,
		&pim.RoleAssignmentScheduleRequestsClientListForScopeOptions{Filter: new("asApprover()")})
	return all(p.cloud.t, pager,
		func(page pim.RoleAssignmentScheduleRequestsClientListForScopeResponse) []*pim.RoleAssignmentScheduleRequest {
			return page.Value
		})
}

// TestPIMEligibleForLonger has somebody ask for more time in which they may activate, and activate anew what has ended;
// an administrator gives the former, and has no say in how long an activation lasts.
func TestPIMEligibleForLonger(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	admin := c.pim(c.goCredential())
	vicID, credential := c.user("vic")
	vic := c.pim(credential)
	_, eligibility := admin.makeEligible(pim.RequestTypeAdminAssign, vicID, nil)
	longer := func(p *pim.RoleEligibilityScheduleRequestProperties) {
		p.ScheduleInfo.Expiration.Duration = new("P60D")
	}
	asked, more := vic.makeEligible(pim.RequestTypeSelfExtend, vicID, longer)
	if *asked.Status != pim.StatusPendingAdminDecision || *asked.TargetRoleEligibilityScheduleID != eligibility {
		t.Errorf("what was asked for is %+v", asked)
	}
	admin.makeEligible(pim.RequestTypeAdminExtend, vicID, longer)
	vic.holdsEligible(more, pim.RequestTypeSelfExtend, pim.StatusProvisioned)
	_, again := vic.makeEligible(pim.RequestTypeSelfRenew, vicID,
		func(p *pim.RoleEligibilityScheduleRequestProperties) {
			p.ScheduleInfo.Expiration.Duration = new("P90D")
		})
	if _, err := vic.clients.NewRoleEligibilityScheduleRequestsClient().Cancel(t.Context(), vic.scope, again,
		nil); err != nil {
		t.Error(err)
	}
	vic.holdsEligible(again, pim.RequestTypeSelfRenew, pim.StatusCanceled)

	_, _, err := vic.ask(pim.RequestTypeSelfActivate, vicID, nil)
	c.must(err)
	_, _, err = admin.ask(pim.RequestTypeAdminExtend, vicID, lasting("PT9H"))
	admin.fails("more time on an activation, past its rule", err, "RoleAssignmentRequestPolicyValidationFailed",
		"EligibilityRule")
	admin.ends(vicID, time.Hour)
	_, _, err = vic.ask(pim.RequestTypeSelfDeactivate, vicID, nil)
	c.must(err)
	renewed, name, err := vic.ask(pim.RequestTypeSelfRenew, vicID, lasting("PT2H"))
	c.must(err)
	if *renewed.RequestType != pim.RequestTypeSelfRenew || *renewed.Status != pim.StatusProvisioned {
		t.Errorf("what was renewed is %+v", renewed)
	}
	vic.holds(name, pim.RequestTypeSelfRenew, pim.StatusProvisioned)
	_, _, err = vic.ask(pim.RequestTypeSelfRenew, vicID, lasting("PT20H"))
	vic.fails("a renewal past the rule", err, "RoleAssignmentRequestPolicyValidationFailed", "ExpirationRule")

	x := c.with(credential)
	path := vic.scope + "/providers/Microsoft.Authorization/roleEligibilityScheduleRequests/"
	version := "?api-version=2020-10-01"
	upper := vic.scope + "/providers/Microsoft.Authorization/roleAssignmentScheduleRequests/" + strings.ToUpper(name)
	if status, answer := x.call(http.MethodGet, upper+version,
		nil); status != http.StatusOK || at(t, answer, "name") != name {
		t.Errorf("a name in capitals gave %d %v", status, answer)
	}
	x.fails(http.MethodPost, path+more+"/cancel"+version, nil, http.StatusBadRequest,
		"RoleAssignmentRequestCannotBeCanceled")
	x.fails(http.MethodGet, path+name+version, nil, http.StatusNotFound, "ResourceNotFound")
	x.fails(http.MethodPut, path+uuid.NewString()+version,
		map[string]any{"properties": map[string]any{"requestType": "SelfActivate"}}, http.StatusBadRequest,
		"RoleAssignmentRequestPolicyValidationFailed")
}
