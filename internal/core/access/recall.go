package access

import "time"

// RecallID names a recall; a UUID of version 7.
type RecallID string

// Recall is an order to end grants that are too many for the one transaction that gives it. From its commit on nothing
// that it covers is part of a desired state, and nothing of that begins. A job ends them in small transactions, each
// grant with its event, and takes the recall away once there is none left.
type Recall struct {
	ID        RecallID
	Tenant    TenantID    // in which By has its plain name
	Principal PrincipalID // whose grants and pending requests, in every tenant; empty: those on a machine
	Machine   MachineID   // whose grants; empty as well: those on the machines within Reach
	Scope     ResourceID  // of the machine, which may be deleted before the job is done, or of the policy that changed
	Judge     bool        // only what the rights and policies, as they are by now, would not give
	By        Actor
	Reason    string
	At        time.Time // it covers what was made until then

	// How far the job is: the start and the id of the grant that it looked at last.
	AfterStart time.Time
	AfterGrant GrantID

	Revision int64
}

// Covers reports whether g, which takes effect at site, is to be ended; with Judge, whether it is to be looked at. An
// empty site, of a machine that was deleted, counts as everywhere.
func (r Recall) Covers(g Grant, site ResourceID) bool {
	switch {
	case g.CreatedAt.After(r.At):
		return false
	case r.OfScope():
		return g.Place().Machine != "" && g.Tenant == r.Tenant && (site == "" || site.Within(r.Reach()))
	}
	return r.Principal != "" && r.Principal == g.Principal || r.Machine != "" && r.Machine == g.Place().Machine
}

// OfScope reports whether the recall is of what is on all machines within its Reach.
func (r Recall) OfScope() bool { return r.Principal == "" && r.Machine == "" }

// Reach returns the resource group or the subscription that Scope is, or lies in.
func (r Recall) Reach() ResourceID {
	subscription := r.Scope.InSubscription()
	if group := r.Scope.Segment("resourceGroups"); group != "" {
		return ResourceGroupScope(subscription, group)
	}
	return SubscriptionScope(subscription)
}

// Looked gives the recall with g as the grant that the job looked at last.
func (r Recall) Looked(g Grant) Recall {
	r.AfterStart, r.AfterGrant = g.Start, g.ID
	r.Revision++
	return r
}
