package access

import (
	"net/netip"
	"time"
)

// Identifiers are text; those that Postern makes are UUIDs of version 7, so that they sort by age.
type (
	// TenantID names a tenant: a GUID.
	TenantID string
	// SubscriptionID names a subscription: a GUID.
	SubscriptionID string
	// PrincipalID names a user, group or service principal.
	PrincipalID string
	// AgentID names an enforcement point.
	AgentID string
	// MachineID names a machine, whatever its resource id.
	MachineID string
	// PolicyID names a policy, whatever its resource id.
	PolicyID string
	// RequestID names a request.
	RequestID string
	// GrantID names a grant.
	GrantID string
	// RoleID names a role definition: a GUID.
	RoleID string
	// EligibilityID names an eligibility: a GUID.
	EligibilityID string
	// RoleChangeID names a change of a role assignment or an eligibility: a GUID.
	RoleChangeID string
)

// Tenant owns subscriptions and is the home of principals.
type Tenant struct {
	ID        TenantID
	Name      string
	CreatedAt time.Time
}

// Subscription is the top of a tenant's resource hierarchy.
type Subscription struct {
	ID        SubscriptionID
	Tenant    TenantID
	Name      string
	CreatedAt time.Time
}

// ResourceGroup gathers machines and policies below a subscription.
type ResourceGroup struct {
	Subscription SubscriptionID
	Name         string
	Location     string
	CreatedAt    time.Time
}

// PrincipalKind tells people, groups and programs apart.
type PrincipalKind string

// The kinds of principal. Only users are people: only they decide, and quorums count them alone.
const (
	User             PrincipalKind = "user"
	Group            PrincipalKind = "group"
	ServicePrincipal PrincipalKind = "servicePrincipal"
)

// Principal is somebody or something that rights are given to, in its home tenant.
type Principal struct {
	ID          PrincipalID
	Tenant      TenantID
	Kind        PrincipalKind
	Name        string // unique in the tenant without regard to case: the sign-in name, or the group's name
	DisplayName string
	Email       string // where notifications go; may be empty
	Disabled    bool   // a disabled principal cannot sign in, and its rights count for nothing
	CreatedAt   time.Time
	Revision    int64
}

// Actor is who did something, as an event records it.
type Actor struct {
	ID      PrincipalID // empty for Postern itself
	Name    string      // as it was at that time; "postern" for Postern itself, "agent:NAME" for an agent
	Address netip.Addr  // where from; zero when unknown
	Via     string      // which face: cli, api, arm, portal, agent, server
}

// System is Postern itself as an actor.
func System() Actor { return Actor{Name: "postern", Via: "server"} }
