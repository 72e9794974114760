package requests

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Grant gives one grant: the caller's own, or one on a machine, or of a role at a scope, whose grants they may read.
func (e *Service) Grant(ctx context.Context, c engine.Caller, id access.GrantID) (d engine.GrantDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.GrantsRead, Grant: id},
		func(r engine.Reader, may engine.Rights) error {
			g, m, err := findGrant(ctx, r, may, id)
			d = engine.DetailOf(g, m)
			return err
		})
	return d, err
}

// WaitGrant is Grant, but waits up to most while the grant is scheduled or opening.
func (e *Service) WaitGrant(ctx context.Context, c engine.Caller, id access.GrantID,
	most time.Duration,
) (engine.GrantDetail, error) {
	changed, stop := e.kernel.Store.WatchEvents()
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
func (e *Service) Grants(ctx context.Context, c engine.Caller, f engine.GrantFilter,
	p engine.Page,
) (list engine.Listed[engine.GrantDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.GrantsRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes := may.Scopes(rbac.GrantsRead)
			if len(scopes) == 0 {
				if f.Principal != "" && f.Principal != c.Principal {
					return engine.Forbidden(rbac.GrantsRead, access.Root, "you may see your own grants alone")
				}
				f.Principal = c.Principal
			}
			f.Tenant, f.Beside = c.Tenant, may.Beside()
			names := engine.NameCache{R: r}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[access.Grant], error) { return r.Grants(ctx, f, p) },
				func(g access.Grant) (engine.GrantDetail, bool, error) {
					m, err := names.Site(ctx, g.Target)
					mine := may.Owns(g.Principal, rbac.GrantsRead,
						engine.ScopeOf(m)) || may.Reaches(g.Tenant, engine.ScopeOf(m), scopes)
					return engine.DetailOf(g, m), mine, err
				})
			return err
		})
	return list, err
}

// Revoke ends a grant early. Whoever holds it may, whoever may decide on its request, and whoever may revoke on its
// machine. A grant that has ended stays as it is, and is no error where it was revoked: the call may have been
// repeated.
func (e *Service) Revoke(ctx context.Context, c engine.Caller, id access.GrantID,
	reason string,
) (d engine.GrantDetail, err error) {
	if len(reason) > access.MaxText {
		return d, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed",
			len(reason), access.MaxText)
	}
	err = e.kernel.Change(ctx, c, engine.Attempt{Action: rbac.GrantsRevoke, Grant: id},
		func(tx engine.Tx, may engine.Rights) error {
			g, m, err := findGrant(ctx, tx, may, id)
			if err != nil {
				return err
			}
			if !may.Owns(g.Principal, rbac.GrantsRevoke, engine.ScopeOf(m)) {
				refusal := may.RequireOf(g.Tenant, rbac.GrantsRevoke, engine.ScopeOf(m))
				approver, err := approves(ctx, tx, may, g, m, rbac.GrantsRevoke)
				if err != nil {
					return err
				}
				if refusal != nil && !approver {
					return refusal
				}
			}
			d = engine.DetailOf(g, m)
			if g.State == access.GrantRevoked {
				return nil
			}
			next, events, err := g.Revoke(may.Actor(g.Tenant), reason, may.Now)
			if err != nil {
				return err
			}
			w := e.kernel.NewWork(tx, may.Now)
			if d.Grant, err = w.KeepGrant(ctx, next, g.Revision, events, false); err != nil {
				return err
			}
			return w.Finish(ctx)
		})
	return d, err
}

// findGrant gives a grant that the caller may see, and its machine, whose zero value says that it was deleted.
func findGrant(ctx context.Context, r engine.Reader, may engine.Rights,
	id access.GrantID,
) (access.Grant, access.Machine, error) {
	unknown := access.Fault(access.KindNotFound, "unknownGrant", "there is no grant %q that you may see",
		engine.Clip(string(id)))
	g, err := r.Grant(ctx, id)
	if engine.IsKind(err, access.KindNotFound) {
		return access.Grant{}, access.Machine{}, unknown
	}
	if err != nil {
		return access.Grant{}, access.Machine{}, fmt.Errorf("read grant: %w", err)
	}
	names := engine.NameCache{R: r}
	m, err := names.Site(ctx, g.Target)
	if err != nil {
		return access.Grant{}, access.Machine{}, err
	}
	if may.Owns(g.Principal, rbac.GrantsRead,
		engine.ScopeOf(m)) || may.MayOf(g.Tenant, rbac.GrantsRead,
		engine.ScopeOf(m)) || may.MayOf(g.Tenant, rbac.GrantsRevoke, engine.ScopeOf(m)) {
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
func approves(ctx context.Context, r engine.Reader, may engine.Rights, g access.Grant, m access.Machine,
	action string,
) (bool, error) {
	request, err := r.Request(ctx, g.Request)
	if err != nil {
		return false, fmt.Errorf("read request: %w", err)
	}
	return isApprover(may.Dir, request, may.Caller.Principal) && may.Caller.Bounds.Cover(action, engine.ScopeOf(m)), nil
}
