package requests

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// pickMachines puts one item for each machine in the place of those that name machines by labels or by group. Machines
// count that the caller may ask for; all of them are meant, so one that is not guarded refuses the whole.
func pickMachines(ctx context.Context, r engine.Reader, may engine.Rights, items []ItemInput) ([]ItemInput, error) {
	if !slices.ContainsFunc(items, func(it ItemInput) bool { return it.Selector != "" || it.Group != "" }) {
		return items, nil
	}
	scopes, err := may.Anywhere(rbac.PoliciesInitiate)
	if err != nil {
		return nil, err
	}
	var out []ItemInput
	picked := map[string][]string{}
	for i, item := range items {
		if item.Selector == "" && item.Group == "" {
			out = append(out, item)
			continue
		}
		field := fmt.Sprintf("items[%d]", i)
		if item.Machine != "" {
			return nil, engine.SelectorFault("machineAndSelector", field,
				"name the machine, or say how to pick machines, not both")
		}
		key := item.Group + "\x00" + item.Selector
		ids, known := picked[key]
		if !known {
			if ids, err = machinesPicked(ctx, r, may, scopes, item, field); err != nil {
				return nil, err
			}
			picked[key] = ids
		}
		for _, id := range ids {
			one := item
			one.Machine, one.Selector, one.Group = id, "", ""
			out = append(out, one)
		}
		if len(out) > access.MaxItems {
			return nil, engine.SelectorFault("tooManyItems", field,
				"the request has more than %d items; pick fewer machines", access.MaxItems)
		}
	}
	return out, nil
}

// machinesPicked gives the ids of the machines that an item picks.
func machinesPicked(ctx context.Context, r engine.Reader, may engine.Rights, scopes []access.ResourceID, item ItemInput,
	field string,
) ([]string, error) {
	labels, err := engine.ParseSelector(item.Selector, field+".selector")
	if err != nil {
		return nil, err
	}
	f := engine.MachineFilter{Tenant: may.Caller.Tenant}
	if item.Group != "" {
		group, err := engine.FindGroup(ctx, r, may, item.Group)
		if err != nil {
			return nil, err
		}
		f.Tenant, f.Scope = group.Subscription.Tenant, group.Scope()
	}
	var ids []string
	denied := may.Dir.Denied(may.Caller.Principal, rbac.PoliciesInitiate)
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.Machines(ctx, f, p)
		if err != nil {
			return nil, fmt.Errorf("list machines: %w", err)
		}
		for _, m := range list.Items {
			if engine.Covered(m.Resource, scopes) && !engine.Covered(m.Resource, denied) && hasLabels(m, labels) {
				ids = append(ids, string(m.ID))
			}
		}
		if len(ids) > access.MaxItems {
			return nil, engine.SelectorFault("tooManyItems", field,
				"more than %d machines are picked; one request may have %d items", access.MaxItems, access.MaxItems)
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	if len(ids) == 0 {
		return nil, engine.SelectorFault("noMachinePicked", field, "no machine that you may ask for is picked")
	}
	return ids, nil
}

func hasLabels(m access.Machine, labels map[string]string) bool {
	for name, value := range labels {
		if has, ok := m.Labels[name]; !ok || has != value {
			return false
		}
	}
	return true
}
