package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/records"
)

const activitySpan = 7 * 24 * time.Hour

// MachineOverview is how many machines there are, and by what they can be told apart.
type MachineOverview struct {
	Counts map[access.Standing]int
	Groups []string // names of the resource groups in which the caller may see machines
}

// MachineOverview counts the machines that the caller may see and the filter lets through, by their standing;
// f.Standing is not looked at.
func (e *Service) MachineOverview(ctx context.Context, c engine.Caller,
	f engine.MachineFilter,
) (o MachineOverview, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.MachinesRead, Scope: f.Scope},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := f.Narrow(ctx, r, may, rbac.MachinesRead)
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
func groupsWithin(ctx context.Context, r engine.Reader, scopes []access.ResourceID) ([]string, error) {
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("read resource groups: %w", err)
	}
	var names []string
	for _, g := range groups {
		if engine.Touches(access.ResourceGroupScope(g.Subscription, g.Name), scopes) {
			names = append(names, g.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.Compact(names), nil
}

// WithActivity adds to machines that the caller was given before what happened on them lately, where they may read both
// the requests and the grants there.
func (e *Service) WithActivity(ctx context.Context, c engine.Caller, list []machines.MachineDetail) error {
	return e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.GrantsRead},
		func(r engine.Reader, may engine.Rights) error {
			seen := map[access.MachineID]*machines.MachineActivity{}
			var ids []access.MachineID
			for i := range list {
				m := list[i].Machine
				if !may.May(rbac.RequestsRead, m.Resource) || !may.May(rbac.GrantsRead, m.Resource) {
					continue
				}
				list[i].Activity = &machines.MachineActivity{}
				seen[m.ID] = list[i].Activity
				ids = append(ids, m.ID)
			}
			if len(ids) == 0 {
				return nil
			}
			uses, err := r.MachineUses(ctx, ids, may.Now.Add(-activitySpan))
			if err != nil {
				return fmt.Errorf("read uses: %w", err)
			}
			for _, use := range uses {
				seen[use.Machine].Approved, seen[use.Machine].LastUser = use.Approved, use.LastUser
			}
			grants, err := r.LiveGrants(ctx, ids, may.Now)
			if err != nil {
				return fmt.Errorf("read grants: %w", err)
			}
			for _, g := range grants {
				on := seen[g.Place().Machine]
				on.Live = append(on.Live, g)
			}
			held, err := r.NotClosedOn(ctx, ids, may.Now)
			if err != nil {
				return fmt.Errorf("read what was not seen closed: %w", err)
			}
			for _, h := range held {
				a := records.AccessOf(h, access.Machine{}, may.Now)
				on := seen[a.Grant.Place().Machine]
				on.NotClosed = append(on.NotClosed, a)
			}
			return nil
		})
}
