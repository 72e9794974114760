package machines

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// PolicyChange is what setting a policy of a machine would change.
type PolicyChange struct {
	Machine  access.Machine
	Revision int64                 // of what its own policy says of it; 0 where none names it
	Was      []engine.PolicyDetail // what guards it, as the caller may see it; nothing where they may not
	Ports    []access.RuleChange
	Ends     []engine.GrantDetail // what is open or scheduled and ends, as far as the caller may see it
	More     bool                 // there are more grants than were looked at
}

// maxPreviewed is how many grants on one machine a preview looks at: those that begin first.
const maxPreviewed = 100

// PreviewPolicy tells what SetMachinePolicy would change, or fails as that would.
func (e *Service) PreviewPolicy(ctx context.Context, r engine.Reader, may engine.Rights, machine string,
	entry access.MachinePolicy,
) (out PolicyChange, err error) {
	m, err := toConfigure(ctx, r, may, machine)
	if err != nil {
		return out, err
	}
	over, entry, err := e.plan(ctx, r, may, m, access.MachinePolicy{}, entry, nil)
	if err != nil {
		return out, err
	}
	old, _ := over.Of(m.ID)
	out.Machine, out.Revision = m, old.Revision
	networks := NetworkNames{R: r, Tenant: m.Tenant}
	if err := networks.check(ctx, entry); err != nil {
		return out, err
	}
	was, err := networks.GuardsAsNamed(ctx, m)
	if err != nil {
		return out, err
	}
	will, err := networks.guards.With(ctx, m, access.Policy{ID: its, Machines: []access.MachinePolicy{entry}})
	if err != nil {
		return out, err
	}
	out.Ports = access.DiffRules(rulesOf(was), rulesOf(will))
	if may.May(rbac.PoliciesRead, m.Resource) {
		out.Was = details(may, m, was)
	}
	if !may.May(rbac.GrantsRead, m.Resource) {
		return out, nil
	}
	if err := networks.resolve(ctx, will); err != nil {
		return out, err
	}
	grants, err := r.Standing(ctx, engine.StandingFilter{Machine: m.ID}, maxPreviewed+1)
	if err != nil {
		return out, fmt.Errorf("read grants: %w", err)
	}
	if out.More = len(grants) > maxPreviewed; out.More {
		grants = grants[:maxPreviewed]
	}
	for _, g := range grants {
		entry, guarded := rulingOf(will, g.Target).Of(m.ID)
		if !guarded || outside(entry, m.Name, g) != "" {
			out.Ends = append(out.Ends, engine.DetailOf(g, m))
		}
	}
	return out, nil
}

// rulesOf returns the rules by which ports of a machine are guarded.
func rulesOf(guards []access.Policy) (rules []access.PortRule) {
	for _, p := range guards {
		rules = append(rules, p.Machines[0].Ports...)
	}
	return rules
}
