package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

func (a *API) tenantRoutes() {
	const tag = "Tenants"
	register(a, operation{
		method: http.MethodGet, path: "/tenants", id: "listTenants", tag: tag, entry: people,
		summary: "List tenants by name; there is one page",
	}, a.listTenants)
	register(a, operation{
		method: http.MethodPost, path: "/tenants", id: "createTenant", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Make a tenant with an administrator",
	}, a.createTenant)
	register(a, operation{
		method: http.MethodGet, path: "/tenants/{tenant}", id: "getTenant", tag: tag, entry: people,
		summary: "Get one tenant",
	}, a.getTenant)
	register(a, operation{
		method: http.MethodGet, path: "/subscriptions", id: "listSubscriptions", tag: tag, entry: people,
		summary: "List subscriptions by name; there is one page",
	}, a.listSubscriptions)
	register(a, operation{
		method: http.MethodPost, path: "/subscriptions", id: "createSubscription", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Make a subscription",
	}, a.createSubscription)
	register(a, operation{
		method: http.MethodGet, path: "/resource-groups", id: "listResourceGroups", tag: tag, entry: people,
		summary: "List resource groups by subscription and name; there is one page",
	}, a.listResourceGroups)
	register(a, operation{
		method: http.MethodPost, path: "/resource-groups", id: "createResourceGroup", tag: tag,
		status: http.StatusCreated, entry: people,
		summary: "Make a resource group",
	}, a.createResourceGroup)
	register(a, operation{
		method: http.MethodDelete, path: "/resource-groups", id: "deleteResourceGroup", tag: tag, entry: people,
		summary: "Delete an empty resource group",
	}, a.deleteResourceGroup)
}

func (a *API) listTenants(ctx context.Context, in *callInput) (*answer[api.Page[api.Tenant]], error) {
	list, err := a.engine.Directory.Tenants(ctx, in.caller)
	return &answer[api.Page[api.Tenant]]{page(engine.Listed[access.Tenant]{Items: list}, tenantOut)}, err
}

type createTenantInput struct {
	calling

	Body api.NewTenant
}

func (a *API) createTenant(ctx context.Context, in *createTenantInput) (*answer[api.CreatedTenant], error) {
	d, password, err := a.identity.CreateTenant(ctx, in.caller, directory.TenantInput{
		ID: in.Body.ID, Name: in.Body.Name, Admin: in.Body.Admin, Subscription: in.Body.SubscriptionID,
	})
	return &answer[api.CreatedTenant]{api.CreatedTenant{
		Tenant: tenantOut(d.Tenant), Subscription: subscriptionOut(d.Subscription), Admin: principalOut(d.Admin),
		Password: password,
	}}, err
}

type tenantInput struct {
	calling

	Tenant string `path:"tenant" maxLength:"256" doc:"Name or id; mine is the caller's own."`
}

func (a *API) getTenant(ctx context.Context, in *tenantInput) (*answer[api.Tenant], error) {
	ref := in.Tenant
	if ref == "mine" {
		ref = ""
	}
	t, err := a.engine.Directory.TenantNamed(ctx, in.caller, ref)
	return &answer[api.Tenant]{tenantOut(t)}, err
}

func (a *API) listSubscriptions(ctx context.Context, in *callInput) (*answer[api.Page[api.Subscription]], error) {
	list, err := a.engine.Directory.Subscriptions(ctx, in.caller)
	return &answer[api.Page[api.Subscription]]{
		page(engine.Listed[access.Subscription]{Items: list}, subscriptionOut),
	}, err
}

type createSubscriptionInput struct {
	calling

	Body api.NewSubscription
}

func (a *API) createSubscription(ctx context.Context, in *createSubscriptionInput) (*answer[api.Subscription], error) {
	s, err := a.engine.Directory.CreateSubscription(ctx, in.caller,
		directory.SubscriptionInput{ID: in.Body.ID, Name: in.Body.Name})
	return &answer[api.Subscription]{subscriptionOut(s)}, err
}

func (a *API) listResourceGroups(ctx context.Context, in *callInput) (*answer[api.Page[api.ResourceGroup]], error) {
	subscriptions, err := a.engine.Directory.Subscriptions(ctx, in.caller)
	if err != nil {
		return nil, err
	}
	var all []access.ResourceGroup
	for _, s := range subscriptions {
		groups, err := a.engine.Directory.ResourceGroups(ctx, in.caller, s.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, groups...)
	}
	return &answer[api.Page[api.ResourceGroup]]{
		page(engine.Listed[access.ResourceGroup]{Items: all}, resourceGroupOut),
	}, nil
}

type createResourceGroupInput struct {
	calling

	Body api.NewResourceGroup
}

func (a *API) createResourceGroup(ctx context.Context,
	in *createResourceGroupInput,
) (*answer[api.ResourceGroup], error) {
	g, err := a.engine.Directory.CreateResourceGroup(ctx, in.caller, directory.ResourceGroupInput{
		Name: in.Body.Name, Subscription: in.Body.Subscription, Location: in.Body.Location,
	})
	return &answer[api.ResourceGroup]{resourceGroupOut(g)}, err
}

type deleteResourceGroupInput struct {
	calling

	Group string `query:"group" required:"true" minLength:"1" maxLength:"2048" doc:"Name or resource id."`
}

func (a *API) deleteResourceGroup(ctx context.Context, in *deleteResourceGroupInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.DeleteResourceGroup(ctx, in.caller, in.Group)
}

func tenantOut(t access.Tenant) api.Tenant {
	return api.Tenant{ID: string(t.ID), Name: t.Name, CreatedAt: t.CreatedAt.UTC()}
}

func subscriptionOut(s access.Subscription) api.Subscription {
	return api.Subscription{
		ID: string(s.ID), Tenant: string(s.Tenant), Name: s.Name, Scope: string(access.SubscriptionScope(s.ID)),
		CreatedAt: s.CreatedAt.UTC(),
	}
}

func resourceGroupOut(g access.ResourceGroup) api.ResourceGroup {
	return api.ResourceGroup{
		Name: g.Name, Subscription: string(g.Subscription), Location: g.Location,
		Scope: string(access.ResourceGroupScope(g.Subscription, g.Name)), CreatedAt: g.CreatedAt.UTC(),
	}
}
