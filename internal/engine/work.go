package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
)

// Work gathers what one transaction does beside saving its own subject: the events, and the enforcement points whose
// desired state changes. finish writes both, and must be called before the transaction ends.
type Work struct {
	Tx       Tx
	Now      time.Time
	Events   []access.Event
	notices  []Notice                            // who is to be told
	Bumps    map[access.AgentID]bool             // whether the revision is still to be moved
	Machines map[access.MachineID]access.Machine // those read so far; the zero value where there is none any more
	Alone    bool                                // it was looked, and nothing stands that new grants might cover
	// nobody is told of what never opened: they were told of the act that ends it
	Quiet bool
	// the machine that is deleted with this: what guards it no longer is nothing that anybody gains by
	Leaving access.MachineID
	Lost    access.ResourceID // where the machine was that is deleted already

	kernel  *Kernel
	listens map[access.TenantID]bool // whether a tenant has a channel, as asked so far
	// by managed resource group, those looked for so far; nil where it is none
	applications map[access.ResourceID]*app.Application
}

// NewWork begins to gather what a transaction does beside saving its own subject.
func (e *Kernel) NewWork(tx Tx, now time.Time) *Work {
	return &Work{
		kernel: e, Tx: tx, Now: now, Bumps: map[access.AgentID]bool{}, Machines: map[access.MachineID]access.Machine{},
		listens: map[access.TenantID]bool{}, applications: map[access.ResourceID]*app.Application{},
	}
}

// Event adds one that succeeded now.
func (w *Work) Event(e access.Event) {
	e.At = w.Now
	if e.Outcome == "" {
		e.Outcome = access.Succeeded
	}
	w.Events = append(w.Events, e)
}

// Machine gives a machine, or its zero value where it was deleted.
func (w *Work) Machine(ctx context.Context, id access.MachineID) (access.Machine, error) {
	m, ok := w.Machines[id]
	if ok {
		return m, nil
	}
	m, err := w.Tx.Machine(ctx, id)
	if err != nil && !IsKind(err, access.KindNotFound) {
		return access.Machine{}, fmt.Errorf("read machine: %w", err)
	}
	w.Machines[id] = m
	return m, nil
}

// Site is NameCache.Site.
func (w *Work) Site(ctx context.Context, t access.Target) (access.Machine, error) {
	return siteOf(t, func(id access.MachineID) (access.Machine, error) { return w.Machine(ctx, id) })
}

// SaveGrant saves a grant over revision was, with its events. quiet leaves the enforcement point alone: what it should
// do stays the same.
func (w *Work) SaveGrant(ctx context.Context, g access.Grant, was int64, events []access.Event, quiet bool) error {
	_, err := w.KeepGrant(ctx, g, was, events, quiet)
	return err
}

// KeepGrant is SaveGrant, and gives the grant as it was saved: that of a role is in force, or seen gone, at once.
func (w *Work) KeepGrant(ctx context.Context, g access.Grant, was int64, events []access.Event,
	quiet bool,
) (access.Grant, error) {
	g, settled, err := g.Settled(w.Now)
	if err != nil {
		return g, err
	}
	events = append(slices.Clone(events), settled...)
	m, err := w.Site(ctx, g.Target)
	if err != nil {
		return g, err
	}
	if err := w.Tx.SaveGrant(ctx, g, was); err != nil {
		return g, fmt.Errorf("save grant: %w", err)
	}
	if !quiet || was == 0 {
		if err := w.enforce(ctx, g, was); err != nil {
			return g, err
		}
	}
	for _, event := range events {
		event.Scope, event.Agent = cmp.Or(m.Resource, w.Lost), m.Agent
		w.Events = append(w.Events, event)
		w.notifyGrant(g, event)
	}
	if _, known := w.Bumps[m.Agent]; !known && !quiet && m.Agent != "" {
		w.Bumps[m.Agent] = true
	}
	return g, nil
}

// Supersede ends the grants of the same principal that g, which is in force, covers. Only what is like it is read, so
// that it costs the same however much the principal holds, or is open on the machine.
func (w *Work) Supersede(ctx context.Context, g access.Grant, by access.Actor) error {
	if !g.Target.Merges() {
		return nil
	}
	others, err := w.Tx.GrantsLike(ctx, g, ActChunk) // what is left of more does no harm: what is open is the union
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	for _, older := range others {
		if !g.Covers(older, w.Now) || !w.Now.Before(older.End) {
			continue
		}
		next, events, err := older.Supersede(by, g.ID, w.Now)
		if err != nil {
			return err
		}
		if err := w.SaveGrant(ctx, next, older.Revision, events, false); err != nil {
			return err
		}
	}
	return nil
}

// EndGrant revokes a grant that has not ended, or has it expire where its time is over, and gives it as it was saved.
func (w *Work) EndGrant(ctx context.Context, g access.Grant, by access.Actor, reason string) (access.Grant, error) {
	next, events, err := g.Revoke(by, reason, w.Now)
	if !w.Now.Before(g.End) {
		next, events, err = g.Expire(w.Now)
	}
	if err != nil {
		return g, err
	}
	return w.KeepGrant(ctx, next, g.Revision, events, false)
}

// RevokeOn ends the grants on a machine that why has a reason for; those whose time is over expire. Of a great many all
// are closed and the first ended here: judged says that why looks at them by the policy, as the rest is to be looked
// at.
func (w *Work) RevokeOn(ctx context.Context, m access.Machine, by access.Actor, reason string, judged bool,
	why func(access.Grant) (string, bool),
) error {
	order := access.Recall{Tenant: m.Tenant, Machine: m.ID, Scope: m.Resource, Judge: judged, By: by, Reason: reason}
	_, _, err := w.endAll(ctx, order, why, func(access.TenantID) access.Actor { return by })
	return err
}

// RevokeIn is RevokeOn for the grants on the machines of a tenant in the resource group or the subscription that scope
// is, or lies in.
func (w *Work) RevokeIn(ctx context.Context, tenant access.TenantID, scope access.ResourceID, by access.Actor,
	reason string, judged bool, why func(access.Grant) (string, bool),
) error {
	order := access.Recall{Tenant: tenant, Scope: scope, Judge: judged, By: by, Reason: reason}
	_, _, err := w.endAll(ctx, order, why, func(access.TenantID) access.Actor { return by })
	return err
}

// RetireAgent revokes an agent in host mode, whose machine is gone; a gateway gets a new desired state.
func (w *Work) RetireAgent(ctx context.Context, id access.AgentID, reason string) error {
	if id == "" {
		return nil
	}
	agent, err := w.Tx.Agent(ctx, id)
	if err != nil {
		return fmt.Errorf("read agent: %w", err)
	}
	w.Bumps[id] = true
	if agent.Mode != access.ModeHost || agent.Revoked {
		return nil
	}
	return w.RevokeAgent(ctx, agent, reason)
}

// RevokeAgent has the certificate of an agent count no longer.
func (w *Work) RevokeAgent(ctx context.Context, agent access.Agent, reason string) error {
	w.Bumps[agent.ID] = true // which ends its stream
	agent.Revoked, agent.Problem = true, reason
	return KeepAgent(ctx, w.Tx, agent)
}

// Bump moves the revisions that are still to be moved, in one order for all, so that no two transactions wait for each
// other.
func (w *Work) Bump(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(w.Bumps)) {
		if !w.Bumps[id] {
			continue
		}
		if err := w.Tx.BumpAgent(ctx, id); err != nil {
			return fmt.Errorf("bump agent: %w", err)
		}
		w.Bumps[id] = false
	}
	return nil
}

// Finish appends the events and moves the revisions.
func (w *Work) Finish(ctx context.Context) error {
	if err := w.Bump(ctx); err != nil {
		return err
	}
	if err := w.enqueue(ctx); err != nil {
		return err
	}
	if err := w.share(ctx); err != nil {
		return err
	}
	if len(w.Events) == 0 {
		return nil
	}
	if err := w.Tx.Append(ctx, w.Events...); err != nil {
		return fmt.Errorf("append events: %w", err)
	}
	return nil
}
