package armapi

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// networkID gives the id of something of a machine's network: each machine has one interface, called after it.
func networkID(m access.Machine, kind, suffix string) string {
	return string(access.ResourceGroupScope(m.Subscription(),
		m.ResourceGroup())) + "/providers/Microsoft.Network/" + kind + "/" + m.Name + suffix
}

const (
	interfaceSuffix = "-nic"
	publicSuffix    = "-ip"
)

func interfaceID(m access.Machine) string { return networkID(m, "networkInterfaces", interfaceSuffix) }

// publicAddress gives a machine's first address that is known everywhere.
func publicAddress(m access.Machine) (netip.Addr, bool) {
	for _, a := range m.Addresses {
		if a.IsGlobalUnicast() && !a.IsPrivate() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func networkRoutes() []route {
	get := func(pattern string, handle func(*call) (reply, error)) route {
		return route{method: http.MethodGet, pattern: pattern, versions: anyVersion(), handle: handle}
	}
	const interfaces, addresses = "/providers/Microsoft.Network/networkInterfaces", "/providers/Microsoft.Network/publicIPAddresses"
	return []route{
		get(subscriptionPath+interfaces, listInterfaces), get(groupPath+interfaces, listInterfaces),
		get(groupPath+interfaces+"/{name}", getInterface),
		get(subscriptionPath+addresses, listAddresses), get(groupPath+addresses, listAddresses),
		get(groupPath+addresses+"/{name}", getAddress),
	}
}

func networkInterface(m access.Machine) map[string]any {
	configurations := []any{}
	for i, a := range m.Addresses {
		name := "ipconfig" + strconv.Itoa(i+1)
		version := "IPv4"
		if a.Is6() {
			version = "IPv6"
		}
		properties := map[string]any{
			"privateIPAddress": a.String(), "privateIPAddressVersion": version, "privateIPAllocationMethod": "Static",
			"primary":           i == 0,
			"provisioningState": "Succeeded",
		}
		if public, has := publicAddress(m); has && public == a {
			properties["publicIPAddress"] = map[string]any{"id": networkID(m, "publicIPAddresses", publicSuffix)}
		}
		configurations = append(configurations,
			map[string]any{"id": interfaceID(m) + "/ipConfigurations/" + name, "name": name, "properties": properties})
	}
	return map[string]any{
		"id": interfaceID(m), "name": m.Name + interfaceSuffix, "type": "Microsoft.Network/networkInterfaces",
		"location": m.Location,
		"properties": map[string]any{
			"provisioningState": "Succeeded", "primary": true,
			"virtualMachine": map[string]any{"id": m.Resource}, "ipConfigurations": configurations,
		},
	}
}

func publicIPAddress(m access.Machine, a netip.Addr) map[string]any {
	version := "IPv4"
	if a.Is6() {
		version = "IPv6"
	}
	return map[string]any{
		"id": networkID(m, "publicIPAddresses", publicSuffix), "name": m.Name + publicSuffix,
		"type": "Microsoft.Network/publicIPAddresses", "location": m.Location,
		"properties": map[string]any{
			"provisioningState": "Succeeded", "ipAddress": a.String(),
			"publicIPAddressVersion": version, "publicIPAllocationMethod": "Static",
		},
	}
}

func listInterfaces(c *call) (reply, error) {
	machines, err := c.machines(interfaceActions()...)
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(machines.Items))
	for _, d := range machines.Items {
		value = append(value, networkInterface(d.Machine))
	}
	return ok(c.list(value, machines.Next))
}

func listAddresses(c *call) (reply, error) {
	machines, err := c.machines(rbac.PublicIPsRead)
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(machines.Items))
	for _, d := range machines.Items {
		if a, has := publicAddress(d.Machine); has {
			value = append(value, publicIPAddress(d.Machine, a))
		}
	}
	return ok(c.list(value, machines.Next))
}

// interfaceActions gives the actions of which one is enough to see a machine's interface: who sees the machine has seen
// its addresses.
func interfaceActions() []string { return []string{rbac.InterfacesRead, rbac.MachinesRead} }

// networked gives the machine that a name such as web-1-nic belongs to.
func (c *call) networked(suffix string, actions ...string) (access.Machine, error) {
	name, found := strings.CutSuffix(strings.ToLower(c.vars["name"]), suffix)
	if !found {
		return access.Machine{}, access.Fault(access.KindNotFound, "ResourceNotFound",
			"there is no such resource as %q", clip(c.vars["name"]))
	}
	c.vars["machine"] = name
	d, err := c.machine(actions...)
	return d.Machine, err
}

func getInterface(c *call) (reply, error) {
	m, err := c.networked(interfaceSuffix, interfaceActions()...)
	if err != nil {
		return reply{}, err
	}
	return ok(networkInterface(m))
}

func getAddress(c *call) (reply, error) {
	m, err := c.networked(publicSuffix, rbac.PublicIPsRead)
	if err != nil {
		return reply{}, err
	}
	a, has := publicAddress(m)
	if !has {
		return reply{}, access.Fault(access.KindNotFound, "ResourceNotFound", "machine %q has no public address",
			m.Name)
	}
	return ok(publicIPAddress(m, a))
}
