package engine

import (
	"context"
	"fmt"
	"slices"
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
	networks time.Time // when a named network had changed last
}

// due tells whether there may be grants whose holders have lost the right to them since.
func (s *sweep) due(revision int64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return revision != s.revision || !s.until.IsZero() && !now.Before(s.until)
}

func (s *sweep) done(revision int64, until, networks time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision, s.until, s.networks = revision, until, networks
}

// renamed tells whether names of networks may mean something else since.
func (s *sweep) renamed(networks time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !networks.Equal(s.networks)
}

// endUnheld revokes the grants whose holders may not ask for them any more: they were disabled, or have lost the role
// assignment, the membership or the role's action that the grant rested on, or its time is over, or ends before the grant now.
// What is open comes before what is scheduled. Where a named network has changed, it also revokes what the policies do not allow any
// more that name it. It looks when the directory has changed or an assignment has ended, and gives the instant at which the next one
// ends.
func (e *Engine) endUnheld(ctx context.Context) (next time.Time, err error) {
	now := e.now()
	var dir *rbac.Directory
	var networks time.Time
	due, why := false, grounds((*judge).unheld)
	err = e.store.View(ctx, func(r Reader) error {
		dir, err = e.compiled(ctx, r)
		if due = err == nil && e.swept.due(dir.Revision(), now); !due {
			return err
		}
		if networks, err = r.NetworksChanged(ctx); err == nil && e.swept.renamed(networks) {
			why = (*judge).outlawed
		}
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("read the directory: %w", err)
	}
	next = dir.NextEnd(now)
	if !due {
		return next, nil
	}
	by := lostBy{count: map[access.PrincipalID]int{}, newest: map[access.PrincipalID]time.Time{}}
	for _, states := range [][]access.GrantState{{access.GrantOpening, access.GrantActive, access.GrantFailed}, {access.GrantScheduled}} {
		for p := (Page{Limit: maxLimit}); ; {
			var lost []access.Grant
			lost, p.Cursor, err = e.lost(ctx, now, states, p, why)
			if err == nil && states[0] != access.GrantScheduled { // which do not begin, since Begin looks too
				lost, err = e.recallLost(ctx, lost, by)
			}
			if err != nil {
				return time.Time{}, fmt.Errorf("look for grants without a right: %w", err)
			}
			for some := range slices.Chunk(lost, actChunk) {
				if err := e.endLost(ctx, some, why); err != nil {
					return time.Time{}, fmt.Errorf("end grants without a right: %w", err)
				}
			}
			if p.Cursor == "" {
				break
			}
		}
	}
	e.swept.done(dir.Revision(), next, networks)
	return next, nil
}

// grounds say why a grant is to end, by the rights or by these and the policies; empty where it is not.
type grounds func(*judge, context.Context, access.Grant) (why string, err error)

// lost gives those of a page of grants in one of the states that are to end. What stands is looked at a page at a time, so that no
// transaction is open, and no list grows, for as long as all of it takes.
func (e *Engine) lost(ctx context.Context, now time.Time, states []access.GrantState, p Page, why grounds) (lost []access.Grant, next string, err error) {
	err = e.store.View(ctx, func(r Reader) error {
		j, err := e.newJudge(ctx, r, now)
		if err != nil {
			return err
		}
		list, err := r.Grants(ctx, GrantFilter{States: states}, p)
		if err != nil {
			return fmt.Errorf("list grants: %w", err)
		}
		lost, next = nil, list.Next
		for _, g := range list.Items {
			reason, err := why(j, ctx, g)
			if err != nil {
				return err
			}
			if reason != "" {
				lost = append(lost, g)
			}
		}
		return nil
	})
	return lost, next, err
}

// lostBy is how much each has lost, and when the newest of it was made: pages have that first.
type lostBy struct {
	count  map[access.PrincipalID]int
	newest map[access.PrincipalID]time.Time
}

// recallLost gives a recall for everybody who has lost more than one transaction ends, so that all of it closes at once, and
// leaves the others.
func (e *Engine) recallLost(ctx context.Context, lost []access.Grant, by lostBy) (others []access.Grant, err error) {
	count, newest := by.count, by.newest
	for _, g := range lost {
		if g.CreatedAt.After(newest[g.Principal]) {
			newest[g.Principal] = g.CreatedAt
		}
	}
	for _, g := range lost {
		count[g.Principal]++
		if count[g.Principal] != actChunk+1 {
			continue
		}
		err := e.update(ctx, func(tx Tx) error {
			given, err := tx.Recalls(ctx)
			if err != nil {
				return fmt.Errorf("read recalls: %w", err)
			}
			// One that does not cover all of it, or has looked at some of it while there was a right to it, would leave that open.
			if slices.ContainsFunc(given, func(c access.Recall) bool {
				return c.Principal == g.Principal && !newest[g.Principal].After(c.At) && (!c.Judge || c.AfterGrant == "")
			}) {
				return nil // by another replica
			}
			w := e.newWork(tx, e.now())
			err = w.recall(ctx, access.Recall{Tenant: g.Tenant, Principal: g.Principal, Judge: true, By: access.System(), Reason: "its holder may not ask for it any more"})
			if err != nil {
				return err
			}
			return w.finish(ctx)
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(lost, func(g access.Grant) bool { return count[g.Principal] > actChunk }), nil
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
	eligibility, err := eligibilityOf(ctx, r, g.Tenant, g.Role)
	switch {
	case isKind(err, access.KindNotFound):
		return "the eligibility was taken away", nil
	case err != nil:
		return "", fmt.Errorf("read eligibility: %w", err)
	}
	if why := notEligible(dir, eligibility, g.Principal, now); why != "" {
		return why, nil
	}
	return beyond(eligibility, g, now), nil
}

// endLost revokes grants, each only if it is to end as the transaction sees it.
func (e *Engine) endLost(ctx context.Context, lost []access.Grant, why grounds) error {
	return e.update(ctx, func(tx Tx) error {
		w := e.newWork(tx, e.now())
		j, err := e.newJudge(ctx, tx, w.now)
		if err != nil {
			return err
		}
		j.names.seen = w.machines
		for _, was := range lost {
			g, err := tx.Grant(ctx, was.ID)
			if err != nil {
				return fmt.Errorf("read grant: %w", err)
			}
			if g.State.Ended() || !w.now.Before(g.End) {
				continue
			}
			reason, err := why(j, ctx, g)
			if err == nil && reason != "" {
				_, err = w.endGrant(ctx, g, access.System(), reason)
			}
			if err != nil {
				return err
			}
		}
		return w.finish(ctx)
	})
}

// Ended is what was ended by one act.
type Ended struct {
	Grants []GrantDetail
	More   bool // there are more: agents are told to close all of it at once, and each is marked as ended within seconds
}

// RevokePrincipal ends everything that a principal holds, and takes back what it asks for: one's own, or anybody's where
// the caller may revoke on every machine concerned.
func (e *Engine) RevokePrincipal(ctx context.Context, c Caller, ref, reason string) (ended Ended, err error) {
	if len(reason) > access.MaxText {
		return ended, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed", len(reason), access.MaxText)
	}
	err = e.change(ctx, c, attempt{action: rbac.GrantsRevoke, details: map[string]string{"principal": ref}}, func(tx Tx) error {
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
		sites, err := tx.SitesHeld(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("read where grants are: %w", err)
		}
		for _, m := range sites {
			if err := may.endsFor(p.ID, m); err != nil {
				return err
			}
		}
		if err := mayCancelAll(ctx, tx, may, p.ID); err != nil {
			return err
		}
		w := e.newWork(tx, may.now)
		if ended, err = w.revokeHeldBy(ctx, p.ID, may, reason); err != nil {
			return err
		}
		return w.finish(ctx)
	})
	return ended, err
}

// endsFor fails unless the caller may end what a principal has on a machine, or the role that it has at a scope, or take back what it
// asks for there.
func (r rights) endsFor(principal access.PrincipalID, m access.Machine) error {
	switch {
	case r.owns(principal, rbac.GrantsRevoke, scopeOf(m)):
		return nil
	case m.Tenant != "" && !r.isHome(m.Tenant): // what one of ours holds as a guest elsewhere
		return r.require(rbac.GrantsRevoke, access.Root)
	}
	return r.require(rbac.GrantsRevoke, scopeOf(m))
}

// mayCancelAll fails unless the caller may take back whatever a principal waits for.
func mayCancelAll(ctx context.Context, r Reader, may rights, principal access.PrincipalID) error {
	names := nameCache{r: r}
	asked := map[string]bool{}
	return eachPage(func(p Page) (Listed[access.Request], error) {
		return r.Requests(ctx, RequestFilter{Requester: principal, State: access.RequestPending}, p)
	}, func(request access.Request) error {
		for _, item := range request.Items {
			if asked[siteKey(item)] {
				continue
			}
			asked[siteKey(item)] = true
			m, err := names.site(ctx, item.Role, item.Machine)
			if err != nil {
				return err
			}
			m.Tenant = request.Tenant
			if err := may.endsFor(principal, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// revokeHeldBy ends the grants of a principal and cancels its pending requests, in every tenant: what is open first, and of
// a great many the rest by a recall.
func (w *work) revokeHeldBy(ctx context.Context, principal access.PrincipalID, may rights, reason string) (out Ended, err error) {
	order := access.Recall{Tenant: may.caller.Tenant, Principal: principal, By: may.caller.Actor(), Reason: reason}
	grants, more, err := w.endAll(ctx, order, func(access.Grant) (string, bool) { return reason, true }, may.actor)
	if err != nil {
		return out, err
	}
	for _, g := range grants {
		m, err := w.site(ctx, g.Role, g.Machine)
		if err != nil {
			return out, err
		}
		out.Grants = append(out.Grants, GrantDetail{Grant: g, MachineName: nameOf(m, g.Machine)})
	}
	left, err := w.cancelOf(ctx, principal, w.now, may.actor, reason)
	if err != nil {
		return out, err
	}
	if out.More = more || left; left && !more {
		err = w.recall(ctx, order)
	}
	return out, err
}
