package notify

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	concurrency = 4 // attempts at once through one channel, each of another lane
	downAfter   = 3 // failures of the receiver in a row, after which it is tried once at a time
)

// worker delivers what waits for one channel.
type worker struct {
	d       *Dispatcher
	channel engine.ChannelID
	poke    <-chan struct{}
	done    chan outcomeOf // one for each attempt that has ended
	log     *slog.Logger

	busy   int       // attempts under way
	downs  int       // failures of the receiver in a row
	paused time.Time // no attempt before then
}

// outcomeOf says how an attempt ended; failure is nil where it delivered.
type outcomeOf struct{ failure *engine.Failure }

// claimed is a delivery that is ours until its lease is over.
type claimed struct {
	delivery engine.Delivery
	parcel   Parcel
}

// run works until ctx is done, and then waits for the attempts under way, which sending bounds.
func (w *worker) run(ctx, sending context.Context) {
	for ctx.Err() == nil {
		pause := w.turn(ctx, sending)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.poke:
		case o := <-w.done:
			w.ended(o)
		}
		timer.Stop()
	}
	for w.busy > 0 {
		w.ended(<-w.done)
	}
}

// turn begins as many attempts as may be begun, and gives how long there is nothing more to do unless something
// happens.
func (w *worker) turn(ctx, sending context.Context) time.Duration {
	now := w.d.now()
	free := concurrency - w.busy
	if w.downs >= downAfter {
		free = 1 - w.busy
	}
	if free <= 0 {
		return poll
	}
	if now.Before(w.paused) {
		return min(w.paused.Sub(now), poll)
	}
	work, next, err := w.claim(ctx, now, free)
	if err != nil {
		if ctx.Err() == nil {
			w.log.WarnContext(ctx, "deliveries not claimed; trying again", slog.Any("error", err))
		}
		return poll
	}
	for _, item := range work {
		w.busy++
		go func() { w.done <- w.d.attempt(sending, item, w.log) }()
	}
	if next.IsZero() {
		return poll
	}
	return min(max(next.Sub(w.d.now()), settle), poll)
}

// ended takes note of an attempt that has ended: a receiver that is down is left in peace for a while, as long as it
// asked for or longer and longer up to a minute.
func (w *worker) ended(o outcomeOf) {
	w.busy--
	now := w.d.now()
	if o.failure == nil {
		w.downs = 0
		return
	}
	if o.failure.RetryAfter > 0 {
		w.pauseUntil(now.Add(o.failure.RetryAfter))
	}
	if o.failure.Down {
		w.downs++
		if w.downs >= downAfter {
			breather := engine.Retry{Base: time.Second, Most: time.Minute}
			w.pauseUntil(now.Add(breather.Pause(w.downs-downAfter+1, jitter())))
		}
	}
}

func (w *worker) pauseUntil(t time.Time) {
	if t.After(w.paused) {
		w.paused = t
	}
}

// claim takes up to most deliveries that are due, each the first of its lane. next is when more may be due; zero if
// nothing waits.
func (w *worker) claim(ctx context.Context, now time.Time, most int) (work []claimed, next time.Time, err error) {
	due, next, err := w.due(ctx, now, most)
	if err != nil || len(due) == 0 {
		return nil, next, err
	}
	err = w.d.outbox.UpdateOutbox(ctx, func(tx engine.OutboxTx) error {
		work = nil
		channel, err := tx.Channel(ctx, w.channel)
		if err != nil || !channel.Enabled {
			return err
		}
		for _, d := range due {
			item, err := take(ctx, tx, channel, d, now)
			if err != nil {
				return err
			}
			if item.delivery.State == engine.DeliveryPending {
				work = append(work, item)
			}
		}
		return nil
	})
	switch {
	case err == nil:
		return work, next, nil
	case access.KindOf(err) == access.KindConflict:
		return nil, now.Add(time.Duration(jitter() * float64(4*settle))), nil // another replica was faster: look again
	default:
		return nil, time.Time{}, err
	}
}

func (w *worker) due(ctx context.Context, now time.Time, most int) (due []engine.Delivery, next time.Time, err error) {
	err = w.d.outbox.ViewOutbox(ctx, func(r engine.OutboxReader) error {
		due, next = nil, time.Time{}
		heads, err := r.Heads(ctx, w.channel, most+1)
		if err != nil {
			return err
		}
		for _, d := range heads {
			if len(due) == most || d.NextAttempt.After(now) {
				next = d.NextAttempt
				break
			}
			due = append(due, d)
		}
		return nil
	})
	return due, next, err
}

// take claims one delivery and loads what is needed to send it. One that has nowhere to go is dead at once.
func take(ctx context.Context, tx engine.OutboxTx, channel engine.Channel, d engine.Delivery,
	now time.Time,
) (claimed, error) {
	c, err := d.Claim(now, lease)
	if err != nil {
		return claimed{}, err
	}
	n, err := tx.Notification(ctx, d.Notification)
	if err != nil {
		return claimed{}, err
	}
	item := claimed{delivery: c, parcel: Parcel{ID: d.ID, Channel: channel, Notification: n}}
	if d.Recipient != "" {
		address, problem, err := addressOf(ctx, tx, d.Recipient, n.Address)
		if err != nil {
			return claimed{}, err
		}
		item.parcel.Address = address
		if problem != "" {
			item.delivery = c.Fail(engine.Failure{Text: problem, Permanent: true}, engine.Retry{}, 0, now)
		}
	}
	return item, tx.SaveDelivery(ctx, item.delivery, d.Revision)
}

// addressOf gives where mail for a person goes: to the address that is set, else to their own; or what is in the way.
func addressOf(ctx context.Context, r engine.OutboxReader, id access.PrincipalID,
	set string,
) (address, problem string, err error) {
	p, err := r.Principal(ctx, id)
	if err != nil {
		if access.KindOf(err) != access.KindNotFound {
			return "", "", err
		}
		return "", "the recipient is not there any more", nil
	}
	switch {
	case p.Disabled:
		return "", "the recipient is disabled", nil
	case cmp.Or(set, p.Email) == "":
		return "", "the recipient has no e-mail address", nil
	default:
		return cmp.Or(set, p.Email), "", nil
	}
}
