package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

const submitID = "submitRequest"

func (a *API) requestRoutes() {
	const tag = "Requests"
	register(a, operation{
		method: http.MethodPost, path: "/requests", id: submitID, tag: tag, status: http.StatusCreated, entry: people,
		summary: "Ask for access; where the policy approves by itself, the grants are in the answer",
	}, a.submit)
	register(a, operation{
		method: http.MethodGet, path: "/requests", id: "listRequests", tag: tag, entry: people,
		summary: "List requests, the newest first",
	}, a.listRequests)
	register(a, operation{
		method: http.MethodGet, path: "/requests/{request}", id: "getRequest", tag: tag, entry: people,
		summary: "Get one request, or wait until it is no longer pending",
	}, a.getRequest)
	register(a, operation{
		method: http.MethodPost, path: "/requests/{request}/cancel", id: "cancelRequest", tag: tag, entry: people,
		summary: "Take a pending request back",
	}, a.cancelRequest)
}

type submitInput struct {
	calling

	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"Two calls with one key happen once; with another body, the second is refused."`
	Body api.NewRequest
}

func (a *API) submit(ctx context.Context, in *submitInput) (*answer[api.Request], error) {
	var wrong invalid
	ask := wrong.newRequest(in.Body, in.caller.Address)
	if len(wrong) > 0 {
		a.recordRefusal(ctx, in.caller, problemOf(wrong.err()).Reasons)
		return nil, wrong.err()
	}
	ask.IdempotencyKey = in.Key
	digest, err := digestOf(in.Body)
	if err != nil {
		return nil, err
	}
	ask.Digest = digest
	d, err := a.engine.Requests.Submit(ctx, in.caller, ask)
	if err != nil {
		return nil, err
	}
	out := requestOut(d)
	a.warnOf(ctx, in.caller, in.warning, &out, forOneself(ask, in.caller.Address))
	return &answer[api.Request]{out}, nil
}

// warnOf adds to a request that was made for the caller's own address why that is a poor source, if it is.
func (a *API) warnOf(ctx context.Context, c engine.Caller, warning string, out *api.Request, own bool) {
	if !own {
		return
	}
	warnings, err := a.sourceWarnings(ctx, c, warning)
	if err != nil { // the request was made, and that is what matters
		a.log.WarnContext(ctx, "look who shares an address", "error", err)
	}
	out.Warnings = warnings
}

// forOneself tells whether a request is for the caller's own address.
func forOneself(in requests.SubmitInput, own netip.Addr) bool {
	for _, item := range in.Items {
		sources := item.Port.Sources
		if len(sources)+len(item.Networks) == 0 || slices.Contains(sources, access.SingleAddress(own)) {
			return true
		}
	}
	return false
}

// newRequest reads what is asked for; whether it may be is the engine's to say.
func (in *invalid) newRequest(b api.NewRequest, own netip.Addr) requests.SubmitInput {
	ask := requests.SubmitInput{
		Start: moment(b.Start), Justification: b.Justification, Ticket: b.Ticket, Repeat: b.Repeat, Zone: b.Zone,
		BreakGlass: b.BreakGlass,
	}
	if b.ForSeconds != 0 && b.Until != nil {
		in.add("durationTwice", "until", "send either forSeconds or until, not both")
	}
	unsaid := false
	for i, it := range b.Items {
		field := fmt.Sprintf("items[%d]", i)
		if it.Machine == "" && it.Selector == "" && it.ResourceGroup == "" {
			in.add("machineMissing", field+".machine",
				"name a machine, or pick machines with selector or resourceGroup")
		}
		item := requests.ItemInput{
			Item:    access.Item{Duration: seconds(b.ForSeconds), Until: moment(b.Until)},
			Machine: it.Machine, Selector: it.Selector, Group: it.ResourceGroup,
			Port: access.PortTarget{
				Ports: in.portRange(field+".ports", it.Ports), Protocol: access.Protocol(it.Protocol),
			},
		}
		switch {
		case it.ForSeconds != 0 && it.Until != nil:
			in.add("durationTwice", field+".until", "send either forSeconds or until, not both")
		case it.ForSeconds != 0 || it.Until != nil:
			item.Duration, item.Until = seconds(it.ForSeconds), moment(it.Until)
		case b.ForSeconds == 0 && b.Until == nil:
			unsaid = true
		}
		in.sources(field+".sources", it.Sources, own, &item.Port.Sources, &item.Networks)
		ask.Items = append(ask.Items, item)
	}
	if unsaid {
		in.add("durationMissing", "forSeconds", "say how long with forSeconds, or when it ends with until")
	}
	return ask
}

type listRequestsInput struct {
	calling
	Paging

	State     string `query:"state" enum:"pending,approved,denied,canceled,timedOut" doc:"Only requests that stand so."`
	Machine   string `query:"machine" maxLength:"2048" doc:"Name, id or resource id: only requests for it."`
	Requester string `query:"requester" maxLength:"256" doc:"Name or id of who asked; me is the caller."`
	NeedsMe   bool   `query:"needsMe" doc:"Only requests that the caller may decide now."`

	Roles       bool   `query:"roles" doc:"Only requests for roles."`
	Application string `query:"application" maxLength:"2048" doc:"Name or resource id of a managed application: only requests for roles on it."`
}

func (a *API) listRequests(ctx context.Context, in *listRequestsInput) (*answer[api.Page[api.Request]], error) {
	f := engine.RequestFilter{State: access.RequestState(in.State), NeedsMe: in.NeedsMe, Roles: in.Roles}
	var err error
	if in.Application != "" {
		d, err := a.engine.Apps.Application(ctx, in.caller, in.Application)
		if err != nil {
			return nil, err
		}
		f.RoleScope = d.Application.Managed
	}
	if f.Machine, err = a.machineID(ctx, in.caller, in.Machine); err != nil {
		return nil, err
	}
	if f.Requester, err = a.principalID(ctx, in.caller, in.Requester); err != nil {
		return nil, err
	}
	list, err := a.engine.Requests.Requests(ctx, in.caller, f, in.page())
	return &answer[api.Page[api.Request]]{page(list, requestOut)}, err
}

// machineID finds the id behind a reference; empty stays empty.
func (a *API) machineID(ctx context.Context, c engine.Caller, ref string) (access.MachineID, error) {
	if ref == "" {
		return "", nil
	}
	d, err := a.engine.Machines.Machine(ctx, c, ref)
	return d.Machine.ID, err
}

// principalID finds the id behind a name, an id or "me"; empty stays empty.
func (a *API) principalID(ctx context.Context, c engine.Caller, ref string) (access.PrincipalID, error) {
	switch ref {
	case "":
		return "", nil
	case "me", c.Name, string(c.Principal):
		return c.Principal, nil
	}
	p, err := a.engine.Directory.Principal(ctx, c, ref)
	return p.ID, err
}

type requestInput struct {
	calling

	Request     string `path:"request" maxLength:"64"`
	WaitSeconds int    `query:"waitSeconds" minimum:"0" maximum:"25" doc:"Answer only when the request is no longer pending, or after so long."`
}

func (a *API) getRequest(ctx context.Context, in *requestInput) (*answer[api.Request], error) {
	d, err := waiting(ctx, a, in.WaitSeconds,
		func(ctx context.Context, most time.Duration) (requests.RequestDetail, error) {
			return a.engine.Requests.WaitRequest(ctx, in.caller, access.RequestID(in.Request), most)
		})
	return &answer[api.Request]{requestOut(d)}, err
}

type cancelInput struct {
	calling

	Request string `path:"request" maxLength:"64"`
	Body    api.Note
}

func (a *API) cancelRequest(ctx context.Context, in *cancelInput) (*answer[api.Request], error) {
	d, err := a.engine.Requests.Cancel(ctx, in.caller, access.RequestID(in.Request), in.Body.Reason)
	return &answer[api.Request]{requestOut(d)}, err
}

// recordRefusal puts an attempt that never reached the engine on the activity log.
func (a *API) recordRefusal(ctx context.Context, c engine.Caller, reasons []api.Reason) {
	list := make([]access.Reason, 0, len(reasons))
	for _, r := range reasons {
		list = append(list, access.Reason{Code: r.Code, Field: r.Field, Message: r.Message})
	}
	if err := a.engine.Requests.RequestRefused(ctx, c, "", list); err != nil {
		a.log.ErrorContext(ctx, "a refused request is not on the activity log", "principal", c.Name, "error", err)
	}
}
