package armapi

import (
	"maps"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// served gives, by provider, the resource types that the routes serve, with their api-versions and operations.
func (a *API) served() map[string]map[string][]string {
	providers := map[string]map[string][]string{}
	for _, r := range a.router.routes {
		_, rest, found := strings.Cut(r.pattern, "/providers/Microsoft.")
		if !found {
			continue
		}
		segments := strings.Split(rest, "/")
		namespace := "Microsoft." + segments[0]
		var kinds []string
		for _, s := range segments[1:] {
			if !strings.HasPrefix(s, "{") && !isVerb(s) {
				kinds = append(kinds, s)
			}
		}
		if len(kinds) == 0 {
			continue
		}
		if providers[namespace] == nil {
			providers[namespace] = map[string][]string{}
		}
		versions := r.versions
		if slices.Equal(versions, anyVersion()) {
			versions = []string{"2022-12-01"}
		}
		providers[namespace][strings.Join(kinds, "/")] = versions
	}
	providers["Microsoft.Resources"] = map[string][]string{
		"tenants": {"2022-12-01"}, "subscriptions": {"2022-12-01"},
		"subscriptions/resourceGroups": {"2022-09-01"},
	}
	return providers
}

func (c *call) provider(namespace string, kinds map[string][]string) map[string]any {
	types := make([]any, 0, len(kinds))
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		types = append(types,
			map[string]any{
				"resourceType": kind, "locations": []string{}, "apiVersions": kinds[kind],
				"capabilities": "None",
			})
	}
	id := "/providers/" + namespace
	if sub := c.vars["subscription"]; sub != "" {
		id = string(access.SubscriptionScope(c.subscriptionID())) + id
	}
	return map[string]any{
		"id": id, "namespace": namespace, "registrationState": "Registered",
		"registrationPolicy": "RegistrationFree", "resourceTypes": types,
	}
}

// known refuses a subscription that the caller may not see; without one there is nothing to refuse.
func (c *call) known() error {
	if c.vars["subscription"] == "" {
		return nil
	}
	_, err := c.engine().Directory.Subscription(c.Context(), c.caller, c.subscriptionID())
	return err
}

func listProviders(c *call) (reply, error) {
	if err := c.known(); err != nil {
		return reply{}, err
	}
	served := c.api.served()
	value := make([]any, 0, len(served))
	for _, namespace := range slices.Sorted(maps.Keys(served)) {
		value = append(value, c.provider(namespace, served[namespace]))
	}
	return ok(list{Value: value})
}

// isVerb tells whether a segment of a pattern is something that is done to a resource, rather than a type of resource.
func isVerb(segment string) bool {
	return slices.Contains([]string{
		"initiate", "cancel", "validate", "updateAccess", "refreshPermissions",
		"listAllowedUpgradePlans",
	},
		segment)
}

// findProvider gives the provider that the path names, in its own spelling.
func (c *call) findProvider() (string, map[string][]string, error) {
	if err := c.known(); err != nil {
		return "", nil, err
	}
	for namespace, kinds := range c.api.served() {
		if strings.EqualFold(namespace, c.vars["namespace"]) {
			return namespace, kinds, nil
		}
	}
	return "", nil, invalidNamespace(c.vars["namespace"])
}

func invalidNamespace(namespace string) error {
	return access.Fault(access.KindNotFound, "InvalidResourceNamespace",
		"The resource namespace '%s' is invalid: it is not served here; GET /providers lists those that are.",
		clip(namespace))
}

// getProvider shows a provider. Every one is registered always, so to register one changes nothing.
func getProvider(c *call) (reply, error) {
	namespace, kinds, err := c.findProvider()
	if err != nil {
		return reply{}, err
	}
	return ok(c.provider(namespace, kinds))
}

// listOperations lists the permissions of a provider that Postern checks.
func listOperations(c *call) (reply, error) {
	namespace, _, err := c.findProvider()
	if err != nil {
		return reply{}, err
	}
	value := []any{}
	for _, action := range operationNames() {
		if !strings.HasPrefix(action, namespace+"/") {
			continue
		}
		kind, what := cutLast(strings.TrimSuffix(strings.TrimPrefix(action, namespace+"/"), "/action"))
		value = append(value, map[string]any{
			"name": action, "isDataAction": false, "origin": "user,system",
			"display": map[string]string{
				"provider": namespace, "resource": kind, "operation": operationTitle(action),
				"description": what,
			},
		})
	}
	return ok(list{Value: value})
}

// cutLast splits at the last slash.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	return s[:max(i, 0)], s[i+1:]
}

// providerOperations shows the permissions of a provider that Postern checks, by resource type.
func providerOperations(namespace string) map[string]any {
	types, byType := []any{}, map[string][]any{}
	var order []string
	for _, action := range operationNames() {
		rest, own := strings.CutPrefix(action, namespace+"/")
		if !own {
			continue
		}
		kind, what := cutLast(strings.TrimSuffix(rest, "/action"))
		if byType[kind] == nil {
			order = append(order, kind)
		}
		byType[kind] = append(byType[kind],
			map[string]any{
				"name": action, "displayName": operationTitle(action), "description": what,
				"origin": "user,system", "isDataAction": false,
			})
	}
	for _, kind := range order {
		types = append(types, map[string]any{"name": kind, "displayName": kind, "operations": byType[kind]})
	}
	return map[string]any{
		"id": "/providers/Microsoft.Authorization/providerOperations/" + namespace, "name": namespace,
		"type":        "Microsoft.Authorization/providerOperations",
		"displayName": namespace, "operations": []any{}, "resourceTypes": types,
	}
}

func listProviderOperations(c *call) (reply, error) {
	value := []any{}
	for _, namespace := range slices.Sorted(maps.Keys(c.api.served())) {
		value = append(value, providerOperations(namespace))
	}
	return ok(list{Value: value})
}

func getProviderOperations(c *call) (reply, error) {
	namespace, _, err := c.findProvider()
	if err != nil {
		return reply{}, err
	}
	return ok(providerOperations(namespace))
}
