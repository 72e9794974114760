package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// loosenedUse gives an event for each machine whose policy, and for the scope of roles whose eligibility, was loosened lately by who
// asks for access to it, or who fell under an easier case or became eligible by a group that they put themselves into, or left.
func (d *deciding) loosenedUse(ctx context.Context, a ask) ([]access.Event, error) {
	var events []access.Event
	given := sync.OnceValues(func() (g regrouped, err error) {
		since := d.now.Add(-access.LoosenedFor)
		if g.memberships, err = d.tx.MembershipsBy(ctx, a.requester, since, append(d.may.dir.GroupsOf(a.requester), a.requester)); err != nil {
			return g, fmt.Errorf("read memberships: %w", err)
		}
		if g.otherwise, err = d.tx.Regroupings(ctx, a.requester, since); err != nil {
			return g, fmt.Errorf("read regroupings: %w", err)
		}
		return g, nil
	})
	for i, entry := range a.entries {
		if slices.ContainsFunc(events, func(e access.Event) bool { return e.Machine == a.machines[i].ID }) {
			continue
		}
		joined, err := d.joined(ctx, a, i, given)
		if err != nil {
			return nil, err
		}
		how := append(entry.LoosenedBy(a.requester, d.now), joined...)
		if len(how) == 0 {
			continue
		}
		m := a.machines[i]
		events = append(events, access.Event{
			At: d.now, Kind: access.PolicyExploited, Outcome: access.Succeeded, Tenant: d.request.Tenant,
			Actor: access.Actor{ID: d.request.Requester, Name: d.request.RequesterName, Address: d.request.Address, Via: d.request.Via},
			Scope: m.Resource, Machine: m.ID, Agent: m.Agent, Request: d.request.ID, Details: map[string]string{"loosened": clip(strings.Join(how, "; "))},
		})
	}
	return events, nil
}

// regrouped is what a requester did lately to the groups that they are in.
type regrouped struct {
	memberships []rbac.Membership // that they gave
	otherwise   []Regrouping
}

// joined says into which groups the requester has put themselves lately by which they may ask for item i as they do, and which they left:
// the rule looks at their groups, or the group is eligible for the role or may break the glass.
func (d *deciding) joined(ctx context.Context, a ask, i int, given func() (regrouped, error)) ([]string, error) {
	looks := d.engine.rules.looksAt(a.entries[i].Approval, (*policy.Condition).LooksAtGroups)
	var named []access.PrincipalID
	if role := a.items[i].Role; !role.IsZero() {
		e, err := eligibilityOf(ctx, d.tx, d.request.Tenant, role)
		if err != nil {
			return nil, fmt.Errorf("read eligibility: %w", err)
		}
		named = []access.PrincipalID{e.Principal}
	}
	if rule := a.entries[i].BreakGlass; d.request.BreakGlass && rule != nil {
		named = append(slices.Clone(rule.Groups), rule.People...)
	}
	if !looks && (len(named) == 0 || slices.Contains(named, a.requester)) {
		return nil, nil
	}
	own, err := given()
	if err != nil {
		return nil, err
	}
	within := func(p, group access.PrincipalID) bool { return p == group || d.may.dir.InGroup(p, group) }
	leads := func(to access.PrincipalID) bool {
		return looks || slices.ContainsFunc(named, func(g access.PrincipalID) bool { return within(to, g) })
	}
	var how []string
	for _, g := range own.otherwise {
		switch is := within(a.requester, g.Group); {
		case g.Left && !is && looks:
			how = append(how, "no place in the group "+g.Name+" any more")
		case !g.Left && is && leads(g.Group):
			how = append(how, "a place in the group "+g.Name)
		}
	}
	for _, m := range own.memberships {
		if !leads(m.Group) || !within(a.requester, m.Member) {
			continue
		}
		group, err := d.tx.Principal(ctx, m.Group)
		if err != nil {
			return nil, fmt.Errorf("read principal: %w", err)
		}
		how = append(how, "a place in the group "+group.Name)
	}
	return how, nil
}

// Regrouping says that somebody, by an act of theirs, is in a group no more, or is in one without having been put into it, such as one that
// was disabled.
type Regrouping struct {
	Principal access.PrincipalID
	Group     access.PrincipalID
	Name      string // of the group, which may be gone
	Left      bool
	At        time.Time
}

// regroup remembers what a change of changed, a group, has made of the groups that the caller is in. Whom they put into a group is
// remembered with the membership.
func (e *Engine) regroup(ctx context.Context, tx Tx, may rights, changed access.Principal, enabled bool) error {
	me := may.caller.Principal
	if !enabled && !may.dir.InGroup(me, changed.ID) {
		return nil
	}
	after, err := e.compiled(ctx, tx)
	if err != nil {
		return err
	}
	was, is := may.dir.GroupsOf(me), after.GroupsOf(me)
	save := func(groups, others []access.PrincipalID, left bool) error {
		for _, id := range groups {
			if slices.Contains(others, id) {
				continue
			}
			group := changed
			if id != changed.ID {
				if group, err = tx.Principal(ctx, id); err != nil {
					return fmt.Errorf("read principal: %w", err)
				}
			}
			if err := tx.SaveRegrouping(ctx, Regrouping{Principal: me, Group: id, Name: group.Name, Left: left, At: may.now}); err != nil {
				return fmt.Errorf("save regrouping: %w", err)
			}
		}
		return nil
	}
	if err := save(was, is, true); err != nil {
		return err
	}
	return save(is, was, false)
}
