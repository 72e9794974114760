package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

func (a *API) scopePolicyRoutes() {
	const tag = "Policies"
	register(a, operation{
		method: http.MethodGet, path: "/scope-policies", id: "listScopePolicies", tag: tag, entry: people,
		summary: "List the policies of resource groups, subscriptions and labels, in the order in which they count",
	}, a.listScopePolicies)
	register(a, operation{
		method: http.MethodGet, path: "/scope-policies/{scopePolicy}", id: "getScopePolicy", tag: tag, entry: people,
		summary: "Get a policy of a resource group, a subscription or labels",
	}, a.getScopePolicy)
	register(a, operation{
		method: http.MethodPut, path: "/scope-policies/{scopePolicy}", id: "setScopePolicy", tag: tag, entry: people,
		summary: "Guard the machines of a resource group or a subscription, or those of them with labels",
	}, a.setScopePolicy)
	register(a, operation{
		method: http.MethodDelete, path: "/scope-policies/{scopePolicy}", id: "deleteScopePolicy", tag: tag, entry: people,
		summary: "Delete a policy of a resource group, a subscription or labels, and end what no other policy allows",
	}, a.deleteScopePolicy)
}

func (a *API) listScopePolicies(ctx context.Context, in *callInput) (*answer[api.Page[api.ScopePolicy]], error) {
	list, err := a.engine.Machines.ScopePolicies(ctx, in.caller)
	if err != nil {
		return nil, err
	}
	var named []access.PrincipalID
	for _, d := range list {
		named = append(named, engine.NamedInPolicy(d.Policy.Rules)...)
	}
	names, err := a.engine.Machines.Names(ctx, in.caller, named)
	out := api.Page[api.ScopePolicy]{Items: make([]api.ScopePolicy, 0, len(list))}
	for _, d := range list {
		out.Items = append(out.Items, scopePolicyOut(d, names))
	}
	return &answer[api.Page[api.ScopePolicy]]{out}, err
}

type scopePolicyInput struct {
	calling

	Policy string `path:"scopePolicy" maxLength:"2048" doc:"Name or resource id; a resource id with its slashes escaped."`
}

type scopePolicyAnswer struct {
	ETag string `header:"ETag" doc:"The revision of the policy; send it as If-Match to change what you saw."`
	Body api.ScopePolicy
}

func (a *API) scopePolicyAnswerOf(ctx context.Context, c engine.Caller,
	d machines.ScopePolicyDetail,
) (*scopePolicyAnswer, error) {
	names, err := a.engine.Machines.Names(ctx, c, engine.NamedInPolicy(d.Policy.Rules))
	return &scopePolicyAnswer{ETag: etag(d.Policy.Revision), Body: scopePolicyOut(d, names)}, err
}

func (a *API) getScopePolicy(ctx context.Context, in *scopePolicyInput) (*scopePolicyAnswer, error) {
	d, err := a.engine.Machines.ScopePolicy(ctx, in.caller, in.Policy)
	if err != nil {
		return nil, err
	}
	return a.scopePolicyAnswerOf(ctx, in.caller, d)
}

type setScopePolicyInput struct {
	calling

	Policy  string `path:"scopePolicy" maxLength:"64" doc:"Name; each name is there once in a tenant."`
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that was seen: with another one now, nothing changes and the answer is 409."`
	Body    api.NewScopePolicy
}

func (a *API) setScopePolicy(ctx context.Context, in *setScopePolicyInput) (*scopePolicyAnswer, error) {
	var wrong invalid
	rules := wrong.machinePolicy(in.Body.MachinePolicy)
	revision := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, err := a.engine.Machines.SetScopePolicy(ctx, in.caller, machines.ScopePolicyInput{
		Name: in.Policy, ResourceGroup: in.Body.ResourceGroup, Subscription: in.Body.Subscription,
		Labels: in.Body.Labels, Order: in.Body.Order, Rules: rules,
	}, revision)
	if err != nil {
		return nil, asWritten(err)
	}
	return a.scopePolicyAnswerOf(ctx, in.caller, d)
}

type deleteScopePolicyInput struct {
	calling

	Policy  string `path:"scopePolicy" maxLength:"2048" doc:"Name or resource id; a resource id with its slashes escaped."`
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that was seen: with another one now, nothing changes and the answer is 409."`
}

func (a *API) deleteScopePolicy(ctx context.Context, in *deleteScopePolicyInput) (*nothing, error) {
	var wrong invalid
	revision := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return &nothing{}, a.engine.Machines.DeleteScopePolicy(ctx, in.caller, in.Policy, revision)
}
