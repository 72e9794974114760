package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// sweep remembers by which directory the live grants were looked at last.
type sweep struct {
	mu       sync.Mutex
	revision int64     // of the directory; 0 before the first look
	until    time.Time // when an assignment ends next; zero where none does
}

// due tells whether there may be grants whose holders have lost the right to them since.
func (s *sweep) due(revision int64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return revision != s.revision || !s.until.IsZero() && !now.Before(s.until)
}

func (s *sweep) done(revision int64, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision, s.until = revision, until
}

const sweepChunk = 250 // grants ended in one transaction

// endUnheld revokes the grants whose holders may not ask for them any more: they were disabled, or have lost the role
// assignment, the membership or the role's action that the grant rested on, or its time is over, or ends before the grant now.
// It looks when the directory has changed or an assignment has ended, and gives the instant at which the next one ends.
func (e *Engine) endUnheld(ctx context.Context) (next time.Time, err error) {
	now := e.now()
	var dir *rbac.Directory
	var lost []access.GrantID
	err = e.store.View(ctx, func(r Reader) error {
		if dir, err = e.compiled(ctx, r); err != nil || !e.swept.due(dir.Revision(), now) {
			return err
		}
		lost, err = unheld(ctx, r, dir, now)
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("look for grants without a right: %w", err)
	}
	next = dir.NextEnd(now)
	for len(lost) > 0 {
		some := lost[:min(len(lost), sweepChunk)]
		if err := e.endLost(ctx, some); err != nil {
			return time.Time{}, fmt.Errorf("end grants without a right: %w", err)
		}
		lost = lost[len(some):]
	}
	e.swept.done(dir.Revision(), next)
	return next, nil
}

// unheld gives the grants that have not ended and that their holders have no right to.
func unheld(ctx context.Context, r Reader, dir *rbac.Directory, now time.Time) ([]access.GrantID, error) {
	var lost []access.GrantID
	names := nameCache{r: r}
	f := GrantFilter{States: access.NotEnded()}
	for p := (Page{Limit: maxLimit}); ; {
		list, err := r.Grants(ctx, f, p)
		if err != nil {
			return nil, err
		}
		for _, g := range list.Items {
			m, err := names.site(ctx, g.Role, g.Machine)
			if err != nil {
				return nil, err
			}
			why, err := lostRight(ctx, r, dir, g, m, now)
			if err != nil {
				return nil, err
			}
			if why != "" && m.Resource != "" {
				lost = append(lost, g.ID)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return lost, nil
		}
	}
}

// lostRight says why the holder of a grant has no right to it any more; empty where they have.
func lostRight(ctx context.Context, r Reader, dir *rbac.Directory, g access.Grant, m access.Machine, now time.Time) (string, error) {
	if g.Role.IsZero() {
		check := dir.Check(g.Principal, rbac.PoliciesInitiate, m.Resource, now)
		if !check.Allowed {
			return check.Reason, nil
		}
		// Grants are cut to the end of the right when they are made, so the right was shortened since. It would take a job to
		// end this one with it.
		if until := dir.Until(g.Principal, rbac.PoliciesInitiate, m.Resource, now); !until.IsZero() && until.Before(g.End) {
			return "their right to it ends before it does, at " + until.UTC().Format(time.RFC3339), nil
		}
		return "", nil
	}
	eligibility, err := r.Eligibility(ctx, g.Role.Eligibility)
	switch {
	case isKind(err, access.KindNotFound):
		return "the eligibility was taken away", nil
	case err != nil:
		return "", fmt.Errorf("read eligibility: %w", err)
	}
	return notEligible(dir, eligibility, g.Principal, now), nil
}

// endLost revokes grants, each only if its holder has no right to it as the transaction sees it.
func (e *Engine) endLost(ctx context.Context, ids []access.GrantID) error {
	return e.update(ctx, func(tx Tx) error {
		dir, err := e.compiled(ctx, tx)
		if err != nil {
			return err
		}
		w := e.newWork(tx, e.now())
		for _, id := range ids {
			g, err := tx.Grant(ctx, id)
			if err != nil {
				return fmt.Errorf("read grant: %w", err)
			}
			m, err := w.site(ctx, g.Role, g.Machine)
			if err != nil {
				return err
			}
			why, err := lostRight(ctx, tx, dir, g, m, w.now)
			if err != nil {
				return err
			}
			if g.State.Ended() || !w.now.Before(g.End) || why == "" {
				continue
			}
			next, events, err := g.Revoke(access.System(), "its holder may not ask for it any more: "+why, w.now)
			if err != nil {
				return err
			}
			if err := w.saveGrant(ctx, next, g.Revision, events, false); err != nil {
				return err
			}
		}
		return w.finish(ctx)
	})
}

// RevokePrincipal ends everything that a principal holds, and takes back what it asks for: one's own, or anybody's where
// the caller may revoke on every machine concerned. It gives the grants that were ended.
func (e *Engine) RevokePrincipal(ctx context.Context, c Caller, ref, reason string) (ended []GrantDetail, err error) {
	if len(reason) > access.MaxText {
		return nil, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed", len(reason), access.MaxText)
	}
	err = e.change(ctx, c, attempt{action: rbac.GrantsRevoke, details: map[string]string{"principal": ref}}, func(tx Tx) error {
		ended = nil
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		if !may.isSelf(ref) {
			if _, err := may.anywhere(rbac.GrantsRevoke); err != nil {
				return err
			}
		}
		p, err := findPrincipal(ctx, tx, c.Tenant, ref)
		if err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		if ended, err = w.revokeHeldBy(ctx, p.ID, may.actor, reason, func(m access.Machine) error {
			switch {
			case may.owns(p.ID, rbac.GrantsRevoke, scopeOf(m)):
				return nil
			case m.ID != "" && !may.isHome(m.Tenant): // what one of ours holds as a guest elsewhere
				return may.require(rbac.GrantsRevoke, access.Root)
			}
			return may.require(rbac.GrantsRevoke, scopeOf(m))
		}); err != nil {
			return err
		}
		return w.finish(ctx)
	})
	return ended, err
}

// revokeHeldBy ends the grants of a principal and cancels its pending requests, in every tenant, by whom by gives for the
// tenant; may refuses, and then nothing is done.
func (w *work) revokeHeldBy(ctx context.Context, principal access.PrincipalID, by func(access.TenantID) access.Actor, reason string, may func(access.Machine) error) ([]GrantDetail, error) {
	var ended []GrantDetail
	f := GrantFilter{Principal: principal, States: access.NotEnded()}
	for p := (Page{Limit: maxLimit}); ; {
		list, err := w.tx.Grants(ctx, f, p)
		if err != nil {
			return nil, fmt.Errorf("list grants: %w", err)
		}
		for _, g := range list.Items {
			m, err := w.site(ctx, g.Role, g.Machine)
			if err != nil {
				return nil, err
			}
			if err := may(m); err != nil {
				return nil, err
			}
			next, err := w.endGrant(ctx, g, by(g.Tenant), reason)
			if err != nil {
				return nil, err
			}
			ended = append(ended, GrantDetail{Grant: next, MachineName: nameOf(m, g.Machine)})
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	return ended, w.cancelAllOf(ctx, principal, by, reason)
}

// cancelAllOf takes back the pending requests of a principal.
func (w *work) cancelAllOf(ctx context.Context, principal access.PrincipalID, by func(access.TenantID) access.Actor, reason string) error {
	for p := (Page{Limit: maxLimit}); ; {
		list, err := w.tx.Requests(ctx, RequestFilter{Requester: principal, State: access.RequestPending}, p)
		if err != nil {
			return fmt.Errorf("list requests: %w", err)
		}
		for _, r := range list.Items {
			next, events, err := r.Cancel(by(r.Tenant), reason, w.now)
			if err != nil {
				return err
			}
			if err := w.tx.SaveRequest(ctx, next, r.Revision); err != nil {
				return fmt.Errorf("save request: %w", err)
			}
			w.events = append(w.events, events...)
			w.notify(notice{kind: NotifyDecided, request: next, by: by(r.Tenant).Name, recipients: []access.PrincipalID{principal}})
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return nil
		}
	}
}
