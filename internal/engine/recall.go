package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Ended is what was ended by one act.
type Ended struct {
	Grants []GrantDetail
	// there are more: agents are told to close all of it at once, and each is marked as ended within seconds
	More bool
}

// RevokeHeldBy ends the grants of a principal and cancels its pending requests, in every tenant: what is open first,
// and of a great many the rest by a recall.
func (w *Work) RevokeHeldBy(ctx context.Context, principal access.PrincipalID, may Rights,
	reason string,
) (out Ended, err error) {
	order := access.Recall{Tenant: may.Caller.Tenant, Principal: principal, By: may.Caller.Actor(), Reason: reason}
	grants, more, err := w.endAll(ctx, order, func(access.Grant) (string, bool) { return reason, true }, may.Actor)
	if err != nil {
		return out, err
	}
	for _, g := range grants {
		m, err := w.Site(ctx, g.Target)
		if err != nil {
			return out, err
		}
		out.Grants = append(out.Grants, DetailOf(g, m))
	}
	left, err := w.CancelOf(ctx, principal, w.Now, may.Actor, reason)
	if err != nil {
		return out, err
	}
	if out.More = more || left; left && !more {
		err = w.Recall(ctx, order)
	}
	return out, err
}

// ActChunk is how many grants, or pending requests, one transaction ends. Whoever ends more than that gives a recall,
// which closes them all with its commit; the reconciler ends the others, as many at a time, so that nobody else waits
// for long.
const ActChunk = 100

// endAll ends what order covers: what is open first, up to ActChunk here, and where there are more the rest by a
// recall. It gives the grants that were ended, and whether there are more.
func (w *Work) endAll(ctx context.Context, order access.Recall, why func(access.Grant) (reason string, end bool),
	by func(access.TenantID) access.Actor,
) (ended []access.Grant, more bool, err error) {
	f := StandingOf(order)
	standing, err := w.Tx.Standing(ctx, f, ActChunk+1)
	if err != nil {
		return nil, false, fmt.Errorf("read grants: %w", err)
	}
	for i, g := range standing {
		if i == ActChunk {
			return ended, true, w.Recall(ctx, order.Looked(standing[i-1]))
		}
		reason, end := why(g)
		if !end {
			continue
		}
		next, err := w.EndGrant(ctx, g, by(g.Tenant), reason)
		if err != nil {
			return nil, false, err
		}
		ended = append(ended, next)
	}
	return ended, false, nil
}

// StandingOf picks the grants that a recall covers.
func StandingOf(order access.Recall) StandingFilter {
	f := StandingFilter{Principal: order.Principal, Machine: order.Machine}
	if f == (StandingFilter{}) {
		f.Tenant, f.Within = order.Tenant, order.Reach()
	}
	return f
}

// Recall gives an order to end what is more than one transaction ends. Its commit closes all of it: agents get a state
// without it, and the assignments of roles are taken away here. Where each is to be judged, those of roles that their
// holder has lost the right to count for nothing already: see rbac.Assignment.Through and SaveEligibility.
func (w *Work) Recall(ctx context.Context, order access.Recall) error {
	newest, err := w.Tx.NewestStanding(ctx, StandingOf(order))
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	order.ID, order.At, order.Revision = access.RecallID(NewID()), w.Now, 1
	if newest.After(w.Now) { // another replica made it, whose clock is ahead
		order.At = newest
	}
	if err := w.Tx.SaveRecall(ctx, order, 0); err != nil {
		return fmt.Errorf("save recall: %w", err)
	}
	details := map[string]string{"reason": order.Reason}
	if order.Judge {
		details["only"] = "what the rights and policies do not give any more"
	}
	if order.Principal != "" {
		details["principalId"] = string(order.Principal)
		agents, err := w.Tx.AgentsOpenFor(ctx, order.Principal)
		if err != nil {
			return fmt.Errorf("read agents: %w", err)
		}
		for _, id := range agents {
			w.Bumps[id] = true
		}
		if !order.Judge {
			if err := w.Tx.DeleteActivationsOf(ctx, order.Principal); err != nil {
				return fmt.Errorf("delete role assignments: %w", err)
			}
		}
	}
	w.Event(access.Event{
		Kind: access.GrantsRecalled, Actor: order.By, Tenant: order.Tenant, Scope: order.Scope, Machine: order.Machine,
		Action: rbac.GrantsRevoke, Details: details,
	})
	return nil
}

// CancelOf takes back pending requests that a principal made until then, up to ActChunk, and reports whether there may
// be more.
func (w *Work) CancelOf(ctx context.Context, principal access.PrincipalID, until time.Time,
	by func(access.TenantID) access.Actor, reason string,
) (more bool, err error) {
	f := RequestFilter{Requester: principal, State: access.RequestPending}
	canceled := 0
	for p := (Page{Limit: ActChunk}); canceled < ActChunk; {
		list, err := w.Tx.Requests(ctx, f, p)
		if err != nil {
			return false, fmt.Errorf("list requests: %w", err)
		}
		for _, r := range list.Items {
			if r.CreatedAt.After(until) {
				continue
			}
			canceled++
			next, events, err := r.Cancel(by(r.Tenant), reason, w.Now)
			if err != nil {
				return false, err
			}
			if err := w.Tx.SaveRequest(ctx, next, r.Revision); err != nil {
				return false, fmt.Errorf("save request: %w", err)
			}
			w.Events = append(w.Events, events...)
			w.Notify(Notice{
				Kind: NotifyDecided, Request: next, By: by(r.Tenant).Name, Actor: by(r.Tenant).ID,
				Recipients: []access.PrincipalID{principal},
			})
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return false, nil
		}
	}
	return true, nil
}
