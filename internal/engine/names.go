package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
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

// NameCache reads each machine, and each application, once.
type NameCache struct {
	R    Reader
	Seen map[access.MachineID]access.Machine
	// by managed resource group, those looked for so far; nil where it is none
	apps map[access.ResourceID]*app.Application
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

// Of names what targets are about: machines, and the scopes at which roles hold.
func (n *NameCache) Of(ctx context.Context, targets ...access.Target) (access.Names, error) {
	names := access.Names{Machines: map[access.MachineID]string{}, Scopes: map[access.ResourceID]string{}}
	for _, t := range targets {
		place := t.Place()
		if place.Scope != "" {
			name, err := n.scopeInWords(ctx, place.Scope)
			if err != nil {
				return access.Names{}, err
			}
			names.Scopes[place.Scope] = name
		}
		if place.Machine != "" {
			m, err := n.Machine(ctx, place.Machine)
			if err != nil {
				return access.Names{}, err
			}
			names.Machines[place.Machine] = NameOf(m, place.Machine)
		}
	}
	return names, nil
}

// scopeInWords returns "subscription production", "resource group web", "application shop" for its managed resource
// group, or the name of a single resource.
func (n *NameCache) scopeInWords(ctx context.Context, scope access.ResourceID) (string, error) {
	a, err := n.applicationAt(ctx, scope)
	if err != nil {
		return "", err
	}
	group := scope.Segment("resourceGroups")
	switch {
	case a != nil:
		return "application " + a.Name(), nil
	case scope == access.Root:
		return "everything", nil
	case scope.Equal(access.SubscriptionScope(scope.InSubscription())):
		all, err := n.R.Subscriptions(ctx)
		if err != nil {
			return "", fmt.Errorf("read subscriptions: %w", err)
		}
		name := string(scope.InSubscription())
		if i := slices.IndexFunc(all,
			func(s access.Subscription) bool { return s.ID == scope.InSubscription() }); i >= 0 {
			name = all[i].Name
		}
		return "subscription " + name, nil
	case strings.EqualFold(scope.Name(), group):
		return "resource group " + group, nil
	default:
		return scope.Name(), nil
	}
}

// applicationAt gives the application whose managed resource group a scope is; nil where it is none. Only a resource
// group is looked for, so that what happens to machines costs nothing.
func (n *NameCache) applicationAt(ctx context.Context, scope access.ResourceID) (*app.Application, error) {
	if scope == "" || scope.Segment("resourceGroups") == "" || strings.Count(string(scope), "/") != 4 {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	if known, ok := n.apps[scope]; ok {
		return known, nil
	}
	a, err := n.R.ApplicationOfGroup(ctx, scope)
	if err != nil && !IsKind(err, access.KindNotFound) {
		return nil, fmt.Errorf("read application: %w", err)
	}
	var found *app.Application
	if err == nil {
		found = &a
	}
	if n.apps == nil {
		n.apps = map[access.ResourceID]*app.Application{}
	}
	n.apps[scope] = found
	return found, nil
}
