package azure_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/api"
)

// TestValidateSaysWhatPutWould asks twice for the same, once to be told and once to have it: the answers agree, and the
// first leaves nothing behind.
func TestValidateSaysWhatPutWould(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	scope := "/subscriptions/" + c.subscription
	id, secret := c.servicePrincipal("vendor", "Reader")
	x := c.as(id, secret)
	c.user("chief") // who made a secret of a service principal, the administrator here, does not decide for it
	for role, terms := range map[string]api.EligibilityTerms{
		"Contributor": {MaxSeconds: 4 * 3600},
		"Security Admin": {
			MaxSeconds: 3600,
			Approval: []api.ApprovalCase{
				{Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"chief"}}}}}},
			},
		},
	} {
		_, err := c.admin.CreateEligibility(t.Context(),
			api.NewEligibility{EligibilityTerms: terms, Principal: "vendor", Role: role, Scope: scope})
		c.must(err)
	}
	const securityAdmin = "fb1c8493-542b-48eb-b624-b4c8fea62acd"
	for name, one := range map[string]struct {
		role, duration, validate, put, says string
	}{
		"granted":      {contributor, "PT1H", "Granted", "Provisioned", ""},
		"with consent": {securityAdmin, "PT1H", "PendingApproval", "PendingApproval", ""},
		"too long":     {contributor, "PT480M", "", "", "ExpirationRule"},
		"not eligible": {owner, "PT1H", "", "", "not eligible"},
	} {
		body := map[string]any{"properties": map[string]any{
			"requestType": "SelfActivate", "principalId": strings.ToUpper(id), "justification": "INC-7",
			"roleDefinitionId": scope + "/providers/Microsoft.Authorization/roleDefinitions/" + one.role,
			"scheduleInfo": map[string]any{
				"expiration": map[string]any{"type": "AfterDuration", "duration": one.duration},
			},
		}}
		path := scope + "/providers/Microsoft.Authorization/roleAssignmentScheduleRequests/" + uuid.NewString()
		const version = "?api-version=2020-10-01"
		said, asked := x.call(http.MethodPost, path+"/validate"+version, body)
		if status, answer := x.call(http.MethodGet, path+version, nil); status != http.StatusNotFound {
			t.Errorf("%s: what was validated is there: %d %v", name, status, answer)
		}
		did, made := x.call(http.MethodPut, path+version, body)
		if one.says != "" {
			a, b := at(t, asked, "error", "message").(string), at(t, made, "error", "message").(string)
			if said != did || at(t, asked, "error",
				"code") != at(t, made, "error", "code") || a != b || !strings.Contains(a, one.says) {
				t.Errorf("%s: validated %d %v, put %d %v", name, said, asked, did, made)
			}
			continue
		}
		if said != http.StatusOK || did != http.StatusCreated || at(t, asked, "properties",
			"status") != one.validate || at(t, made, "properties", "status") != one.put {
			t.Errorf("%s: validated %d %v, put %d %v", name, said, asked, did, made)
		}
		if shown := at(t, made, "properties", "expandedProperties", "scope",
			"displayName"); shown == c.subscription || shown == "" {
			t.Errorf("%s: the subscription is called %v", name, shown)
		}
	}
	// An administrator's assignment, which needs nobody's consent.
	deploy := c.deploy()
	assign := map[string]any{"properties": map[string]any{
		"requestType": "AdminAssign", "principalId": id,
		"roleDefinitionId": scope + "/providers/Microsoft.Authorization/roleDefinitions/6f0d3c5e-7a44-4c0b-9a3e-52b1f4d8c9e7",
		"scheduleInfo":     map[string]any{"expiration": map[string]any{"type": "NoExpiration"}},
	}}
	for _, kind := range []string{"roleAssignmentScheduleRequests", "roleEligibilityScheduleRequests"} {
		path := scope + "/providers/Microsoft.Authorization/" + kind + "/" + uuid.NewString()
		for _, who := range []*caller{deploy, x} {
			said, asked := who.call(http.MethodPost, path+"/validate?api-version=2020-10-01", assign)
			if status, _ := who.call(http.MethodGet, path+"?api-version=2020-10-01", nil); status == http.StatusOK {
				t.Errorf("%s: what was validated is there", kind)
			}
			want := http.StatusOK
			if who == x {
				want = http.StatusForbidden
			}
			if said != want || said == http.StatusOK && at(t, asked, "properties", "status") != "Granted" {
				t.Errorf("%s gave %d %v", kind, said, asked)
			}
		}
	}
}

// TestInstanceView holds what az vm list -d and Get-AzVM -Status read.
func TestInstanceView(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		start func(testing.TB) *cloud
		power string
	}{"host": {newCloudWithKernel, "PowerState/running"}, "gateway": {newCloudBehindGateway, "PowerState/unknown"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := one.start(t)
			x := c.deploy()
			c.eventually("a report", func() error {
				_, err := c.admin.Machine(t.Context(), "web-1")
				return err
			})
			list := strings.TrimSuffix(c.machine.Resource, "/web-1")
			power := func(view any) any { return at(t, view, "statuses", 1, "code") }
			c.eventually("the agent is heard", func() error {
				_, view := x.call(http.MethodGet, c.machine.Resource+"/instanceView?api-version=2024-07-01", nil)
				if got := power(view); got != one.power {
					return fmt.Errorf("the power state is %v", got)
				}
				return nil
			})
			_, machine := x.call(http.MethodGet, c.machine.Resource+"?api-version=2024-07-01&$expand=instanceView", nil)
			_, all := x.call(http.MethodGet, list+"?api-version=2024-07-01&statusOnly=true", nil)
			if power(at(t, machine, "properties",
				"instanceView")) != one.power || power(
				at(t, all, "value", 0, "properties", "instanceView")) != one.power {
				t.Errorf("the machine is %v", machine)
			}
			_, plain := x.call(http.MethodGet, c.machine.Resource+"?api-version=2024-07-01", nil)
			if _, has := at(t, plain, "properties").(map[string]any)["instanceView"]; has {
				t.Error("the instance is shown to whoever did not ask for it")
			}
		})
	}
}
