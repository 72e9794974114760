package armapi

import (
	"net/http"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// resourcePage is how many machines one page of a list has.
const resourcePage = 500

func computeRoutes() []route {
	get := func(pattern string, handle func(*call) (reply, error)) route {
		return route{method: http.MethodGet, pattern: pattern, versions: anyVersion(), handle: handle}
	}
	const machines = "/providers/Microsoft.Compute/virtualMachines"
	return []route{
		get(subscriptionPath+machines, listMachines),
		get(groupPath+machines, listMachines),
		get(groupPath+machines+"/{machine}", getMachine),
		get(groupPath+machines+"/{machine}/instanceView", getInstance),
	}
}

// machine gives the machine that the path names.
func (c *call) machine() (engine.MachineDetail, error) {
	id := access.MachineResource(c.subscriptionID(), c.vars["group"], c.vars["machine"])
	d, err := c.engine().Machine(c.Context(), c.caller, string(id))
	if access.KindOf(err) == access.KindNotFound {
		return d, access.Fault(access.KindNotFound, "ResourceNotFound", "The Resource 'Microsoft.Compute/virtualMachines/%s' under resource group '%s' was not found.",
			clip(c.vars["machine"]), clip(c.vars["group"]))
	}
	return d, err
}

func listMachines(c *call) (reply, error) {
	machines, err := c.engine().Machines(c.Context(), c.caller, engine.MachineFilter{Scope: c.scope()}, c.page(resourcePage))
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(machines.Items))
	for _, d := range machines.Items {
		value = append(value, virtualMachine(d))
	}
	return ok(c.list(value, machines.Next))
}

func getMachine(c *call) (reply, error) {
	d, err := c.machine()
	if err != nil {
		return reply{}, err
	}
	return ok(virtualMachine(d))
}

func getInstance(c *call) (reply, error) {
	d, err := c.machine()
	if err != nil {
		return reply{}, err
	}
	return ok(instance(d))
}

// instance says how a machine is, as far as its agent tells.
func instance(d engine.MachineDetail) map[string]any {
	out := map[string]any{
		"computerName": d.Machine.Name, "osName": d.Machine.OS,
		"statuses": []any{map[string]string{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}},
	}
	if d.Agent != nil {
		out["vmAgent"] = map[string]any{"vmAgentVersion": d.Agent.Version}
	}
	return out
}

func virtualMachine(d engine.MachineDetail) map[string]any {
	m := d.Machine
	tags := m.Labels
	if tags == nil {
		tags = map[string]string{}
	}
	osType, osProfile := "Linux", map[string]any{"computerName": m.Name, "linuxConfiguration": map[string]any{}}
	if m.OS == "windows" {
		osType, osProfile = "Windows", map[string]any{"computerName": m.Name, "windowsConfiguration": map[string]any{}}
	}
	return map[string]any{
		"id": m.Resource, "name": m.Name, "type": "Microsoft.Compute/virtualMachines", "location": m.Location, "tags": tags,
		"properties": map[string]any{
			"vmId": m.ID, "provisioningState": "Succeeded", "timeCreated": stamp(m.CreatedAt),
			"hardwareProfile": map[string]any{}, "osProfile": osProfile,
			"storageProfile": map[string]any{"osDisk": map[string]any{"osType": osType, "createOption": "Attach"}, "dataDisks": []any{}},
			"networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": interfaceID(m), "properties": map[string]any{"primary": true}}}},
		},
	}
}
