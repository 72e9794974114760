package rbac

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// divide notes which subscription is whose: below the root of a tenant lie its own subscriptions and no others.
func (d *Directory) divide(tenants []access.Tenant, subscriptions []access.Subscription) {
	d.tenants = make(map[access.TenantID]string, len(tenants))
	for _, t := range tenants {
		d.tenants[t.ID] = t.Name
	}
	d.owners = make(map[string]access.TenantID, len(subscriptions))
	d.owned = make(map[access.TenantID][]access.ResourceID)
	for _, s := range subscriptions {
		d.owners[strings.ToLower(string(s.ID))] = s.Tenant
		d.owned[s.Tenant] = append(d.owned[s.Tenant], access.SubscriptionScope(s.ID))
	}
}

// assignable tells whether an assignment's scope is one at which it can give anything.
func (d *Directory) assignable(a Assignment, scope access.ResourceID) bool {
	if owner, inside := d.owner(scope); inside {
		return owner == a.Tenant
	}
	return a.Home == a.Tenant
}

// Covers tells whether an assignment counts at scope, whatever its time and its role.
func (d *Directory) Covers(a Assignment, scope access.ResourceID) bool {
	if !d.assignable(a, a.Scope) || !scope.Within(a.Scope) {
		return false
	}
	owner, inside := d.owner(scope)
	return !inside || owner == a.Tenant
}

// owner gives the tenant of the subscription that scope lies in; empty where there is no such subscription. Not inside
// where scope lies in none, and so at the root of whoever speaks of it.
func (d *Directory) owner(scope access.ResourceID) (owner access.TenantID, inside bool) {
	subscription := scope.InSubscription()
	return d.owners[strings.ToLower(string(subscription))], subscription != ""
}

// Owner gives the tenant in whose subscription scope lies; empty where it lies in none that there is.
func (d *Directory) Owner(scope access.ResourceID) access.TenantID {
	owner, _ := d.owner(scope)
	return owner
}

// TenantName gives the name of a tenant, or its id where there is none.
func (d *Directory) TenantName(id access.TenantID) string {
	if name, ok := d.tenants[id]; ok {
		return name
	}
	return string(id)
}

// Tenants gives the tenants in which a role is assigned to principal or to a group of it, now or at another time, in
// the order of their ids.
func (d *Directory) Tenants(principal access.PrincipalID) []access.TenantID {
	var tenants []access.TenantID
	d.eachHeld(principal, func(h *held) { tenants = append(tenants, h.tenant) })
	slices.Sort(tenants)
	return slices.Compact(tenants)
}

// Places gives the scopes at and below which principal has any role now, as Scopes does.
func (d *Directory) Places(principal access.PrincipalID, now time.Time) []access.ResourceID {
	return d.outermost(principal, func(h *held) bool { return h.inForce(now) })
}

// Holds reports whether principal has a role, by name or id, at scope now, itself or through a group.
func (d *Directory) Holds(principal access.PrincipalID, role string, scope access.ResourceID, now time.Time) bool {
	holds := false
	d.eachHeld(principal, func(h *held) {
		a := d.assignments[h.assignment]
		definition, known := d.Definition(a.Definition)
		named := strings.EqualFold(string(a.Definition), role) || known && strings.EqualFold(definition.Name, role)
		holds = holds || named && h.inForce(now) && d.Covers(a, scope)
	})
	return holds
}

// Assigned gives the scopes of the role assignments that are made to principal itself, whatever their time.
func (d *Directory) Assigned(principal access.PrincipalID) []access.ResourceID {
	var scopes []access.ResourceID
	if n, ok := d.enabled(principal); ok {
		for i := range n.held {
			scopes = append(scopes, d.assignments[n.held[i].assignment].Scope)
		}
	}
	return scopes
}

// eachHeld gives every assignment to principal, and to the groups that it is in.
func (d *Directory) eachHeld(principal access.PrincipalID, do func(*held)) {
	n, ok := d.enabled(principal)
	if !ok {
		return
	}
	for i := range n.held {
		do(&n.held[i])
	}
	for _, r := range n.reach {
		group := &d.nodes[r.group]
		for i := range group.held {
			do(&group.held[i])
		}
	}
}

// outermost gives the scopes of the assignments that keep lets through, without those that lie within another of them,
// sorted. What lies above subscriptions stands there with those of the tenant below it.
func (d *Directory) outermost(principal access.PrincipalID, keep func(*held) bool) []access.ResourceID {
	var scopes []access.ResourceID
	d.eachHeld(principal, func(h *held) {
		if !keep(h) {
			return
		}
		scope := d.assignments[h.assignment].Scope
		scopes = append(scopes, scope)
		for _, own := range d.owned[h.tenant] {
			if h.above && own.Within(scope) {
				scopes = append(scopes, own)
			}
		}
	})
	// A scope sorts behind those that it lies within.
	slices.SortFunc(scopes, func(a, b access.ResourceID) int { return cmp.Compare(a.Fold(), b.Fold()) })
	var outer []access.ResourceID
	for _, s := range scopes {
		if !Reaches(outer, s) {
			outer = append(outer, s)
		}
	}
	return outer
}

// Reaches tells whether id lies within one of the scopes that Scopes or Places gave. What lies above
// subscriptions reaches no further than to them: which of them lie below it, the others say.
func Reaches(scopes []access.ResourceID, id access.ResourceID) bool {
	return slices.ContainsFunc(scopes, func(s access.ResourceID) bool {
		return id.Within(s) && (s.InSubscription() != "" || id.InSubscription() == "")
	})
}
