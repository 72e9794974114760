package app_test

import (
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
)

const (
	catalog access.ResourceID = "/subscriptions/9b9b9b9b-0000-4000-8000-000000000000/resourceGroups/catalog/providers/Microsoft.Solutions/applicationDefinitions/shop"
	shop    access.ResourceID = "/subscriptions/0a0a0a0a-0000-4000-8000-000000000000/resourceGroups/apps/providers/Microsoft.Solutions/applications/shop"
	managed access.ResourceID = "/subscriptions/0a0a0a0a-0000-4000-8000-000000000000/resourceGroups/mrg-shop"
	host                      = managed + "/providers/Microsoft.Compute/virtualMachines/web-1"
)

func noon() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

// offer is a definition that is as it should be.
func offer() app.Definition {
	return app.Definition{
		Resource: catalog, Tenant: "vendor", DisplayName: "Shop", Version: "1.4.0", Lock: app.LockReadOnly,
		Authorizations: []app.Authorization{
			{Principal: "ops", Role: rbac.Contributor},
			{Principal: "vic", Role: rbac.Owner, Longest: time.Hour},
		},
		JIT:      app.Offer{Available: true, Longest: 4 * time.Hour},
		Allowed:  []string{"Microsoft.Compute/virtualMachines/restart/action"},
		Endpoint: "https://hooks.vendor.example/az?sig=x",
	}
}

func known() app.Known {
	k := app.Known{
		Principals: map[access.PrincipalID]access.Principal{},
		Roles:      map[rbac.DefinitionID]rbac.Definition{},
	}
	for _, p := range []access.Principal{
		{ID: "ops", Kind: access.Group, Name: "ops"},
		{ID: "vic", Kind: access.User, Name: "vic"},
		{ID: "ann", Kind: access.User, Name: "ann"},
		{ID: "oncall", Kind: access.Group, Name: "oncall"},
		{ID: "robot", Kind: access.ServicePrincipal, Name: "robot"},
	} {
		k.Principals[p.ID] = p
	}
	for _, d := range rbac.BuiltIn() {
		k.Roles[d.ID] = d
	}
	k.Roles["own"] = rbac.Definition{
		ID: "own", Name: "Own", Tenant: "vendor",
		Permissions: []rbac.Permission{{Actions: []string{"*"}}},
	}
	return k
}

func deployed(s app.Settings) app.Application {
	return app.Application{
		Resource: shop, Tenant: "customer", Publisher: "vendor", Definition: catalog, Terms: offer(),
		Managed: managed, Settings: s,
	}
}

func codes(reasons []access.Reason) []string {
	var list []string
	for _, r := range reasons {
		list = append(list, r.Code)
	}
	slices.Sort(list)
	return list
}
