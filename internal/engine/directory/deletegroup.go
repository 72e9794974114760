package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// DeleteGroup deletes a group that nothing names any more: no role assignment, policy, eligibility or managed
// application. Its members are in it no longer; what they opened by rights that came through it ends.
func (e *Service) DeleteGroup(ctx context.Context, c engine.Caller, ref string) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"group": ref}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.PrincipalsWrite, access.Root); err != nil {
				return err
			}
			g, err := FindPrincipal(ctx, tx, c.Tenant, ref)
			if err != nil {
				return err
			}
			if g.Kind != access.Group {
				return access.Fault(access.KindInvalid, "notAGroup",
					"%q is not a group: people and programs are disabled, and kept for what they did", g.Name)
			}
			mentions := mentions{ctx: ctx, r: tx, dir: may.Dir, group: g}
			for _, look := range []func() error{
				mentions.assignments, mentions.policies, mentions.eligibilities,
				mentions.applications,
			} {
				if err := look(); err != nil {
					return err
				}
			}
			if len(mentions.found) > 0 {
				refusal := access.Fault(access.KindConflict, "groupInUse",
					"group %s is still referenced: remove it there first", g.Name)
				refusal.Reasons = mentions.found
				return refusal
			}
			if err := tx.DeleteGroup(ctx, g.ID, g.Revision); err != nil {
				return fmt.Errorf("delete group: %w", err)
			}
			if err := e.regroup(ctx, tx, may, g, false); err != nil {
				return err
			}
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.GroupDeleted, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant,
				Action:  rbac.PrincipalsWrite,
				Details: map[string]string{"group": g.Name, "groupId": string(g.ID)},
			})
		})
}

// mentions gathers where a group is named, each as a reason why it cannot go; at most MaxReasons.
type mentions struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	r     engine.Reader
	dir   *rbac.Directory
	group access.Principal
	found []access.Reason
}

func (m *mentions) add(field, format string, args ...any) {
	if len(m.found) < engine.MaxReasons {
		m.found = append(m.found,
			access.Reason{Code: "groupInUse", Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

func (m *mentions) assignments() error {
	data, err := m.r.Directory(m.ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	for _, a := range data.Assignments {
		if a.Principal == m.group.ID {
			role, _ := m.dir.Definition(a.Definition)
			m.add("role assignment "+string(a.ID), "it has the role %s at %s", role.Name, a.Scope)
		}
	}
	return nil
}

func (m *mentions) policies() error {
	return EachEntryWith(m.ctx, m.r, m.group.Tenant, string(m.group.ID),
		func(of string, entry access.MachinePolicy) (bool, error) {
			if slices.Contains(engine.NamedInPolicy(entry), m.group.ID) {
				m.add(of, "the %s names it", of)
			}
			return len(m.found) < engine.MaxReasons, nil
		})
}

// EachEntryWith gives what the policies of a tenant say of machines where that has a text, and what its policies of
// scopes say, until do wants no more; of says which it is, such as "policy of web-1". The database looks for the text,
// since a tenant may have many machines; do looks whether it means what is looked for.
func EachEntryWith(ctx context.Context, r engine.Reader, tenant access.TenantID, text string,
	do func(of string, entry access.MachinePolicy) (more bool, err error),
) error {
	scopes, err := r.ScopePolicies(ctx, tenant)
	if err != nil {
		return fmt.Errorf("read policies of scopes: %w", err)
	}
	for _, p := range scopes {
		if more, err := do("policy "+p.Name, p.Rules); err != nil || !more {
			return err
		}
	}
	names := engine.NameCache{R: r}
	for after := access.MachineID(""); ; {
		entries, err := r.PolicyEntriesWith(ctx, tenant, text, after, engine.MaxLimit)
		if err != nil {
			return fmt.Errorf("read policies: %w", err)
		}
		for _, entry := range entries {
			m, err := names.Machine(ctx, entry.Machine)
			if err != nil {
				return err
			}
			if more, err := do("policy of "+engine.NameOf(m, entry.Machine), entry); err != nil || !more {
				return err
			}
			after = entry.Machine
		}
		if len(entries) < engine.MaxLimit {
			return nil
		}
	}
}

func (m *mentions) eligibilities() error {
	return EachPage(func(p engine.Page) (engine.Listed[access.Eligibility], error) {
		return m.r.Eligibilities(m.ctx, engine.EligibilityFilter{}, p)
	}, func(e access.Eligibility) error {
		if e.Principal == m.group.ID || slices.Contains(engine.NamedInPolicy(e.Terms()), m.group.ID) {
			m.add("eligibility "+string(e.ID), "an eligibility at %s names it", e.Scope)
		}
		return nil
	})
}

func (m *mentions) applications() error {
	err := EachPage(func(p engine.Page) (engine.Listed[app.Definition], error) {
		return m.r.ApplicationDefinitions(m.ctx, engine.ApplicationFilter{Tenant: m.group.Tenant}, p)
	}, func(d app.Definition) error {
		if slices.ContainsFunc(d.Authorizations, func(a app.Authorization) bool { return a.Principal == m.group.ID }) {
			m.add("definition "+d.Name(), "the application definition %s gives it a role", d.Resource)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return EachPage(func(p engine.Page) (engine.Listed[app.Application], error) {
		return m.r.Applications(m.ctx, engine.ApplicationFilter{Tenant: m.group.Tenant}, p)
	}, func(a app.Application) error {
		if slices.ContainsFunc(a.Settings.Approvers, func(x app.Approver) bool { return x.ID == m.group.ID }) {
			m.add("application "+string(a.Resource), "it approves requests for the managed application %s", a.Resource)
		}
		return nil
	})
}

// EachPage gives every item of a list, page after page.
func EachPage[T any](list func(engine.Page) (engine.Listed[T], error), do func(T) error) error {
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		found, err := list(p)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for _, item := range found.Items {
			if err := do(item); err != nil {
				return err
			}
		}
		if p.Cursor = found.Next; p.Cursor == "" {
			return nil
		}
	}
}
