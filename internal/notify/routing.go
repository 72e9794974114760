package notify

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	routeBatch = 50  // notifications that are looked at together
	routeChunk = 200 // deliveries written in one transaction, so that a large group holds up nobody's request
)

// route makes deliveries of all notifications that have none yet, oldest first, and gives the channels that got some.
// Doing the same twice, here or on another replica, makes nothing twice: the ids of deliveries follow from what they
// are.
func (d *Dispatcher) route(ctx context.Context) (touched map[engine.ChannelID]bool, err error) {
	touched = make(map[engine.ChannelID]bool)
	for ctx.Err() == nil {
		var batch []planned
		err := d.outbox.ViewOutbox(ctx, func(r engine.OutboxReader) error {
			var err error
			batch, err = d.plan(ctx, r)
			return err
		})
		if err != nil {
			return touched, err
		}
		for _, p := range batch {
			for _, delivery := range p.deliveries {
				touched[delivery.Channel] = true
			}
		}
		// conflict: another replica routed it
		if err := d.write(ctx, batch); err != nil && access.KindOf(err) != access.KindConflict {
			return touched, err
		}
		if len(batch) < routeBatch {
			return touched, nil
		}
	}
	return touched, ctx.Err()
}

// planned is a notification and all of its deliveries.
type planned struct {
	id         engine.NotificationID
	deliveries []engine.Delivery
}

func (d *Dispatcher) plan(ctx context.Context, r engine.OutboxReader) ([]planned, error) {
	unrouted, err := r.Unrouted(ctx, routeBatch)
	if err != nil {
		return nil, err
	}
	people := &people{r: r, known: make(map[access.PrincipalID]access.Principal)}
	tenants := make(map[access.TenantID]*plans)
	now := d.now()
	batch := make([]planned, 0, len(unrouted))
	for _, n := range unrouted {
		if tenants[n.Tenant] == nil {
			if tenants[n.Tenant], err = plansOf(ctx, r, n.Tenant); err != nil {
				return nil, err
			}
		}
		addressed, err := people.resolve(ctx, n.Recipients)
		if err != nil {
			return nil, err
		}
		p := planned{id: n.ID}
		for _, delivery := range engine.Plan(n, tenants[n.Tenant].channels, tenants[n.Tenant].routes, addressed, now) {
			reachable, err := people.reachable(ctx, delivery.Recipient, n.Address)
			if err != nil {
				return nil, err
			}
			if !reachable {
				d.log.InfoContext(ctx, "recipient left out: disabled, or without an e-mail address",
					slog.String("principal", string(delivery.Recipient)), slog.String("kind", string(n.Kind)))
				continue
			}
			p.deliveries = append(p.deliveries, delivery)
		}
		batch = append(batch, p)
	}
	return batch, nil
}

// write keeps the deliveries of the batch, in order, a chunk in a transaction. A notification is marked in the
// transaction of its last chunk, so that none is left with a part of its deliveries.
func (d *Dispatcher) write(ctx context.Context, batch []planned) error {
	for len(batch) > 0 {
		var chunk []engine.Delivery
		var routed []engine.NotificationID
		for len(batch) > 0 && len(chunk) < routeChunk {
			part := batch[0].deliveries
			part = part[:min(len(part), routeChunk-len(chunk))]
			chunk = append(chunk, part...)
			if batch[0].deliveries = batch[0].deliveries[len(part):]; len(batch[0].deliveries) == 0 {
				routed = append(routed, batch[0].id)
				batch = batch[1:]
			}
		}
		err := d.outbox.UpdateOutbox(ctx, func(tx engine.OutboxTx) error {
			if err := tx.AddDeliveries(ctx, chunk...); err != nil {
				return err
			}
			for _, id := range routed {
				if err := tx.Routed(ctx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// plans is what routing in one tenant rests on.
type plans struct {
	channels []engine.Channel
	routes   []engine.Route
}

func plansOf(ctx context.Context, r engine.OutboxReader, tenant access.TenantID) (*plans, error) {
	channels, err := all(func(p engine.Page) (engine.Listed[engine.Channel], error) {
		return r.Channels(ctx, engine.ChannelFilter{Tenant: tenant}, p)
	})
	if err != nil {
		return nil, err
	}
	routes, err := all(func(p engine.Page) (engine.Listed[engine.Route], error) {
		return r.Routes(ctx, engine.RouteFilter{Tenant: tenant}, p)
	})
	return &plans{channels: channels, routes: routes}, err
}

// people looks principals up, each once.
type people struct {
	r     engine.OutboxReader
	known map[access.PrincipalID]access.Principal
}

// resolve gives the people that ids stand for: groups through all their members, whatever the nesting; each once, and
// none that is disabled or gone.
func (p *people) resolve(ctx context.Context, ids []access.PrincipalID) ([]access.PrincipalID, error) {
	var found []access.PrincipalID
	seen := make(map[access.PrincipalID]bool)
	for queue := slices.Clone(ids); len(queue) > 0; {
		id := queue[0]
		queue = queue[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		principal, err := p.find(ctx, id)
		if err != nil {
			return nil, err
		}
		switch {
		case principal.ID == "" || principal.Disabled:
		case principal.Kind == access.Group:
			members, err := all(func(page engine.Page) (engine.Listed[access.Principal], error) {
				return p.r.Principals(ctx, engine.PrincipalFilter{Group: id}, page)
			})
			if err != nil {
				return nil, err
			}
			for _, m := range members {
				p.known[m.ID] = m
				queue = append(queue, m.ID)
			}
		default:
			found = append(found, id)
		}
	}
	return found, nil
}

// reachable tells whether mail can reach the recipient of a delivery, at that address or, where it is empty, at their
// own; a delivery that has no recipient is for a channel that reaches everybody at once.
func (p *people) reachable(ctx context.Context, id access.PrincipalID, address string) (bool, error) {
	if id == "" {
		return true, nil
	}
	principal, err := p.find(ctx, id)
	return err == nil && !principal.Disabled && cmp.Or(address, principal.Email) != "", err
}

// find gives the zero principal for one that is not there.
func (p *people) find(ctx context.Context, id access.PrincipalID) (access.Principal, error) {
	if principal, ok := p.known[id]; ok {
		return principal, nil
	}
	principal, err := p.r.Principal(ctx, id)
	if err != nil && access.KindOf(err) != access.KindNotFound {
		return access.Principal{}, err
	}
	p.known[id] = principal
	return principal, nil
}
