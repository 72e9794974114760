package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Access is what somebody had at an instant.
type Access struct {
	GrantDetail

	From  time.Time // when it was seen open, or should have begun where nobody said so
	Until time.Time // when it was seen gone, or ended, or is to end
	Seen  bool      // an agent said that it was open
}

// WhoHad tells who had access to a machine at an instant, by the history of grants: what an agent saw open by then and not
// gone before, and what should have been open then and no agent spoke of. At most 1,000, the newest first.
func (e *Engine) WhoHad(ctx context.Context, c Caller, machine string, at time.Time) (list []Access, err error) {
	err = e.look(ctx, c, attempt{action: rbac.GrantsRead, details: map[string]string{"machine": machine}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, r, may, machine, rbac.GrantsRead)
		if err != nil {
			return err
		}
		if err := may.require(rbac.GrantsRead, m.Resource); err != nil {
			return err
		}
		if at.After(may.now) {
			return access.Fault(access.KindInvalid, "timeAhead", "what will be is not known: give a time that is over")
		}
		grants, err := r.GrantsAt(ctx, m.ID, at, maxLimit)
		if err != nil {
			return fmt.Errorf("read grants: %w", err)
		}
		list = []Access{}
		for _, g := range grants {
			a := Access{GrantDetail: GrantDetail{Grant: g, MachineName: m.Name}, From: g.Start, Until: g.End, Seen: !g.OpenedAt.IsZero()}
			if a.Seen {
				a.From = g.OpenedAt
			}
			switch {
			case !g.ClosedAt.IsZero():
				a.Until = g.ClosedAt
			case g.State.Ended() && !a.Seen:
				a.Until = g.EndedAt
			case g.State.Ended():
				a.Until = time.Time{} // nobody has seen it gone
			}
			list = append(list, a)
		}
		return nil
	})
	return list, err
}

// NeverUsed lists grants that were in force and ended, made since then, with no packet counted; newest first.
func (e *Engine) NeverUsed(ctx context.Context, c Caller, since time.Time, p Page) (list Listed[GrantDetail], err error) {
	err = e.look(ctx, c, attempt{action: rbac.GrantsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.GrantsRead)
		if err != nil {
			return err
		}
		names := nameCache{r: r}
		list, err = visible(p, func(p Page) (Listed[access.Grant], error) { return r.NeverUsedGrants(ctx, c.Tenant, since, p) },
			func(g access.Grant) (GrantDetail, bool, error) {
				m, err := names.site(ctx, g.Role, g.Machine)
				return GrantDetail{Grant: g, MachineName: nameOf(m, g.Machine)}, covered(scopeOf(m), scopes), err
			})
		return err
	})
	return list, err
}

// Eligible is somebody who may ask for access by a role assignment.
type Eligible struct {
	AssignmentDetail

	Person access.Principal // the assignment's own principal, or somebody in that group
}

// Unused lists who has been able to ask for access for longer than since, and has not: those to whom a role assignment, to
// them or a group of theirs, gives the right to. In the order of the assignments and the people.
func (e *Engine) Unused(ctx context.Context, c Caller, since time.Time, p Page) (list Listed[Eligible], err error) {
	err = e.look(ctx, c, attempt{action: rbac.RoleAssignmentsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.RoleAssignmentsRead)
		if err != nil {
			return err
		}
		if p, err = checkPage(p); err != nil {
			return err
		}
		data, err := r.Directory(ctx)
		if err != nil {
			return fmt.Errorf("load directory: %w", err)
		}
		asked, err := r.LastRequests(ctx, c.Tenant, since)
		if err != nil {
			return fmt.Errorf("read requests: %w", err)
		}
		list = Listed[Eligible]{}
		slices.SortFunc(data.Assignments, func(a, b rbac.Assignment) int { return cmp.Compare(a.ID, b.ID) })
		for _, a := range data.Assignments {
			role, _ := may.dir.Definition(a.Definition)
			inForce := a.Start.Before(may.now) && (a.End.IsZero() || may.now.Before(a.End))
			if a.Tenant != c.Tenant || !inForce || a.CreatedAt.After(since) || !role.Gives(rbac.PoliciesInitiate) || !covered(a.Scope, scopes) {
				continue
			}
			for _, id := range may.people(a.Principal) {
				key := string(a.ID) + "/" + string(id)
				if _, did := asked[id]; did || key <= p.Cursor {
					continue
				}
				if len(list.Items) == p.Limit {
					last := list.Items[p.Limit-1]
					list.Next = string(last.Assignment.ID) + "/" + string(last.Person.ID)
					return nil
				}
				d, err := describeAssignment(ctx, r, may.dir, a)
				if err != nil {
					return err
				}
				person, err := r.Principal(ctx, id)
				if err != nil {
					return fmt.Errorf("read principal: %w", err)
				}
				if !person.Disabled && person.Kind != access.Group {
					list.Items = append(list.Items, Eligible{AssignmentDetail: d, Person: person})
				}
			}
		}
		return nil
	})
	return list, err
}

// people gives whom a principal stands for, in the order of their ids: everybody in a group, else itself.
func (r rights) people(id access.PrincipalID) []access.PrincipalID {
	found := slices.Clone(r.dir.Members(id))
	if len(found) == 0 {
		found = []access.PrincipalID{id}
	}
	slices.Sort(found)
	return found
}

// ForeignAt is what an agent found in firewall tables that are not ours.
type ForeignAt struct {
	Agent    access.Agent
	Machines []string // names of those that it guards, at most 100
}

// Foreign lists the agents that found rules of other firewall tables at guarded ports, by name; of those whose machines
// the caller may read. At most 1,000.
func (e *Engine) Foreign(ctx context.Context, c Caller) (list []ForeignAt, err error) {
	err = e.look(ctx, c, attempt{action: rbac.MachinesRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.MachinesRead)
		if err != nil {
			return err
		}
		agents, err := r.ForeignAgents(ctx, maxLimit)
		if err != nil {
			return fmt.Errorf("read agents: %w", err)
		}
		list = []ForeignAt{}
		for _, agent := range agents {
			if agent.Tenant != c.Tenant {
				continue
			}
			machines, err := r.MachinesOfAgent(ctx, agent.ID)
			if err != nil {
				return fmt.Errorf("read machines: %w", err)
			}
			at := ForeignAt{Agent: agent}
			for _, m := range machines {
				if covered(m.Resource, scopes) && len(at.Machines) < defaultLimit {
					at.Machines = append(at.Machines, m.Name)
				}
			}
			if len(at.Machines) > 0 {
				list = append(list, at)
			}
		}
		return nil
	})
	return list, err
}
