package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine/fleet"
	"github.com/postern-dev/postern/internal/engine/machines"
)

const securityPath = "/providers/Microsoft.Security"

// jitAssessment is the key of Azure's recommendation that management ports be guarded by just-in-time access.
const jitAssessment = "805651bc-6ecd-4c73-9b55-97a19d0582d0"

func securityRoutes() []route {
	get := func(pattern string, handle func(*call) (reply, error)) route {
		return route{method: http.MethodGet, pattern: pattern, versions: anyVersion(), handle: handle}
	}
	return []route{
		get(subscriptionPath+securityPath+"/locations", listSecurityLocations),
		get(subscriptionPath+securityPath+"/locations/{location}", getSecurityLocation),
		get(subscriptionPath+securityPath+"/pricings", listPricings),
		get(subscriptionPath+securityPath+"/pricings/{pricing}", getPricing),
		{
			method: http.MethodPut, pattern: subscriptionPath + securityPath + "/pricings/{pricing}",
			versions: anyVersion(), handle: putPricing,
		},
		get(subscriptionPath+securityPath+"/policies", listSecurityPolicies),
		get(subscriptionPath+securityPath+"/policies/{policy}", getSecurityPolicy),
		get(groupPath+securityPath+"/policies/{policy}", getSecurityPolicy),
		{
			method: http.MethodPut, pattern: subscriptionPath + securityPath + "/policies/{policy}",
			versions: anyVersion(), handle: putSecurityPolicy,
		},
		{
			method: http.MethodPut, pattern: groupPath + securityPath + "/policies/{policy}",
			versions: anyVersion(), handle: putSecurityPolicy,
		},
		get(subscriptionPath+securityPath+"/assessments", listAssessments),
		get(groupPath+"/providers/Microsoft.Compute/virtualMachines/{machine}"+securityPath+"/assessments",
			machineAssessments),
		get(groupPath+"/providers/Microsoft.Compute/virtualMachines/{machine}"+securityPath+"/assessments/{assessment}",
			machineAssessment),
	}
}

func (c *call) securityLocation(name string) map[string]any {
	return map[string]any{
		"id": string(access.SubscriptionScope(c.subscriptionID())) + securityPath + "/locations/" + name, "name": name,
		"type": "Microsoft.Security/locations", "properties": map[string]any{"homeRegionName": name},
	}
}

func listSecurityLocations(c *call) (reply, error) {
	names, err := c.locations()
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(names))
	for _, name := range names {
		value = append(value, c.securityLocation(name))
	}
	return ok(list{Value: value})
}

func getSecurityLocation(c *call) (reply, error) {
	names, err := c.locations()
	if err != nil {
		return reply{}, err
	}
	if !containsFold(names, c.vars["location"]) {
		return reply{}, access.Fault(access.KindNotFound, "ResourceNotFound",
			"there is no location %q in this subscription", clip(c.vars["location"]))
	}
	return ok(c.securityLocation(c.vars["location"]))
}

// Just-in-time access has no price here: the plan that Azure asks for is always on.
const pricingName = "VirtualMachines"

func (c *call) pricing() map[string]any {
	return map[string]any{
		"id":         string(access.SubscriptionScope(c.subscriptionID())) + securityPath + "/pricings/" + pricingName,
		"name":       pricingName,
		"type":       "Microsoft.Security/pricings",
		"properties": map[string]any{"pricingTier": "Standard", "subPlan": "P2", "freeTrialRemainingTime": "PT0S"},
	}
}

// mayInSubscription fails unless the caller may do an action in the subscription that the path names.
func (c *call) mayInSubscription(action string) error {
	if err := c.known(); err != nil {
		return err
	}
	return c.engine().Directory.Check(c.Context(), c.caller, action, c.scope())
}

func listPricings(c *call) (reply, error) {
	if err := c.mayInSubscription(rbac.PricingsRead); err != nil {
		return reply{}, err
	}
	return ok(list{Value: []any{c.pricing()}})
}

func getPricing(c *call) (reply, error) {
	if err := c.mayInSubscription(rbac.PricingsRead); err != nil {
		return reply{}, err
	}
	return c.onePricing()
}

func (c *call) onePricing() (reply, error) {
	if !strings.EqualFold(c.vars["pricing"], pricingName) {
		return reply{}, access.Fault(access.KindNotFound, "ResourceNotFound",
			"there is no plan %q; %s is the one that there is", clip(c.vars["pricing"]), pricingName)
	}
	return ok(c.pricing())
}

// putPricing takes the plan that is always on, since scripts set it first, and refuses any other.
func putPricing(c *call) (reply, error) {
	var body struct {
		_          struct{} `also:"id name type"`
		Properties struct {
			_    struct{} `also:"subPlan extensions enforce inherited inheritedFrom resourcesCoverageStatus freeTrialRemainingTime deprecated replacedBy enablementTime"`
			Tier string   `json:"pricingTier"`
		} `json:"properties"`
	}
	if err := c.mayInSubscription(rbac.PricingsWrite); err != nil {
		return reply{}, err
	}
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	if !strings.EqualFold(body.Properties.Tier, "Standard") {
		return reply{}, access.Fault(access.KindInvalid, "InvalidParameter",
			"the pricingTier %q cannot be set: just-in-time access is always on, as Standard",
			clip(body.Properties.Tier))
	}
	return c.onePricing()
}

// defaultPolicy is the one security policy of a subscription or a resource group.
const defaultPolicy = "default"

// securityPolicy shows whether just-in-time access is disabled for the subscription or the resource group of the path.
func (c *call) securityPolicy() (map[string]any, error) {
	off, err := c.engine().Fleet.DisabledScopes(c.Context(), c.caller)
	if err != nil {
		return nil, err
	}
	level, jit := "Subscription", "On"
	if c.vars["group"] != "" {
		level = "ResourceGroup"
	}
	for _, s := range off {
		if c.scope().Within(s.Scope) {
			jit = "Off"
		}
	}
	return map[string]any{
		"id": string(c.scope()) + securityPath + "/policies/" + defaultPolicy, "name": defaultPolicy,
		"type": "Microsoft.Security/policies",
		"properties": map[string]any{
			"policyLevel":     level,
			"recommendations": map[string]any{"jitNetworkAccess": jit},
		},
	}, nil
}

func listSecurityPolicies(c *call) (reply, error) {
	if err := c.mayInSubscription(rbac.SecurityPoliciesRead); err != nil {
		return reply{}, err
	}
	policy, err := c.securityPolicy()
	if err != nil {
		return reply{}, err
	}
	return ok(list{Value: []any{policy}})
}

func getSecurityPolicy(c *call) (reply, error) {
	if err := c.mayInSubscription(rbac.SecurityPoliciesRead); err != nil {
		return reply{}, err
	}
	if err := c.namesDefaultPolicy(); err != nil {
		return reply{}, err
	}
	policy, err := c.securityPolicy()
	if err != nil {
		return reply{}, err
	}
	return ok(policy)
}

func (c *call) namesDefaultPolicy() error {
	if strings.EqualFold(c.vars["policy"], defaultPolicy) {
		return nil
	}
	return access.Fault(access.KindNotFound, "ResourceNotFound",
		"there is no policy %q; default is the one that there is", clip(c.vars["policy"]))
}

// putSecurityPolicy disables just-in-time access for a subscription or a resource group, or enables it again; nothing
// else of a security policy is taken.
func putSecurityPolicy(c *call) (reply, error) {
	var body struct {
		_          struct{} `also:"id name type"`
		Properties struct {
			_               struct{} `also:"policyLevel"`
			Recommendations struct {
				JIT string `json:"jitNetworkAccess"`
			} `json:"recommendations"`
		} `json:"properties"`
	}
	if err := c.mayInSubscription(rbac.SecurityPoliciesWrite); err != nil {
		return reply{}, err
	}
	if err := c.namesDefaultPolicy(); err != nil {
		return reply{}, err
	}
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	ref := fleet.ScopeRef{Subscription: string(c.scope())}
	if c.vars["group"] != "" {
		ref = fleet.ScopeRef{Group: string(c.scope())}
	}
	var err error
	switch jit := body.Properties.Recommendations.JIT; {
	case strings.EqualFold(jit, "Off"):
		_, err = c.engine().Fleet.DisableScope(c.Context(), c.caller, fleet.DisableInput{ScopeRef: ref})
	case strings.EqualFold(jit, "On"):
		_, err = c.engine().Fleet.EnableScope(c.Context(), c.caller, ref)
	default:
		err = access.Fault(access.KindInvalid, "InvalidParameter",
			"jitNetworkAccess %q cannot be set: use On or Off", clip(jit))
	}
	if err != nil {
		return reply{}, err
	}
	policy, err := c.securityPolicy()
	if err != nil {
		return reply{}, err
	}
	return ok(policy)
}

// assessment says how Azure's recommendation stands for a machine.
func assessment(d machines.MachineDetail) map[string]any {
	code, cause, description := "Healthy", "", ""
	switch d.Standing {
	case access.Configured:
	case access.NotConfigured:
		code, cause, description = "Unhealthy", "JitNotConfigured", "no policy guards the management ports of this "+
			"machine"
	case access.Unsupported:
		code, cause, description = "NotApplicable", "Unsupported", d.StandingReason
	}
	return map[string]any{
		"id": string(d.Machine.Resource) + securityPath + "/assessments/" + jitAssessment, "name": jitAssessment,
		"type": "Microsoft.Security/assessments",
		"properties": map[string]any{
			"displayName": "Management ports of virtual machines should be protected with just-in-time network " +
				"access control",
			"status":          map[string]string{"code": code, "cause": cause, "description": description},
			"resourceDetails": map[string]any{"source": "Azure", "id": d.Machine.Resource},
			"metadata": map[string]any{
				"severity": "High", "assessmentType": "BuiltIn",
				"policyDefinitionId": "/providers/Microsoft.Authorization/policyDefinitions/b0f33259-77d7-4c9e-aac6-3aabcfae693c",
			},
		},
	}
}

func listAssessments(c *call) (reply, error) {
	found, err := c.machines(rbac.AssessmentsRead)
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(found.Items))
	for _, d := range found.Items {
		value = append(value, assessment(d))
	}
	return ok(c.list(value, found.Next))
}

func machineAssessments(c *call) (reply, error) {
	d, err := c.machine(rbac.AssessmentsRead)
	if err != nil {
		return reply{}, err
	}
	return ok(list{Value: []any{assessment(d)}})
}

func machineAssessment(c *call) (reply, error) {
	d, err := c.machine(rbac.AssessmentsRead)
	if err != nil {
		return reply{}, err
	}
	if !strings.EqualFold(c.vars["assessment"], jitAssessment) {
		return reply{}, access.Fault(access.KindNotFound, "ResourceNotFound",
			"there is no assessment %q; %s is the one that there is", clip(c.vars["assessment"]), jitAssessment)
	}
	return ok(assessment(d))
}
