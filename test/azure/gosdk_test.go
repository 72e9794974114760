package azure_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/security/armsecurity"
	"github.com/google/uuid"

	"github.com/postern-dev/postern/api"
)

// goCloud is what a Go program says to use Postern in Azure's place.
func (c *cloud) goCloud() policy.ClientOptions {
	return policy.ClientOptions{
		Cloud: azcloud.Configuration{
			ActiveDirectoryAuthorityHost: c.url + "/",
			Services: map[azcloud.ServiceName]azcloud.ServiceConfiguration{
				azcloud.ResourceManager: {Endpoint: c.url, Audience: c.url},
			},
		},
		Transport: c.http(),
	}
}

func (c *cloud) goCredential() azcore.TokenCredential {
	c.t.Helper()
	credential, err := azidentity.NewClientSecretCredential("adfs", c.client, c.secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: c.goCloud(), DisableInstanceDiscovery: true})
	c.must(err)
	return credential
}

// all reads every page.
func all[Page, Item any](tb testing.TB, pager *runtime.Pager[Page], items func(Page) []Item) []Item {
	tb.Helper()
	var found []Item
	for pager.More() {
		page, err := pager.NextPage(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		found = append(found, items(page)...)
	}
	return found
}

// TestGoSDK drives the kernel by the unmodified Azure SDK for Go.
func TestGoSDK(t *testing.T) {
	t.Parallel()
	c := newCloudWithKernel(t)
	options := &arm.ClientOptions{ClientOptions: c.goCloud()}
	policies, err := armsecurity.NewJitNetworkAccessPoliciesClient(c.subscription, c.goCredential(), options)
	c.must(err)
	const group, location, name = "default", "local", "default"
	put, err := policies.CreateOrUpdate(t.Context(), group, location, name, armsecurity.JitNetworkAccessPolicy{
		Kind: new("Basic"),
		Properties: &armsecurity.JitNetworkAccessPolicyProperties{
			VirtualMachines: []*armsecurity.JitNetworkAccessPolicyVirtualMachine{{
				ID: &c.machine.Resource, Ports: []*armsecurity.JitNetworkAccessPortRule{{
					Number: new(int32(22)), Protocol: new(armsecurity.ProtocolTCP),
					AllowedSourceAddressPrefixes: []*string{new("10.77.0.0/16"), new("198.51.100.8")},
					MaxRequestAccessDuration:     new("PT1H"),
				}},
			}},
		},
	}, nil)
	c.must(err)
	if *put.ID == "" || len(put.Properties.VirtualMachines) != 1 || len(
		put.Properties.VirtualMachines[0].Ports[0].AllowedSourceAddressPrefixes) != 2 {
		t.Errorf("put answered %+v", put)
	}
	c.shut()
	made, err := policies.Initiate(t.Context(), group, location, name,
		armsecurity.JitNetworkAccessPolicyInitiateRequest{
			Justification: new("roll back"),
			VirtualMachines: []*armsecurity.JitNetworkAccessPolicyInitiateVirtualMachine{
				{ID: &c.machine.Resource, Ports: []*armsecurity.JitNetworkAccessPolicyInitiatePort{{
					Number: new(int32(22)), AllowedSourceAddressPrefix: new("10.77.0.1"),
					EndTimeUTC: new(time.Now().Add(10 * time.Minute)),
				}}},
			},
		}, nil)
	c.must(err)
	if *made.Requestor != "deploy" || *made.Justification != "roll back" || len(made.VirtualMachines) != 1 {
		t.Errorf("initiate answered %+v", made)
	}
	c.eventually("the opening", c.knock)
	c.eventually("the status", func() error {
		got, err := policies.Get(t.Context(), group, location, name, nil)
		if err == nil && *got.Properties.Requests[0].VirtualMachines[0].Ports[0].Status != armsecurity.StatusInitiated {
			err = fmt.Errorf("the port is %s", *got.Properties.Requests[0].VirtualMachines[0].Ports[0].Status)
		}
		return err
	})
	for what, n := range map[string]int{
		"subscription": len(all(t, policies.NewListPager(nil),
			func(p armsecurity.JitNetworkAccessPoliciesClientListResponse) []*armsecurity.JitNetworkAccessPolicy {
				return p.Value
			})),
		"region": len(all(t, policies.NewListByRegionPager(location, nil),
			func(p armsecurity.JitNetworkAccessPoliciesClientListByRegionResponse) []*armsecurity.JitNetworkAccessPolicy {
				return p.Value
			})),
		"group": len(all(t, policies.NewListByResourceGroupPager(group, nil),
			func(p armsecurity.JitNetworkAccessPoliciesClientListByResourceGroupResponse) []*armsecurity.JitNetworkAccessPolicy {
				return p.Value
			})),
		"group and region": len(all(t, policies.NewListByResourceGroupAndRegionPager(group, location, nil),
			func(p armsecurity.JitNetworkAccessPoliciesClientListByResourceGroupAndRegionResponse) []*armsecurity.JitNetworkAccessPolicy {
				return p.Value
			})),
	} {
		if n != 1 {
			t.Errorf("the list by %s has %d policies", what, n)
		}
	}
	_, err = policies.Initiate(t.Context(), group, location, name, armsecurity.JitNetworkAccessPolicyInitiateRequest{
		VirtualMachines: []*armsecurity.JitNetworkAccessPolicyInitiateVirtualMachine{
			{ID: &c.machine.Resource, Ports: []*armsecurity.JitNetworkAccessPolicyInitiatePort{{
				Number: new(int32(22)), AllowedSourceAddressPrefix: new("10.77.0.1"),
				EndTimeUTC: new(time.Now().Add(10 * time.Hour)),
			}}},
		},
	}, nil)
	if e, is := errors.AsType[*azcore.ResponseError](err); !is || e.ErrorCode != "AccessRequestNotSubsetOfPolicy" {
		t.Errorf("too long a request gave %v", err)
	}
	if _, err := policies.Delete(t.Context(), group, location, name, nil); err != nil {
		t.Error(err)
	}
	_, err = policies.Get(t.Context(), group, location, name, nil)
	if e, is := errors.AsType[*azcore.ResponseError](err); !is || e.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted policy gave %v", err)
	}
}

// TestGoSDKRoles assigns and defines roles by the Azure SDK for Go.
func TestGoSDKRoles(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	options := &arm.ClientOptions{ClientOptions: c.goCloud()}
	definitions, err := armauthorization.NewRoleDefinitionsClient(c.goCredential(), options)
	c.must(err)
	assignments, err := armauthorization.NewRoleAssignmentsClient(c.subscription, c.goCredential(), options)
	c.must(err)
	scope := "/subscriptions/" + c.subscription
	roles := func(filter *string) []*armauthorization.RoleDefinition {
		return all(t,
			definitions.NewListPager(scope, &armauthorization.RoleDefinitionsClientListOptions{Filter: filter}),
			func(p armauthorization.RoleDefinitionsClientListResponse) []*armauthorization.RoleDefinition {
				return p.Value
			})
	}
	if n := len(roles(nil)); n < 5 {
		t.Errorf("there are %d roles", n)
	}
	readers := roles(new("roleName eq 'Reader'"))
	if len(readers) != 1 || *readers[0].Properties.RoleType != "BuiltInRole" {
		t.Fatalf("the readers are %v", readers)
	}
	id := uuid.NewString()
	custom := armauthorization.RoleDefinition{Properties: &armauthorization.RoleDefinitionProperties{
		RoleName: new("JIT Access Role"), Description: new("requests access"), RoleType: new("CustomRole"),
		AssignableScopes: []*string{&scope},
		Permissions: []*armauthorization.Permission{
			{Actions: []*string{new("Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action")}},
		},
	}}
	if _, err := definitions.CreateOrUpdate(t.Context(), scope, id, custom, nil); err != nil {
		t.Fatal(err)
	}
	custom.Properties.Permissions[0].Actions = append(custom.Properties.Permissions[0].Actions,
		new("Microsoft.Security/policies/read"))
	updated, err := definitions.CreateOrUpdate(t.Context(), scope, id, custom, nil)
	if err != nil || len(updated.Properties.Permissions[0].Actions) != 2 {
		t.Fatalf("the update gave %+v, %v", updated, err)
	}
	someone, err := c.admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "user", Name: "anna"})
	c.must(err)
	parameters := armauthorization.RoleAssignmentCreateParameters{
		Properties: &armauthorization.RoleAssignmentProperties{
			PrincipalID:      &someone.Principal.ID,
			RoleDefinitionID: updated.ID, PrincipalType: new(armauthorization.PrincipalTypeUser),
		},
	}
	name := uuid.NewString()
	made, err := assignments.Create(t.Context(), scope, name, parameters, nil)
	if err != nil || *made.Properties.PrincipalType != armauthorization.PrincipalTypeUser {
		t.Fatalf("assign gave %+v, %v", made, err)
	}
	if _, err := assignments.Create(t.Context(), scope, name, parameters, nil); err != nil {
		t.Errorf("the same assignment again gave %v", err)
	}
	_, err = assignments.Create(t.Context(), scope, uuid.NewString(), parameters, nil)
	if e, is := errors.AsType[*azcore.ResponseError](
		err); !is || e.ErrorCode != "RoleAssignmentExists" || !strings.Contains(strings.ToLower(e.Error()),
		"role assignment already exists") {
		t.Errorf("an equal assignment gave %v", err)
	}
	for filter, want := range map[string]int{
		"principalId eq '" + someone.Principal.ID + "'":            1,
		"atScope() and assignedTo('" + someone.Principal.ID + "')": 1, "principalId eq '" + uuid.NewString() + "'": 0,
	} {
		found := all(t,
			assignments.NewListForScopePager(scope,
				&armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: &filter}),
			func(p armauthorization.RoleAssignmentsClientListForScopeResponse) []*armauthorization.RoleAssignment {
				return p.Value
			})
		if len(found) != want {
			t.Errorf("%s gives %d assignments, want %d", filter, len(found), want)
		}
	}
	_, err = definitions.Delete(t.Context(), scope, id, nil)
	if e, is := errors.AsType[*azcore.ResponseError](err); !is || e.StatusCode != http.StatusConflict {
		t.Errorf("deleting a role that is assigned gave %v", err)
	}
	if _, err := assignments.Delete(t.Context(), scope, name, nil); err != nil {
		t.Error(err)
	}
	if _, err := definitions.Delete(t.Context(), scope, id, nil); err != nil {
		t.Error(err)
	}

	requests, err := armauthorization.NewRoleAssignmentScheduleRequestsClient(c.goCredential(), options)
	c.must(err)
	schedule := armauthorization.RoleAssignmentScheduleRequest{
		Properties: &armauthorization.RoleAssignmentScheduleRequestProperties{
			PrincipalID:      &someone.Principal.ID,
			RoleDefinitionID: readers[0].ID, RequestType: new(armauthorization.RequestTypeAdminAssign),
			Justification: new("for the audit"),
			ScheduleInfo: &armauthorization.RoleAssignmentScheduleRequestPropertiesScheduleInfo{
				StartDateTime: new(time.Now()),
				Expiration: &armauthorization.RoleAssignmentScheduleRequestPropertiesScheduleInfoExpiration{
					Type: new(armauthorization.TypeAfterDuration), Duration: new("PT8H"),
				},
			},
		},
	}
	granted, err := requests.Create(t.Context(), scope, uuid.NewString(), schedule, nil)
	if err != nil || *granted.Properties.Status != armauthorization.StatusProvisioned {
		t.Fatalf("the schedule gave %+v, %v", granted, err)
	}
	list, err := api.All(c.admin.RoleAssignments(t.Context(), api.RoleAssignmentQuery{}))
	c.must(err)
	bounded := false
	for _, a := range list {
		bounded = bounded || a.Principal == "anna" && a.End != nil && time.Until(
			*a.End) > 7*time.Hour && time.Until(*a.End) < 9*time.Hour
	}
	if !bounded {
		t.Errorf("no assignment of eight hours in %+v", list)
	}
	schedule.Properties.RequestType, schedule.Properties.PrincipalID = new(
		armauthorization.RequestTypeSelfActivate), &c.client
	_, err = requests.Create(t.Context(), scope, uuid.NewString(), schedule, nil)
	if e, is := errors.AsType[*azcore.ResponseError](
		err); !is || e.ErrorCode != "RoleAssignmentRequestPolicyValidationFailed" {
		t.Errorf("an activation without eligibility gave %v", err)
	}
}

// TestGoSDKActivityLog reads what happened by the Azure SDK for Go.
func TestGoSDKActivityLog(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	x.initiate("10.77.0.1", time.Hour)
	log, err := armmonitor.NewActivityLogsClient(c.subscription, c.goCredential(),
		&arm.ClientOptions{ClientOptions: c.goCloud()})
	c.must(err)
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	events := all(t, log.NewListPager("eventTimestamp ge '"+since+"' and resourceGroupName eq 'default'", nil),
		func(p armmonitor.ActivityLogsClientListResponse) []*armmonitor.EventData { return p.Value })
	found := false
	for _, e := range events {
		if *e.OperationName.Value == "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action" &&
			*e.EventName.Value == "BeginRequest" {
			found = true
			if *e.Caller != "deploy" || e.Properties["justification"] == nil ||
				*e.Properties["justification"] != "INC-4812 disk full" || e.Properties["clientIpAddress"] == nil ||
				!strings.Contains(*e.Properties["item.0"],
					"10.77.0.1/32") || !strings.Contains(*e.Properties["item.0"], "22") {
				t.Errorf("the event is %+v with %v", e, e.Properties)
			}
		}
	}
	if !found {
		t.Errorf("no initiate among %d events", len(events))
	}
}
