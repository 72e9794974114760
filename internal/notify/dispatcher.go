package notify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

const (
	poll           = 5 * time.Second       // looks for work though nothing woke it
	settle         = 50 * time.Millisecond // gathers what is enqueued meanwhile, so that many requests cost few looks
	attemptTimeout = 30 * time.Second      // of one call of the sender, whatever it does
	lease          = 2 * time.Minute       // longer than an attempt and its recording together
	recordTimeout  = time.Minute           // how long the outcome of an attempt is tried to be kept
	drainTimeout   = 12 * time.Second      // how long Run waits for attempts under way when it is told to stop
	pruneEvery     = time.Hour
	keep           = 90 * 24 * time.Hour
)

// Config is what a dispatcher is made of. Outbox, Sender, Now and Log are required.
type Config struct {
	Outbox engine.Outbox
	Sender Sender
	Now    func() time.Time
	Log    *slog.Logger
	Retry  engine.Retry  // zero: engine.DefaultRetry
	Keep   time.Duration // how long notifications are kept that were delivered or given up; zero: 90 days
}

// Dispatcher carries out the outbox. Any number of them, in one process or many, may work on one outbox.
type Dispatcher struct {
	outbox engine.Outbox
	sender Sender
	clock  func() time.Time
	log    *slog.Logger
	retry  engine.Retry
	keep   time.Duration
}

// New makes a dispatcher; Run starts it.
func New(c Config) (*Dispatcher, error) {
	if c.Outbox == nil || c.Sender == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("a dispatcher needs an outbox, a sender, a clock and a log")
	}
	d := &Dispatcher{outbox: c.Outbox, sender: c.Sender, clock: c.Now, log: c.Log, retry: c.Retry, keep: c.Keep}
	if d.retry == (engine.Retry{}) {
		d.retry = engine.DefaultRetry()
	}
	if d.keep == 0 {
		d.keep = keep
	}
	return d, nil
}

func (d *Dispatcher) now() time.Time { return d.clock().UTC().Truncate(time.Microsecond) }

// Run routes and delivers until ctx is done. It then begins nothing more, gives attempts under way a moment, and
// returns nil when all is at rest. Errors of the outbox are logged, and tried again.
func (d *Dispatcher) Run(ctx context.Context) error {
	changed, stop := d.outbox.WatchOutbox()
	defer stop()
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	workers := newCrew(sending, d)
	var pruned time.Time
	for ctx.Err() == nil {
		touched, err := d.route(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "notifications not routed; trying again", slog.Any("error", err))
		}
		if err := workers.update(ctx, touched); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "channels not read; trying again", slog.Any("error", err))
		}
		if now := d.now(); now.Sub(pruned) >= pruneEvery {
			pruned = now
			d.prune(ctx)
		}
		wait(ctx, poll, changed)
		wait(ctx, settle, nil)
	}
	workers.drain(cut)
	return nil
}

// wait returns when ctx is done, after most, or when wake receives.
func wait(ctx context.Context, most time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

func (d *Dispatcher) prune(ctx context.Context) {
	const batch = 500
	before := d.now().Add(-d.keep)
	for ctx.Err() == nil {
		var n int
		err := d.outbox.UpdateOutbox(ctx, func(tx engine.OutboxTx) error {
			var err error
			n, err = tx.PruneOutbox(ctx, before, batch)
			return err
		})
		if err != nil {
			d.log.WarnContext(ctx, "old notifications not deleted; trying again in an hour", slog.Any("error", err))
			return
		}
		if n < batch {
			return
		}
	}
}

// crew is the workers: one for each enabled channel.
type crew struct {
	d       *Dispatcher
	sending context.Context //nolint:containedctx // bounds the attempts, which outlive the context of Run for a moment
	members map[engine.ChannelID]*member
	group   sync.WaitGroup
}

type member struct {
	poke chan struct{} // buffered 1
	stop context.CancelFunc
}

func newCrew(sending context.Context, d *Dispatcher) *crew {
	return &crew{d: d, sending: sending, members: make(map[engine.ChannelID]*member)}
}

// update starts workers for channels that are new or enabled again, stops those of channels that are gone or disabled,
// and pokes those that have new work.
func (c *crew) update(ctx context.Context, touched map[engine.ChannelID]bool) error {
	var channels []engine.Channel
	err := c.d.outbox.ViewOutbox(ctx, func(r engine.OutboxReader) error {
		var err error
		channels, err = all(func(p engine.Page) (engine.Listed[engine.Channel], error) {
			return r.Channels(ctx, engine.ChannelFilter{}, p)
		})
		return err
	})
	if err != nil {
		return err
	}
	enabled := make(map[engine.ChannelID]bool)
	for _, channel := range channels {
		if !channel.Enabled {
			continue
		}
		enabled[channel.ID] = true
		if c.members[channel.ID] == nil {
			c.start(ctx, channel)
		}
	}
	for id, m := range c.members {
		if !enabled[id] {
			m.stop()
			delete(c.members, id)
		} else if touched[id] {
			select {
			case m.poke <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

func (c *crew) start(ctx context.Context, channel engine.Channel) {
	ctx, stop := context.WithCancel(ctx)
	m := &member{poke: make(chan struct{}, 1), stop: stop}
	c.members[channel.ID] = m
	w := &worker{
		d: c.d, channel: channel.ID, poke: m.poke, done: make(chan outcomeOf, concurrency),
		log: c.d.log.With(slog.String("channel", channel.Name)),
	}
	c.group.Go(func() { w.run(ctx, c.sending) })
}

// drain stops all workers, waits for attempts under way, and after drainTimeout interrupts them.
func (c *crew) drain(cut context.CancelFunc) {
	for _, m := range c.members {
		m.stop()
	}
	timer := time.AfterFunc(drainTimeout, cut)
	defer timer.Stop()
	c.group.Wait()
}

// all gathers every page of a list.
func all[T any](page func(engine.Page) (engine.Listed[T], error)) ([]T, error) {
	var items []T
	for p := (engine.Page{Limit: 1000}); ; {
		listed, err := page(p)
		if err != nil {
			return nil, err
		}
		items = append(items, listed.Items...)
		if listed.Next == "" {
			return items, nil
		}
		p.Cursor = listed.Next
	}
}

func jitter() float64 { return rand.Float64() } //nolint:gosec // spreads repetitions; nothing rests on it being unknown
