package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/fleet"
)

func (a *API) switchRoutes() {
	const tag, path = "Policies", "/disabled-scopes"
	register(a, operation{
		method: http.MethodGet, path: path, id: "listDisabledScopes", tag: tag, entry: people,
		summary: "List the subscriptions and resource groups for which just-in-time access is disabled",
	}, a.listDisabledScopes)
	register(a, operation{
		method: http.MethodGet, path: path + "/effect", id: "getScopeEffect", tag: tag, entry: people,
		summary: "Say what there is on the machines of a subscription or a resource group, before access is disabled",
	}, a.getScopeEffect)
	register(a, operation{
		method: http.MethodPut, path: path, id: "disableScope", tag: tag, entry: people,
		summary: "Disable just-in-time access for a subscription or a resource group; guarded ports stay closed",
	}, a.disableScope)
	register(a, operation{
		method: http.MethodDelete, path: path, id: "enableScope", tag: tag, entry: people,
		summary: "Enable just-in-time access for a subscription or a resource group again",
	}, a.enableScope)
}

func switchOut(s access.Switch) api.DisabledScope {
	return api.DisabledScope{
		Scope: string(s.Scope), ResourceGroup: s.Scope.Segment("resourceGroups"), Disabled: s.Off, Reason: s.Reason,
		By: s.By.Name, At: instant(s.At),
	}
}

func (a *API) listDisabledScopes(ctx context.Context, in *callInput) (*answer[api.Page[api.DisabledScope]], error) {
	list, err := a.engine.Fleet.DisabledScopes(ctx, in.caller)
	if err != nil {
		return nil, err
	}
	out := api.Page[api.DisabledScope]{Items: make([]api.DisabledScope, 0, len(list))}
	for _, s := range list {
		out.Items = append(out.Items, switchOut(s))
	}
	return &answer[api.Page[api.DisabledScope]]{out}, nil
}

type scopeInput struct {
	calling
	api.ScopeQuery
}

func scopeRef(q api.ScopeQuery) fleet.ScopeRef {
	return fleet.ScopeRef{Group: q.ResourceGroup, Subscription: q.Subscription}
}

func (a *API) getScopeEffect(ctx context.Context, in *scopeInput) (*answer[api.ScopeEffect], error) {
	found, err := a.engine.Fleet.ScopeEffect(ctx, in.caller, scopeRef(in.ScopeQuery))
	if err != nil {
		return nil, err
	}
	out := api.ScopeEffect{
		DisabledScope: switchOut(found.Disabled), Machines: found.Machines, Guarded: found.Guarded,
		Live: make([]api.Grant, 0, len(found.Standing)), More: found.More, Pending: found.Pending,
	}
	for _, g := range found.Standing {
		out.Live = append(out.Live, grantOut(g))
	}
	return &answer[api.ScopeEffect]{out}, nil
}

type disableScopeInput struct {
	calling

	Body api.NewDisabledScope
}

func (a *API) disableScope(ctx context.Context, in *disableScopeInput) (*answer[api.DisabledScope], error) {
	s, err := a.engine.Fleet.DisableScope(ctx, in.caller, fleet.DisableInput{
		ScopeRef: scopeRef(in.Body.ScopeQuery), Reason: in.Body.Reason, End: in.Body.EndAccess,
	})
	return &answer[api.DisabledScope]{switchOut(s)}, err
}

func (a *API) enableScope(ctx context.Context, in *scopeInput) (*answer[api.DisabledScope], error) {
	s, err := a.engine.Fleet.EnableScope(ctx, in.caller, scopeRef(in.ScopeQuery))
	return &answer[api.DisabledScope]{switchOut(s)}, err
}
