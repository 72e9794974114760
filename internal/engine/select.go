package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// pickMachines puts one item for each machine in the place of those that name machines by labels or by group. Machines
// count that the caller may ask for; all of them are meant, so one that is not guarded refuses the whole.
func pickMachines(ctx context.Context, r Reader, may rights, items []ItemInput) ([]ItemInput, error) {
	if !slices.ContainsFunc(items, func(it ItemInput) bool { return it.Selector != "" || it.Group != "" }) {
		return items, nil
	}
	scopes, err := may.anywhere(rbac.PoliciesInitiate)
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
			return nil, selectorFault("machineAndSelector", field, "name the machine, or say how to pick machines, not both")
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
			return nil, selectorFault("tooManyItems", field, "the request has more than %d items; pick fewer machines", access.MaxItems)
		}
	}
	return out, nil
}

func selectorFault(code, field, format string, args ...any) error {
	e := access.Fault(access.KindInvalid, code, format, args...)
	e.Reasons = []access.Reason{{Code: code, Field: field, Message: e.Message}}
	return e
}

// machinesPicked gives the ids of the machines that an item picks.
func machinesPicked(ctx context.Context, r Reader, may rights, scopes []access.ResourceID, item ItemInput, field string) ([]string, error) {
	labels, err := parseSelector(item.Selector, field+".selector")
	if err != nil {
		return nil, err
	}
	f := MachineFilter{Tenant: may.caller.Tenant}
	if item.Group != "" {
		group, err := findGroup(ctx, r, may, item.Group)
		if err != nil {
			return nil, err
		}
		f.Tenant, f.Scope = group.subscription.Tenant, group.scope()
	}
	var ids []string
	denied := may.dir.Denied(may.caller.Principal, rbac.PoliciesInitiate)
	for p := (Page{Limit: maxLimit}); ; {
		list, err := r.Machines(ctx, f, p)
		if err != nil {
			return nil, fmt.Errorf("list machines: %w", err)
		}
		for _, m := range list.Items {
			if covered(m.Resource, scopes) && !covered(m.Resource, denied) && hasLabels(m, labels) {
				ids = append(ids, string(m.ID))
			}
		}
		if len(ids) > access.MaxItems {
			return nil, selectorFault("tooManyItems", field, "more than %d machines are picked; one request may have %d items", access.MaxItems, access.MaxItems)
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	if len(ids) == 0 {
		return nil, selectorFault("noMachinePicked", field, "no machine that you may ask for is picked")
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

// parseSelector reads "env=prod,role=web".
func parseSelector(text, field string) (map[string]string, error) {
	labels := map[string]string{}
	if text == "" {
		return labels, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		if _, twice := labels[name]; !ok || name == "" || twice || len(labels) >= maxLabels {
			return nil, selectorFault("malformedSelector", field, "%q is not a selector; write labels such as env=prod,role=web, each once", clip(text))
		}
		labels[name] = value
	}
	return labels, nil
}
