package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/fleet"
)

func (a *API) editRoutes() {
	const tag = "Policies"
	register(a, operation{
		method: http.MethodPost, path: "/policies/preview", id: "previewPolicies", tag: tag, entry: people,
		summary: "Say what one policy would change on several machines, and change nothing",
	}, a.previewPolicies)
	register(a, operation{
		method: http.MethodPut, path: "/policies", id: "editPolicies", tag: tag, entry: people,
		summary: "Set one policy on several machines, each only as it was seen",
	}, a.editPolicies)
}

type previewPoliciesInput struct {
	calling

	Body api.PreviewPolicies
}

func (a *API) previewPolicies(ctx context.Context,
	in *previewPoliciesInput,
) (*answer[api.Page[api.PolicyPreview]], error) {
	var wrong invalid
	entry := wrong.machinePolicy(in.Body.Policy)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	list, err := a.engine.Fleet.PreviewPolicies(ctx, in.caller, in.Body.Machines, entry)
	if err != nil {
		return nil, asWritten(err)
	}
	var named []access.PrincipalID
	for _, o := range list {
		for _, d := range o.Change.Was {
			named = append(named, engine.NamedInPolicy(d.Entry)...)
		}
	}
	names, err := a.engine.Machines.Names(ctx, in.caller, named)
	out := api.Page[api.PolicyPreview]{Items: make([]api.PolicyPreview, 0, len(list))}
	for _, o := range list {
		out.Items = append(out.Items, previewOut(o, names))
	}
	return &answer[api.Page[api.PolicyPreview]]{out}, err
}

func previewOut(o fleet.Outcome, names map[access.PrincipalID]string) api.PolicyPreview {
	out := api.PolicyPreview{
		Machine: o.Machine, OS: o.Change.Machine.OS, Revision: o.Change.Revision,
		More: o.Change.More, Problem: editProblem(o.Refused),
		Changes: make([]api.PortChange, 0, len(o.Change.Ports)), Ends: make([]api.Grant, 0, len(o.Change.Ends)),
	}
	if out.Problem != nil {
		return out
	}
	for i, d := range o.Change.Was {
		view := viewOut(d.Policy, d.Entry, d.Machine.Name, names)
		if i == 0 {
			out.Before = &view
		} else {
			out.Before.Others = append(out.Before.Others, view)
		}
	}
	for _, c := range o.Change.Ports {
		out.Changes = append(out.Changes, api.PortChange{
			Ports: c.Ports.String(), Protocol: string(c.Protocol), Before: ruleOut(c.Was), After: ruleOut(c.Will),
		})
	}
	for _, g := range o.Change.Ends {
		out.Ends = append(out.Ends, grantOut(g))
	}
	return out
}

func ruleOut(r *access.PortRule) *api.PortRule {
	if r == nil {
		return nil
	}
	rule := portRuleOut(*r)
	return &rule
}

func editProblem(e *access.Error) *api.EditProblem {
	if e == nil {
		return nil
	}
	told, _ := asWritten(e).(*access.Error) //nolint:errorlint // the same error, with the names of the wire
	out := &api.EditProblem{Code: told.Code, Message: told.Message}
	for _, r := range told.Reasons {
		out.Reasons = append(out.Reasons, api.Reason{Code: r.Code, Field: r.Field, Message: r.Message})
	}
	return out
}

type editPoliciesInput struct {
	calling

	Body api.EditPolicies
}

func (a *API) editPolicies(ctx context.Context, in *editPoliciesInput) (*answer[api.Page[api.EditedPolicy]], error) {
	var wrong invalid
	entry := wrong.machinePolicy(in.Body.Policy)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	list := make([]fleet.Edited, len(in.Body.Machines))
	for i, m := range in.Body.Machines {
		list[i] = fleet.Edited{Machine: m.Machine, Revision: m.Revision}
	}
	done, err := a.engine.Fleet.SavePolicies(ctx, in.caller, list, entry, in.Body.All)
	if err != nil {
		return nil, asWritten(err)
	}
	out := api.Page[api.EditedPolicy]{Items: make([]api.EditedPolicy, 0, len(done))}
	for _, o := range done {
		out.Items = append(out.Items, api.EditedPolicy{
			Machine: o.Machine, Saved: o.Refused == nil, Revision: o.Saved.Entry.Revision, Problem: editProblem(o.Refused),
		})
	}
	return &answer[api.Page[api.EditedPolicy]]{out}, nil
}
