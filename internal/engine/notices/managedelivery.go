package notices

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// DeliveryDetail is a delivery with the names that people know.
type DeliveryDetail struct {
	Delivery      engine.Delivery
	ChannelName   string // empty where the channel is gone
	RecipientName string
}

// Deliveries lists deliveries, newest first. channel is a name or id; empty for all.
func (e *Service) Deliveries(ctx context.Context, c engine.Caller, channel string, f engine.DeliveryFilter,
	p engine.Page,
) (list engine.Listed[DeliveryDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.DeliveriesRead},
		func(r engine.Reader, may engine.Rights) error {
			if err := may.Require(rbac.DeliveriesRead, access.Root); err != nil {
				return err
			}
			switch f.State {
			case "", engine.DeliveryPending, engine.DeliveryDelivered, engine.DeliveryDead:
			default:
				return access.Fault(access.KindInvalid, "unknownState",
					"a delivery is pending, delivered or dead, not %q",
					engine.Clip(string(f.State)))
			}
			f.Tenant = c.Tenant
			if channel != "" {
				found, err := findChannel(ctx, r, c.Tenant, channel)
				if err != nil {
					return err
				}
				f.Channel = found.ID
			}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[engine.Delivery], error) { return r.Deliveries(ctx, f, p) },
				func(d engine.Delivery) (DeliveryDetail, bool, error) {
					out, err := describeDelivery(ctx, r, d)
					return out, err == nil, err
				})
			return err
		})
	return list, err
}

func describeDelivery(ctx context.Context, r engine.Reader, d engine.Delivery) (DeliveryDetail, error) {
	out := DeliveryDetail{Delivery: d}
	channel, err := r.Channel(ctx, d.Channel)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return out, fmt.Errorf("read channel: %w", err)
	}
	out.ChannelName = channel.Name
	if d.Recipient != "" {
		p, err := r.Principal(ctx, d.Recipient)
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
			return out, fmt.Errorf("read principal: %w", err)
		}
		out.RecipientName = p.Name
	}
	return out, nil
}

// Requeue gives a dead delivery its attempts anew. It fails with a conflict where the delivery is not dead, or its
// channel is gone.
func (e *Service) Requeue(ctx context.Context, c engine.Caller, id engine.DeliveryID) (d DeliveryDetail, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.DeliveriesRequeue, Details: map[string]string{"delivery": string(id)}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.DeliveriesRequeue, access.Root); err != nil {
				return err
			}
			was, err := tx.Delivery(ctx, id)
			switch {
			case engine.IsKind(err, access.KindNotFound) || err == nil && was.Tenant != c.Tenant:
				return access.Fault(access.KindNotFound, "unknownDelivery", "there is no delivery %q",
					engine.Clip(string(id)))
			case err != nil:
				return fmt.Errorf("read delivery: %w", err)
			}
			if d, err = describeDelivery(ctx, tx, was); err != nil {
				return err
			}
			if d.ChannelName == "" {
				return access.Fault(access.KindConflict, "channelGone",
					"the channel of this delivery was deleted; it cannot be queued again")
			}
			if d.Delivery, err = was.Requeue(may.Now); err != nil {
				return err
			}
			if err := tx.SaveDelivery(ctx, d.Delivery, was.Revision); err != nil {
				return fmt.Errorf("save delivery: %w", err)
			}
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.DeliveryRequeued, Outcome: access.Succeeded, Actor: c.Actor(),
				Tenant:  c.Tenant,
				Action:  rbac.DeliveriesRequeue,
				Request: was.Request,
				Details: map[string]string{
					"delivery": string(id), "channel": d.ChannelName,
					"error": engine.Clip(was.LastError),
				},
			})
		})
	return d, err
}
