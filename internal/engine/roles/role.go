package roles

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// AssignInput assigns a role.
type AssignInput struct {
	ID          rbac.AssignmentID    // a GUID that is free; empty makes one
	Principal   string               // name or id; one of another tenant, who becomes a guest, by its id alone
	Kind        access.PrincipalKind // what the client takes the principal for; empty: it does not say
	Role        string               // name or id
	Scope       access.ResourceID    // empty: the default subscription
	Start       time.Time            // zero: since ever
	End         time.Time            // zero: for ever
	Description string
}

// AssignmentFilter narrows a list of role assignments; zero fields do not narrow.
type AssignmentFilter struct {
	Principal string            // name or id
	Role      string            // name or id
	Scope     access.ResourceID // at or below
	Over      access.ResourceID // at or above: those that count there
	Around    access.ResourceID // at, above or below
	Holder    string            // name or id: assignments to it, or to a group that it is in, directly or not
}

// RoleDefinitions lists the roles that exist in the caller's tenant, by name.
func (e *Service) RoleDefinitions(ctx context.Context, c engine.Caller) (list []rbac.Definition, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RoleDefinitionsRead},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.RoleDefinitionsRead); err != nil {
				return err
			}
			list, err = definitions(ctx, r, c.Tenant)
			return err
		})
	return list, err
}

// definitions gives the roles of a tenant, by name.
func definitions(ctx context.Context, r engine.Reader, tenant access.TenantID) ([]rbac.Definition, error) {
	data, err := r.Directory(ctx)
	if err != nil {
		return nil, fmt.Errorf("load directory: %w", err)
	}
	list := slices.DeleteFunc(data.Definitions,
		func(d rbac.Definition) bool { return d.Tenant != "" && d.Tenant != tenant })
	slices.SortFunc(list, func(a, b rbac.Definition) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// FindRole finds a role of a tenant by id or name.
func FindRole(ctx context.Context, r engine.Reader, tenant access.TenantID, ref string) (rbac.Definition, error) {
	list, err := definitions(ctx, r, tenant)
	if err != nil {
		return rbac.Definition{}, err
	}
	for _, d := range list {
		if strings.EqualFold(string(d.ID), ref) || strings.EqualFold(d.Name, ref) {
			return d, nil
		}
	}
	return rbac.Definition{}, access.Fault(access.KindNotFound, "unknownRole", "there is no role %q", engine.Clip(ref))
}

// AssignRole gives a role to a principal at a scope. That makes a principal of another tenant a guest there, and
// nowhere else: it sees and does at the scope what the role allows.
func (e *Service) AssignRole(ctx context.Context, c engine.Caller,
	in AssignInput,
) (d engine.AssignmentDetail, err error) {
	a := engine.Attempt{
		Action: rbac.RoleAssignmentsWrite, Scope: in.Scope,
		Details: map[string]string{"principal": in.Principal, "role": in.Role},
	}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		d, err = assignRole(ctx, tx, may, in)
		return err
	})
	return d, err
}

// assignRole authorizes, makes and records a role assignment.
func assignRole(ctx context.Context, tx engine.Tx, may engine.Rights,
	in AssignInput,
) (d engine.AssignmentDetail, err error) {
	c := may.Caller
	if _, err := may.Anywhere(rbac.RoleAssignmentsWrite); err != nil {
		return d, err
	}
	scope, err := scopeOrDefault(ctx, tx, c, in.Scope)
	if err != nil {
		return d, err
	}
	if err := may.Require(rbac.RoleAssignmentsWrite, scope); err != nil {
		return d, err
	}
	if err := engine.ScopeExists(ctx, tx, scope); err != nil {
		return d, err
	}
	tenant := may.TenantOf(scope)
	if d.Principal, err = directory.FindAny(ctx, tx, c.Tenant, in.Principal); err != nil {
		return d, err
	}
	if in.Kind != "" && in.Kind != d.Principal.Kind {
		return d, access.Fault(access.KindInvalid, "unmatchedKind",
			"%q is a %s, and was called a %s: correct one of them", d.Principal.Name, d.Principal.Kind,
			in.Kind)
	}
	if d.Role, err = FindRole(ctx, tx, tenant, in.Role); err != nil {
		return d, err
	}
	if in.ID == "" {
		in.ID = rbac.AssignmentID(engine.NewID())
	}
	if earlier, err := in.taken(ctx, tx, tenant, scope, d); err != nil || earlier.ID != "" {
		d.Assignment = earlier
		return d, err
	}
	d.Assignment = rbac.Assignment{
		ID: in.ID, Tenant: tenant, Principal: d.Principal.ID, Home: d.Principal.Tenant, Definition: d.Role.ID,
		Scope: scope,
		Start: access.Instant(in.Start), End: access.Instant(in.End), Description: in.Description,
		CreatedBy: c.Principal, CreatedAt: may.Now,
	}
	if err := validate(d); err != nil {
		return d, err
	}
	if err := tx.SaveRoleAssignment(ctx, d.Assignment); err != nil {
		return d, fmt.Errorf("save role assignment: %w", err)
	}
	return d, tx.Append(ctx, d.Event(access.RoleAssigned, may))
}

// validate gives everything that is wrong with an assignment.
func validate(d engine.AssignmentDetail) error {
	reasons := rbac.ValidateAssignment(d.Assignment, d.Role)
	if len(reasons) == 0 {
		return nil
	}
	refusal := access.Fault(access.KindInvalid, reasons[0].Code, "this is not a valid role assignment")
	refusal.Reasons = reasons
	return refusal
}

// taken looks for an assignment that has the id that the caller chose: the same one is given back, since the call may
// have been repeated, and another one is a conflict. So is an equal one with another id.
func (in *AssignInput) taken(ctx context.Context, tx engine.Tx, tenant access.TenantID, scope access.ResourceID,
	d engine.AssignmentDetail,
) (rbac.Assignment, error) {
	if uuid.Validate(string(in.ID)) != nil {
		return rbac.Assignment{}, access.Fault(access.KindInvalid, "malformedAssignmentId",
			"the id %q of a role assignment must be a GUID", engine.Clip(string(in.ID)))
	}
	in.ID = rbac.AssignmentID(strings.ToLower(string(in.ID)))
	data, err := tx.Directory(ctx)
	if err != nil {
		return rbac.Assignment{}, fmt.Errorf("load directory: %w", err)
	}
	for _, a := range data.Assignments {
		same := a.Tenant == tenant && a.Principal == d.Principal.ID && strings.EqualFold(string(a.Definition),
			string(d.Role.ID)) && a.Scope.Equal(scope) &&
			a.Start.Equal(access.Instant(in.Start)) && a.End.Equal(access.Instant(in.End))
		switch {
		case a.ID == in.ID && same:
			return a, nil
		case a.ID == in.ID:
			return rbac.Assignment{}, access.Fault(access.KindConflict, "roleAssignmentIDTaken",
				"there is a role assignment %s already, of another principal, role or scope: choose another id", in.ID)
		case same:
			return rbac.Assignment{}, access.Fault(access.KindConflict, "roleAssignmentExists",
				"The role assignment already exists, with the id %s.", a.ID)
		}
	}
	// What enforces the grant of a role has the grant's id, and ends with it: no other assignment may look as if it
	// did.
	_, err = tx.Grant(ctx, access.GrantID(in.ID))
	switch {
	case err == nil:
		return rbac.Assignment{}, access.Fault(access.KindConflict, "roleAssignmentIDTaken",
			"there is a grant %s already: choose another id for the role assignment", in.ID)
	case !engine.IsKind(err, access.KindNotFound):
		return rbac.Assignment{}, fmt.Errorf("read grant: %w", err)
	}
	return rbac.Assignment{}, nil
}

func scopeOrDefault(ctx context.Context, r engine.Reader, c engine.Caller,
	scope access.ResourceID,
) (access.ResourceID, error) {
	if scope != "" {
		return access.ParseResourceID(string(scope))
	}
	subscription, err := engine.SubscriptionByDefault(ctx, r, c.Tenant)
	return access.SubscriptionScope(subscription.ID), err
}

// RoleAssignments lists the role assignments that the caller may see, by id.
func (e *Service) RoleAssignments(ctx context.Context, c engine.Caller, f AssignmentFilter,
	p engine.Page,
) (list engine.Listed[engine.AssignmentDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RoleAssignmentsRead, Scope: f.Scope},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.RoleAssignmentsRead)
			if err != nil {
				return err
			}
			if p, err = engine.CheckPage(p); err != nil {
				return err
			}
			keep, err := f.compile(ctx, r, may)
			if err != nil {
				return err
			}
			data, err := r.Directory(ctx)
			if err != nil {
				return fmt.Errorf("load directory: %w", err)
			}
			slices.SortFunc(data.Assignments, func(a, b rbac.Assignment) int { return cmp.Compare(a.ID, b.ID) })
			list = engine.Listed[engine.AssignmentDetail]{}
			for _, a := range data.Assignments {
				if string(a.ID) <= p.Cursor || !may.Reaches(a.Tenant, a.Scope, scopes) || !keep(a) {
					continue
				}
				if len(list.Items) == p.Limit {
					list.Next = string(list.Items[p.Limit-1].Assignment.ID)
					break
				}
				d, err := engine.DescribeAssignment(ctx, r, may.Dir, a)
				if err != nil {
					return err
				}
				if d, err = may.Border(r, a.Tenant).Assignment(ctx, d); err != nil {
					return err
				}
				list.Items = append(list.Items, d)
			}
			return nil
		})
	return list, err
}

func (f AssignmentFilter) compile(ctx context.Context, r engine.Reader,
	may engine.Rights,
) (func(rbac.Assignment) bool, error) {
	c := may.Caller
	var holders []access.PrincipalID
	if f.Holder != "" {
		holder, err := directory.FindAny(ctx, r, c.Tenant, f.Holder)
		if err != nil {
			return nil, err
		}
		holders = append(may.Dir.GroupsOf(holder.ID), holder.ID)
	}
	var principal access.Principal
	var role rbac.Definition
	var err error
	if f.Principal != "" {
		if principal, err = directory.FindAny(ctx, r, c.Tenant, f.Principal); err != nil {
			return nil, err
		}
	}
	if f.Role != "" {
		if role, err = FindRole(ctx, r, c.Tenant, f.Role); err != nil {
			return nil, err
		}
	}
	return func(a rbac.Assignment) bool {
		return (principal.ID == "" || a.Principal == principal.ID) && (role.ID == "" || a.Definition == role.ID) &&
			(f.Scope == "" || a.Scope.Within(f.Scope)) && (f.Over == "" || f.Over.Within(a.Scope)) &&
			(f.Around == "" || a.Scope.Within(
				f.Around) || f.Around.Within(a.Scope)) && (f.Holder == "" || slices.Contains(holders, a.Principal))
	}, nil
}

// UnassignRole takes a role assignment away.
func (e *Service) UnassignRole(ctx context.Context, c engine.Caller, id rbac.AssignmentID) error {
	a := engine.Attempt{Action: rbac.RoleAssignmentsDelete, Details: map[string]string{"assignment": string(id)}}
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		return e.Unassign(ctx, tx, may, id)
	})
}

// Unassign authorizes the end of a role assignment, ends and records it.
func (e *Service) Unassign(ctx context.Context, tx engine.Tx, may engine.Rights, id rbac.AssignmentID) error {
	scopes, err := may.Anywhere(rbac.RoleAssignmentsDelete)
	if err != nil {
		return err
	}
	data, err := tx.Directory(ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	i := slices.IndexFunc(data.Assignments, func(a rbac.Assignment) bool {
		return a.ID == id && (may.Reaches(a.Tenant, a.Scope,
			scopes) || may.MayOf(a.Tenant, rbac.RoleAssignmentsRead, a.Scope))
	})
	if i < 0 {
		return access.Fault(access.KindNotFound, "unknownAssignment", "there is no role assignment %q that you may see",
			engine.Clip(string(id)))
	}
	gone := data.Assignments[i]
	if err := may.Require(rbac.RoleAssignmentsDelete, gone.Scope); err != nil {
		return err
	}
	if gone.Origin != "" {
		return access.Fault(access.KindConflict, "assignmentOfApplication",
			"the role assignment belongs to %s: change that, or delete it", gone.Origin)
	}
	if done, err := e.deactivate(ctx, tx, may, gone); done || err != nil {
		return err
	}
	if err := tx.DeleteRoleAssignment(ctx, id); err != nil {
		return fmt.Errorf("delete role assignment: %w", err)
	}
	d, err := engine.DescribeAssignment(ctx, tx, may.Dir, gone)
	if err != nil {
		return err
	}
	return tx.Append(ctx, d.Event(access.RoleUnassigned, may))
}

// deactivate ends the grant that an assignment enforces, where there is one.
func (e *Service) deactivate(ctx context.Context, tx engine.Tx, may engine.Rights, a rbac.Assignment) (bool, error) {
	g, is, err := activationOf(ctx, tx, a)
	if err != nil || !is {
		return false, err
	}
	w := e.kernel.NewWork(tx, may.Now)
	if _, err := w.EndGrant(ctx, g, may.Actor(g.Tenant), "the role assignment was taken away"); err != nil {
		return false, err
	}
	return true, w.Finish(ctx)
}

// activationOf gives the grant of a role that an assignment enforces; false where it was given. Its id alone does not
// say so, since whoever assigns a role may choose one.
func activationOf(ctx context.Context, r engine.Reader, a rbac.Assignment) (g access.Grant, is bool, err error) {
	g, err = r.Grant(ctx, access.GrantID(a.ID))
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return access.Grant{}, false, nil
	case err != nil:
		return access.Grant{}, false, fmt.Errorf("read grant: %w", err)
	}
	role, is := roleOf(g)
	is = is && !g.State.Ended() && g.State != access.GrantScheduled && g.Principal == a.Principal &&
		strings.EqualFold(string(role.ID), string(a.Definition)) && role.Scope.Equal(a.Scope)
	return g, is, nil
}
