package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// What the kernel does for each kind of target, beyond what the target knows: it finds the site, and puts rights in
// force.

// siteOf returns where a target takes effect: its machine, or the zero value where that was deleted. For a role it is
// RoleSite.
func siteOf(t access.Target, machine func(access.MachineID) (access.Machine, error)) (access.Machine, error) {
	return access.Try(t,
		func(p access.PortTarget) (access.Machine, error) { return machine(p.Machine) },
		func(r access.RoleTarget) (access.Machine, error) { return RoleSite(r), nil })
}

// RoleSite returns what stands in the place of a machine where a role takes effect: it has the role's scope and name,
// and neither id nor agent.
func RoleSite(role access.RoleTarget) access.Machine {
	return access.Machine{Resource: role.Scope, Name: role.String()}
}

// enforce writes what enforces a grant beside its agent, over what was revision was of it: nothing for a port.
func (w *Work) enforce(ctx context.Context, g access.Grant, was int64) error {
	return access.Match(g.Target,
		func(access.PortTarget) error { return nil },
		func(role access.RoleTarget) error { return w.assign(ctx, g, role, was) })
}

// assign makes the role assignment that enforces the grant of a role what the grant says. Its end stands in it from
// when the grant begins, so that no job has to end it; before that there is none, since whoever begins the grant looks
// first whether it may.
func (w *Work) assign(ctx context.Context, g access.Grant, role access.RoleTarget, was int64) error {
	id := rbac.AssignmentID(g.ID)
	if was != 0 {
		if err := w.Tx.DeleteActivation(ctx, g.ID); err != nil {
			return fmt.Errorf("delete role assignment: %w", err)
		}
	}
	if g.State.Ended() || g.State == access.GrantScheduled {
		return nil
	}
	eligibility, err := EligibilityOf(ctx, w.Tx, g.Tenant, role)
	if err != nil {
		return fmt.Errorf("read eligibility: %w", err)
	}
	through := eligibility.Principal
	if through == g.Principal {
		through = ""
	}
	err = w.Tx.SaveRoleAssignment(ctx, rbac.Assignment{
		ID: id, Tenant: g.Tenant, Principal: g.Principal, Through: through, Definition: role.ID, Scope: role.Scope,
		Start: g.Start, End: g.End,
		Description: "activated by request " + string(g.Request), CreatedBy: g.Principal, CreatedAt: w.Now,
	})
	if err != nil {
		return fmt.Errorf("save role assignment: %w", err)
	}
	return nil
}
