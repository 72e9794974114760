package requests

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
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

// EndUnheld revokes the grants whose holders may not ask for them any more: they were disabled, or have lost the role
// assignment, the membership or the role's action that the grant rested on, or its time is over, or ends before the
// grant now. What is open comes before what is scheduled. Where a named network has changed, it also revokes what the
// policies do not allow any more that name it. It looks when the directory has changed or an assignment has ended, and
// gives the instant at which the next one ends.
func (e *Service) EndUnheld(ctx context.Context) (next time.Time, err error) {
	now := e.kernel.Now()
	var dir *rbac.Directory
	var networks time.Time
	due, why := false, grounds((*machines.Judge).Unheld)
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		dir, err = e.kernel.Compiled(ctx, r)
		if due = err == nil && e.swept.due(dir.Revision(), now); !due {
			return err
		}
		if networks, err = r.NetworksChanged(ctx); err == nil && e.swept.renamed(networks) {
			why = (*machines.Judge).Outlawed
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
	for _, states := range [][]access.GrantState{
		{access.GrantOpening, access.GrantActive, access.GrantFailed},
		{access.GrantScheduled},
	} {
		for p := (engine.Page{Limit: engine.MaxLimit}); ; {
			var lost []access.Grant
			lost, p.Cursor, err = e.lost(ctx, now, states, p, why)
			if err == nil && states[0] != access.GrantScheduled { // which do not begin, since Begin looks too
				lost, err = e.recallLost(ctx, lost, by)
			}
			if err != nil {
				return time.Time{}, fmt.Errorf("look for grants without a right: %w", err)
			}
			for some := range slices.Chunk(lost, engine.ActChunk) {
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
type grounds func(*machines.Judge, context.Context, access.Grant) (why string, err error)

// lost gives those of a page of grants in one of the states that are to end. What stands is looked at a page at a time,
// so that no transaction is open, and no list grows, for as long as all of it takes.
func (e *Service) lost(ctx context.Context, now time.Time, states []access.GrantState, p engine.Page,
	why grounds,
) (lost []access.Grant, next string, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		j, err := e.machines.NewJudge(ctx, r, now)
		if err != nil {
			return err
		}
		list, err := r.Grants(ctx, engine.GrantFilter{States: states}, p)
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

// recallLost gives a recall for everybody who has lost more than one transaction ends, so that all of it closes at
// once, and leaves the others.
func (e *Service) recallLost(ctx context.Context, lost []access.Grant, by lostBy) (others []access.Grant, err error) {
	count, newest := by.count, by.newest
	for _, g := range lost {
		if g.CreatedAt.After(newest[g.Principal]) {
			newest[g.Principal] = g.CreatedAt
		}
	}
	for _, g := range lost {
		count[g.Principal]++
		if count[g.Principal] != engine.ActChunk+1 {
			continue
		}
		err := e.kernel.Update(ctx, func(tx engine.Tx) error {
			given, err := tx.Recalls(ctx)
			if err != nil {
				return fmt.Errorf("read recalls: %w", err)
			}
			// One that does not cover all of it, or has looked at some of it while there was a right to it, would leave
			// that open.
			if slices.ContainsFunc(given, func(c access.Recall) bool {
				return c.Principal == g.Principal && !newest[g.Principal].After(
					c.At) && (!c.Judge || c.AfterGrant == "")
			}) {
				return nil // by another replica
			}
			w := e.kernel.NewWork(tx, e.kernel.Now())
			err = w.Recall(ctx,
				access.Recall{
					Tenant: g.Tenant, Principal: g.Principal, Judge: true, By: access.System(),
					Reason: "its holder may not ask for it any more",
				})
			if err != nil {
				return err
			}
			return w.Finish(ctx)
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(lost, func(g access.Grant) bool { return count[g.Principal] > engine.ActChunk }), nil
}

// endLost revokes grants, each only if it is to end as the transaction sees it.
func (e *Service) endLost(ctx context.Context, lost []access.Grant, why grounds) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		w := e.kernel.NewWork(tx, e.kernel.Now())
		j, err := e.machines.NewJudge(ctx, tx, w.Now)
		if err != nil {
			return err
		}
		j.Names.Seen = w.Machines
		for _, was := range lost {
			g, err := tx.Grant(ctx, was.ID)
			if err != nil {
				return fmt.Errorf("read grant: %w", err)
			}
			if g.State.Ended() || !w.Now.Before(g.End) {
				continue
			}
			reason, err := why(j, ctx, g)
			if err == nil && reason != "" {
				_, err = w.EndGrant(ctx, g, access.System(), reason)
			}
			if err != nil {
				return err
			}
		}
		return w.Finish(ctx)
	})
}

// RevokePrincipal ends everything that a principal holds, and takes back what it asks for: one's own, or anybody's
// where the caller may revoke on every machine concerned.
func (e *Service) RevokePrincipal(ctx context.Context, c engine.Caller,
	ref, reason string,
) (ended engine.Ended, err error) {
	if len(reason) > access.MaxText {
		return ended, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed",
			len(reason), access.MaxText)
	}
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.GrantsRevoke, Details: map[string]string{"principal": ref}},
		func(tx engine.Tx, may engine.Rights) error {
			if !directory.IsSelf(may, ref) {
				if _, err := may.Anywhere(rbac.GrantsRevoke); err != nil {
					return err
				}
			}
			p, err := directory.FindPrincipal(ctx, tx, c.Tenant, ref)
			if err != nil {
				return err
			}
			sites, err := tx.SitesHeld(ctx, p.ID)
			if err != nil {
				return fmt.Errorf("read where grants are: %w", err)
			}
			for _, m := range sites {
				if err := endsFor(may, p.ID, m); err != nil {
					return err
				}
			}
			if err := mayCancelAll(ctx, tx, may, p.ID); err != nil {
				return err
			}
			w := e.kernel.NewWork(tx, may.Now)
			if ended, err = w.RevokeHeldBy(ctx, p.ID, may, reason); err != nil {
				return err
			}
			return w.Finish(ctx)
		})
	return ended, err
}

// endsFor fails unless the caller may end what a principal has on a machine, or the role that it has at a scope, or
// take back what it asks for there.
func endsFor(r engine.Rights, principal access.PrincipalID, m access.Machine) error {
	switch {
	case r.Owns(principal, rbac.GrantsRevoke, engine.ScopeOf(m)):
		return nil
	case m.Tenant != "" && !r.IsHome(m.Tenant): // what one of ours holds as a guest elsewhere
		return r.Require(rbac.GrantsRevoke, access.Root)
	}
	return r.Require(rbac.GrantsRevoke, engine.ScopeOf(m))
}

// mayCancelAll fails unless the caller may take back whatever a principal waits for.
func mayCancelAll(ctx context.Context, r engine.Reader, may engine.Rights, principal access.PrincipalID) error {
	names := engine.NameCache{R: r}
	asked := map[string]bool{}
	return directory.EachPage(func(p engine.Page) (engine.Listed[access.Request], error) {
		return r.Requests(ctx, engine.RequestFilter{Requester: principal, State: access.RequestPending}, p)
	}, func(request access.Request) error {
		for _, item := range request.Items {
			if asked[item.Target.Site()] {
				continue
			}
			asked[item.Target.Site()] = true
			m, err := names.Site(ctx, item.Target)
			if err != nil {
				return err
			}
			m.Tenant = request.Tenant
			if err := endsFor(may, principal, m); err != nil {
				return err
			}
		}
		return nil
	})
}
