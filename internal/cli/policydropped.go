package cli

import (
	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// guarded gives each single port that rules guard. What is not written well guards nothing: the server refuses it.
func guarded(rules []api.PortRule) map[access.Protocol]map[int]bool {
	found := map[access.Protocol]map[int]bool{access.TCP: {}, access.UDP: {}}
	for _, rule := range rules {
		r, protocol, err := access.ParsePortSpec(portText(rule.Ports, rule.Protocol))
		if err != nil {
			continue
		}
		for _, transport := range protocol.Transports() {
			for port := int(r.First); port <= int(r.Last); port++ {
				found[transport][port] = true
			}
		}
	}
	return found
}

// dropped gives the ports that were guarded and will not be, in order.
func dropped(was, will []api.PortRule) []api.PortRule {
	before, after := guarded(was), guarded(will)
	var gone []api.PortRule
	for _, protocol := range []access.Protocol{access.TCP, access.UDP} {
		lost := func(port int) bool { return before[protocol][port] && !after[protocol][port] }
		for port := 1; port <= 65535; port++ {
			if !lost(port) {
				continue
			}
			first := port
			for lost(port + 1) {
				port++
			}
			span := access.PortRange{First: uint16(first), Last: uint16(port)} //nolint:gosec // ports, by the loop's bounds
			gone = append(gone, api.PortRule{Ports: span.String(), Protocol: string(protocol)})
		}
	}
	return gone
}

// meets reports whether a grant's ports are among those of a rule.
func meets(rule api.PortRule, grantPorts, grantProtocol string) bool {
	mine := guarded([]api.PortRule{rule})
	for protocol, of := range guarded([]api.PortRule{{Ports: grantPorts, Protocol: grantProtocol}}) {
		for port := range of {
			if mine[protocol][port] {
				return true
			}
		}
	}
	return false
}
