package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Limits on the places of one tenant.
const (
	maxSubscriptions  = 1000
	maxResourceGroups = 10_000
)

// SubscriptionInput is a new subscription.
type SubscriptionInput struct {
	ID   string // a GUID that is free; empty makes one
	Name string
}

// chosenGUID gives the id that somebody chooses for a tenant or a subscription, so that it has the one that it has in
// Azure.
func chosenGUID(what, id string, taken func(string) bool) (string, error) {
	const canonical = len("00000000-0000-0000-0000-000000000000")
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != canonical || parsed == uuid.Nil {
		return "", access.Fault(access.KindInvalid, "malformedId",
			"the id %q of a %s must be a GUID such as 6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e10", engine.Clip(id), what)
	}
	if taken(parsed.String()) {
		return "", access.Fault(access.KindConflict, "idTaken",
			"there is a %s with the id %s on this server already: choose another id, or leave it out", what, parsed)
	}
	return parsed.String(), nil
}

// subscriptionGUID gives the id that somebody chooses for a subscription; empty where they choose none. Ids are the
// whole server's.
func subscriptionGUID(ctx context.Context, r engine.Reader, id string) (access.SubscriptionID, error) {
	if id == "" {
		return "", nil
	}
	all, err := r.Subscriptions(ctx)
	if err != nil {
		return "", fmt.Errorf("read subscriptions: %w", err)
	}
	chosen, err := chosenGUID("subscription", id, func(id string) bool {
		return slices.ContainsFunc(all, func(s access.Subscription) bool { return strings.EqualFold(string(s.ID), id) })
	})
	return access.SubscriptionID(chosen), err
}

// CreateSubscription makes a subscription in the caller's tenant.
func (e *Service) CreateSubscription(ctx context.Context, c engine.Caller,
	in SubscriptionInput,
) (s access.Subscription, err error) {
	name := in.Name
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.SubscriptionsWrite, Details: map[string]string{"subscription": name}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.SubscriptionsWrite, access.Root); err != nil {
				return err
			}
			if err := checkSubscriptionName(name); err != nil {
				return err
			}
			all, err := tx.Subscriptions(ctx)
			if err != nil {
				return fmt.Errorf("read subscriptions: %w", err)
			}
			all = slices.DeleteFunc(all, func(s access.Subscription) bool { return s.Tenant != c.Tenant })
			if len(all) >= maxSubscriptions {
				return access.Fault(access.KindConflict, "tooManySubscriptions",
					"there are %d subscriptions, the most that are allowed", len(all))
			}
			for _, other := range all {
				if strings.EqualFold(other.Name, name) {
					return access.Fault(access.KindConflict, "subscriptionExists",
						"there is a subscription %q already, with the id %s: choose another name", other.Name, other.ID)
				}
			}
			id, err := subscriptionGUID(ctx, tx, in.ID)
			if err != nil {
				return err
			}
			// Azure's clients know subscriptions as random GUIDs, so these do not tell their age.
			s = access.Subscription{
				ID: cmp.Or(id, access.SubscriptionID(uuid.NewString())), Tenant: c.Tenant,
				Name:      name,
				CreatedAt: may.Now,
			}
			if err := tx.SaveSubscription(ctx, s); err != nil {
				return fmt.Errorf("save subscription: %w", err)
			}
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.SubscriptionCreated, Outcome: access.Succeeded, Actor: c.Actor(),
				Tenant: c.Tenant,
				Scope:  access.SubscriptionScope(s.ID), Action: rbac.SubscriptionsWrite,
				Details: map[string]string{"name": s.Name},
			})
		})
	return s, err
}

// RoomForGroup fails where a subscription has as many resource groups as it may have; all of them are read where one is
// looked for.
func RoomForGroup(groups []access.ResourceGroup, subscription access.SubscriptionID) error {
	n := 0
	for _, g := range groups {
		if g.Subscription == subscription {
			n++
		}
	}
	if n >= maxResourceGroups {
		return access.Fault(access.KindConflict, "tooManyResourceGroups",
			"the subscription has %d resource groups, the most that are allowed", n)
	}
	return nil
}

func checkSubscriptionName(name string) error {
	if uuid.Validate(name) == nil {
		return access.Fault(access.KindInvalid, "malformedName",
			"the name of a subscription cannot be a GUID, which would mean its id")
	}
	return access.CheckName("subscription", name)
}

// ResourceGroupInput is a new resource group.
type ResourceGroupInput struct {
	Subscription string // name, GUID or resource id; empty: the default one
	Name         string
	Location     string // empty: LocalLocation
}

// CreateResourceGroup makes a resource group in a subscription.
func (e *Service) CreateResourceGroup(ctx context.Context, c engine.Caller,
	in ResourceGroupInput,
) (g access.ResourceGroup, err error) {
	a := engine.Attempt{
		Action:  rbac.ResourceGroupsWrite,
		Details: map[string]string{"resourceGroup": in.Name, "subscription": in.Subscription},
	}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		if _, err := may.Anywhere(rbac.ResourceGroupsWrite); err != nil {
			return err
		}
		subscription, err := subscriptionNamed(ctx, tx, may, in.Subscription)
		if err != nil {
			return err
		}
		if err := access.CheckGroupName("resource group", in.Name); err != nil {
			return err
		}
		scope := access.ResourceGroupScope(subscription.ID, in.Name)
		if err := may.Require(rbac.ResourceGroupsWrite, scope); err != nil {
			return err
		}
		in.Location = cmp.Or(in.Location, engine.LocalLocation)
		if err := access.CheckName("location", in.Location); err != nil {
			return err
		}
		groups, err := tx.ResourceGroups(ctx)
		if err != nil {
			return fmt.Errorf("read resource groups: %w", err)
		}
		if err := RoomForGroup(groups, subscription.ID); err != nil {
			return err
		}
		if slices.ContainsFunc(groups, func(g access.ResourceGroup) bool {
			return g.Subscription == subscription.ID && strings.EqualFold(g.Name, in.Name)
		}) {
			return access.Fault(access.KindConflict, "resourceGroupExists",
				"there is a resource group %q in this subscription already: choose another name", in.Name)
		}
		g = access.ResourceGroup{
			Subscription: subscription.ID, Name: in.Name, Location: in.Location,
			CreatedAt: may.Now,
		}
		if err := tx.SaveResourceGroup(ctx, g); err != nil {
			return fmt.Errorf("save resource group: %w", err)
		}
		return tx.Append(ctx, access.Event{
			At: may.Now, Kind: access.ResourceGroupCreated, Outcome: access.Succeeded,
			Actor: may.Actor(subscription.Tenant), Tenant: subscription.Tenant,
			Scope: scope, Action: rbac.ResourceGroupsWrite,
			Details: map[string]string{"name": g.Name, "location": g.Location},
		})
	})
	return g, err
}

// subscriptionNamed gives the subscription that ref names by name, GUID or resource id, of those that the caller may
// know of. A name means one of the caller's own tenant.
func subscriptionNamed(ctx context.Context, r engine.Reader, may engine.Rights,
	ref string,
) (access.Subscription, error) {
	found, err := engine.FindSubscription(ctx, r, may.Caller.Tenant, ref)
	if !engine.IsKind(err, access.KindNotFound) || ref == "" {
		return found, err
	}
	all, readErr := r.Subscriptions(ctx)
	if readErr != nil {
		return access.Subscription{}, fmt.Errorf("read subscriptions: %w", readErr)
	}
	id := access.ResourceID(ref).InSubscription()
	if id == "" {
		id = access.SubscriptionID(ref)
	}
	places := may.Dir.Places(may.Caller.Principal, may.Now)
	for _, s := range all {
		if strings.EqualFold(string(s.ID), string(id)) && engine.Touches(access.SubscriptionScope(s.ID), places) {
			return s, nil
		}
	}
	return access.Subscription{}, err
}

// DeleteResourceGroup deletes a resource group that is empty, by its name or resource id. Role assignments at it go
// with it.
func (e *Service) DeleteResourceGroup(ctx context.Context, c engine.Caller, ref string) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.ResourceGroupsDelete, Details: map[string]string{"resourceGroup": ref}},
		func(tx engine.Tx, _ engine.Rights) error {
			if ref == "" {
				return access.Fault(access.KindInvalid, "malformedName", "name the resource group")
			}
			may, group, err := e.AuthorizeGroup(ctx, tx, c, rbac.ResourceGroupsDelete, ref)
			if err != nil {
				return err
			}
			if err := groupEmpty(ctx, tx, may, group); err != nil {
				return err
			}
			if err := e.UnassignWithin(ctx, tx, may, group.Scope()); err != nil {
				return err
			}
			tenant := group.Subscription.Tenant
			w := e.kernel.NewWork(tx, may.Now)
			if err := RetireIn(ctx, w, tenant, group.Scope()); err != nil {
				return err
			}
			if err := tx.DeleteResourceGroup(ctx, group.Subscription.ID, group.Group.Name); err != nil {
				return fmt.Errorf("delete resource group: %w", err)
			}
			w.Event(access.Event{
				Kind: access.ResourceGroupDeleted, Actor: may.Actor(tenant), Tenant: tenant,
				Scope: group.Scope(), Action: rbac.ResourceGroupsDelete,
				Details: map[string]string{"name": group.Group.Name},
			})
			return w.Finish(ctx)
		})
}

// RetireIn revokes the agents that enrolled for a resource group which is deleted: whoever makes one of its name later
// has no say in them.
func RetireIn(ctx context.Context, w *engine.Work, tenant access.TenantID, group access.ResourceID) error {
	agents, err := w.Tx.AgentsIn(ctx, tenant, group)
	if err != nil {
		return fmt.Errorf("read agents: %w", err)
	}
	for _, a := range agents {
		if err := w.RevokeAgent(ctx, a, "its resource group was deleted"); err != nil {
			return err
		}
	}
	return nil
}

// UnassignWithin takes away the roles that are assigned at scopes which are deleted, and below them: whatever is called
// so later is another thing. Unless this transaction has changed the directory, it reads nothing to find them.
func (e *Service) UnassignWithin(ctx context.Context, tx engine.Tx, may engine.Rights,
	scopes ...access.ResourceID,
) error {
	dir, err := e.kernel.Compiled(ctx, tx)
	if err != nil {
		return err
	}
	for _, a := range dir.AssignmentsWithin(scopes...) {
		if err := tx.DeleteRoleAssignment(ctx, a.ID); err != nil {
			return fmt.Errorf("delete role assignment: %w", err)
		}
		d, err := engine.DescribeAssignment(ctx, tx, may.Dir, a)
		if err != nil {
			return err
		}
		if err := tx.Append(ctx, d.Event(access.RoleUnassigned, may)); err != nil {
			return err
		}
	}
	return nil
}

// EndEligibleWithin ends the eligibilities at a scope that is deleted, and below it, as UnassignWithin takes away
// roles.
func EndEligibleWithin(ctx context.Context, w *engine.Work, tenant access.TenantID, scope access.ResourceID,
	by access.Actor, reason string,
) error {
	return EachPage(func(p engine.Page) (engine.Listed[access.Eligibility], error) {
		return w.Tx.Eligibilities(ctx, engine.EligibilityFilter{Tenant: tenant, Scope: scope}, p)
	}, func(one access.Eligibility) error {
		return w.EndEligibility(ctx, one, by, reason)
	})
}

// groupEmpty refuses where something lies in a resource group, with the first things that do.
func groupEmpty(ctx context.Context, r engine.Reader, may engine.Rights, group engine.PlacedGroup) error {
	refusal := access.Fault(access.KindConflict, "resourceGroupNotEmpty",
		"resource group %q is not empty: delete its resources first", group.Group.Name)
	add := func(what string, id access.ResourceID) {
		if len(refusal.Reasons) < engine.MaxReasons {
			refusal.Reasons = append(refusal.Reasons,
				access.Reason{Code: "resourceGroupNotEmpty", Message: what + " " + string(id) + " lies in it"})
		}
	}
	tenant, scope := group.Subscription.Tenant, group.Scope()
	some := engine.Page{Limit: engine.MaxReasons}
	machines, err := r.Machines(ctx, engine.MachineFilter{Tenant: tenant, Scope: scope}, some)
	if err != nil {
		return fmt.Errorf("read machines: %w", err)
	}
	for _, m := range machines.Items {
		add("machine", m.Resource)
	}
	agents, err := r.AgentsIn(ctx, tenant, scope)
	if err != nil {
		return fmt.Errorf("read agents: %w", err)
	}
	for _, a := range agents {
		behind, err := r.Machines(ctx, engine.MachineFilter{Agent: a.ID}, engine.Page{Limit: 1})
		if err != nil {
			return fmt.Errorf("read machines: %w", err)
		}
		if len(behind.Items) > 0 && !behind.Items[0].Resource.Within(scope) {
			add("the gateway "+a.Name+" of machine", behind.Items[0].Resource)
		}
	}
	policies, err := r.Policies(ctx, engine.PolicyFilter{Tenant: tenant, Scope: scope}, some)
	if err != nil {
		return fmt.Errorf("read policies: %w", err)
	}
	for _, p := range policies.Items {
		add("policy", p.Resource)
	}
	scopes, err := r.ScopePolicies(ctx, tenant)
	if err != nil {
		return fmt.Errorf("read policies of scopes: %w", err)
	}
	for _, p := range scopes {
		if p.Scope.Within(scope) {
			add("policy", p.Resource)
		}
	}
	eligibilities, err := r.Eligibilities(ctx, engine.EligibilityFilter{Tenant: tenant, Scope: scope}, some)
	if err != nil {
		return fmt.Errorf("read eligibilities: %w", err)
	}
	for _, one := range eligibilities.Items {
		add("eligibility "+string(one.ID)+" at", one.Scope)
	}
	if err := applicationsWithin(ctx, r, tenant, scope, add); err != nil {
		return err
	}
	for _, d := range may.Dir.Denials() {
		if d.Scope.Within(scope) {
			add("deny assignment "+d.Name+" at", d.Scope)
		}
	}
	tokens, err := r.EnrollmentTokens(ctx, tenant, may.Now)
	if err != nil {
		return fmt.Errorf("read enrollment tokens: %w", err)
	}
	for _, t := range tokens {
		if t.Scope().Equal(scope) {
			add("enrollment token "+t.PublicID()+" for", scope)
		}
	}
	if len(refusal.Reasons) > 0 {
		return refusal
	}
	return nil
}

// applicationsWithin adds the applications and definitions of a tenant that lie in a scope.
func applicationsWithin(ctx context.Context, r engine.Reader, tenant access.TenantID, scope access.ResourceID,
	add func(string, access.ResourceID),
) error {
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.Applications(ctx, engine.ApplicationFilter{Tenant: tenant}, p)
		if err != nil {
			return fmt.Errorf("read applications: %w", err)
		}
		for _, a := range list.Items {
			if a.Resource.Within(scope) {
				add("application", a.Resource)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.ApplicationDefinitions(ctx, engine.ApplicationFilter{Tenant: tenant}, p)
		if err != nil {
			return fmt.Errorf("read definitions: %w", err)
		}
		for _, d := range list.Items {
			if d.Resource.Within(scope) {
				add("application definition", d.Resource)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return nil
		}
	}
}
