package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Tenant is a home of principals and an owner of subscriptions.
type Tenant struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

// NewTenant makes a tenant.
type NewTenant struct {
	ID             string `json:"id,omitempty" maxLength:"64" doc:"A GUID that no tenant has, such as that of a tenant of Microsoft Entra; absent: a new one."`
	Name           string `json:"name" minLength:"1" maxLength:"63" doc:"Letters, digits and '-'."`
	Admin          string `json:"admin,omitempty" maxLength:"256" doc:"Sign-in name of its administrator; absent: admin."`
	SubscriptionID string `json:"subscriptionId,omitempty" maxLength:"64" doc:"GUID of its first subscription, which no subscription has; absent: a new one."`
}

// CreatedTenant is a new tenant with its administrator, whose password is shown once.
type CreatedTenant struct {
	Tenant       Tenant       `json:"tenant"`
	Subscription Subscription `json:"subscription"`
	Admin        Principal    `json:"admin" doc:"Owner of this tenant, and of nothing else."`
	Password     string       `json:"password" doc:"Good for one sign-in, which replaces it."`
}

// Subscription is a place for resource groups.
type Subscription struct {
	ID        string    `json:"id" doc:"A GUID."`
	Tenant    string    `json:"tenant" doc:"Id of the tenant that it is of."`
	Name      string    `json:"name"`
	Scope     string    `json:"scope" doc:"Its resource id."`
	CreatedAt time.Time `json:"createdAt"`
}

// NewSubscription makes a subscription.
type NewSubscription struct {
	ID   string `json:"id,omitempty" maxLength:"64" doc:"A GUID that no subscription has, such as that of a subscription of Azure; absent: a new one."`
	Name string `json:"name" minLength:"1" maxLength:"64"`
}

// ResourceGroup is a place for machines and policies.
type ResourceGroup struct {
	Name         string    `json:"name"`
	Subscription string    `json:"subscription" doc:"GUID of the subscription that it lies in."`
	Location     string    `json:"location"`
	Scope        string    `json:"scope" doc:"Its resource id."`
	CreatedAt    time.Time `json:"createdAt"`
}

// NewResourceGroup makes a resource group.
type NewResourceGroup struct {
	Name         string `json:"name" minLength:"1" maxLength:"90" doc:"Letters, digits, '.', '-', '_' and parentheses, not ending in '.'."`
	Subscription string `json:"subscription,omitempty" maxLength:"2048" doc:"Name, GUID or resource id; absent: the default one."`
	Location     string `json:"location,omitempty" maxLength:"64" doc:"Absent: local."`
}

// Tenants lists the tenants by name.
func (c *Client) Tenants(ctx context.Context) iter.Seq2[Tenant, error] {
	return pages[Tenant](ctx, c, "/tenants", nil)
}

// Tenant gives one tenant by its name or id.
func (c *Client) Tenant(ctx context.Context, tenant string) (Tenant, error) {
	return ask[Tenant](ctx, c, call{method: http.MethodGet, path: "/tenants/" + url.PathEscape(tenant)})
}

// CreateTenant makes a tenant with an administrator.
func (c *Client) CreateTenant(ctx context.Context, in NewTenant) (CreatedTenant, error) {
	return ask[CreatedTenant](ctx, c, call{method: http.MethodPost, path: "/tenants", body: in})
}

// Subscriptions lists the subscriptions that the caller may know of, by name.
func (c *Client) Subscriptions(ctx context.Context) iter.Seq2[Subscription, error] {
	return pages[Subscription](ctx, c, "/subscriptions", nil)
}

// CreateSubscription makes a subscription.
func (c *Client) CreateSubscription(ctx context.Context, in NewSubscription) (Subscription, error) {
	return ask[Subscription](ctx, c, call{method: http.MethodPost, path: "/subscriptions", body: in})
}

// ResourceGroups lists the resource groups that the caller may know of, by subscription and name.
func (c *Client) ResourceGroups(ctx context.Context) iter.Seq2[ResourceGroup, error] {
	return pages[ResourceGroup](ctx, c, "/resource-groups", nil)
}

// CreateResourceGroup makes a resource group.
func (c *Client) CreateResourceGroup(ctx context.Context, in NewResourceGroup) (ResourceGroup, error) {
	return ask[ResourceGroup](ctx, c, call{method: http.MethodPost, path: "/resource-groups", body: in})
}

// DeleteResourceGroup deletes an empty resource group, named by its name or resource id.
func (c *Client) DeleteResourceGroup(ctx context.Context, group string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/resource-groups", query: url.Values{"group": {group}}})
}
