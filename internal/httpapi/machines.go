package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

func (a *API) machineRoutes() {
	const tag = "Machines"
	register(a, operation{
		method: http.MethodGet, path: "/machines", id: "listMachines", tag: tag, entry: people,
		summary: "List machines by name",
	}, a.listMachines)
	register(a, operation{
		method: http.MethodPost, path: "/machines", id: "addMachine", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Add a machine that cannot run an agent, behind a gateway",
	}, a.addMachine)
	register(a, operation{
		method: http.MethodGet, path: "/machines/{machine}", id: "getMachine", tag: tag, entry: people,
		summary: "Get one machine",
	}, a.getMachine)
	register(a, operation{
		method: http.MethodPatch, path: "/machines/{machine}/labels", id: "labelMachine", tag: tag, entry: people,
		summary: "Give labels to a machine, and take others away",
	}, a.labelMachine)
	register(a, operation{
		method: http.MethodDelete, path: "/machines/{machine}", id: "deleteMachine", tag: tag, entry: people,
		summary: "Remove a machine and end what is open on it",
	}, a.deleteMachine)
	register(a, operation{
		method: http.MethodGet, path: "/insight/machines", id: "machineOverview", tag: "Insight", entry: people,
		summary: "Count machines by their standing, and name their resource groups",
	}, a.machineOverview)
	register(a, operation{
		method: http.MethodGet, path: "/agents", id: "listAgents", tag: tag, entry: people,
		summary: "List enforcement points by name",
	}, a.listAgents)
	register(a, operation{
		method: http.MethodDelete, path: "/agents/{agent}", id: "revokeGateway", tag: tag, entry: people,
		summary: "Revoke a gateway that no machine is behind",
	}, a.revokeGateway)
	a.enrollmentTokenRoutes()
}

// MachineQuery is the part of an input that narrows machines.
type MachineQuery struct {
	Scope  string `query:"scope" maxLength:"2048" doc:"A resource id: only machines within it."`
	Prefix string `query:"prefix" maxLength:"64" doc:"Only machines whose names begin so."`
	Search string `query:"search" maxLength:"256" doc:"Only machines whose name or one of whose addresses holds it."`
	Group  string `query:"group" maxLength:"256" doc:"Name of a resource group: only machines of it."`
	Labels string `query:"labels" maxLength:"1024" doc:"Labels, such as env=prod,role=web: only machines that have them all."`
	State  string `query:"state" enum:"open,trouble" doc:"Only machines on which something is open or was not seen closed, or whose agent has a problem or is not heard of."`
}

// unheard is how long an agent may be silent before its machines count as troubled: two of its reports are missing
// then.
const unheard = 90 * time.Second

func (f MachineQuery) filter(now time.Time) (engine.MachineFilter, error) {
	var wrong invalid
	out := engine.MachineFilter{
		Scope: wrong.scope("scope", f.Scope), NamePrefix: f.Prefix, Search: f.Search, Group: f.Group,
		Selector: f.Labels,
	}
	switch f.State {
	case "open":
		out.Open = now
	case "trouble":
		out.Trouble = now.Add(-unheard)
	}
	return out, wrong.err()
}

type listMachinesInput struct {
	calling
	Paging
	MachineQuery

	Standing string `query:"standing" enum:"configured,notConfigured,unsupported" doc:"Only machines that stand so."`
	Activity bool   `query:"activity" doc:"Say what happened on each machine lately, and what is open."`
}

func (a *API) listMachines(ctx context.Context, in *listMachinesInput) (*answer[api.Page[api.Machine]], error) {
	f, err := in.filter(a.now())
	if err != nil {
		return nil, err
	}
	f.Standing = access.Standing(in.Standing)
	list, err := a.engine.Machines.Machines(ctx, in.caller, f, in.page())
	if err == nil && in.Activity {
		err = a.engine.Fleet.WithActivity(ctx, in.caller, list.Items)
	}
	return &answer[api.Page[api.Machine]]{page(list, machineOut)}, err
}

type machineOverviewInput struct {
	calling
	MachineQuery
}

func (a *API) machineOverview(ctx context.Context, in *machineOverviewInput) (*answer[api.MachineOverview], error) {
	f, err := in.filter(a.now())
	if err != nil {
		return nil, err
	}
	o, err := a.engine.Fleet.MachineOverview(ctx, in.caller, f)
	return &answer[api.MachineOverview]{api.MachineOverview{
		Configured: o.Counts[access.Configured], NotConfigured: o.Counts[access.NotConfigured],
		Unsupported: o.Counts[access.Unsupported],
		Groups:      append([]string{}, o.Groups...),
	}}, err
}

type addMachineInput struct {
	calling

	Body api.NewMachine
}

func (a *API) addMachine(ctx context.Context, in *addMachineInput) (*answer[api.Machine], error) {
	var wrong invalid
	b := in.Body
	add := machines.AddMachineInput{
		Name: b.Name, Gateway: b.Gateway, ResourceGroup: b.ResourceGroup,
		Location: b.Location, OS: b.OS, Labels: b.Labels,
	}
	for i, text := range b.Addresses {
		add.Addresses = append(add.Addresses, wrong.address(fmt.Sprintf("addresses[%d]", i), text))
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, err := a.engine.Machines.AddMachine(ctx, in.caller, add)
	return &answer[api.Machine]{machineOut(d)}, err
}

type machineInput struct {
	calling

	Machine string `path:"machine" maxLength:"2048" doc:"Name, id or resource id; a resource id with its slashes escaped."`
}

func (a *API) getMachine(ctx context.Context, in *machineInput) (*answer[api.Machine], error) {
	d, err := a.engine.Machines.Machine(ctx, in.caller, in.Machine)
	return &answer[api.Machine]{machineOut(d)}, err
}

func (a *API) deleteMachine(ctx context.Context, in *machineInput) (*nothing, error) {
	return &nothing{}, a.engine.Machines.DeleteMachine(ctx, in.caller, in.Machine)
}

type listInput struct {
	calling
	Paging
}

func (a *API) listAgents(ctx context.Context, in *listInput) (*answer[api.Page[api.Agent]], error) {
	list, err := a.engine.Machines.Agents(ctx, in.caller, in.page())
	return &answer[api.Page[api.Agent]]{page(list, agentOut)}, err
}

type gatewayInput struct {
	calling

	Agent string `path:"agent" maxLength:"256" doc:"Name or id."`
}

func (a *API) revokeGateway(ctx context.Context, in *gatewayInput) (*nothing, error) {
	return &nothing{}, a.engine.Machines.RevokeGateway(ctx, in.caller, in.Agent)
}

type labelMachineInput struct {
	calling

	Machine string `path:"machine" maxLength:"2048" doc:"Name, id or resource id; a resource id with its slashes escaped."`
	Body    api.LabelChange
}

func (a *API) labelMachine(ctx context.Context, in *labelMachineInput) (*answer[api.Machine], error) {
	d, err := a.engine.Machines.LabelMachine(ctx, in.caller, in.Machine, in.Body.Set, in.Body.Remove)
	return &answer[api.Machine]{machineOut(d)}, err
}
