package httpapi

import (
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// itemOut shows an item; machines names those that it may be on.
func itemOut(it access.Item, machines map[access.MachineID]string) api.Item {
	out := access.Match(it.Target,
		func(p access.PortTarget) api.Item {
			return api.Item{
				Machine: machines[p.Machine], MachineID: string(p.Machine), Ports: p.Ports.String(),
				Protocol: string(p.Protocol), Sources: texts(p.Sources),
			}
		},
		func(r access.RoleTarget) api.Item { return api.Item{Role: roleAt(r), Sources: []string{}} })
	out.Networks, out.ForSeconds, out.Until = it.Networks, int64(it.Duration/time.Second), instant(it.Until)
	return out
}

// granted shows a grant of a target on the machine of that name, without what does not depend on the target.
func granted(t access.Target, machine string) api.Grant {
	return access.Match(t,
		func(p access.PortTarget) api.Grant {
			return api.Grant{
				Machine: machine, MachineID: string(p.Machine), Ports: p.Ports.String(), Protocol: string(p.Protocol),
				Sources: texts(p.Sources),
			}
		},
		func(r access.RoleTarget) api.Grant { return api.Grant{Role: roleAt(r), Sources: []string{}} })
}

func roleAt(r access.RoleTarget) *api.RoleAt {
	return &api.RoleAt{ID: string(r.ID), Name: r.Name, Scope: string(r.Scope), Eligibility: string(r.Eligibility)}
}
