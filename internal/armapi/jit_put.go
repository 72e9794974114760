package armapi

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// Azure's own bounds on the longest opening.
const (
	minJITDuration = 5 * time.Minute
	maxJITDuration = 24 * time.Hour
)

func putJIT(c *call) (reply, error) {
	var body putPolicy
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	if body.Properties == nil || body.Properties.VirtualMachines == nil {
		return reply{}, access.Fault(access.KindInvalid, "InvalidRequestContent",
			"properties.virtualMachines is required; send an empty list for a policy without machines")
	}
	in := machines.PolicyInput{Resource: c.policyID(), PortsOnly: true}
	var reasons []access.Reason
	for i, m := range body.Properties.VirtualMachines {
		entry, wrong, err := c.entryFrom(fmt.Sprintf("properties.virtualMachines[%d]", i), m)
		if err != nil {
			return reply{}, err
		}
		in.Machines = append(in.Machines, entry)
		reasons = append(reasons, wrong...)
	}
	if len(reasons) > 0 {
		// Whoever may not write the policy learns that, rather than which machines there are for them.
		if err := c.engine().Directory.Check(c.Context(), c.caller, rbac.PoliciesWrite, in.Resource); err != nil {
			return reply{}, err
		}
		e := access.Fault(access.KindInvalid, "InvalidParameter", "the policy is not valid")
		e.Reasons = reasons
		return reply{}, e
	}
	seen, err := c.revision()
	if err != nil {
		return reply{}, err
	}
	p, _, err := c.engine().Machines.PutPolicy(c.Context(), c.caller, in, seen)
	if err != nil {
		return reply{}, precondition(err)
	}
	return c.oneJIT(p)
}

// entryFrom reads what a policy says of one machine. Postern's own additions are not part of it: the engine keeps
// those that the machine has.
func (c *call) entryFrom(field string, m jitMachine) (access.MachinePolicy, []access.Reason, error) {
	var reasons []access.Reason
	add := func(field, format string, args ...any) {
		reasons = append(reasons,
			access.Reason{Code: "InvalidParameter", Field: field, Message: field + ": " + fmt.Sprintf(format, args...)})
	}
	var entry access.MachinePolicy
	id, err := access.ParseResourceID(m.ID)
	if err != nil {
		add(field+".id", "%v", err)
		return entry, reasons, nil
	}
	machine, err := c.engine().Machines.Machine(c.Context(), c.caller, string(id))
	if kind := access.KindOf(err); err != nil && kind != access.KindNotFound && kind != access.KindInvalid {
		return entry, nil, err
	}
	if err != nil {
		add(field+".id", "%v", err)
		return entry, reasons, nil
	}
	entry.Machine = machine.Machine.ID
	for k, p := range m.Ports {
		at := fmt.Sprintf("%s.ports[%d]", field, k)
		rule := access.PortRule{Ports: access.SinglePort(uint16(p.Number))}
		var known bool
		if rule.Protocol, known = protocolFrom(p.Protocol); !known {
			add(at+".protocol", "%q is not one of TCP, UDP and *", clip(p.Protocol))
		}
		if p.Number == 0 {
			add(at+".number", "a port from 1 to 65535 is required")
		}
		if rule.Max, err = parseDuration(p.MaxDuration); err != nil {
			add(at+".maxRequestAccessDuration", "%v", err)
		} else if rule.Max < minJITDuration || rule.Max > maxJITDuration {
			add(at+".maxRequestAccessDuration", "%s is outside PT5M to P1D", p.MaxDuration)
		}
		if p.Prefix != nil && len(p.Prefixes) > 0 {
			add(at, "allowedSourceAddressPrefix and allowedSourceAddressPrefixes exclude each other; send one of them")
		}
		var wrong []string
		rule.Sources, rule.Networks, wrong = p.sources()
		rule.SourceList = len(p.Prefixes) > 0
		for _, text := range wrong {
			add(at+".allowedSourceAddressPrefix", "%q is not an address, a prefix, the name of a network, or *",
				clip(text))
		}
		entry.Ports = append(entry.Ports, rule)
	}
	entry.Ports = joinPorts(entry.Ports)
	return entry, reasons, nil
}

// sources reads the sources of a rule, none of which means any: prefixes, and names of networks, which Azure has none
// of but its clients pass on. It gives those that cannot be read.
func (p jitPort) sources() (sources []netip.Prefix, networks, wrong []string) {
	texts := p.Prefixes
	if p.Prefix != nil {
		texts = strings.Split(*p.Prefix, ",")
	}
	everywhere := false
	for _, text := range texts {
		prefix, anywhere, valid := sourceFrom(strings.TrimSpace(text))
		switch name := strings.TrimSpace(text); {
		case !valid && access.IsNetworkName(name):
			networks = append(networks, name)
		case !valid:
			wrong = append(wrong, text)
		case anywhere:
			everywhere = true
		default:
			sources = append(sources, prefix)
		}
	}
	if everywhere {
		return nil, nil, wrong
	}
	return sources, networks, wrong
}

// joinPorts makes ranges of rules for neighbouring ports that are otherwise the same, which is how portsTo shows a
// range.
func joinPorts(rules []access.PortRule) []access.PortRule {
	var joined []access.PortRule
	for _, r := range rules {
		if last := len(joined) - 1; last >= 0 {
			before := &joined[last]
			longer := access.PortRange{First: before.Ports.First, Last: r.Ports.Last}
			if before.Ports.Last+1 == r.Ports.First && longer.Valid() && before.Protocol == r.Protocol &&
				before.Max == r.Max && slices.Equal(
				before.Sources,
				r.Sources) && slices.Equal(before.Networks, r.Networks) && before.SourceList == r.SourceList {
				before.Ports = longer
				continue
			}
		}
		joined = append(joined, r)
	}
	return joined
}
