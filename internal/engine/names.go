package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// GrantDetail is a grant with the name of its machine; that of a role has its name and scope there.
type GrantDetail struct {
	Grant       access.Grant
	MachineName string
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

// Site gives where an item or a grant takes effect: its machine, or its zero value where that was deleted. For a role
// it is a stand-in that has the role's scope and name, and neither id nor agent.
func (n *NameCache) Site(ctx context.Context, role access.Role, id access.MachineID) (access.Machine, error) {
	if role.IsZero() {
		return n.Machine(ctx, id)
	}
	return SiteOf(role), nil
}

// SiteOf returns what stands in the place of a machine where a role takes effect.
func SiteOf(role access.Role) access.Machine {
	return access.Machine{Resource: role.Scope, Name: role.String()}
}
