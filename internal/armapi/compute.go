package armapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// resourcePage is how many machines one page of a list has.
const resourcePage = 500

func computeRoutes() []route {
	get := func(pattern string, handle func(*call) (reply, error)) route {
		return route{method: http.MethodGet, pattern: pattern, versions: anyVersion(), handle: handle}
	}
	const path = "/providers/Microsoft.Compute/virtualMachines"
	return []route{
		get(subscriptionPath+path, listMachines),
		get(groupPath+path, listMachines),
		get(groupPath+path+"/{machine}", getMachine),
		get(groupPath+path+"/{machine}/instanceView", getInstance),
	}
}

// machine gives the machine that the path names, of which something is to be shown that needs one of the actions.
func (c *call) machine(actions ...string) (machines.MachineDetail, error) {
	id := access.MachineResource(c.subscriptionID(), c.vars["group"], c.vars["machine"])
	d, err := c.engine().Machines.MachineFor(c.Context(), c.caller, string(id), actions...)
	if access.KindOf(err) == access.KindNotFound {
		return d,
			access.Fault(access.KindNotFound, "ResourceNotFound",
				"The Resource 'Microsoft.Compute/virtualMachines/%s' under resource group '%s' was not found.",
				clip(c.vars["machine"]), clip(c.vars["group"]))
	}
	return d, err
}

// machines gives one page of the machines that the path names, of which something is to be shown that needs one of the
// actions.
func (c *call) machines(actions ...string) (engine.Listed[machines.MachineDetail], error) {
	return c.engine().Machines.MachinesFor(c.Context(), c.caller, engine.MachineFilter{Scope: c.scope()},
		c.page(resourcePage), actions...)
}

func listMachines(c *call) (reply, error) {
	found, err := c.machines(rbac.MachinesRead)
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(found.Items))
	for _, d := range found.Items {
		shown := virtualMachine(d)
		if c.wantsInstance() {
			c.addInstance(shown, d)
		}
		value = append(value, shown)
	}
	return ok(c.list(value, found.Next))
}

func getMachine(c *call) (reply, error) {
	d, err := c.machine(rbac.MachinesRead)
	if err != nil {
		return reply{}, err
	}
	shown := virtualMachine(d)
	if c.wantsInstance() {
		c.addInstance(shown, d)
	}
	return ok(shown)
}

// wantsInstance reports whether the client asks how machines are, beside what they are.
func (c *call) wantsInstance() bool {
	expand := strings.FieldsFunc(c.query("$expand"), func(r rune) bool { return r == ',' || r == ' ' })
	return containsFold(expand, "instanceView") || strings.EqualFold(c.query("statusOnly"), "true")
}

func (c *call) addInstance(machine map[string]any, d machines.MachineDetail) {
	if properties, is := machine["properties"].(map[string]any); is {
		properties["instanceView"] = instance(d, c.api.config.Now())
	}
}

func getInstance(c *call) (reply, error) {
	d, err := c.machine(rbac.MachinesRead)
	if err != nil {
		return reply{}, err
	}
	return ok(instance(d, c.api.config.Now()))
}

// heardWithin is how long after its agent was heard a machine is said to run: later the alert for silent agents speaks.
const heardWithin = 5 * time.Minute

// instance says how a machine is, as far as the agent on it tells. What is behind a gateway tells nothing of itself.
func instance(d machines.MachineDetail, now time.Time) map[string]any {
	power := map[string]string{"code": "PowerState/unknown", "level": "Info", "displayStatus": "VM status unknown"}
	if d.Agent != nil && d.Agent.Mode == access.ModeHost && now.Sub(d.Agent.LastSeenAt) <= heardWithin {
		power = map[string]string{"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"}
	}
	out := map[string]any{
		"computerName": d.Machine.Name, "osName": d.Machine.OS,
		"statuses": []any{
			map[string]string{
				"code": "ProvisioningState/succeeded", "level": "Info",
				"displayStatus": "Provisioning succeeded",
			},
			power,
		},
	}
	if d.Agent != nil {
		out["vmAgent"] = map[string]any{"vmAgentVersion": d.Agent.Version, "statuses": []any{}}
	}
	return out
}

func virtualMachine(d machines.MachineDetail) map[string]any {
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
		"id": m.Resource, "name": m.Name, "type": "Microsoft.Compute/virtualMachines", "location": m.Location,
		"tags": tags,
		"properties": map[string]any{
			"vmId": m.ID, "provisioningState": "Succeeded", "timeCreated": stamp(m.CreatedAt),
			"hardwareProfile": map[string]any{}, "osProfile": osProfile,
			"storageProfile": map[string]any{
				"osDisk":    map[string]any{"osType": osType, "createOption": "Attach"},
				"dataDisks": []any{},
			},
			"networkProfile": map[string]any{
				"networkInterfaces": []any{
					map[string]any{"id": interfaceID(m), "properties": map[string]any{"primary": true}},
				},
			},
		},
	}
}
