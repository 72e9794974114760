package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// DisabledScope is a subscription or a resource group with whether just-in-time access is disabled there.
type DisabledScope struct {
	Scope         string     `json:"scope" doc:"Resource id of the resource group or the subscription."`
	ResourceGroup string     `json:"resourceGroup,omitempty" doc:"Name; absent: the whole subscription."`
	Disabled      bool       `json:"disabled"`
	Reason        string     `json:"reason,omitempty"`
	By            string     `json:"by,omitempty" doc:"Name of who disabled or enabled it last."`
	At            *time.Time `json:"at,omitempty"`
}

// NewDisabledScope disables just-in-time access for a subscription or a resource group.
type NewDisabledScope struct {
	ScopeQuery

	Reason    string `json:"reason,omitempty" maxLength:"256" doc:"For people: it stands beside each machine."`
	EndAccess bool   `json:"endAccess,omitempty" doc:"End what is open or scheduled there. Otherwise what is open runs to its end, and nothing scheduled begins."`
}

// ScopeQuery names a resource group, or a subscription.
type ScopeQuery struct {
	ResourceGroup string `json:"resourceGroup,omitempty" query:"resourceGroup" maxLength:"2048" doc:"Name or resource id; absent: the subscription."`
	Subscription  string `json:"subscription,omitempty" query:"subscription" maxLength:"2048" doc:"Name, GUID or resource id; absent: the default one."`
}

// ScopeEffect is what there is on the machines of a scope for which just-in-time access is to be disabled or enabled.
type ScopeEffect struct {
	DisabledScope

	Machines int     `json:"machines"`
	Guarded  int     `json:"guarded" doc:"Of the machines, those that a policy guards: their ports stay closed."`
	Live     []Grant `json:"live" doc:"What is open or scheduled, the first to begin first, at most 100; nothing where the caller may not read grants there."`
	More     bool    `json:"more,omitempty" doc:"There is more than that."`
	Pending  int     `json:"pending" doc:"Requests that wait for a decision."`
}

// DisabledScopes lists the scopes for which just-in-time access is disabled.
func (c *Client) DisabledScopes(ctx context.Context) iter.Seq2[DisabledScope, error] {
	return pages[DisabledScope](ctx, c, "/disabled-scopes", nil)
}

// ScopeEffect returns what there is on the machines of a scope.
func (c *Client) ScopeEffect(ctx context.Context, of ScopeQuery) (ScopeEffect, error) {
	return ask[ScopeEffect](ctx, c, call{method: http.MethodGet, path: "/disabled-scopes/effect", query: of.values()})
}

// DisableScope disables just-in-time access for a scope.
func (c *Client) DisableScope(ctx context.Context, in NewDisabledScope) (DisabledScope, error) {
	return ask[DisabledScope](ctx, c, call{method: http.MethodPut, path: "/disabled-scopes", body: in})
}

// EnableScope enables just-in-time access for a scope again.
func (c *Client) EnableScope(ctx context.Context, of ScopeQuery) (DisabledScope, error) {
	return ask[DisabledScope](ctx, c, call{method: http.MethodDelete, path: "/disabled-scopes", query: of.values()})
}

func (q ScopeQuery) values() url.Values {
	return query("resourceGroup", q.ResourceGroup, "subscription", q.Subscription)
}
