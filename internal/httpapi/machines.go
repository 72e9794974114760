package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

func (a *API) machineRoutes() {
	const tag = "Machines"
	register(a, operation{
		method: http.MethodGet, path: "/machines", id: "listMachines", tag: tag, entry: people,
		summary: "List machines",
	}, a.listMachines)
	register(a, operation{
		method: http.MethodGet, path: "/machines.csv", id: "exportMachines", tag: tag, entry: people, media: csvType,
		summary: "Download every machine that a filter finds as CSV",
	}, a.exportMachines)
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
	Search string `query:"search" maxLength:"256" doc:"Words, each of which must be in the name or in one of the addresses; env=prod, env!=prod and env= speak of labels."`
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

// MachineList is the part of an input that says which machines a list has, in which order.
type MachineList struct {
	MachineQuery

	Standing string `query:"standing" enum:"configured,notConfigured,unsupported" doc:"Only machines that stand so."`
	Sort     string `query:"sort" enum:"name,-name,group,-group,lastAccess,-lastAccess,createdAt,-createdAt" default:"name" doc:"By what the list is in order; a minus turns it round."`
}

func (f MachineList) filter(now time.Time) (engine.MachineFilter, error) {
	out, err := f.MachineQuery.filter(now)
	by, backwards := strings.CutPrefix(f.Sort, "-")
	if by != "name" {
		out.Order = engine.MachineOrder(by)
	}
	out.Standing, out.Backwards = access.Standing(f.Standing), backwards
	return out, err
}

type listMachinesInput struct {
	calling
	Paging
	MachineList

	Activity bool `query:"activity" doc:"Say what happened on each machine lately, and what is open."`
}

func (a *API) listMachines(ctx context.Context, in *listMachinesInput) (*answer[api.Page[api.Machine]], error) {
	f, err := in.filter(a.now())
	if err != nil {
		return nil, err
	}
	list, err := a.engine.Machines.Machines(ctx, in.caller, f, in.page())
	if err == nil && in.Activity {
		err = a.engine.Fleet.WithActivity(ctx, in.caller, list.Items)
	}
	return &answer[api.Page[api.Machine]]{page(list, machineOut)}, err
}

type exportMachinesInput struct {
	calling
	MachineList
}

func (a *API) exportMachines(ctx context.Context, in *exportMachinesInput) (*huma.StreamResponse, error) {
	f, err := in.filter(a.now())
	if err != nil {
		return nil, err
	}
	return csvOf(ctx, a, "postern-machines.csv", machineCSV(),
		func(ctx context.Context, p engine.Page) (engine.Listed[machines.MachineDetail], error) {
			list, err := a.engine.Machines.Machines(ctx, in.caller, f, p)
			if err == nil {
				err = a.engine.Fleet.WithActivity(ctx, in.caller, list.Items)
			}
			return list, err
		})
}

// machineCSV are the columns of a table of machines.
func machineCSV() []csvColumn[machines.MachineDetail] {
	type detail = machines.MachineDetail
	agent := func(cell func(access.Agent) string) func(detail) string {
		return func(d detail) string {
			if d.Agent == nil {
				return ""
			}
			return cell(*d.Agent)
		}
	}
	activity := func(cell func(machines.MachineActivity) string) func(detail) string {
		return func(d detail) string {
			if d.Activity == nil {
				return ""
			}
			return cell(*d.Activity)
		}
	}
	return []csvColumn[detail]{
		{"machine", func(d detail) string { return d.Machine.Name }},
		{"subscription", func(d detail) string { return d.Subscription }},
		{"resourceGroup", func(d detail) string { return d.Machine.ResourceGroup() }},
		{"standing", func(d detail) string { return string(d.Standing) }},
		{"reason", func(d detail) string { return d.StandingReason }},
		{"addresses", func(d detail) string { return strings.Join(texts(d.Machine.Addresses), " ") }},
		{"ports", func(d detail) string { return portsText(d.Ports) }},
		{"os", func(d detail) string { return d.Machine.OS }},
		{"location", func(d detail) string { return d.Machine.Location }},
		{"labels", func(d detail) string { return access.LabelText(d.Machine.Labels) }},
		{"guardedBy", agent(func(g access.Agent) string { return string(g.Mode) })},
		{"agent", agent(func(g access.Agent) string { return g.Name })},
		{"agentProblem", agent(func(g access.Agent) string { return g.Problem })},
		{"agentSeen", agent(func(g access.Agent) string { return tableInstant(g.LastSeenAt) })},
		{"openFor", activity(func(m machines.MachineActivity) string {
			var names []string
			for _, g := range m.Live {
				if !slices.Contains(names, g.PrincipalName) {
					names = append(names, g.PrincipalName)
				}
			}
			return strings.Join(names, " ")
		})},
		{"approvedIn7Days", activity(func(m machines.MachineActivity) string { return strconv.Itoa(m.Approved) })},
		{"lastAccess", func(d detail) string { return tableInstant(d.Machine.LastAccess) }},
		{"lastUser", activity(func(m machines.MachineActivity) string { return m.LastUser })},
		{"resource", func(d detail) string { return string(d.Machine.Resource) }},
	}
}

func portsText(rules []access.PortRule) string {
	ports := make([]string, 0, len(rules))
	for _, r := range rules {
		ports = append(ports, r.Ports.String()+"/"+string(r.Protocol))
	}
	return strings.Join(ports, " ")
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
