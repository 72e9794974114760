package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// loosenedUse gives an event for each machine whose policy, and for the scope of roles whose eligibility, was loosened lately by who
// asks for access to it, or who fell under an easier case or became eligible by a group that they put themselves into.
func (d *deciding) loosenedUse(ctx context.Context, a ask) ([]access.Event, error) {
	var events []access.Event
	given := sync.OnceValues(func() ([]rbac.Membership, error) {
		return d.tx.MembershipsBy(ctx, a.requester, d.now.Add(-access.LoosenedFor))
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

// joined says into which groups the requester has put themselves lately by which they may ask for item i as they do: the rule looks at
// their groups, or the group is eligible for the role or may break the glass. given are the memberships that they gave.
func (d *deciding) joined(ctx context.Context, a ask, i int, given func() ([]rbac.Membership, error)) ([]string, error) {
	looks := d.engine.rules.looksAt(a.entries[i].Approval, (*policy.Condition).LooksAtGroups)
	var named []access.PrincipalID
	if role := a.items[i].Role; !role.IsZero() {
		e, err := d.tx.Eligibility(ctx, role.Eligibility)
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
	memberships, err := given()
	if err != nil {
		return nil, fmt.Errorf("read memberships: %w", err)
	}
	within := func(p, group access.PrincipalID) bool { return p == group || d.may.dir.InGroup(p, group) }
	var how []string
	for _, m := range memberships {
		leads := looks || slices.ContainsFunc(named, func(g access.PrincipalID) bool { return within(m.Group, g) })
		if !leads || !within(a.requester, m.Member) {
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
