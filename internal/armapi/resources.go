package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

const (
	subscriptionPath = "/subscriptions/{subscription}"
	groupPath        = subscriptionPath + "/resourceGroups/{group}"
)

func resourceRoutes() []route {
	get := func(pattern string, handle func(*call) (reply, error)) route {
		return route{method: http.MethodGet, pattern: pattern, versions: anyVersion(), handle: handle}
	}
	return []route{
		get("/tenants", listTenants),
		get("/subscriptions", listSubscriptions),
		get(subscriptionPath, getSubscription),
		get(subscriptionPath+"/locations", listLocations),
		get(subscriptionPath+"/resourceGroups", listGroups),
		get(groupPath, getGroup),
		{method: http.MethodHead, pattern: groupPath, versions: anyVersion(), handle: checkGroup},
		get("/providers", listProviders),
		get("/providers/{namespace}", getProvider),
		get("/providers/{namespace}/operations", listOperations),
		get("/providers/Microsoft.Authorization/providerOperations", listProviderOperations),
		get("/providers/Microsoft.Authorization/providerOperations/{namespace}", getProviderOperations),
		get(subscriptionPath+"/providers", listProviders),
		get(subscriptionPath+"/providers/{namespace}", getProvider),
		{
			method: http.MethodPost, pattern: subscriptionPath + "/providers/{namespace}/register", versions: anyVersion(),
			handle: getProvider,
		},
	}
}

func listTenants(c *call) (reply, error) {
	t, err := c.engine().Directory.Tenant(c.Context(), c.caller)
	if err != nil {
		return reply{}, err
	}
	return ok(list{Value: []any{map[string]any{
		"id": "/tenants/" + string(t.ID), "tenantId": t.ID, "displayName": t.Name, "tenantCategory": "Home",
		"domains": []string{}, "countryCode": "",
	}}})
}

func (c *call) subscription(s access.Subscription) map[string]any {
	return map[string]any{
		"id": access.SubscriptionScope(s.ID), "subscriptionId": s.ID, "tenantId": s.Tenant, "displayName": s.Name,
		"state": "Enabled", "authorizationSource": "RoleBased",
		"subscriptionPolicies": map[string]any{
			"locationPlacementId": "Public_2014-09-01",
			"quotaId":             "Internal_2014-09-01", "spendingLimit": "Off",
		},
		"managedByTenants": []any{},
	}
}

func listSubscriptions(c *call) (reply, error) {
	all, err := c.engine().Directory.Subscriptions(c.Context(), c.caller)
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(all))
	for _, s := range all {
		value = append(value, c.subscription(s))
	}
	return ok(list{Value: value})
}

func (c *call) subscriptionID() access.SubscriptionID {
	return access.SubscriptionID(c.vars["subscription"])
}

func getSubscription(c *call) (reply, error) {
	s, err := c.engine().Directory.Subscription(c.Context(), c.caller, c.subscriptionID())
	if err != nil {
		return reply{}, err
	}
	return ok(c.subscription(s))
}

// locations gives the names of the locations that the subscription's resource groups and machines lie in.
func (c *call) locations() ([]string, error) {
	return c.engine().Directory.Locations(c.Context(), c.caller, c.subscriptionID())
}

func containsFold(list []string, s string) bool {
	for _, one := range list {
		if strings.EqualFold(one, s) {
			return true
		}
	}
	return false
}

func listLocations(c *call) (reply, error) {
	names, err := c.locations()
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(names))
	for _, name := range names {
		value = append(value, map[string]any{
			"id": string(access.SubscriptionScope(c.subscriptionID())) + "/locations/" + name, "name": name,
			"type":        "Region",
			"displayName": name, "regionalDisplayName": name,
			"metadata": map[string]any{"regionType": "Physical", "regionCategory": "Other"},
		})
	}
	return ok(list{Value: value})
}

func group(g access.ResourceGroup) map[string]any {
	return map[string]any{
		"id": access.ResourceGroupScope(g.Subscription, g.Name), "name": g.Name,
		"type":     "Microsoft.Resources/resourceGroups",
		"location": g.Location, "tags": map[string]string{},
		"properties": map[string]any{"provisioningState": "Succeeded"},
	}
}

func listGroups(c *call) (reply, error) {
	groups, err := c.engine().Directory.ResourceGroups(c.Context(), c.caller, c.subscriptionID())
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(groups))
	for _, g := range groups {
		value = append(value, group(g))
	}
	return ok(list{Value: value})
}

func (c *call) group() (access.ResourceGroup, error) {
	groups, err := c.engine().Directory.ResourceGroups(c.Context(), c.caller, c.subscriptionID())
	if err != nil {
		return access.ResourceGroup{}, err
	}
	for _, g := range groups {
		if strings.EqualFold(g.Name, c.vars["group"]) {
			return g, nil
		}
	}
	return access.ResourceGroup{}, access.Fault(access.KindNotFound, "ResourceGroupNotFound",
		"Resource group '%s' could not be found.", clip(c.vars["group"]))
}

func getGroup(c *call) (reply, error) {
	g, err := c.group()
	if err != nil {
		return reply{}, err
	}
	return ok(group(g))
}

func checkGroup(c *call) (reply, error) {
	_, err := c.group()
	return reply{status: http.StatusNoContent}, err
}
