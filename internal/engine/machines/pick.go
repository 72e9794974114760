package machines

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Picked returns the ids of the machines that a selector of labels picks, in a resource group where one is named, and
// on which the caller may ask for access; at least one, and at most as many as a request may have items. field is what
// a refusal names.
func Picked(ctx context.Context, r engine.Reader, may engine.Rights, selector, group, field string) ([]string, error) {
	scopes, err := may.Anywhere(rbac.PoliciesInitiate)
	if err != nil {
		return nil, err
	}
	labels, err := engine.ParseSelector(selector, field+".selector")
	if err != nil {
		return nil, err
	}
	f := engine.MachineFilter{Tenant: may.Caller.Tenant}
	if group != "" {
		found, err := engine.FindGroup(ctx, r, may, group)
		if err != nil {
			return nil, err
		}
		f.Tenant, f.Scope = found.Subscription.Tenant, found.Scope()
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
				"the selection has more than %d machines; a request can have %d items", access.MaxItems, access.MaxItems)
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	if len(ids) == 0 {
		return nil, engine.SelectorFault("noMachinePicked", field, "the selection has no machine that you may request")
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
