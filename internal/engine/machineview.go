package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// MachineActivity is what happened on a machine lately, and what is open on it.
type MachineActivity struct {
	Approved int    // requests of the last seven days that were approved
	LastUser string // name; empty where nobody had it open yet
	Live     []access.Grant
	// NotClosed may be open though it is not live: see Engine.NotClosed.
	NotClosed []Access
}

const activitySpan = 7 * 24 * time.Hour

// MachineOverview is how many machines there are, and by what they can be told apart.
type MachineOverview struct {
	Counts map[access.Standing]int
	Groups []string // names of the resource groups in which the caller may see machines
}

// narrow makes the filter one for the machines on which the caller may do one of the actions, and gives the scopes in which those
// lie.
func (f *MachineFilter) narrow(ctx context.Context, r Reader, may rights, actions ...string) ([]access.ResourceID, error) {
	scopes, err := may.anywhere(actions...)
	if err != nil {
		return nil, err
	}
	f.Tenant, f.Beside = may.caller.Tenant, may.beside()
	if len(f.Beside) > 0 || !covered(access.Root, scopes) {
		if f.Scopes = inSubscriptions(scopes); len(f.Scopes) == 0 {
			f.Scopes = []access.ResourceID{nowhere} // as a filter none would not bound anything
		}
	}
	if f.Labels, err = parseSelector(f.Selector, "labels"); err != nil {
		return nil, err
	}
	if f.Group != "" {
		group, err := findGroup(ctx, r, may, f.Group)
		if err != nil {
			return nil, err
		}
		f.Scope = group.scope()
	}
	return scopes, nil
}

// inSubscriptions gives those of the scopes that machines may lie in: they lie in subscriptions, and what lies above those reaches none.
func inSubscriptions(scopes []access.ResourceID) []access.ResourceID {
	return slices.DeleteFunc(slices.Clone(scopes), func(s access.ResourceID) bool { return s.InSubscription() == "" })
}

// nowhere is a scope in which no machine lies.
const nowhere access.ResourceID = "/nowhere"

// MachineOverview counts the machines that the caller may see and the filter lets through, by their standing; f.Standing is
// not looked at.
func (e *Engine) MachineOverview(ctx context.Context, c Caller, f MachineFilter) (o MachineOverview, err error) {
	err = e.look(ctx, c, attempt{action: rbac.MachinesRead, scope: f.Scope}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := f.narrow(ctx, r, may, rbac.MachinesRead)
		if err != nil {
			return err
		}
		f.Standing = ""
		if o.Counts, err = r.MachineCounts(ctx, f); err != nil {
			return fmt.Errorf("count machines: %w", err)
		}
		o.Groups, err = groupsWithin(ctx, r, scopes)
		return err
	})
	return o, err
}

// groupsWithin gives the names of the resource groups that lie in one of the scopes, or hold one.
func groupsWithin(ctx context.Context, r Reader, scopes []access.ResourceID) ([]string, error) {
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("read resource groups: %w", err)
	}
	var names []string
	for _, g := range groups {
		if touches(access.ResourceGroupScope(g.Subscription, g.Name), scopes) {
			names = append(names, g.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.Compact(names), nil
}

// WithActivity adds to machines that the caller was given before what happened on them lately, where they may read both the
// requests and the grants there.
func (e *Engine) WithActivity(ctx context.Context, c Caller, machines []MachineDetail) error {
	return e.look(ctx, c, attempt{action: rbac.GrantsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		seen := map[access.MachineID]*MachineActivity{}
		var ids []access.MachineID
		for i := range machines {
			m := machines[i].Machine
			if !may.may(rbac.RequestsRead, m.Resource) || !may.may(rbac.GrantsRead, m.Resource) {
				continue
			}
			machines[i].Activity = &MachineActivity{}
			seen[m.ID] = machines[i].Activity
			ids = append(ids, m.ID)
		}
		if len(ids) == 0 {
			return nil
		}
		uses, err := r.MachineUses(ctx, ids, may.now.Add(-activitySpan))
		if err != nil {
			return fmt.Errorf("read uses: %w", err)
		}
		for _, use := range uses {
			seen[use.Machine].Approved, seen[use.Machine].LastUser = use.Approved, use.LastUser
		}
		grants, err := r.LiveGrants(ctx, ids, may.now)
		if err != nil {
			return fmt.Errorf("read grants: %w", err)
		}
		for _, g := range grants {
			seen[g.Machine].Live = append(seen[g.Machine].Live, g)
		}
		held, err := r.NotClosedOn(ctx, ids, may.now)
		if err != nil {
			return fmt.Errorf("read what was not seen closed: %w", err)
		}
		for _, h := range held {
			a := accessOf(h, access.Machine{}, may.now)
			seen[a.Grant.Machine].NotClosed = append(seen[a.Grant.Machine].NotClosed, a)
		}
		return nil
	})
}
