package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// GrantDetail is a grant with the name of its machine, or of its role and where that holds.
type GrantDetail struct {
	Grant       access.Grant
	MachineName string
}

// DetailOf describes a grant at its site.
func DetailOf(g access.Grant, site access.Machine) GrantDetail {
	return GrantDetail{Grant: g, MachineName: NameOf(site, g.Place().Machine)}
}

// ScopeOf gives where a machine lies; what belongs to a deleted one is for those who may everywhere.
func ScopeOf(m access.Machine) access.ResourceID {
	if m.Resource == "" {
		return access.Root
	}
	return m.Resource
}

// NameOf gives the name of a machine, or the id of one that was deleted.
func NameOf(m access.Machine, id access.MachineID) string {
	if m.Name == "" {
		return string(id)
	}
	return m.Name
}

// NameCache reads each machine once.
type NameCache struct {
	R    Reader
	Seen map[access.MachineID]access.Machine
}

// Machine gives a machine, or its zero value where it was deleted.
func (n *NameCache) Machine(ctx context.Context, id access.MachineID) (access.Machine, error) {
	if m, ok := n.Seen[id]; ok {
		return m, nil
	}
	m, err := n.R.Machine(ctx, id)
	if err != nil && !IsKind(err, access.KindNotFound) {
		return access.Machine{}, fmt.Errorf("read machine: %w", err)
	}
	if n.Seen == nil {
		n.Seen = map[access.MachineID]access.Machine{}
	}
	n.Seen[id] = m
	return m, nil
}

// Site returns where a target takes effect: its machine, or its zero value where that was deleted. For a role it is a
// stand-in that has the role's scope and name, and neither id nor agent.
func (n *NameCache) Site(ctx context.Context, t access.Target) (access.Machine, error) {
	return siteOf(t, func(id access.MachineID) (access.Machine, error) { return n.Machine(ctx, id) })
}
