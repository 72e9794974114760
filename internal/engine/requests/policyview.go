package requests

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Guarded lists what policies say of machines, one by one, by the policy's resource id; the caller may see the
// policies. A machine that the caller may not see has its id alone.
func (e *Service) Guarded(ctx context.Context, c engine.Caller,
	p engine.Page,
) (list engine.Listed[engine.PolicyDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PoliciesRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.PoliciesRead)
			if err != nil {
				return err
			}
			f := engine.PolicyFilter{Tenant: c.Tenant, Beside: may.Beside()}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[engine.PolicyDetail], error) { return r.Guards(ctx, f, p) },
				func(d engine.PolicyDetail) (engine.PolicyDetail, bool, error) {
					if d.Machine.ID == "" || !may.May(rbac.MachinesRead, d.Machine.Resource) {
						d.Machine = access.Machine{ID: d.Entry.Machine}
					}
					if !engine.Covered(d.Policy.Resource, scopes) {
						return d, false, nil
					}
					if !may.ReadsRules(d.Policy) {
						d.Entry = engine.UnnamedEntry(d.Entry)
					}
					return d, true, nil
				})
			return err
		})
	return list, err
}

// PolicyView is what a list of policies shows beside them.
type PolicyView struct {
	Machines map[access.MachineID]access.ResourceID // of those that exist
	Requests map[access.PolicyID][]RequestDetail    // the newest first; those that the caller may see
}

// maxViewed is how many requests a view holds, the newest of them.
const maxViewed = 1000

// PolicyView gives the machines of policies that the caller was given before, and the requests through them since then.
// It asks a few times for all of them, not once for each.
func (e *Service) PolicyView(ctx context.Context, c engine.Caller, policies []access.Policy,
	since time.Time,
) (v PolicyView, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PoliciesRead},
		func(r engine.Reader, may engine.Rights) error {
			v = PolicyView{
				Machines: map[access.MachineID]access.ResourceID{},
				Requests: map[access.PolicyID][]RequestDetail{},
			}
			wanted := map[access.PolicyID]bool{}
			var ids []access.MachineID
			for _, p := range policies {
				wanted[p.ID] = true
				for _, m := range p.Machines {
					ids = append(ids, m.Machine)
				}
			}
			former, err := engine.FormerMachines(ctx, r, policies, since, maxViewed)
			if err != nil {
				return err
			}
			ids = append(ids, former...)
			machines, err := r.MachinesByID(ctx, ids)
			if err != nil {
				return fmt.Errorf("read machines: %w", err)
			}
			names := engine.NameCache{R: r, Seen: map[access.MachineID]access.Machine{}}
			for _, m := range machines {
				v.Machines[m.ID] = m.Resource
				names.Seen[m.ID] = m
			}
			requests, err := r.RequestsOfMachines(ctx, ids, since, maxViewed)
			if err != nil {
				return fmt.Errorf("read requests: %w", err)
			}
			requests, err = v.visible(ctx, may, &names, requests)
			if err != nil {
				return err
			}
			return v.fill(ctx, r, requests, wanted)
		})
	return v, err
}

// visible gives the requests that the caller may see, and notes the machines that they name.
func (v *PolicyView) visible(ctx context.Context, may engine.Rights, names *engine.NameCache,
	requests []access.Request,
) ([]access.Request, error) {
	var seen []access.Request
	for _, request := range requests {
		ok, err := sees(ctx, may, names, request)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		seen = append(seen, requestAbroad(may.Border(names.R, request.Tenant), RequestDetail{Request: request}).Request)
		for _, item := range request.Items {
			m, err := names.Site(ctx, item.Target)
			if err != nil {
				return nil, err
			}
			if m.ID != "" {
				v.Machines[m.ID] = m.Resource
			}
		}
	}
	return seen, nil
}

// fill adds the requests with their grants to the policies that they went through.
func (v *PolicyView) fill(ctx context.Context, r engine.Reader, requests []access.Request,
	wanted map[access.PolicyID]bool,
) error {
	ids := make([]access.RequestID, len(requests))
	for i, request := range requests {
		ids[i] = request.ID
	}
	grants, err := r.GrantsOfRequests(ctx, ids)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	byRequest := map[access.RequestID][]access.Grant{}
	for _, g := range grants {
		byRequest[g.Request] = append(byRequest[g.Request], g)
	}
	for _, request := range requests {
		var through []access.PolicyID
		for _, item := range request.Items {
			if id := item.Target.Guard().Policy; wanted[id] && !slices.Contains(through, id) {
				through = append(through, id)
			}
		}
		for _, id := range through {
			v.Requests[id] = append(v.Requests[id], RequestDetail{Request: request, Grants: byRequest[request.ID]})
		}
	}
	return nil
}
