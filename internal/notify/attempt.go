package notify

import (
	"context"
	"log/slog"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// attempt sends one claimed delivery and keeps what came of it. Should that not be possible, the lease runs out and the
// delivery is sent again: at least once, never lost.
func (d *Dispatcher) attempt(sending context.Context, c claimed, log *slog.Logger) outcomeOf {
	log = log.With(slog.String("delivery", string(c.delivery.ID)), slog.String("kind", string(c.delivery.Kind)),
		slog.Int("attempt", c.delivery.Attempts))
	ctx, cancel := context.WithTimeout(sending, attemptTimeout)
	receipt, err := d.sender.Send(ctx, c.parcel)
	cancel()
	now := d.now()
	switch {
	case err == nil:
		d.record(sending, c.delivery.Succeed(now), c.delivery.Revision, log)
		log.DebugContext(sending, "notification delivered", slog.String("receipt", receipt.Text))
		return outcomeOf{}
	case sending.Err() != nil: // the server is stopping: the attempt does not count
		d.record(sending, c.delivery.Release(now), c.delivery.Revision, log)
		return outcomeOf{}
	}
	failure := failureOf(err)
	failed := c.delivery.Fail(failure, d.retry, jitter(), now)
	d.record(sending, failed, c.delivery.Revision, log)
	if failed.State == engine.DeliveryDead {
		log.ErrorContext(sending, "notification given up", slog.String("why", failure.Text))
	} else {
		log.WarnContext(sending, "notification not delivered; trying again", slog.String("why", failure.Text),
			slog.Time("next", failed.NextAttempt))
	}
	return outcomeOf{failure: &failure}
}

// record keeps the outcome of an attempt, and tries again for recordTimeout while the store does not answer.
func (d *Dispatcher) record(ctx context.Context, to engine.Delivery, was int64, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	again := engine.Retry{Base: 200 * time.Millisecond, Most: 10 * time.Second}
	for tries := 1; ; tries++ {
		err := d.outbox.UpdateOutbox(ctx, func(tx engine.OutboxTx) error { return tx.SaveDelivery(ctx, to, was) })
		switch {
		case err == nil:
			return
		case access.KindOf(err) == access.KindConflict:
			log.WarnContext(ctx, "the lease was over before the attempt was recorded; it may be repeated")
			return
		case access.KindOf(err) == access.KindNotFound, ctx.Err() != nil:
			log.WarnContext(ctx, "attempt not recorded; it will be repeated", slog.Any("error", err))
			return
		}
		wait(ctx, again.Pause(tries, jitter()), nil)
	}
}
