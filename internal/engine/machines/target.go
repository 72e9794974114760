package machines

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// What a judge looks at for a grant, for each kind of target: on a machine the right to ask and the policy, and for a
// role the eligibility.

// Unheld says why the holder of a grant has no right to it any more; empty where they have.
func (j *Judge) Unheld(ctx context.Context, g access.Grant) (string, error) {
	why, err := access.Try(g.Target,
		func(port access.PortTarget) (string, error) {
			m, err := j.Names.Machine(ctx, port.Machine)
			if err != nil || m.Resource == "" { // the machine was deleted, and its grants end with it
				return "", err
			}
			return j.unheldOn(m, g), nil
		},
		func(role access.RoleTarget) (string, error) { return j.unheldRole(ctx, g, role) })
	if why != "" {
		why = "its holder may not ask for it any more: " + why
	}
	return why, err
}

// Outlawed is Unheld, and also says where the policy of the machine would not allow the grant any more.
func (j *Judge) Outlawed(ctx context.Context, g access.Grant) (string, error) {
	why, err := access.Try(g.Target,
		func(port access.PortTarget) (string, error) { return j.outlawedOn(ctx, port, g) },
		func(access.RoleTarget) (string, error) { return "", nil })
	if err != nil || why != "" {
		return why, err
	}
	return j.Unheld(ctx, g)
}

// rulingOf returns which of a machine's guards holds for a target; the zero Policy where none does.
func rulingOf(guards []access.Policy, t access.Target) access.Policy {
	return access.Match(t,
		func(port access.PortTarget) access.Policy { return access.Ruling(guards, port.Ports, port.Protocol) },
		func(access.RoleTarget) access.Policy { return access.Policy{} })
}

// unguarded is why grants end on a machine that no policy names any more.
const unguarded = "no policy guards the machine any more"

func (j *Judge) outlawedOn(ctx context.Context, port access.PortTarget, g access.Grant) (string, error) {
	m, err := j.Names.Machine(ctx, port.Machine)
	if err != nil {
		return "", err
	}
	if m.ID == "" {
		return "the machine was deleted", nil
	}
	entry, err := j.Entry(ctx, m, port.Ports, port.Protocol)
	switch {
	case err != nil:
		return "", err
	case entry == nil:
		return unguarded, nil
	}
	return outside(*entry, m.Name, g), nil
}

func (j *Judge) unheldOn(m access.Machine, g access.Grant) string {
	check := j.Dir.Check(g.Principal, rbac.PoliciesInitiate, m.Resource, j.Now)
	if !check.Allowed {
		return check.Reason
	}
	// Grants are cut to the end of the right when they are made, so the right was shortened since. It would take a job to
	// end this one with it.
	until := j.Dir.Until(g.Principal, rbac.PoliciesInitiate, m.Resource, j.Now)
	if !until.IsZero() && until.Before(g.End) {
		return "their right to it ends before it does, at " + until.UTC().Format(time.RFC3339)
	}
	return ""
}

func (j *Judge) unheldRole(ctx context.Context, g access.Grant, role access.RoleTarget) (string, error) {
	eligibility, err := engine.EligibilityOf(ctx, j.R, g.Tenant, role)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return "the eligibility was taken away", nil
	case err != nil:
		return "", fmt.Errorf("read eligibility: %w", err)
	}
	if why := engine.NotEligible(j.Dir, eligibility, g.Principal, j.Now); why != "" {
		return why, nil
	}
	return engine.Beyond(eligibility, g, j.Now), nil
}
