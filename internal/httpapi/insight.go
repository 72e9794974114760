package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/records"
	"github.com/postern-dev/postern/internal/engine/roles"
)

func (a *API) insightRoutes() {
	const tag = "Insight"
	register(a, operation{
		method: http.MethodGet, path: "/audit/who", id: "whoHadAccess", tag: tag, entry: people,
		summary: "Who had access to a machine at an instant, the newest first",
	}, a.whoHad)
	register(a, operation{
		method: http.MethodGet, path: "/insight/not-closed", id: "listNotClosed", tag: tag, entry: people,
		summary: "List what may be open though no grant in force says so: access that ended and was not seen " +
			"closed, and what codes opened on machines",
	}, a.listNotClosed)
	register(a, operation{
		method: http.MethodGet, path: "/insight/never-used", id: "listNeverUsed", tag: tag, entry: people,
		summary: "List grants that ended without a packet, the newest first",
	}, a.listNeverUsed)
	register(a, operation{
		method: http.MethodGet, path: "/insight/unused", id: "listUnused", tag: tag, entry: people,
		summary: "List who may ask for access and has not",
	}, a.listUnused)
	register(a, operation{
		method: http.MethodGet, path: "/insight/foreign-rules", id: "listForeignRules", tag: tag, entry: people,
		summary: "List rules of other firewall tables that touch guarded ports; there is one page of at most 1,000",
	}, a.listForeignRules)
}

type whoInput struct {
	calling
	Paging

	Machine string    `query:"machine" required:"true" maxLength:"2048" doc:"Name, id or resource id."`
	At      time.Time `query:"at" doc:"Absent: now. Pages that follow are of the instant of the first."`
}

func (a *API) whoHad(ctx context.Context, in *whoInput) (*answer[api.Page[api.Access]], error) {
	list, err := a.engine.Records.WhoHad(ctx, in.caller, in.Machine, in.At.UTC(), in.page())
	return &answer[api.Page[api.Access]]{page(list, accessOut)}, err
}

type notClosedInput struct {
	calling
	Paging

	Machine   string `query:"machine" maxLength:"2048" doc:"Name, id or resource id: only on it."`
	Principal string `query:"principal" maxLength:"256" doc:"Name or id of who had it; me is the caller."`
}

func (a *API) listNotClosed(ctx context.Context, in *notClosedInput) (*answer[api.Page[api.Access]], error) {
	var f engine.NotClosedFilter
	var err error
	if f.Machine, err = a.machineID(ctx, in.caller, in.Machine); err != nil {
		return nil, err
	}
	if f.Principal, err = a.principalID(ctx, in.caller, in.Principal); err != nil {
		return nil, err
	}
	list, err := a.engine.Records.NotClosed(ctx, in.caller, f, in.page())
	return &answer[api.Page[api.Access]]{page(list, accessOut)}, err
}

func accessOut(d records.Access) api.Access {
	return api.Access{
		Grant: grantOut(d.GrantDetail), From: d.From.UTC(), Until: instant(d.Until), Seen: d.Seen,
		ByCode: d.ByCode,
	}
}

type daysInput struct {
	calling
	Paging

	Days int `query:"days" minimum:"1" maximum:"3650" default:"90" doc:"How far to look back."`
}

func (a *API) since(days int) time.Time { return a.now().UTC().AddDate(0, 0, -days) }

func (a *API) listNeverUsed(ctx context.Context, in *daysInput) (*answer[api.Page[api.Grant]], error) {
	list, err := a.engine.Records.NeverUsed(ctx, in.caller, a.since(in.Days), in.page())
	return &answer[api.Page[api.Grant]]{page(list, grantOut)}, err
}

func (a *API) listUnused(ctx context.Context, in *daysInput) (*answer[api.Page[api.Eligible]], error) {
	list, err := a.engine.Roles.Unused(ctx, in.caller, a.since(in.Days), in.page())
	return &answer[api.Page[api.Eligible]]{page(list, func(d roles.Eligible) api.Eligible {
		out := api.Eligible{
			Principal: d.Person.Name, PrincipalID: string(d.Person.ID), Role: d.Role.Name, Scope: string(d.Scope),
			Assignment: string(d.Assignment), Eligibility: string(d.Eligibility),
		}
		if d.Principal.ID != d.Person.ID {
			out.Via = d.Principal.Name
		}
		return out
	})}, err
}

func (a *API) listForeignRules(ctx context.Context, in *callInput) (*answer[api.Page[api.ForeignAt]], error) {
	list, err := a.engine.Records.Foreign(ctx, in.caller)
	return &answer[api.Page[api.ForeignAt]]{
		page(engine.Listed[records.ForeignAt]{Items: list}, func(at records.ForeignAt) api.ForeignAt {
			agent := agentOut(at.Agent)
			return api.ForeignAt{
				Agent: agent.Name, AgentID: agent.ID, Machines: append([]string{}, at.Machines...),
				Rules: append([]api.ForeignRule{}, agent.Foreign...),
			}
		}),
	}, err
}
