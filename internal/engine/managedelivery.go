package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// DeliveryDetail is a delivery with the names that people know.
type DeliveryDetail struct {
	Delivery      Delivery
	ChannelName   string // empty where the channel is gone
	RecipientName string
}

// Deliveries lists deliveries, newest first. channel is a name or id; empty for all.
func (e *Engine) Deliveries(ctx context.Context, c Caller, channel string, f DeliveryFilter, p Page) (list Listed[DeliveryDetail], err error) {
	err = e.look(ctx, c, attempt{action: rbac.DeliveriesRead}, func(r Reader) error {
		if _, err := e.authorize(ctx, r, c, rbac.DeliveriesRead, access.Root); err != nil {
			return err
		}
		switch f.State {
		case "", DeliveryPending, DeliveryDelivered, DeliveryDead:
		default:
			return access.Fault(access.KindInvalid, "unknownState", "a delivery is pending, delivered or dead, not %q", clip(string(f.State)))
		}
		f.Tenant = c.Tenant
		if channel != "" {
			found, err := findChannel(ctx, r, c.Tenant, channel)
			if err != nil {
				return err
			}
			f.Channel = found.ID
		}
		list, err = visible(p, func(p Page) (Listed[Delivery], error) { return r.Deliveries(ctx, f, p) }, func(d Delivery) (DeliveryDetail, bool, error) {
			out, err := describeDelivery(ctx, r, d)
			return out, err == nil, err
		})
		return err
	})
	return list, err
}

func describeDelivery(ctx context.Context, r Reader, d Delivery) (DeliveryDetail, error) {
	out := DeliveryDetail{Delivery: d}
	channel, err := r.Channel(ctx, d.Channel)
	if err != nil && !isKind(err, access.KindNotFound) {
		return out, fmt.Errorf("read channel: %w", err)
	}
	out.ChannelName = channel.Name
	if d.Recipient != "" {
		p, err := r.Principal(ctx, d.Recipient)
		if err != nil && !isKind(err, access.KindNotFound) {
			return out, fmt.Errorf("read principal: %w", err)
		}
		out.RecipientName = p.Name
	}
	return out, nil
}

// Requeue gives a dead delivery its attempts anew. It fails with a conflict where the delivery is not dead, or its channel
// is gone.
func (e *Engine) Requeue(ctx context.Context, c Caller, id DeliveryID) (d DeliveryDetail, err error) {
	err = e.change(ctx, c, attempt{action: rbac.DeliveriesRequeue, details: map[string]string{"delivery": string(id)}}, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.DeliveriesRequeue, access.Root)
		if err != nil {
			return err
		}
		was, err := tx.Delivery(ctx, id)
		switch {
		case isKind(err, access.KindNotFound) || err == nil && was.Tenant != c.Tenant:
			return access.Fault(access.KindNotFound, "unknownDelivery", "there is no delivery %q", clip(string(id)))
		case err != nil:
			return fmt.Errorf("read delivery: %w", err)
		}
		if d, err = describeDelivery(ctx, tx, was); err != nil {
			return err
		}
		if d.ChannelName == "" {
			return access.Fault(access.KindConflict, "channelGone", "the channel of this delivery was deleted; it cannot be queued again")
		}
		if d.Delivery, err = was.Requeue(may.now); err != nil {
			return err
		}
		if err := tx.SaveDelivery(ctx, d.Delivery, was.Revision); err != nil {
			return fmt.Errorf("save delivery: %w", err)
		}
		return tx.Append(ctx, access.Event{
			At: may.now, Kind: access.DeliveryRequeued, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant, Action: rbac.DeliveriesRequeue,
			Request: was.Request, Details: map[string]string{"delivery": string(id), "channel": d.ChannelName, "error": clip(was.LastError)},
		})
	})
	return d, err
}
