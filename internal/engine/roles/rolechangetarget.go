package roles

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// holder is the principal and the role that a change names; what is empty fits all.
type holder struct {
	principal access.PrincipalID
	role      access.RoleID
}

func (in RoleChangeInput) find(ctx context.Context, r engine.Reader, may engine.Rights) (n holder, err error) {
	if in.Principal != "" || in.Target == "" {
		p, err := directory.FindAny(ctx, r, may.Caller.Tenant, in.Principal)
		if err != nil {
			return n, err
		}
		n.principal = p.ID
	}
	if in.Role != "" || in.Target == "" {
		role, err := FindRole(ctx, r, may.TenantOf(in.Scope), in.Role)
		if err != nil {
			return n, err
		}
		n.role = role.ID
	}
	return n, nil
}

func (n holder) fits(principal access.PrincipalID, role access.RoleID) bool {
	return (n.principal == "" || n.principal == principal) && (n.role == "" || strings.EqualFold(string(n.role),
		string(role)))
}

// nothing says that there is nothing that a change could be of.
func (in RoleChangeInput) nothing() error {
	return access.Fault(access.KindNotFound, "nothingToChange", "there is no %s of this role for this principal at %s",
		in.Of, in.Scope)
}

// assignment finds the assignment that a change is of, and the eligibility by which it was activated, if it was. One
// that was given goes before an activation of the same role.
func (in RoleChangeInput) assignment(ctx context.Context, r engine.Reader,
	may engine.Rights,
) (d engine.AssignmentDetail, by access.EligibilityID, err error) {
	n, err := in.find(ctx, r, may)
	if err != nil {
		return d, "", err
	}
	data, err := r.Directory(ctx)
	if err != nil {
		return d, "", fmt.Errorf("load directory: %w", err)
	}
	slices.SortFunc(data.Assignments,
		func(a, b rbac.Assignment) int { return strings.Compare(string(a.ID), string(b.ID)) })
	found := false
	for _, a := range data.Assignments {
		if a.Tenant != may.TenantOf(in.Scope) || !a.Scope.Equal(
			in.Scope) || !n.fits(a.Principal,
			a.Definition) || in.Target != "" && !strings.EqualFold(in.Target, string(a.ID)) {
			continue
		}
		var eligibility access.EligibilityID // none where it was given
		g, is, err := activationOf(ctx, r, a)
		if err != nil {
			return d, "", err
		}
		if is {
			eligibility = g.Target.Guard().Eligibility
		}
		if found && eligibility != "" {
			continue
		}
		if d, err = engine.DescribeAssignment(ctx, r, may.Dir, a); err != nil {
			return d, "", err
		}
		by, found = eligibility, true
		if by == "" {
			break
		}
	}
	if !found {
		return d, "", in.nothing()
	}
	return d, by, nil
}

// eligibility finds the eligibility that a change is of.
func (in RoleChangeInput) eligibility(ctx context.Context, r engine.Reader,
	may engine.Rights,
) (d engine.EligibilityDetail, err error) {
	n, err := in.find(ctx, r, may)
	if err != nil {
		return d, err
	}
	all, err := eligibilitiesAt(ctx, r,
		engine.EligibilityFilter{Tenant: may.TenantOf(in.Scope), Principal: n.principal, Role: n.role, Scope: in.Scope})
	if err != nil {
		return d, err
	}
	for _, one := range all {
		if in.Target == "" || strings.EqualFold(in.Target, string(one.ID)) {
			return engine.DescribeEligibility(ctx, r, may, one)
		}
	}
	return d, in.nothing()
}

// eligibilitiesAt gives the eligibilities at exactly the scope of the filter.
func eligibilitiesAt(ctx context.Context, r engine.Reader, f engine.EligibilityFilter) ([]access.Eligibility, error) {
	var all []access.Eligibility
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.Eligibilities(ctx, f, p)
		if err != nil {
			return nil, fmt.Errorf("read eligibilities: %w", err)
		}
		for _, one := range list.Items {
			if one.Scope.Equal(f.Scope) {
				all = append(all, one)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return all, nil
		}
	}
}

func ofAssignment(made access.RoleChange, d engine.AssignmentDetail, by access.EligibilityID) access.RoleChange {
	a := d.Assignment
	made.Target, made.Eligibility, made.Start, made.End = string(a.ID), by, a.Start, a.End
	made.Principal, made.PrincipalName, made.PrincipalKind = a.Principal, d.Principal.Name, d.Principal.Kind
	made.Role, made.RoleName = a.Definition, d.Role.Name
	return made
}

func ofEligibility(made access.RoleChange, d engine.EligibilityDetail) access.RoleChange {
	e := d.Eligibility
	made.Target, made.Start, made.End = string(e.ID), e.Start, e.End
	made.Principal, made.PrincipalName, made.PrincipalKind = e.Principal, d.Principal.Name, d.Principal.Kind
	made.Role, made.RoleName = e.Role, d.Role.Name
	return made
}
