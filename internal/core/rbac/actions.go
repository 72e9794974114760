package rbac

import "github.com/postern-dev/postern/internal/core/access"

// The actions of Azure's own providers that Postern checks.
const (
	PoliciesRead     = "Microsoft.Security/locations/jitNetworkAccessPolicies/read"
	PoliciesWrite    = "Microsoft.Security/locations/jitNetworkAccessPolicies/write"
	PoliciesDelete   = "Microsoft.Security/locations/jitNetworkAccessPolicies/delete"
	PoliciesInitiate = access.InitiateAction // to request access

	MachinesRead   = "Microsoft.Compute/virtualMachines/read"
	MachinesWrite  = "Microsoft.Compute/virtualMachines/write"
	MachinesDelete = "Microsoft.Compute/virtualMachines/delete"

	// What the Azure-compatible API shows beside a machine, which Azure has resources of its own for.
	InterfacesRead       = "Microsoft.Network/networkInterfaces/read"
	PublicIPsRead        = "Microsoft.Network/publicIPAddresses/read"
	AssessmentsRead      = "Microsoft.Security/assessments/read"
	PricingsRead         = "Microsoft.Security/pricings/read"
	PricingsWrite        = "Microsoft.Security/pricings/write"
	SecurityPoliciesRead = "Microsoft.Security/policies/read"
	// To disable just-in-time access for a subscription or a resource group, and to enable it again.
	SecurityPoliciesWrite = "Microsoft.Security/policies/write"

	RoleAssignmentsRead   = "Microsoft.Authorization/roleAssignments/read"
	RoleAssignmentsWrite  = "Microsoft.Authorization/roleAssignments/write"
	RoleAssignmentsDelete = "Microsoft.Authorization/roleAssignments/delete"
	RoleDefinitionsRead   = "Microsoft.Authorization/roleDefinitions/read"
	RoleDefinitionsWrite  = "Microsoft.Authorization/roleDefinitions/write"
	RoleDefinitionsDelete = "Microsoft.Authorization/roleDefinitions/delete"

	// RoleActivate is never asked for, since the eligibility is the right: it names the attempt, and bounds tokens.
	RoleActivate       = access.ActivateAction
	EligibilitiesRead  = "Microsoft.Authorization/roleEligibilitySchedules/read"
	EligibilitiesWrite = "Microsoft.Authorization/roleEligibilityScheduleRequests/write" // and to take them away

	SubscriptionsRead    = "Microsoft.Resources/subscriptions/read"
	SubscriptionsWrite   = "Microsoft.Subscription/aliases/write" // to make one, at the root
	ResourceGroupsRead   = "Microsoft.Resources/subscriptions/resourceGroups/read"
	ResourceGroupsWrite  = "Microsoft.Resources/subscriptions/resourceGroups/write"
	ResourceGroupsDelete = "Microsoft.Resources/subscriptions/resourceGroups/delete"

	DenyAssignmentsRead = "Microsoft.Authorization/denyAssignments/read"

	AppDefinitionsRead   = "Microsoft.Solutions/applicationDefinitions/read"
	AppDefinitionsWrite  = "Microsoft.Solutions/applicationDefinitions/write"
	AppDefinitionsDelete = "Microsoft.Solutions/applicationDefinitions/delete"
	ApplicationsRead     = "Microsoft.Solutions/applications/read"
	ApplicationsWrite    = "Microsoft.Solutions/applications/write"
	ApplicationsDelete   = "Microsoft.Solutions/applications/delete"
	// To accept the definition as it is now.
	ApplicationsRefresh = "Microsoft.Solutions/applications/refreshPermissions/action"

	ActivityLogRead = "Microsoft.Insights/eventtypes/values/read" // the events at a scope
)

// The actions that Azure has no operation for. One's own requests and grants need none of them: whoever asked may
// see them, cancel them and end them early.
const (
	RequestsRead   = "Postern.Access/requests/read"          // of anybody
	RequestsDecide = "Postern.Access/requests/decide/action" // never one's own
	RequestsCancel = "Postern.Access/requests/cancel/action" // of anybody
	GrantsRead     = "Postern.Access/grants/read"            // of anybody
	GrantsRevoke   = "Postern.Access/grants/revoke/action"   // of anybody

	AgentsRead            = "Postern.Access/agents/read"
	EnrollmentTokensWrite = "Postern.Access/enrollmentTokens/write"
	// To put machines behind a gateway, at the gateway's resource group.
	GatewaysJoin = "Postern.Access/gateways/join/action"

	TenantsRead  = "Postern.Access/tenants/read" // of the tenant that runs the server, about all
	TenantsWrite = "Postern.Access/tenants/write"

	// Principals lie at the root: to write them is to decide who is in a group, and so who has its roles.
	PrincipalsRead  = "Postern.Access/principals/read"
	PrincipalsWrite = "Postern.Access/principals/write"

	// To make an access review takes the right to remove what it is about, too. Whoever is named as a reviewer sees it
	// and decides without a role: AccessReviewsDecide names the attempt, and bounds tokens.
	AccessReviewsRead   = "Postern.Access/accessReviews/read"
	AccessReviewsWrite  = "Postern.Access/accessReviews/write"
	AccessReviewsDecide = "Postern.Access/accessReviews/decide/action"

	// Named networks lie at the root too; whoever may ask for access sees them without it.
	NetworksRead  = "Postern.Access/networks/read"
	NetworksWrite = "Postern.Access/networks/write"

	// To issue codes that open a machine while the server is out of reach.
	GlassCodesWrite = "Postern.Access/breakGlassCodes/write"

	EventsRead = "Postern.Access/events/read" // the whole activity log: export, checkpoints, proofs

	// Channels, other people's routes, deliveries and alerts lie at the root. One's own routes need no action, and
	// those that watch a policy need the right to read it.
	ChannelsRead      = "Postern.Access/channels/read" // how they are set up; their names are for everybody
	ChannelsWrite     = "Postern.Access/channels/write"
	RoutesRead        = "Postern.Access/routes/read"  // of anybody
	RoutesWrite       = "Postern.Access/routes/write" // of anybody
	DeliveriesRead    = "Postern.Access/deliveries/read"
	DeliveriesRequeue = "Postern.Access/deliveries/requeue/action"
	AlertsRead        = "Postern.Access/alerts/read"
	AlertsWrite       = "Postern.Access/alerts/write" // acknowledge and close
	AlertRulesWrite   = "Postern.Access/alertRules/write"
)

// Actions gives every action that Postern checks.
func Actions() []string {
	return []string{
		PoliciesRead, PoliciesWrite, PoliciesDelete, PoliciesInitiate,
		MachinesRead, MachinesWrite, MachinesDelete,
		InterfacesRead, PublicIPsRead, AssessmentsRead, PricingsRead, PricingsWrite, SecurityPoliciesRead,
		SecurityPoliciesWrite,
		RoleAssignmentsRead, RoleAssignmentsWrite, RoleAssignmentsDelete,
		RoleDefinitionsRead, RoleDefinitionsWrite, RoleDefinitionsDelete,
		EligibilitiesRead, EligibilitiesWrite, RoleActivate,
		SubscriptionsRead, SubscriptionsWrite, ResourceGroupsRead, ResourceGroupsWrite, ResourceGroupsDelete,
		DenyAssignmentsRead, AppDefinitionsRead, AppDefinitionsWrite, AppDefinitionsDelete,
		ApplicationsRead, ApplicationsWrite, ApplicationsDelete, ApplicationsRefresh,
		ActivityLogRead,
		RequestsRead, RequestsDecide, RequestsCancel, GrantsRead, GrantsRevoke,
		AgentsRead, EnrollmentTokensWrite, GatewaysJoin,
		TenantsRead, TenantsWrite,
		PrincipalsRead, PrincipalsWrite,
		AccessReviewsRead, AccessReviewsWrite, AccessReviewsDecide,
		NetworksRead, NetworksWrite, GlassCodesWrite,
		EventsRead,
		ChannelsRead, ChannelsWrite, RoutesRead, RoutesWrite, DeliveriesRead, DeliveriesRequeue,
		AlertsRead, AlertsWrite, AlertRulesWrite,
	}
}
