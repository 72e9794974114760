package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// actChunk is how many grants, or pending requests, one transaction ends. Whoever ends more than that gives a recall, which
// closes them all with its commit; the reconciler ends the others, as many at a time, so that nobody else waits for long.
const actChunk = 100

// endAll ends what order covers: what is open first, up to actChunk here, and where there are more the rest by a recall. It
// gives the grants that were ended, and whether there are more.
func (w *work) endAll(ctx context.Context, order access.Recall, why func(access.Grant) (reason string, end bool), by func(access.TenantID) access.Actor) (ended []access.Grant, more bool, err error) {
	f := StandingFilter{Principal: order.Principal, Machine: order.Machine}
	standing, err := w.tx.Standing(ctx, f, actChunk+1)
	if err != nil {
		return nil, false, fmt.Errorf("read grants: %w", err)
	}
	for i, g := range standing {
		if i == actChunk {
			return ended, true, w.recall(ctx, order.Looked(standing[i-1]))
		}
		reason, end := why(g)
		if !end {
			continue
		}
		next, err := w.endGrant(ctx, g, by(g.Tenant), reason)
		if err != nil {
			return nil, false, err
		}
		ended = append(ended, next)
	}
	return ended, false, nil
}

// recall gives an order to end what is more than one transaction ends. Its commit closes all of it: agents get a state
// without it, and the assignments of roles are taken away here. Where each is to be judged, those of roles that their holder has
// lost the right to count for nothing already: see rbac.Assignment.Through and saveEligibility.
func (w *work) recall(ctx context.Context, order access.Recall) error {
	newest, err := w.tx.NewestStanding(ctx, StandingFilter{Principal: order.Principal, Machine: order.Machine})
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	order.ID, order.At, order.Revision = access.RecallID(newID()), w.now, 1
	if newest.After(w.now) { // another replica made it, whose clock is ahead
		order.At = newest
	}
	if err := w.tx.SaveRecall(ctx, order, 0); err != nil {
		return fmt.Errorf("save recall: %w", err)
	}
	details := map[string]string{"reason": order.Reason}
	if order.Judge {
		details["only"] = "what the rights and policies do not give any more"
	}
	if order.Principal != "" {
		details["principalId"] = string(order.Principal)
		agents, err := w.tx.AgentsOpenFor(ctx, order.Principal)
		if err != nil {
			return fmt.Errorf("read agents: %w", err)
		}
		for _, id := range agents {
			w.bumps[id] = true
		}
		if !order.Judge {
			if err := w.tx.DeleteActivationsOf(ctx, order.Principal); err != nil {
				return fmt.Errorf("delete role assignments: %w", err)
			}
		}
	}
	w.event(access.Event{
		Kind: access.GrantsRecalled, Actor: order.By, Tenant: order.Tenant, Scope: order.Scope, Machine: order.Machine, Action: rbac.GrantsRevoke, Details: details,
	})
	return nil
}

// carryOutRecalls does one transaction's worth of the oldest recall that can be carried out, and reports whether there may
// be more to do. Any number of replicas may call it: each transaction goes on from where the one before it left off.
func (e *Engine) carryOutRecalls(ctx context.Context) (more bool, err error) {
	var recalls []access.Recall
	err = e.store.View(ctx, func(r Reader) error {
		recalls, err = r.Recalls(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read recalls: %w", err)
	}
	var stuck []error
	for _, c := range recalls {
		err := e.update(ctx, func(tx Tx) error {
			order, err := tx.Recall(ctx, c.ID)
			if isKind(err, access.KindNotFound) {
				return nil // another replica was faster
			}
			if err != nil {
				return fmt.Errorf("read recall: %w", err)
			}
			return e.carryOutRecall(ctx, tx, order)
		})
		if err == nil {
			return true, nil
		}
		stuck = append(stuck, fmt.Errorf("carry out recall %s: %w", c.ID, err))
	}
	return false, errors.Join(stuck...)
}

func (e *Engine) carryOutRecall(ctx context.Context, tx Tx, order access.Recall) error {
	w := e.newWork(tx, e.now())
	w.quiet, w.lost = true, order.Scope
	j, err := e.newJudge(ctx, tx, w.now)
	if err != nil {
		return err
	}
	j.names.seen = w.machines
	standing, err := tx.Standing(ctx, StandingFilter{
		Principal: order.Principal, Machine: order.Machine, Made: order.At, AfterStart: order.AfterStart, AfterGrant: order.AfterGrant,
	}, actChunk)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	by := func(tenant access.TenantID) access.Actor { return j.orderedBy(order, tenant) }
	was := order.Revision
	for _, g := range standing {
		order = order.Looked(g)
		why := order.Reason
		if order.Judge {
			if why, err = j.outlawed(ctx, g); err != nil {
				return err
			}
			if why == "" {
				continue
			}
		}
		if _, err := w.endGrant(ctx, g, by(g.Tenant), why); err != nil {
			return err
		}
	}
	left := len(standing) == actChunk
	if !left && order.Principal != "" && !order.Judge {
		if left, err = w.cancelOf(ctx, order.Principal, order.At, by, order.Reason); err != nil {
			return err
		}
	}
	switch {
	case !left:
		err = tx.DeleteRecall(ctx, order.ID, was)
	case order.Revision == was:
		// Requests alone are left, and those that were canceled are not found again.
	default:
		err = tx.SaveRecall(ctx, order, was)
	}
	if err != nil {
		return fmt.Errorf("save recall: %w", err)
	}
	return w.finish(ctx)
}

// cancelOf takes back pending requests that a principal made until then, up to actChunk, and reports whether there may be
// more.
func (w *work) cancelOf(ctx context.Context, principal access.PrincipalID, until time.Time, by func(access.TenantID) access.Actor, reason string) (more bool, err error) {
	f := RequestFilter{Requester: principal, State: access.RequestPending}
	canceled := 0
	for p := (Page{Limit: actChunk}); canceled < actChunk; {
		list, err := w.tx.Requests(ctx, f, p)
		if err != nil {
			return false, fmt.Errorf("list requests: %w", err)
		}
		for _, r := range list.Items {
			if r.CreatedAt.After(until) {
				continue
			}
			canceled++
			next, events, err := r.Cancel(by(r.Tenant), reason, w.now)
			if err != nil {
				return false, err
			}
			if err := w.tx.SaveRequest(ctx, next, r.Revision); err != nil {
				return false, fmt.Errorf("save request: %w", err)
			}
			w.events = append(w.events, events...)
			w.notify(notice{kind: NotifyDecided, request: next, by: by(r.Tenant).Name, recipients: []access.PrincipalID{principal}})
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return false, nil
		}
	}
	return true, nil
}
