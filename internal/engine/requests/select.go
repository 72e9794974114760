package requests

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// pickMachines puts one item for each machine in the place of those that name machines by labels or by group. Machines
// count that the caller may ask for; all of them are meant, so one that is not guarded refuses the whole.
func pickMachines(ctx context.Context, r engine.Reader, may engine.Rights, items []ItemInput) ([]ItemInput, error) {
	if !slices.ContainsFunc(items, func(it ItemInput) bool { return it.Selector != "" || it.Group != "" }) {
		return items, nil
	}
	if _, err := may.Anywhere(rbac.PoliciesInitiate); err != nil {
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
			var err error
			if ids, err = machines.Picked(ctx, r, may, item.Selector, item.Group, field); err != nil {
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
