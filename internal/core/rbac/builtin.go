package rbac

import "github.com/postern-dev/postern/internal/core/access"

// The built-in roles, under Azure's own ids where Azure has them.
const (
	Owner                   DefinitionID = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	Contributor             DefinitionID = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	Reader                  DefinitionID = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	UserAccessAdministrator DefinitionID = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	SecurityAdmin           DefinitionID = "fb1c8493-542b-48eb-b624-b4c8fea62acd"
	SecurityReader          DefinitionID = "39bc4728-0917-49c7-9d2c-d95423bc2eb4"
	JITAccessRequester      DefinitionID = "6f0d3c5e-7a44-4c0b-9a3e-52b1f4d8c9e7"
)

// BuiltIn gives the built-in roles, new each time. Their times are zero.
//
// The action lists are Azure's, and after them stands what they need for things that Azure has elsewhere or not at all:
// whoever may administer access may administer principals, Contributor may not (to put oneself into a group is to take
// its roles, and to make a tenant is to say who owns it; nor may it, as in Azure, where that is the security policy's,
// disable just-in-time access for a scope), and the security roles see the machines, requests and events
// that policies are about.
func BuiltIn() []Definition {
	return []Definition{
		builtIn(Owner, "Owner", "Full access to everything, including the right to assign roles.",
			Permission{Actions: []string{"*"}}),
		builtIn(Contributor, "Contributor", "Full access to everything except assigning roles and managing principals.",
			Permission{Actions: []string{"*"}, NotActions: []string{
				"Microsoft.Authorization/*/Delete",
				"Microsoft.Authorization/*/Write",
				"Microsoft.Authorization/elevateAccess/Action",
				"Microsoft.Blueprint/blueprintAssignments/write",
				"Microsoft.Blueprint/blueprintAssignments/delete",
				"Microsoft.Compute/galleries/share/action",
				"Microsoft.Purview/consents/write",
				"Microsoft.Purview/consents/delete",
				"Microsoft.Resources/deploymentStacks/manageDenySetting/action",
				"Microsoft.Subscription/cancel/action",
				"Microsoft.Subscription/enable/action",
				PrincipalsWrite,
				TenantsWrite,
				SecurityPoliciesWrite,
				AccessReviewsWrite,
			}}),
		builtIn(Reader, "Reader", "Sees everything and changes nothing.",
			Permission{Actions: []string{"*/read"}}),
		builtIn(UserAccessAdministrator, "User Access Administrator", "Manages who has access.",
			Permission{Actions: []string{
				"*/read", "Microsoft.Authorization/*", "Microsoft.Support/*",
				PrincipalsWrite, AccessReviewsWrite,
			}}),
		builtIn(SecurityAdmin, "Security Admin",
			"Sees and changes policies, requests access, decides on requests and ends grants.",
			Permission{Actions: []string{
				"Microsoft.Authorization/*/read",
				"Microsoft.Authorization/policyAssignments/*",
				"Microsoft.Authorization/policyDefinitions/*",
				"Microsoft.Authorization/policyExemptions/*",
				"Microsoft.Authorization/policySetDefinitions/*",
				"Microsoft.Insights/alertRules/*",
				"Microsoft.Management/managementGroups/read",
				"Microsoft.operationalInsights/workspaces/*/read",
				"Microsoft.Resources/deployments/*",
				"Microsoft.Resources/subscriptions/resourceGroups/read",
				"Microsoft.Security/*",
				"Microsoft.IoTSecurity/*",
				"Microsoft.IoTFirmwareDefense/*",
				"Microsoft.Support/*",
				MachinesRead, SubscriptionsRead, ActivityLogRead, "Postern.Access/*/read", RequestsDecide,
				RequestsCancel, GrantsRevoke, NetworksWrite,
				AlertsWrite, AlertRulesWrite,
			}}),
		builtIn(SecurityReader, "Security Reader", "Sees policies, requests and grants, and changes nothing.",
			Permission{Actions: []string{
				"Microsoft.Authorization/*/read",
				"Microsoft.Insights/alertRules/read",
				"Microsoft.operationalInsights/workspaces/*/read",
				"Microsoft.Resources/deployments/*/read",
				"Microsoft.Resources/subscriptions/resourceGroups/read",
				"Microsoft.Security/*/read",
				"Microsoft.IoTSecurity/*/read",
				"Microsoft.Support/*/read",
				"Microsoft.Security/iotDefenderSettings/packageDownloads/action",
				"Microsoft.Security/iotDefenderSettings/downloadManagerActivation/action",
				"Microsoft.Security/iotSensors/downloadResetPassword/action",
				"Microsoft.IoTSecurity/defenderSettings/packageDownloads/action",
				"Microsoft.IoTSecurity/defenderSettings/downloadManagerActivation/action",
				"Microsoft.Management/managementGroups/read",
				MachinesRead, SubscriptionsRead, ActivityLogRead, "Postern.Access/*/read",
			}}),
		// "policies/*/read" does not cover "policies/read": '*' stands for characters between the two slashes.
		builtIn(JITAccessRequester, "JIT Access Requester",
			"Requests access to machines that a policy guards, and sees those machines and policies.",
			Permission{Actions: []string{
				PoliciesInitiate,
				PoliciesRead,
				"Microsoft.Security/locations/jitNetworkAccessPolicies/*/read",
				MachinesRead,
				"Microsoft.Network/networkInterfaces/*/read",
				PublicIPsRead,
			}}),
	}
}

func builtIn(id DefinitionID, name, description string, p Permission) Definition {
	return Definition{
		ID: id, Name: name, Description: description, BuiltIn: true, Permissions: []Permission{p},
		AssignableScopes: []access.ResourceID{access.Root},
	}
}
