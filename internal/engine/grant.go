package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// GrantDetail is a grant with the name of its machine; that of a role has its name and scope there.
type GrantDetail struct {
	Grant       access.Grant
	MachineName string
}

// Grant gives one grant: the caller's own, or one on a machine, or of a role at a scope, whose grants they may read.
func (e *Engine) Grant(ctx context.Context, c Caller, id access.GrantID) (d GrantDetail, err error) {
	err = e.look(ctx, c, attempt{action: rbac.GrantsRead, grant: id}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		g, m, err := findGrant(ctx, r, may, id)
		d = GrantDetail{Grant: g, MachineName: nameOf(m, g.Machine)}
		return err
	})
	return d, err
}

// WaitGrant is Grant, but waits up to most while the grant is scheduled or opening.
func (e *Engine) WaitGrant(ctx context.Context, c Caller, id access.GrantID, most time.Duration) (GrantDetail, error) {
	changed, stop := e.store.WatchEvents()
	defer stop()
	over := time.NewTimer(most)
	defer over.Stop()
	for {
		d, err := e.Grant(ctx, c, id)
		if err != nil || d.Grant.State != access.GrantScheduled && d.Grant.State != access.GrantOpening {
			return d, err
		}
		select {
		case <-changed:
		case <-over.C:
			return d, nil
		case <-ctx.Done():
			return d, ctx.Err()
		}
	}
}

// Grants lists the grants that the caller may see, newest first: their own, and those on machines whose grants they may
// read.
func (e *Engine) Grants(ctx context.Context, c Caller, f GrantFilter, p Page) (list Listed[GrantDetail], err error) {
	err = e.look(ctx, c, attempt{action: rbac.GrantsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes := may.scopes(rbac.GrantsRead)
		if len(scopes) == 0 {
			if f.Principal != "" && f.Principal != c.Principal {
				return forbidden(rbac.GrantsRead, access.Root, "you may see your own grants alone")
			}
			f.Principal = c.Principal
		}
		f.Tenant, f.Beside = c.Tenant, may.beside()
		names := nameCache{r: r}
		list, err = visible(p, func(p Page) (Listed[access.Grant], error) { return r.Grants(ctx, f, p) },
			func(g access.Grant) (GrantDetail, bool, error) {
				m, err := names.site(ctx, g.Role, g.Machine)
				mine := may.owns(g.Principal, rbac.GrantsRead, scopeOf(m)) || may.reaches(g.Tenant, scopeOf(m), scopes)
				return GrantDetail{Grant: g, MachineName: nameOf(m, g.Machine)}, mine, err
			})
		return err
	})
	return list, err
}

// Revoke ends a grant early. Whoever holds it may, whoever may decide on its request, and whoever may revoke on its machine. A grant that has ended stays as
// it is, and is no error where it was revoked: the call may have been repeated.
func (e *Engine) Revoke(ctx context.Context, c Caller, id access.GrantID, reason string) (d GrantDetail, err error) {
	if len(reason) > access.MaxText {
		return d, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed", len(reason), access.MaxText)
	}
	err = e.change(ctx, c, attempt{action: rbac.GrantsRevoke, grant: id}, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		g, m, err := findGrant(ctx, tx, may, id)
		if err != nil {
			return err
		}
		if !may.owns(g.Principal, rbac.GrantsRevoke, scopeOf(m)) {
			refusal := may.requireOf(g.Tenant, rbac.GrantsRevoke, scopeOf(m))
			approver, err := approves(ctx, tx, may, g, m, rbac.GrantsRevoke)
			if err != nil {
				return err
			}
			if refusal != nil && !approver {
				return refusal
			}
		}
		d = GrantDetail{Grant: g, MachineName: nameOf(m, g.Machine)}
		if g.State == access.GrantRevoked {
			return nil
		}
		next, events, err := g.Revoke(may.actor(g.Tenant), reason, may.now)
		if err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		if d.Grant, err = w.keepGrant(ctx, next, g.Revision, events, false); err != nil {
			return err
		}
		return w.finish(ctx)
	})
	return d, err
}

// findGrant gives a grant that the caller may see, and its machine, whose zero value says that it was deleted.
func findGrant(ctx context.Context, r Reader, may rights, id access.GrantID) (access.Grant, access.Machine, error) {
	unknown := access.Fault(access.KindNotFound, "unknownGrant", "there is no grant %q that you may see", clip(string(id)))
	g, err := r.Grant(ctx, id)
	if isKind(err, access.KindNotFound) {
		return access.Grant{}, access.Machine{}, unknown
	}
	if err != nil {
		return access.Grant{}, access.Machine{}, fmt.Errorf("read grant: %w", err)
	}
	names := nameCache{r: r}
	m, err := names.site(ctx, g.Role, g.Machine)
	if err != nil {
		return access.Grant{}, access.Machine{}, err
	}
	if may.owns(g.Principal, rbac.GrantsRead, scopeOf(m)) || may.mayOf(g.Tenant, rbac.GrantsRead, scopeOf(m)) || may.mayOf(g.Tenant, rbac.GrantsRevoke, scopeOf(m)) {
		return g, m, nil
	}
	approver, err := approves(ctx, r, may, g, m, rbac.GrantsRead)
	switch {
	case err != nil:
		return access.Grant{}, access.Machine{}, err
	case !approver:
		return access.Grant{}, access.Machine{}, unknown
	}
	return g, m, nil
}

// approves tells whether the caller may decide on the request that a grant is of, and so do action to the grant.
func approves(ctx context.Context, r Reader, may rights, g access.Grant, m access.Machine, action string) (bool, error) {
	request, err := r.Request(ctx, g.Request)
	if err != nil {
		return false, fmt.Errorf("read request: %w", err)
	}
	return isApprover(may.dir, request, may.caller.Principal) && may.caller.Bounds.cover(action, scopeOf(m)), nil
}

// scopeOf gives where a machine lies; what belongs to a deleted one is for those who may everywhere.
func scopeOf(m access.Machine) access.ResourceID {
	if m.Resource == "" {
		return access.Root
	}
	return m.Resource
}

// nameOf gives the name of a machine, or the id of one that was deleted.
func nameOf(m access.Machine, id access.MachineID) string {
	if m.Name == "" {
		return string(id)
	}
	return m.Name
}

// nameCache reads each machine once.
type nameCache struct {
	r    Reader
	seen map[access.MachineID]access.Machine
}

// machine gives a machine, or its zero value where it was deleted.
func (n *nameCache) machine(ctx context.Context, id access.MachineID) (access.Machine, error) {
	if m, ok := n.seen[id]; ok {
		return m, nil
	}
	m, err := n.r.Machine(ctx, id)
	if err != nil && !isKind(err, access.KindNotFound) {
		return access.Machine{}, fmt.Errorf("read machine: %w", err)
	}
	if n.seen == nil {
		n.seen = map[access.MachineID]access.Machine{}
	}
	n.seen[id] = m
	return m, nil
}

// site gives where an item or a grant takes effect: its machine, or its zero value where that was deleted. For a role it is
// a stand-in that has the role's scope and name, and neither id nor agent.
func (n *nameCache) site(ctx context.Context, role access.Role, id access.MachineID) (access.Machine, error) {
	if role.IsZero() {
		return n.machine(ctx, id)
	}
	return siteOf(role), nil
}

func siteOf(role access.Role) access.Machine {
	return access.Machine{Resource: role.Scope, Name: role.String()}
}
