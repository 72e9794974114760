package store

import (
	"errors"
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
)

// targetFields is a target as rows hold it: those of a port have a machine, and those of a role an eligibility.
type targetFields struct {
	role     access.RoleTarget
	machine  access.MachineID
	policy   access.PolicyID
	ports    access.PortRange
	protocol access.Protocol
	sources  []netip.Prefix
}

func fieldsOf(t access.Target) targetFields {
	return access.Match(t,
		func(p access.PortTarget) targetFields {
			return targetFields{
				machine: p.Machine, policy: p.Policy, ports: p.Ports, protocol: p.Protocol, sources: p.Sources,
			}
		},
		func(r access.RoleTarget) targetFields { return targetFields{role: r} })
}

// errTarget says that a row is for something that is neither a port nor a role: a newer version wrote it, or it is
// damaged. It is never taken for the next best.
var errTarget = errors.New("the row is for a target of a kind that this version does not know: run the version that " +
	"wrote it, or a newer one")

func (f targetFields) target() (access.Target, error) {
	isPort, isRole := f.machine != "", f.role.Eligibility != ""
	switch {
	case isPort && f.role == access.RoleTarget{}:
		return access.PortTarget{
			Machine: f.machine, Policy: f.policy, Ports: f.ports, Protocol: f.protocol, Sources: f.sources,
		}, nil
	case isRole && !isPort && f.ports == access.PortRange{}:
		return f.role, nil
	}
	return nil, errTarget
}
