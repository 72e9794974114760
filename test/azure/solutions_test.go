package azure_test

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/solutions/armmanagedapplications/v2"

	"github.com/postern-dev/postern/api"
)

const (
	contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	owner       = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
)

// solutions are the SDK's clients as one principal uses them.
type solutions struct {
	definitions  *armmanagedapplications.ApplicationDefinitionsClient
	applications *armmanagedapplications.ApplicationsClient
	requests     *armmanagedapplications.JitRequestsClient
}

func (c *cloud) solutions(credential azcore.TokenCredential) solutions {
	c.t.Helper()
	options := &arm.ClientOptions{ClientOptions: c.goCloud()}
	definitions, err := armmanagedapplications.NewApplicationDefinitionsClient(c.subscription, credential, options)
	c.must(err)
	applications, err := armmanagedapplications.NewApplicationsClient(c.subscription, credential, options)
	c.must(err)
	requests, err := armmanagedapplications.NewJitRequestsClient(c.subscription, credential, options)
	c.must(err)
	return solutions{definitions, applications, requests}
}

// TestManagedApplicationsGoSDK tells the publisher's and the customer's story by the unmodified SDK for Go.
func TestManagedApplicationsGoSDK(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	ctx := t.Context()
	customer := c.solutions(c.goCredential())
	vendorID, vendorSecret := c.servicePrincipal("vendor", "")
	vendorCredential, err := azidentity.NewClientSecretCredential("adfs", vendorID, vendorSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: c.goCloud(), DisableInstanceDiscovery: true})
	c.must(err)
	vendor := c.solutions(vendorCredential)
	cleo, cleoCredential := c.user("cleo")
	approver := c.solutions(cleoCredential) // who has no role

	// The definition.
	def, err := customer.definitions.CreateOrUpdate(ctx, "default", "shop-def",
		armmanagedapplications.ApplicationDefinition{
			Location: new("local"),
			Properties: &armmanagedapplications.ApplicationDefinitionProperties{
				LockLevel: new(armmanagedapplications.ApplicationLockLevelNone), DisplayName: new("Shop"),
				Description: new("A shop."), IsEnabled: new(true),
				Authorizations: []*armmanagedapplications.ApplicationAuthorization{
					{PrincipalID: &vendorID, RoleDefinitionID: new(contributor)},
				},
			},
		}, nil)
	c.must(err)
	if *def.Name != "shop-def" || *def.Type != "Microsoft.Solutions/applicationDefinitions" ||
		*def.Properties.Authorizations[0].RoleDefinitionID != contributor {
		t.Errorf("the definition is %+v", def)
	}
	if found := all(t, customer.definitions.NewListByResourceGroupPager("default", nil),
		func(p armmanagedapplications.ApplicationDefinitionsClientListByResourceGroupResponse) []*armmanagedapplications.ApplicationDefinition {
			return p.Value
		}); len(found) != 1 {
		t.Errorf("%d definitions are listed", len(found))
	}

	// The deployment.
	managed := "/subscriptions/" + c.subscription + "/resourceGroups/mrg-shop"
	made, err := customer.applications.BeginCreateOrUpdate(ctx, "default", "shop", armmanagedapplications.Application{
		Kind: new("ServiceCatalog"), Location: new("local"),
		Properties: &armmanagedapplications.ApplicationProperties{
			ApplicationDefinitionID: def.ID, ManagedResourceGroupID: &managed,
			Parameters: map[string]any{"size": map[string]any{"value": "small"}},
			JitAccessPolicy: &armmanagedapplications.ApplicationJitAccessPolicy{
				JitAccessEnabled: new(true), JitApprovalMode: new(armmanagedapplications.JitApprovalModeManualApprove),
				MaximumJitAccessDuration: new("PT4H"),
				JitApprovers: []*armmanagedapplications.JitApproverDefinition{
					{ID: &cleo, Type: new(armmanagedapplications.JitApproverTypeUser), DisplayName: new("Cleo")},
				},
			},
		},
	}, nil)
	c.must(err)
	app, err := made.PollUntilDone(ctx, nil)
	c.must(err)
	if *app.Properties.JitAccessPolicy.MaximumJitAccessDuration != "PT4H" ||
		*app.Properties.ProvisioningState != armmanagedapplications.ProvisioningStateSucceeded ||
		*app.Properties.ManagedResourceGroupID != managed {
		t.Errorf("the application is %+v", app.Properties)
	}

	// The vendor asks; nothing is given before the approver agrees, who is not the vendor.
	ask := func(principal, role, duration string,
		kind armmanagedapplications.JitSchedulingType,
	) armmanagedapplications.JitRequestDefinition {
		return armmanagedapplications.JitRequestDefinition{
			Tags: map[string]*string{"justification": new("upgrade to 4.2")},
			Properties: &armmanagedapplications.JitRequestProperties{
				ApplicationResourceID: app.ID,
				JitAuthorizationPolicies: []*armmanagedapplications.JitAuthorizationPolicies{
					{PrincipalID: &principal, RoleDefinitionID: &role},
				},
				JitSchedulingPolicy: &armmanagedapplications.JitSchedulingPolicy{
					Type: &kind, Duration: &duration,
					StartTime: new(time.Now()),
				},
			},
		}
	}
	put := func(name string,
		body armmanagedapplications.JitRequestDefinition,
	) (armmanagedapplications.JitRequestsClientCreateOrUpdateResponse, error) {
		poller, err := vendor.requests.BeginCreateOrUpdate(ctx, "mrg-shop", name, body, nil)
		if err != nil {
			return armmanagedapplications.JitRequestsClientCreateOrUpdateResponse{}, err
		}
		return poller.PollUntilDone(ctx, nil)
	}
	once := armmanagedapplications.JitSchedulingTypeOnce
	for name, refused := range map[string]struct {
		body armmanagedapplications.JitRequestDefinition
		says string
	}{
		"too long":      {ask(vendorID, contributor, "PT5H", once), "at most 4h"},
		"another role":  {ask(vendorID, owner, "PT1H", once), "not eligible"},
		"somebody else": {ask(cleo, contributor, "PT1H", once), "PrincipalNotAuthorized"},
		"recurring": {
			ask(vendorID, contributor, "PT1H", armmanagedapplications.JitSchedulingTypeRecurring),
			"postern request --repeat",
		},
	} {
		if _, err := put("refused", refused.body); err == nil || !strings.Contains(err.Error(), refused.says) {
			t.Errorf("%s: got %v, want %q", name, err, refused.says)
		}
	}
	asked, err := put("first", ask(vendorID, contributor, "PT1H", once))
	c.must(err)
	if *asked.Properties.JitRequestState != armmanagedapplications.JitRequestStatePending ||
		*asked.Properties.ProvisioningState != armmanagedapplications.ProvisioningStateSucceeded ||
		*asked.Name != "first" {
		t.Fatalf("asked, it is %+v", asked.Properties)
	}
	if again, err := put("first",
		asked.JitRequestDefinition); err != nil && !strings.Contains(err.Error(), "JitRequestAlreadyExists") {
		t.Errorf("the same name again gave %+v, %v", again, err)
	}
	decide := func(by solutions, request string, status armmanagedapplications.Status,
		sub armmanagedapplications.Substatus,
	) error {
		poller, err := by.applications.BeginUpdateAccess(ctx, "default", "shop",
			armmanagedapplications.UpdateAccessDefinition{
				Approver: new("Cleo"), Metadata: &armmanagedapplications.JitRequestMetadata{OriginRequestID: &request},
				Status: &status, SubStatus: &sub,
			}, nil)
		if err == nil {
			_, err = poller.PollUntilDone(ctx, nil)
		}
		return err
	}
	for name, by := range map[string]solutions{"the vendor": vendor, "an owner who is no approver": customer} {
		if err := decide(by, "first", armmanagedapplications.StatusElevate,
			armmanagedapplications.SubstatusApproved); err == nil {
			t.Errorf("%s approves", name)
		}
	}
	c.must(decide(approver, "first", armmanagedapplications.StatusElevate, armmanagedapplications.SubstatusApproved))
	got, err := vendor.requests.Get(ctx, "mrg-shop", "first", nil)
	c.must(err)
	if *got.Properties.JitRequestState != armmanagedapplications.JitRequestStateApproved {
		t.Errorf("approved, it is %s", *got.Properties.JitRequestState)
	}

	// Tags are all that a request changes by.
	tags, err := vendor.requests.Update(ctx, "mrg-shop", "first",
		armmanagedapplications.JitRequestPatchable{Tags: map[string]*string{"incident": new("INC-7")}}, nil)
	c.must(err)
	if *tags.Tags["incident"] != "INC-7" {
		t.Errorf("the tags are %v", tags.Tags)
	}
	list, err := vendor.requests.ListByResourceGroup(ctx, "mrg-shop", nil)
	c.must(err)
	if len(list.Value) != 1 {
		t.Errorf("%d requests are listed", len(list.Value))
	}

	// The customer ends it; the request says so, and stays on record.
	c.must(decide(approver, *got.ID, armmanagedapplications.StatusRemove, armmanagedapplications.SubstatusApproved))
	if got, err = vendor.requests.Get(ctx, "mrg-shop", "first",
		nil); err != nil || *got.Properties.JitRequestState != armmanagedapplications.JitRequestStateCanceled {
		t.Errorf("ended, it is %+v, %v", got.Properties, err)
	}
	denied, err := put("second", ask(vendorID, contributor, "PT30M", once))
	c.must(err)
	c.must(decide(approver, *denied.Name, armmanagedapplications.StatusRemove, armmanagedapplications.SubstatusDenied))
	if got, err = vendor.requests.Get(ctx, "mrg-shop", "second",
		nil); err != nil || *got.Properties.JitRequestState != armmanagedapplications.JitRequestStateDenied {
		t.Errorf("denied, it is %+v, %v", got.Properties, err)
	}
	_, err = vendor.requests.Delete(ctx, "mrg-shop", "second", nil)
	c.must(err)

	// Automatic mode, and the end of the application.
	patched, err := customer.applications.BeginUpdate(ctx, "default", "shop",
		&armmanagedapplications.ApplicationsClientBeginUpdateOptions{
			Parameters: &armmanagedapplications.ApplicationPatchable{
				Properties: &armmanagedapplications.ApplicationProperties{
					JitAccessPolicy: &armmanagedapplications.ApplicationJitAccessPolicy{
						JitAccessEnabled:         new(true),
						JitApprovalMode:          new(armmanagedapplications.JitApprovalModeAutoApprove),
						MaximumJitAccessDuration: new("PT2H"),
					},
				},
			},
		})
	c.must(err)
	_, err = patched.PollUntilDone(ctx, nil)
	c.must(err)
	third, err := put("third", ask(vendorID, contributor, "PT2H", once))
	c.must(err)
	if *third.Properties.JitRequestState != armmanagedapplications.JitRequestStateApproved {
		t.Errorf("in automatic mode it is %s", *third.Properties.JitRequestState)
	}
	if _, err := customer.applications.BeginDelete(ctx, "default", "shop",
		nil); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("the application is deleted under an activation: %v", err)
	}
	_, err = vendor.requests.Delete(ctx, "mrg-shop", "third", nil)
	c.must(err)
	gone, err := customer.applications.BeginDelete(ctx, "default", "shop", nil)
	c.must(err)
	_, err = gone.PollUntilDone(ctx, nil)
	c.must(err)
	_, err = customer.definitions.Delete(ctx, "default", "shop-def", nil)
	c.must(err)
	if left, err := customer.definitions.Get(ctx, "default", "shop-def", nil); err != nil || left.ID != nil {
		t.Errorf("the definition is %+v, %v", left, err) // a 404 is no error of this SDK
	}
}

// TestManagedApplicationsOldShapes holds what clients of other api-versions send and expect.
func TestManagedApplicationsOldShapes(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	vendorID, _ := c.servicePrincipal("vendor", "")
	path := "/subscriptions/" + c.subscription + "/resourcegroups/DEFAULT/providers/microsoft.solutions/applicationdefinitions/shop-def"
	body := map[string]any{"location": "local", "properties": map[string]any{
		"lockLevel": "readonly", "isEnabled": "true",
		"createUiDefinition": "{\"handler\":\"Microsoft.Azure.CreateUIDef\",\"version\":\"0.1.2-preview\",\"parameters\":{\"basics\":[],\"steps\":[],\"outputs\":{}}}",
		"authorizations": []any{map[string]any{
			"principalId": strings.ReplaceAll(vendorID, "-", ""),
			"roleDefinitionId": "/subscriptions/" + c.subscription +
				"/providers/Microsoft.Authorization/roleDefinitions/" + contributor,
		}},
	}}
	status, answer := x.call(http.MethodPut, path+"?api-version=2018-06-01", body)
	if status != http.StatusCreated || at(t, answer, "properties",
		"isEnabled") != "true" || at(t, answer, "properties", "authorizations", 0, "principalId") != vendorID {
		t.Fatalf("put gave %d %v", status, answer)
	}
	status, answer = x.call(http.MethodGet, path+"?api-version=2021-07-01", nil)
	if status != http.StatusOK || at(t, answer, "properties", "isEnabled") != true {
		t.Errorf("get gave %d %v", status, answer)
	}
	x.fails(http.MethodPut, path+"?api-version=2018-06-01", map[string]any{"properties": map[string]any{}},
		http.StatusBadRequest, "InvalidRequestContent")
	x.fails(http.MethodGet, path, nil, http.StatusBadRequest, "MissingApiVersionParameter")
	x.fails(http.MethodGet, path+"?api-version=2017-09-01", nil, http.StatusBadRequest, "InvalidApiVersionParameter")
	requests := strings.Replace(path, "applicationdefinitions/shop-def", "jitRequests/x", 1) + "?api-version=2021-07-01"
	x.fails(http.MethodGet, requests, nil, http.StatusNotFound, "ResourceNotFound")
	x.fails(http.MethodPut, requests,
		map[string]any{"properties": map[string]any{"applicationResourceId": "/subscriptions/nothing"}},
		http.StatusBadRequest, "ApplicationNotFound")
	x.fails(http.MethodPut, requests, map[string]any{}, http.StatusBadRequest, "InvalidRequestContent")
	if status, _ := x.call(http.MethodDelete, requests, nil); status != http.StatusNoContent {
		t.Errorf("to delete what there is not gave %d", status)
	}
}

// TestManagedApplicationsJavaScript tells the story by the unmodified Azure SDK for JavaScript.
func TestManagedApplicationsJavaScript(t *testing.T) {
	t.Parallel()
	needNode(t, "arm-managedapplications")
	c := newCloud(t)
	vendor, secret := c.servicePrincipal("vendor", "")
	var said struct {
		States                 []string
		Refused, Mode          string
		Requests, Applications int
	}
	c.node("solutions.mjs", &said, "VENDOR_ID="+vendor, "VENDOR_SECRET="+secret)
	if !slices.Equal(said.States,
		[]string{
			"Approved", "Approved",
			"gone",
		}) || !strings.Contains(said.Refused, "at most 1h") || said.Mode != "AutoApprove" ||
		said.Requests != 1 || said.Applications != 1 {
		t.Errorf("it said %+v", said)
	}
}

// TestManagedApplicationsAzureCLI defines, deploys and deletes an application by the unmodified az, and asks by az
// rest.
func TestManagedApplicationsAzureCLI(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("az")
	need(t, "az", err == nil)
	c := newCloud(t)
	folder, home := c.home()
	block := blocks(t)
	c.shell(block["az-register"], folder, home...)
	c.shell(block["az-login"], folder, home...)
	home = append(home, "ROLE="+contributor,
		`FORM={"handler":"Microsoft.Azure.CreateUIDef","version":"0.1.2-preview","parameters":{"basics":[],"steps":[],"outputs":{}}}`)
	// The packages of some distributions break show, list and delete of az managedapp before any request leaves.
	wants(t, "az managedapp", c.shell(`
SOLUTIONS=/subscriptions/$SUBSCRIPTION/resourceGroups/default/providers/Microsoft.Solutions
JIT=/subscriptions/$SUBSCRIPTION/resourceGroups/mrg-az/providers/Microsoft.Solutions/jitRequests
V=api-version=2021-07-01
DEFINITION=$(az managedapp definition create -g default -n az-def -l local --lock-level ReadOnly --display-name Shop --description "A shop." \
  --authorizations "$CLIENT_ID:$ROLE" --create-ui-definition "$FORM" --main-template '{}' --query id -o tsv)
az rest --method get --url "$SOLUTIONS/applicationDefinitions?$V" --query "value[].name" -o tsv
az managedapp create -g default -n az-app -l local --kind ServiceCatalog --managedapp-definition-id "$DEFINITION" \
  --managed-rg-id "/subscriptions/$SUBSCRIPTION/resourceGroups/mrg-az" --query provisioningState -o tsv
az rest --method get --url "$SOLUTIONS/applications?$V" --query "value[].properties.managedResourceGroupId" -o tsv
az rest --method put --url "$JIT/one?$V" --body '{
  "tags": {"justification": "upgrade"}, "properties": {"applicationResourceId": "'"$SOLUTIONS/applications/az-app"'",
  "jitAuthorizationPolicies": [{"principalId": "'"$CLIENT_ID"'", "roleDefinitionId": "'"$ROLE"'"}],
  "jitSchedulingPolicy": {"type": "Once", "duration": "PT1H", "startTime": "'"$(date -u +%FT%TZ)"'"}}}' --query properties.jitRequestState -o tsv
az rest --method delete --url "$JIT/one?$V"
az rest --method delete --url "$SOLUTIONS/applications/az-app?$V"
az rest --method delete --url "$SOLUTIONS/applicationDefinitions/az-def?$V"
az rest --method get --url "$SOLUTIONS/applications?$V" --query "length(value)"
echo done`, folder, home...), "az-def\n", "Succeeded\n", "resourceGroups/mrg-az\n", "Approved\n", "0\ndone")
}

// TestManagedApplicationsAcrossTenants has the publisher and the customer in tenants of their own: a member of a group
// of the publisher's activates for themselves, may write policies of the managed resource group while the role is
// active, and no longer.
func TestManagedApplicationsAcrossTenants(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	ctx := t.Context()
	made, err := c.admin.CreateTenant(ctx, api.NewTenant{Name: "vendor"})
	c.must(err)
	session, err := c.admin.SignIn(ctx,
		api.SignIn{Name: "admin@vendor", Password: made.Password, NewPassword: adminPassword})
	c.must(err)
	boss := c.admin.WithToken(session.Token)
	for _, p := range []api.NewPrincipal{
		{Kind: "group", Name: "support"},
		{Kind: "user", Name: "vic", Password: adminPassword},
	} {
		_, err = boss.CreatePrincipal(ctx, p)
		c.must(err)
	}
	c.must(boss.AddMember(ctx, "support", "vic"))
	support, err := boss.Principal(ctx, "support")
	c.must(err)
	vic, err := boss.Principal(ctx, "vic")
	c.must(err)
	publisher := *c
	publisher.subscription = made.Subscription.ID
	offer := publisher.solutions(c.device("admin@vendor", "vendor"))
	vendor := c.solutions(c.device("vic@vendor", "vendor"))
	customer := c.solutions(c.goCredential())

	def, err := offer.definitions.CreateOrUpdate(ctx, "default", "shop-def",
		armmanagedapplications.ApplicationDefinition{
			Location: new("local"),
			Properties: &armmanagedapplications.ApplicationDefinitionProperties{
				LockLevel: new(armmanagedapplications.ApplicationLockLevelReadOnly),
				Authorizations: []*armmanagedapplications.ApplicationAuthorization{
					{PrincipalID: &support.ID, RoleDefinitionID: new(contributor)},
				},
			},
		}, nil)
	c.must(err)
	managed := "/subscriptions/" + c.subscription + "/resourceGroups/mrg-shop"
	deploying, err := customer.applications.BeginCreateOrUpdate(ctx, "default", "shop",
		armmanagedapplications.Application{
			Kind: new("ServiceCatalog"), Location: new("local"),
			Properties: &armmanagedapplications.ApplicationProperties{
				ApplicationDefinitionID: def.ID, ManagedResourceGroupID: &managed,
				JitAccessPolicy: &armmanagedapplications.ApplicationJitAccessPolicy{
					JitAccessEnabled:         new(true),
					MaximumJitAccessDuration: new("PT2H"),
				},
			},
		}, nil)
	c.must(err)
	app, err := deploying.PollUntilDone(ctx, nil)
	c.must(err)
	if *app.Properties.PublisherTenantID != made.Tenant.ID {
		t.Errorf("the publisher is %s", *app.Properties.PublisherTenantID)
	}

	// The publisher reads the managed group and nothing else of the customer.
	x := c.with(c.device("vic@vendor", "vendor"))
	if status, _ := x.call(http.MethodGet, managed+"?api-version=2022-12-01", nil); status != http.StatusOK {
		t.Errorf("the managed group gave %d", status)
	}
	if status, _ := x.call(http.MethodGet, c.machine.Resource+"?api-version=2024-07-01",
		nil); status != http.StatusNotFound && status != http.StatusForbidden {
		t.Errorf("a machine of the customer's own gave %d", status)
	}
	assign := managed + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/p" + v
	empty := map[string]any{"kind": "Basic", "properties": map[string]any{"virtualMachines": []any{}}}
	if status, answer := x.call(http.MethodPut, assign, empty); status != http.StatusForbidden {
		t.Errorf("without an activation a policy gave %d %v", status, answer)
	}

	asking, err := vendor.requests.BeginCreateOrUpdate(ctx, "mrg-shop", "one",
		armmanagedapplications.JitRequestDefinition{Properties: &armmanagedapplications.JitRequestProperties{
			ApplicationResourceID: app.ID,
			JitAuthorizationPolicies: []*armmanagedapplications.JitAuthorizationPolicies{
				{PrincipalID: &support.ID, RoleDefinitionID: new(contributor)},
			},
			JitSchedulingPolicy: &armmanagedapplications.JitSchedulingPolicy{
				Type: new(armmanagedapplications.JitSchedulingTypeOnce), Duration: new("PT1H"),
				StartTime: new(time.Now()),
			},
		}}, nil)
	c.must(err)
	request, err := asking.PollUntilDone(ctx, nil)
	c.must(err)
	if *request.Properties.JitRequestState != armmanagedapplications.JitRequestStateApproved ||
		*request.Properties.JitAuthorizationPolicies[0].PrincipalID != vic.ID {
		t.Fatalf("asked, it is %+v", request.Properties)
	}
	if status, answer := x.call(http.MethodPut, assign, empty); status != http.StatusOK {
		t.Errorf("with the role a policy gave %d %v", status, answer)
	}
	if seen, err := customer.requests.Get(ctx, "mrg-shop", "one", nil); err != nil || seen.ID == nil {
		t.Errorf("the customer sees %+v, %v", seen, err)
	}
	_, err = vendor.requests.Delete(ctx, "mrg-shop", "one", nil)
	c.must(err)
	if status, _ := x.call(http.MethodPut, assign, empty); status != http.StatusForbidden {
		t.Errorf("after the end a policy gave %d", status)
	}
}
