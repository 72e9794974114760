package roles

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// Eligible is somebody who may ask for access by a role assignment, or activate a role by an eligibility: one of both
// is empty.
type Eligible struct {
	Assignment  rbac.AssignmentID
	Eligibility access.EligibilityID
	Role        rbac.Definition
	Scope       access.ResourceID
	Principal   access.Principal // who has it
	Person      access.Principal // the principal itself, or somebody in that group
}

// unused is what somebody has and may not have used.
type unused struct {
	Eligible

	id     string
	holder access.PrincipalID
	used   func(access.PrincipalID) bool
}

// Unused lists who has been able to ask for access for longer than since, and has not: those to whom a role assignment,
// to them or a group of theirs, gives the right to ask for ports of machines, or an eligibility that to a role. In the
// order of the assignments and eligibilities, and of the people.
func (e *Service) Unused(ctx context.Context, c engine.Caller, since time.Time,
	p engine.Page,
) (list engine.Listed[Eligible], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RoleAssignmentsRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.RoleAssignmentsRead)
			if err != nil {
				return err
			}
			if p, err = engine.CheckPage(p); err != nil {
				return err
			}
			all, err := unusedAssignments(ctx, r, may, scopes, since)
			if err != nil {
				return err
			}
			eligible, err := unusedEligibilities(ctx, r, may, since)
			if err != nil {
				return err
			}
			all = append(all, eligible...)
			slices.SortFunc(all, func(a, b unused) int { return cmp.Compare(a.id, b.id) })
			list, err = unusedPage(ctx, r, may, all, p)
			return err
		})
	return list, err
}

// unusedPage gives a page of those of the holders, and of who is in them, that used nothing.
func unusedPage(ctx context.Context, r engine.Reader, may engine.Rights, all []unused,
	p engine.Page,
) (list engine.Listed[Eligible], err error) {
	last := ""
	for _, u := range all {
		holder, err := r.Principal(ctx, u.holder)
		if err != nil {
			return list, fmt.Errorf("read principal: %w", err)
		}
		people, used := people(may, u.holder), u.used
		if guest := !may.IsHome(holder.Tenant); guest && holder.Kind == access.Group { // nobody learns who is in it
			members := people
			people, used = []access.PrincipalID{
				u.holder,
			}, func(access.PrincipalID) bool { return slices.ContainsFunc(members, u.used) }
		}
		for _, id := range people {
			key := u.id + "/" + string(id)
			if key <= p.Cursor || used(id) {
				continue
			}
			if len(list.Items) == p.Limit {
				list.Next = last
				return list, nil
			}
			person, err := r.Principal(ctx, id)
			if err != nil {
				return list, fmt.Errorf("read principal: %w", err)
			}
			if person.Disabled || person.Kind == access.Group && may.IsHome(person.Tenant) {
				continue
			}
			one := u.Eligible
			one.Person, one.Principal = known(may, person), known(may, holder)
			last = key
			list.Items = append(list.Items, one)
		}
	}
	return list, nil
}

func unusedAssignments(ctx context.Context, r engine.Reader, may engine.Rights, scopes []access.ResourceID,
	since time.Time,
) ([]unused, error) {
	data, err := r.Directory(ctx)
	if err != nil {
		return nil, fmt.Errorf("load directory: %w", err)
	}
	asked, err := r.LastRequests(ctx, may.Caller.Tenant, since)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	var all []unused
	for _, a := range data.Assignments {
		role, _ := may.Dir.Definition(a.Definition)
		inForce := a.Start.Before(may.Now) && (a.End.IsZero() || may.Now.Before(a.End))
		if a.Tenant == may.Caller.Tenant && inForce && !a.CreatedAt.After(
			since) && role.Gives(rbac.PoliciesInitiate) && engine.Covered(a.Scope, scopes) {
			all = append(all, unused{
				Eligible: Eligible{Assignment: a.ID, Role: role, Scope: a.Scope}, id: string(a.ID), holder: a.Principal,
				used: func(who access.PrincipalID) bool { _, did := asked[who]; return did },
			})
		}
	}
	return all, nil
}

func unusedEligibilities(ctx context.Context, r engine.Reader, may engine.Rights, since time.Time) ([]unused, error) {
	scopes := may.Scopes(rbac.EligibilitiesRead)
	var all []unused
	err := directory.EachPage(func(p engine.Page) (engine.Listed[access.Eligibility], error) {
		return r.Eligibilities(ctx, engine.EligibilityFilter{Tenant: may.Caller.Tenant}, p)
	}, func(e access.Eligibility) error {
		if !e.InForce(may.Now) || e.CreatedAt.After(since) || !engine.Covered(e.Scope, scopes) {
			return nil
		}
		activated, err := r.LastActivations(ctx, e.ID, since)
		if err != nil {
			return fmt.Errorf("read activations: %w", err)
		}
		role, _ := may.Dir.Definition(e.Role)
		all = append(all, unused{
			Eligible: Eligible{Eligibility: e.ID, Role: role, Scope: e.Scope}, id: string(e.ID), holder: e.Principal,
			used: func(who access.PrincipalID) bool { _, did := activated[who]; return did },
		})
		return nil
	})
	return all, err
}

// known gives a principal as the caller's tenant names it: a guest is name@tenant.
func known(r engine.Rights, p access.Principal) access.Principal {
	if !r.IsHome(p.Tenant) {
		p.Name += "@" + r.Dir.TenantName(p.Tenant)
	}
	return p
}

// people gives whom a principal stands for, in the order of their ids: everybody in a group, else itself.
func people(r engine.Rights, id access.PrincipalID) []access.PrincipalID {
	found := slices.Clone(r.Dir.Members(id))
	if len(found) == 0 {
		found = []access.PrincipalID{id}
	}
	slices.Sort(found)
	return found
}
