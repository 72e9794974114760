package azure_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	pim "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/google/uuid"

	"github.com/postern-dev/postern/api"
)

const contributorRole = "b24988ac-6180-42a0-ab88-20f7382dd24c"

// pimClients are the Go SDK's clients for roles that are had for a while, as one principal uses them.
type pimClients struct {
	cloud    *cloud
	scope    string
	clients  *pim.ClientFactory
	requests *pim.RoleAssignmentScheduleRequestsClient
}

func (c *cloud) pim(credential azcore.TokenCredential) pimClients {
	c.t.Helper()
	factory, err := pim.NewClientFactory(c.subscription, credential, &arm.ClientOptions{ClientOptions: c.goCloud()})
	c.must(err)
	return pimClients{
		c, "/subscriptions/" + c.subscription + "/resourceGroups/default", factory,
		factory.NewRoleAssignmentScheduleRequestsClient(),
	}
}

func (p pimClients) role() *string {
	return new(p.scope + "/providers/Microsoft.Authorization/roleDefinitions/" + contributorRole)
}

// ask makes a request about the role Contributor of the group default.
func (p pimClients) ask(kind pim.RequestType, principal string,
	change func(*pim.RoleAssignmentScheduleRequestProperties),
) (*pim.RoleAssignmentScheduleRequestProperties, string, error) {
	p.cloud.t.Helper()
	properties := &pim.RoleAssignmentScheduleRequestProperties{
		PrincipalID: &principal, RoleDefinitionID: p.role(), RequestType: &kind, Justification: new("INC-7 restart"),
		ScheduleInfo: &pim.RoleAssignmentScheduleRequestPropertiesScheduleInfo{
			StartDateTime: new(time.Now()),
			Expiration: &pim.RoleAssignmentScheduleRequestPropertiesScheduleInfoExpiration{
				Type: new(pim.TypeAfterDuration), Duration: new("PT1H"),
			},
		},
	}
	if change != nil {
		change(properties)
	}
	name := uuid.NewString()
	made, err := p.requests.Create(p.cloud.t.Context(), p.scope, name,
		pim.RoleAssignmentScheduleRequest{Properties: properties}, nil)
	if err != nil {
		return nil, name, err
	}
	if *made.Name != name {
		p.cloud.t.Errorf("the request %s is called %s", name, *made.Name)
	}
	return made.Properties, name, nil
}

// makeEligible asks for an eligibility, or a change of one.
func (p pimClients) makeEligible(kind pim.RequestType, principal string,
	change func(*pim.RoleEligibilityScheduleRequestProperties),
) (*pim.RoleEligibilityScheduleRequestProperties, string) {
	p.cloud.t.Helper()
	properties := &pim.RoleEligibilityScheduleRequestProperties{
		PrincipalID: &principal, RoleDefinitionID: p.role(), RequestType: &kind,
		ScheduleInfo: &pim.RoleEligibilityScheduleRequestPropertiesScheduleInfo{
			StartDateTime: new(time.Now()),
			Expiration: &pim.RoleEligibilityScheduleRequestPropertiesScheduleInfoExpiration{
				Type: new(pim.TypeAfterDuration), Duration: new("P30D"),
			},
		},
	}
	if change != nil {
		change(properties)
	}
	name := uuid.NewString()
	made, err := p.clients.NewRoleEligibilityScheduleRequestsClient().Create(p.cloud.t.Context(), p.scope, name,
		pim.RoleEligibilityScheduleRequest{Properties: properties}, nil)
	p.cloud.must(err)
	return made.Properties, name
}

// fails tells whether a request was refused with a code, in a message that says something.
func (p pimClients) fails(what string, err error, code, says string) {
	p.cloud.t.Helper()
	e, is := errors.AsType[*azcore.ResponseError](err)
	if !is || e.ErrorCode != code || !strings.Contains(err.Error(), says) {
		p.cloud.t.Errorf("%s gave %v, want %s that says %q", what, err, code, says)
	}
}

func (p pimClients) instances(filter string) []*pim.RoleAssignmentScheduleInstance {
	p.cloud.t.Helper()
	pager := p.clients.NewRoleAssignmentScheduleInstancesClient().NewListForScopePager(p.scope,
		&pim.RoleAssignmentScheduleInstancesClientListForScopeOptions{Filter: &filter})
	return all(p.cloud.t, pager,
		func(page pim.RoleAssignmentScheduleInstancesClientListForScopeResponse) []*pim.RoleAssignmentScheduleInstance {
			return page.Value
		})
}

// TestWhoIsOnlyEligible proves that somebody who may activate a role in a subscription and has none there finds its
// name where Azure gives it, in what they may activate, and not in the list of subscriptions before they do.
func TestWhoIsOnlyEligible(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	scope := "/subscriptions/" + c.subscription
	_, credential := c.user("vic")
	x := c.with(credential)
	_, err := c.admin.CreateEligibility(t.Context(),
		api.NewEligibility{
			EligibilityTerms: api.EligibilityTerms{MaxSeconds: 3600}, Principal: "vic", Role: "Reader",
			Scope: scope,
		})
	c.must(err)
	for _, kind := range []string{"roleEligibilitySchedules", "roleEligibilityScheduleInstances"} {
		status, answer := x.call(http.MethodGet,
			scope+"/providers/Microsoft.Authorization/"+kind+"?api-version=2020-10-01&$filter=asTarget()", nil)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %v", kind, status, answer)
		}
		if found := at(t, answer,
			"value").([]any); len(found) != 1 || at(t, found[0], "properties", "expandedProperties", "scope",
			"displayName") != "default" {
			t.Errorf("%s: %v", kind, found)
		}
	}
	if status, answer := x.call(http.MethodGet, "/subscriptions?api-version=2022-12-01",
		nil); status != http.StatusOK || len(at(t, answer, "value").([]any)) != 0 {
		t.Errorf("the subscriptions are %d %v", status, answer)
	}
}

// TestPIM makes somebody eligible for a role, who activates it, has more time, and gives it back, by the Go SDK alone.
func TestPIM(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	admin := c.pim(c.goCredential())
	vicID, credential := c.user("vic")
	vic, x := c.pim(credential), c.with(credential)
	_, _, err := vic.ask(pim.RequestTypeSelfActivate, vicID, nil)
	vic.fails("an activation without eligibility", err, "RoleAssignmentRequestPolicyValidationFailed",
		`[\"EligibilityRule\"]`)

	made, eligibility := admin.makeEligible(pim.RequestTypeAdminAssign, vicID, nil)
	if *made.Status != pim.StatusProvisioned || *made.TargetRoleEligibilityScheduleID != eligibility ||
		*made.ExpandedProperties.Principal.DisplayName != "vic" ||
		*made.ExpandedProperties.RoleDefinition.DisplayName != "Contributor" {
		t.Errorf("the eligibility is %+v", made)
	}
	for what, filter := range map[string]string{"one's own": "asTarget()", "assigned": "assignedTo('" + vicID + "')"} {
		pager := vic.clients.NewRoleEligibilityScheduleInstancesClient().NewListForScopePager(vic.scope,
			&pim.RoleEligibilityScheduleInstancesClientListForScopeOptions{Filter: &filter})
		found := all(t, pager,
			func(p pim.RoleEligibilityScheduleInstancesClientListForScopeResponse) []*pim.RoleEligibilityScheduleInstance {
				return p.Value
			})
		if len(found) != 1 || *found[0].Properties.PrincipalID != vicID ||
			*found[0].Properties.MemberType != pim.MemberTypeDirect || found[0].Properties.EndDateTime == nil ||
			!strings.HasSuffix(*found[0].Properties.RoleEligibilityScheduleID, eligibility) {
			t.Errorf("%s: the instances are %v", what, found)
		}
	}
	schedules := func(who pimClients, filter string) int {
		pager := who.clients.NewRoleEligibilitySchedulesClient().NewListForScopePager(who.scope,
			&pim.RoleEligibilitySchedulesClientListForScopeOptions{Filter: &filter})
		return len(all(t, pager,
			func(p pim.RoleEligibilitySchedulesClientListForScopeResponse) []*pim.RoleEligibilitySchedule {
				return p.Value
			}))
	}
	if n, m := schedules(admin,
		"principalId eq '"+vicID+"'"), schedules(admin, "principalId eq '"+uuid.NewString()+"'"); n != 1 || m != 0 {
		t.Errorf("there are %d schedules of vic's, and %d of nobody's", n, m)
	}
	if _, err := vic.clients.NewRoleEligibilitySchedulesClient().Get(t.Context(), vic.scope, eligibility,
		nil); err != nil {
		t.Error(err)
	}
	children := all(t,
		vic.clients.NewEligibleChildResourcesClient().NewGetPager("/subscriptions/"+c.subscription,
			&pim.EligibleChildResourcesClientGetOptions{
				Filter: new("resourceType eq 'subscription' or resourceType eq 'resourcegroup'"),
			}),
		func(p pim.EligibleChildResourcesClientGetResponse) []*pim.EligibleChildResource { return p.Value })
	if len(children) != 1 || *children[0].Type != "resourcegroup" || *children[0].Name != "default" {
		t.Errorf("the children are %v", children)
	}

	// Activate, use, extend, give back.
	x.fails(http.MethodPut, c.policyPath()+v, c.policyBody(), http.StatusForbidden, "AuthorizationFailed")
	active, name, err := vic.ask(pim.RequestTypeSelfActivate, vicID,
		func(p *pim.RoleAssignmentScheduleRequestProperties) {
			p.LinkedRoleEligibilityScheduleID = &eligibility
			p.TicketInfo = &pim.RoleAssignmentScheduleRequestPropertiesTicketInfo{
				TicketNumber: new("INC-7"),
				TicketSystem: new("jira"),
			}
		})
	c.must(err)
	if *active.Status != pim.StatusProvisioned || active.ApprovalID != nil || *active.RequestorID != vicID ||
		*active.LinkedRoleEligibilityScheduleID != eligibility || *active.TicketInfo.TicketNumber != "INC-7" {
		t.Errorf("the activation is %+v", active)
	}
	if status, answer := x.call(http.MethodPut, c.policyPath()+v, c.policyBody()); status != http.StatusOK {
		t.Errorf("an active Contributor got %d %v", status, answer)
	}
	got, err := vic.requests.Get(t.Context(), vic.scope, name, nil)
	if err != nil || *got.Properties.Status != pim.StatusProvisioned ||
		*got.Properties.ScheduleInfo.Expiration.Duration != "PT1H" {
		t.Errorf("the request is %+v, %v", got, err)
	}
	for who, found := range map[string][]*pim.RoleAssignmentScheduleInstance{
		"vic":               vic.instances("asTarget()"),
		"the administrator": admin.instances("principalId eq '" + vicID + "'"),
	} {
		if len(found) != 1 || *found[0].Properties.AssignmentType != pim.AssignmentTypeActivated ||
			found[0].Properties.EndDateTime == nil ||
			!strings.HasSuffix(*found[0].Properties.LinkedRoleEligibilityScheduleID, eligibility) {
			t.Errorf("%s sees the instances %v", who, found)
		}
	}
	extended, _, err := vic.ask(pim.RequestTypeSelfExtend, vicID,
		func(p *pim.RoleAssignmentScheduleRequestProperties) { p.ScheduleInfo.Expiration.Duration = new("PT3H") })
	c.must(err)
	if end := *vic.instances("asTarget()")[0].Properties.EndDateTime; *extended.RequestType != pim.RequestTypeSelfExtend || time.Until(
		end) < 2*time.Hour {
		t.Errorf("the extension is %+v, and the role ends at %s", extended, end)
	}
	_, _, err = vic.ask(pim.RequestTypeSelfActivate, uuid.NewString(), nil)
	vic.fails("an activation in another's name", err, "AuthorizationFailed", "for oneself")
	back, given, err := vic.ask(pim.RequestTypeSelfDeactivate, vicID, nil)
	c.must(err)
	vic.holds(given, pim.RequestTypeSelfDeactivate, pim.StatusRevoked)
	if *back.Status != pim.StatusRevoked || len(vic.instances("asTarget()")) != 0 {
		t.Errorf("what was given back is %+v", back)
	}
	x.fails(http.MethodPut, c.policyPath()+v, c.policyBody(), http.StatusForbidden, "AuthorizationFailed")
	_, _, err = vic.ask(pim.RequestTypeSelfDeactivate, vicID, nil)
	vic.fails("giving back what one has not", err, "RoleAssignmentDoesNotExist", "not activated")

	// The administrator shortens the eligibility, then takes it away while it is in use.
	changed, _ := admin.makeEligible(pim.RequestTypeAdminUpdate, vicID,
		func(p *pim.RoleEligibilityScheduleRequestProperties) {
			p.TargetRoleEligibilityScheduleID, p.ScheduleInfo.Expiration.Duration = &eligibility, new("P1D")
		})
	if end := changed.ScheduleInfo.Expiration.EndDateTime; end == nil || time.Until(*end) > 25*time.Hour {
		t.Errorf("the eligibility ends at %v", end)
	}
	if _, _, err = vic.ask(pim.RequestTypeSelfActivate, vicID, nil); err != nil {
		t.Error(err)
	}
	gone, removed := admin.makeEligible(pim.RequestTypeAdminRemove, vicID, nil)
	admin.holdsEligible(removed, pim.RequestTypeAdminRemove, pim.StatusRevoked)
	admin.holdsEligible(eligibility, pim.RequestTypeAdminAssign, pim.StatusRevoked)
	if *gone.Status != pim.StatusRevoked || len(vic.instances("asTarget()")) != 0 {
		t.Errorf("what was taken away is %+v, and vic has %v", gone, vic.instances("asTarget()"))
	}
	x.fails(http.MethodPut, c.policyPath()+v, c.policyBody(), http.StatusForbidden, "AuthorizationFailed")
	_, _, err = vic.ask("SelfWish", vicID, nil)
	vic.fails("a type of request that there is not", err, "RoleAssignmentRequestPolicyValidationFailed", "SelfWish")
}

// TestPIMApproval asks for a role that another person must agree to, who reads what is asked and decides on that.
func TestPIMApproval(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	vicID, credential := c.user("vic")
	vic, asVic := c.pim(credential), c.with(credential)
	_, credential = c.user("cleo")
	cleo := c.with(credential)
	_, err := c.admin.CreateEligibility(t.Context(), api.NewEligibility{
		Principal: "vic", Role: "Contributor", Scope: vic.scope,
		EligibilityTerms: api.EligibilityTerms{
			MaxSeconds: 7200, Justification: api.JustificationRule{Required: true, MinLength: 10},
			Ticket: api.TicketRule{Required: true},
			Approval: []api.ApprovalCase{
				{Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"cleo"}}}}}},
			},
		},
	})
	c.must(err)
	policies := all(t, vic.clients.NewRoleManagementPolicyAssignmentsClient().NewListForScopePager(vic.scope, nil),
		func(p pim.RoleManagementPolicyAssignmentsClientListForScopeResponse) []*pim.RoleManagementPolicyAssignment {
			return p.Value
		})
	if len(policies) != 1 || len(policies[0].Properties.EffectiveRules) != 17 {
		t.Fatalf("the policies are %v", policies)
	}
	policy, err := vic.clients.NewRoleManagementPoliciesClient().Get(t.Context(), vic.scope,
		(*policies[0].Properties.PolicyID)[strings.LastIndexByte(*policies[0].Properties.PolicyID, '/')+1:], nil)
	c.must(err)
	holdsRules(t, policy.Properties.Rules)

	ticketed := func(p *pim.RoleAssignmentScheduleRequestProperties) {
		p.TicketInfo = &pim.RoleAssignmentScheduleRequestPropertiesTicketInfo{TicketNumber: new("INC-7")}
	}
	_, _, err = vic.ask(pim.RequestTypeSelfActivate, vicID, func(p *pim.RoleAssignmentScheduleRequestProperties) {
		p.Justification, p.ScheduleInfo.Expiration.Duration = nil, new("PT5H")
	})
	for _, rule := range []string{"JustificationRule", "ExpirationRule", "TicketingRule"} {
		vic.fails("an activation that breaks every rule", err, "RoleAssignmentRequestPolicyValidationFailed", rule)
	}
	pending, name, err := vic.ask(pim.RequestTypeSelfActivate, vicID, ticketed)
	c.must(err)
	if *pending.Status != pim.StatusPendingApproval || pending.ApprovalID == nil {
		t.Fatalf("the request is %+v", pending)
	}
	const approvals, version = "/providers/Microsoft.Authorization/roleAssignmentApprovals", "?api-version=2021-01-01-preview"
	if _, answer := asVic.call(http.MethodGet, approvals+version+"&$filter=asApprover()",
		nil); len(at(t, answer, "value").([]any)) != 0 {
		t.Errorf("the requester decides %v", answer)
	}
	_, answer := cleo.call(http.MethodGet, approvals+version+"&$filter=asApprover()", nil)
	if id := at(t, answer, "value", 0, "name"); id != *pending.ApprovalID {
		t.Errorf("cleo sees %v, want %s", id, *pending.ApprovalID)
	}
	one := approvals + "/" + *pending.ApprovalID
	_, answer = cleo.call(http.MethodGet, one+"/stages"+version, nil)
	shown := at(t, answer, "value", 0, "properties").(map[string]any)
	if shown["status"] != "InProgress" || shown["assignedToMe"] != true || shown["reviewResult"] != "NotReviewed" ||
		!strings.Contains(
			shown["displayName"].(string), "Contributor") {
		t.Errorf("the stage is %v", shown)
	}
	stage := one + "/stages/" + at(t, answer, "value", 0, "name").(string) + version
	decision := map[string]any{"reviewResult": "Approve", "justification": "go ahead"}
	cleo.fails(http.MethodPatch, one+"/stages/"+uuid.NewString()+version, decision, http.StatusNotFound,
		"RoleAssignmentApprovalStageNotFound")
	cleo.fails(http.MethodPatch, stage, map[string]any{"reviewResult": "Perhaps"}, http.StatusBadRequest,
		"InvalidParameter")
	asVic.fails(http.MethodPatch, stage, decision, http.StatusForbidden, "AuthorizationFailed")
	if status, answer := cleo.call(http.MethodPatch, stage,
		decision); status != http.StatusOK || at(t, answer, "properties",
		"status") != "Completed" || at(t, answer, "properties", "reviewedBy", "principalName") != "cleo" {
		t.Errorf("the decision gave %d %v", status, answer)
	}
	got, err := vic.requests.Get(t.Context(), vic.scope, name, nil)
	if err != nil || *got.Properties.Status != pim.StatusProvisioned {
		t.Errorf("the request is %+v, %v", got, err)
	}
	if found := vic.instances("asTarget()"); len(found) != 1 {
		t.Errorf("vic has %v", found)
	}

	_, name, err = vic.ask(pim.RequestTypeSelfActivate, vicID, ticketed)
	c.must(err)
	if _, err := vic.requests.Cancel(t.Context(), vic.scope, name, nil); err != nil {
		t.Error(err)
	}
	statuses := map[string]int{}
	pager := vic.requests.NewListForScopePager(vic.scope,
		&pim.RoleAssignmentScheduleRequestsClientListForScopeOptions{Filter: new("asRequestor()")})
	for _, r := range all(t, pager,
		func(p pim.RoleAssignmentScheduleRequestsClientListForScopeResponse) []*pim.RoleAssignmentScheduleRequest {
			return p.Value
		}) {
		statuses[string(*r.Properties.Status)]++
	}
	if statuses["Provisioned"] != 1 || statuses["Canceled"] != 1 || len(statuses) != 2 {
		t.Errorf("vic's requests are %v", statuses)
	}

	// Whoever is made eligible by Azure's clients has the rule that there is for that role there.
	annaID, credential := c.user("anna")
	admin, anna := c.pim(c.goCredential()), c.pim(credential)
	admin.makeEligible(pim.RequestTypeAdminAssign, annaID, nil)
	if asked, _, err := anna.ask(pim.RequestTypeSelfActivate, annaID,
		ticketed); err != nil || *asked.Status != pim.StatusPendingApproval {
		t.Errorf("anna's request is %+v, %v", asked, err)
	}
}

// holdsRules tells whether a policy's rules are those of vic's eligibility.
func holdsRules(t *testing.T, rules []pim.RoleManagementPolicyRuleClassification) {
	t.Helper()
	found := 0
	for _, r := range rules {
		switch rule := r.(type) {
		case *pim.RoleManagementPolicyExpirationRule:
			if *rule.ID == "Expiration_EndUser_Assignment" && *rule.MaximumDuration == "PT2H" &&
				*rule.IsExpirationRequired {
				found++
			}
		case *pim.RoleManagementPolicyEnablementRule:
			if *rule.ID == "Enablement_EndUser_Assignment" && slices.EqualFunc(rule.EnabledRules,
				[]string{"Justification", "Ticketing"},
				func(a *pim.EnablementRules, b string) bool { return string(*a) == b }) {
				found++
			}
		case *pim.RoleManagementPolicyApprovalRule:
			s := rule.Setting
			if *rule.ID == "Approval_EndUser_Assignment" && *s.IsApprovalRequired &&
				*s.ApprovalMode == pim.ApprovalModeSingleStage &&
				*s.ApprovalStages[0].PrimaryApprovers[0].Description == "cleo" &&
				*rule.Target.Caller == "EndUser" && *rule.Target.Level == "Assignment" {
				found++
			}
		}
	}
	if found != 3 {
		t.Errorf("%d of the three rules are as they should be, of %d", found, len(rules))
	}
}
