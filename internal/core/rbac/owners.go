package rbac

import (
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// Owners gives the people of a tenant who can act as Owner of everything in it for ever, in the order of their ids:
// users that are not disabled, with an assignment of Owner at the root that has neither start nor end, of their own or
// of a group that they are in. An assignment to nobody who can act, such as to an empty group, makes no owner.
func (d *Directory) Owners(tenant access.TenantID) []access.PrincipalID {
	var owners []access.PrincipalID
	for i := range d.nodes {
		n := &d.nodes[i]
		if n.person && !n.disabled && d.owns(n, tenant) {
			owners = append(owners, n.id)
		}
	}
	slices.Sort(owners)
	return owners
}

func (d *Directory) owns(n *node, tenant access.TenantID) bool {
	owner := func(h held) bool {
		a := &d.assignments[h.assignment]
		return h.tenant == tenant && a.MakesOwner()
	}
	return slices.ContainsFunc(n.held, owner) ||
		slices.ContainsFunc(n.reach, func(r reach) bool { return slices.ContainsFunc(d.nodes[r.group].held, owner) })
}

// LeadsToOwner reports whether whoever is in a group, or is the principal, is Owner of everything for ever by that.
func (d *Directory) LeadsToOwner(id access.PrincipalID) bool {
	i, ok := d.index[id]
	if !ok {
		return false
	}
	n := &d.nodes[i]
	return slices.ContainsFunc(d.tenantsOf(n), func(t access.TenantID) bool { return d.owns(n, t) })
}

func (d *Directory) tenantsOf(n *node) (tenants []access.TenantID) {
	for i := range n.held {
		tenants = append(tenants, n.held[i].tenant)
	}
	for _, r := range n.reach {
		for i := range d.nodes[r.group].held {
			tenants = append(tenants, d.nodes[r.group].held[i].tenant)
		}
	}
	return tenants
}

// MakesOwner reports whether an assignment makes whoever holds it Owner of everything, for ever.
func (a Assignment) MakesOwner() bool {
	return foldID(a.Definition) == Owner && a.Scope == access.Root && a.Start.IsZero() && a.End.IsZero()
}
