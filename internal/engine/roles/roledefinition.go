package roles

import (
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

// RoleInput is a custom role.
type RoleInput struct {
	ID               rbac.DefinitionID // a GUID; empty makes one
	Was              *int64            // revision of the role that is replaced; nil replaces any, or makes one
	Name             string
	Description      string
	Permissions      []rbac.Permission
	AssignableScopes []access.ResourceID
}

// Role gives one role by its name or id.
func (e *Service) Role(ctx context.Context, c engine.Caller, ref string) (d rbac.Definition, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.RoleDefinitionsRead, Details: map[string]string{"role": ref}},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.RoleDefinitionsRead); err != nil {
				return err
			}
			d, err = FindRole(ctx, r, c.Tenant, ref)
			return err
		})
	return d, err
}

// PutRole makes or replaces a custom role. The caller needs the right to write roles at each of its assignable scopes,
// the old ones included; nobody changes a built-in role.
func (e *Service) PutRole(ctx context.Context, c engine.Caller, in RoleInput) (d rbac.Definition, err error) {
	a := engine.Attempt{Action: rbac.RoleDefinitionsWrite, Details: map[string]string{"role": in.Name}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		if _, err := may.Anywhere(rbac.RoleDefinitionsWrite); err != nil {
			return err
		}
		if in.ID == "" {
			in.ID = rbac.DefinitionID(uuid.NewString())
		}
		if uuid.Validate(string(in.ID)) != nil {
			return access.Fault(access.KindInvalid, "malformedRoleId", "the id %q of a role must be a GUID",
				engine.Clip(string(in.ID)))
		}
		d = rbac.Definition{
			ID: rbac.DefinitionID(strings.ToLower(string(in.ID))), Tenant: c.Tenant, Name: in.Name,
			Description: in.Description,
			Permissions: in.Permissions, AssignableScopes: in.AssignableScopes, CreatedAt: may.Now, UpdatedAt: may.Now,
		}
		if err := malformedRole(rbac.ValidateDefinition(d)); err != nil {
			return err
		}
		data, err := tx.Directory(ctx)
		if err != nil {
			return fmt.Errorf("load directory: %w", err)
		}
		scopes, revision := d.AssignableScopes, int64(0)
		for _, other := range data.Definitions {
			switch {
			case strings.EqualFold(string(other.ID), string(d.ID)):
				if !other.BuiltIn && other.Tenant != c.Tenant {
					return access.Fault(access.KindConflict, "roleIDTaken", "the id %s is taken: choose another", d.ID)
				}
				if other.BuiltIn {
					return access.Fault(access.KindForbidden, "builtInRole",
						"role %q is built in: make one of your own instead", other.Name)
				}
				revision = other.Revision()
				d.CreatedAt = other.CreatedAt
				// whatever the clock says, each change has a revision of its own
				d.UpdatedAt = engine.Later(may.Now, other.UpdatedAt.Add(time.Microsecond))
				scopes = slices.Concat(scopes, other.AssignableScopes)
				if err := mayNarrow(ctx, tx, data, other, d); err != nil {
					return err
				}
			case strings.EqualFold(other.Name, d.Name) && (other.BuiltIn || other.Tenant == c.Tenant):
				return access.Fault(access.KindConflict, "roleNameTaken",
					"there is a role %q already, with the id %s: choose another name", other.Name, other.ID)
			}
		}
		for _, scope := range scopes {
			if err := may.Require(rbac.RoleDefinitionsWrite, may.Here(scope)); err != nil {
				return err
			}
		}
		if in.Was != nil && *in.Was != revision {
			return access.Fault(access.KindConflict, "roleChanged",
				"the role %q has changed since you read it: read it again", d.Name)
		}
		if err := tx.SaveRoleDefinition(ctx, d); err != nil {
			return fmt.Errorf("save role: %w", err)
		}
		return tx.Append(ctx, roleEvent(access.RoleDefined, rbac.RoleDefinitionsWrite, d, c, may))
	})
	return d, err
}

// mayNarrow refuses a role that is assigned, or that somebody is eligible for, where it would not be assignable any
// more: it would stay in force there, and be written by those alone who may where it is left.
func mayNarrow(ctx context.Context, r engine.Reader, data rbac.Data, was, next rbac.Definition) error {
	within := func(scopes []access.ResourceID, scope access.ResourceID) bool {
		return slices.ContainsFunc(scopes, scope.Within)
	}
	if !slices.ContainsFunc(was.AssignableScopes,
		func(scope access.ResourceID) bool { return !within(next.AssignableScopes, scope) }) {
		return nil
	}
	held := func(how string, at access.ResourceID) error {
		if within(next.AssignableScopes, at) {
			return nil
		}
		return access.Fault(access.KindConflict, "roleInUse",
			"role %q is %s at %s, where it would no longer be assignable: remove that first", was.Name, how, at)
	}
	for _, a := range data.Assignments {
		if strings.EqualFold(string(a.Definition), string(was.ID)) {
			if err := held("assigned", a.Scope); err != nil {
				return err
			}
		}
	}
	return directory.EachPage(func(p engine.Page) (engine.Listed[access.Eligibility], error) {
		return r.Eligibilities(ctx, engine.EligibilityFilter{Role: was.ID}, p)
	}, func(one access.Eligibility) error { return held("somebody's to activate", one.Scope) })
}

func malformedRole(reasons []access.Reason) error {
	if len(reasons) == 0 {
		return nil
	}
	refusal := access.Fault(access.KindInvalid, reasons[0].Code,
		"the role is not valid: nothing was changed")
	refusal.Reasons = reasons
	return refusal
}

// DeleteRole deletes a custom role that is assigned to nobody, and gives what it was.
func (e *Service) DeleteRole(ctx context.Context, c engine.Caller,
	id rbac.DefinitionID,
) (d rbac.Definition, err error) {
	a := engine.Attempt{Action: rbac.RoleDefinitionsDelete, Details: map[string]string{"role": string(id)}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		if _, err := may.Anywhere(rbac.RoleDefinitionsDelete); err != nil {
			return err
		}
		if d, err = FindRole(ctx, tx, c.Tenant, string(id)); err != nil {
			return err
		}
		if d.BuiltIn {
			return access.Fault(access.KindForbidden, "builtInRole", "role %q is built in and cannot be deleted", d.Name)
		}
		for _, scope := range d.AssignableScopes {
			if err := may.Require(rbac.RoleDefinitionsDelete, may.Here(scope)); err != nil {
				return err
			}
		}
		data, err := tx.Directory(ctx)
		if err != nil {
			return fmt.Errorf("load directory: %w", err)
		}
		if i := slices.IndexFunc(data.Assignments,
			func(a rbac.Assignment) bool { return strings.EqualFold(string(a.Definition), string(d.ID)) }); i >= 0 {
			return access.Fault(access.KindConflict, "roleInUse",
				"role %q is assigned at %s: remove that assignment first", d.Name, data.Assignments[i].Scope)
		}
		eligible, err := tx.Eligibilities(ctx, engine.EligibilityFilter{Role: d.ID}, engine.Page{Limit: 1})
		if err != nil {
			return fmt.Errorf("read eligibilities: %w", err)
		}
		if len(eligible.Items) > 0 {
			return access.Fault(access.KindConflict, "roleInUse",
				"principals are eligible for role %q at %s: remove that eligibility first", d.Name,
				eligible.Items[0].Scope)
		}
		if err := tx.DeleteRoleDefinition(ctx, d.ID); err != nil {
			return fmt.Errorf("delete role: %w", err)
		}
		return tx.Append(ctx, roleEvent(access.RoleDeleted, rbac.RoleDefinitionsDelete, d, c, may))
	})
	return d, err
}

func roleEvent(kind access.EventKind, action string, d rbac.Definition, c engine.Caller,
	may engine.Rights,
) access.Event {
	var actions, notActions []string
	for _, p := range d.Permissions {
		actions, notActions = append(actions, p.Actions...), append(notActions, p.NotActions...)
	}
	return access.Event{
		At: may.Now, Kind: kind, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant,
		Scope: d.AssignableScopes[0], Action: action,
		Details: map[string]string{
			"role": d.Name, "roleId": string(d.ID), "actions": strings.Join(actions, " "),
			"notActions": strings.Join(notActions, " "),
		},
	}
}

// Permissions gives what the caller may do at a scope: the permissions of each role that counts there for them, now.
func (e *Service) Permissions(ctx context.Context, c engine.Caller,
	scope access.ResourceID,
) (list []rbac.Permission, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Scope: scope}, func(r engine.Reader, may engine.Rights) error {
		data, err := r.Directory(ctx)
		if err != nil {
			return fmt.Errorf("load directory: %w", err)
		}
		mine := append(may.Dir.GroupsOf(c.Principal), c.Principal)
		for _, a := range data.Assignments {
			inForce := !may.Now.Before(a.Start) && (a.End.IsZero() || may.Now.Before(a.End))
			if !inForce || !may.Dir.Covers(a, scope) || !slices.Contains(mine, a.Principal) {
				continue
			}
			if d, ok := may.Dir.Definition(a.Definition); ok {
				list = append(list, d.Permissions...)
			}
		}
		return nil
	})
	return list, err
}

// RunsServer tells whether the caller's tenant is the one that runs the server.
func (e *Service) RunsServer(ctx context.Context, c engine.Caller) (runs bool, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{}, func(r engine.Reader, _ engine.Rights) error {
		home, err := engine.HomeTenant(ctx, r)
		runs = c.Tenant == home
		return err
	})
	return runs, err
}

// Able gives the actions that the caller may do somewhere, of those that Postern checks, so that nobody is offered what
// they may do nowhere.
func (e *Service) Able(ctx context.Context, c engine.Caller) (actions []string, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{}, func(_ engine.Reader, may engine.Rights) error {
		actions = slices.DeleteFunc(rbac.Actions(), func(action string) bool { return len(may.Scopes(action)) == 0 })
		return nil
	})
	return actions, err
}
