package requests

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// loosenedUse gives an event for each machine whose policy, and for the scope of roles whose eligibility, was loosened
// lately by who asks for access to it, or who fell under an easier case or became eligible by a group that they put
// themselves into, or left. Who acts through a service principal of theirs is seen behind it, and it behind them.
func (d *deciding) loosenedUse(ctx context.Context, a ask) ([]access.Event, error) {
	var events []access.Event
	hands := d.may.Dir.Hands(a.requester)
	given := sync.OnceValues(func() (g regrouped, err error) {
		since := d.Now.Add(-access.LoosenedFor)
		of := append(d.may.Dir.GroupsOf(a.requester), a.requester)
		for _, hand := range hands {
			given, err := d.Tx.MembershipsBy(ctx, hand, since, of)
			if err != nil {
				return g, fmt.Errorf("read memberships: %w", err)
			}
			g.memberships = append(g.memberships, given...)
		}
		if g.otherwise, err = d.Tx.Regroupings(ctx, a.requester, since); err != nil {
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
		enabled, err := d.enabledAgain(ctx, a.machines[i], hands)
		if err != nil {
			return nil, err
		}
		how := slices.Concat(entry.LoosenedBy(hands, d.Now), enabled, joined)
		if len(how) == 0 {
			continue
		}
		m := a.machines[i]
		events = append(events, access.Event{
			At: d.Now, Kind: access.PolicyExploited, Outcome: access.Succeeded, Tenant: d.request.Tenant,
			Actor: access.Actor{
				ID: d.request.Requester, Name: d.request.RequesterName, Address: d.request.Address,
				Via: d.request.Via,
			},
			Scope: m.Resource, Machine: m.ID, Agent: m.Agent, Request: d.request.ID,
			Details: map[string]string{"loosened": engine.Clip(strings.Join(how, "; "))},
		})
	}
	return events, nil
}

// enabledAgain says where any of hands lately enabled just-in-time access for a machine again.
func (d *deciding) enabledAgain(ctx context.Context, m access.Machine, hands []access.PrincipalID) ([]string, error) {
	if m.ID == "" {
		return nil, nil
	}
	switches, err := d.Tx.Switches(ctx, m.Tenant)
	if err != nil {
		return nil, fmt.Errorf("read switches: %w", err)
	}
	return access.MachinePolicy{Loosened: access.TurnedOn(m, switches)}.LoosenedBy(hands, d.Now), nil
}

// regrouped is what a requester did lately to the groups that they are in.
type regrouped struct {
	memberships []rbac.Membership // that they gave
	otherwise   []engine.Regrouping
}

// joined says into which groups the requester has put themselves lately by which they may ask for item i as they do,
// and which they left: the rule looks at their groups, or the group is eligible for the role or may break the glass.
func (d *deciding) joined(ctx context.Context, a ask, i int, given func() (regrouped, error)) ([]string, error) {
	looks := d.engine.rules.LooksAt(a.entries[i].Approval, (*policy.Condition).LooksAtGroups)
	var named []access.PrincipalID
	if e := a.eligibilities[i]; e != nil {
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
	within := func(p, group access.PrincipalID) bool { return p == group || d.may.Dir.InGroup(p, group) }
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
		group, err := d.Tx.Principal(ctx, m.Group)
		if err != nil {
			return nil, fmt.Errorf("read principal: %w", err)
		}
		how = append(how, "a place in the group "+group.Name)
	}
	return how, nil
}
