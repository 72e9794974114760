package notify_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

// arrival is one notification as a receiver took it.
type arrival struct {
	channel engine.ChannelID
	request access.RequestID
	number  int // its place in its request
	id      engine.DeliveryID
	unsure  bool // taken, though the sender was told otherwise
}

// TestNothingIsLostReorderedOrDoubled runs replicas that are stopped and started, over an outbox whose transactions
// break before and after their commit, to receivers that fail, hang, and take what they then deny.
func TestNothingIsLostReorderedOrDoubled(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		channels := rapid.IntRange(1, 3).Draw(rt, "channels")
		requests := rapid.IntRange(1, 4).Draw(rt, "requests")
		replicas := rapid.IntRange(1, 3).Draw(rt, "replicas")
		outages := rapid.SliceOfN(rapid.IntRange(0, 9), 50, 50).Draw(rt, "transactions")
		fates := rapid.SliceOfN(rapid.IntRange(0, 9), 50, 50).Draw(rt, "attempts")
		bounces := rapid.IntRange(0, 3).Draw(rt, "restarts")
		breaks := rapid.Bool().Draw(rt, "store breaks")
		w := &world{fates: fates, sound: !breaks}
		synctest.Test(t, func(t *testing.T) {
			var all []engine.Channel
			for i := range channels {
				all = append(all, webhook(engine.ChannelID(fmt.Sprint("c", i))))
			}
			w.m = setUp(t, all...)
			if breaks {
				w.breakWith(outages)
			}
			w.r = newReceivers(w.receive)

			stops := make([]func(), replicas)
			for i := range stops {
				stops[i] = start(t, w.m, w.r,
					engine.Retry{Base: time.Second, Most: time.Minute, MaxAttempts: 1 << 20, MaxAge: 1 << 60})
			}
			for number := range 3 {
				for request := range requests {
					w.insist(func() error {
						n := engine.Notification{
							ID: engine.NotificationID(fmt.Sprint(request, "/", number)), Kind: engine.NotifyOpened,
							Tenant:  tenant,
							Request: access.RequestID(fmt.Sprint("r", request)),
							Subject: engine.Subject{Unended: number},
						}
						return w.m.UpdateOutbox(t.Context(), func(tx engine.OutboxTx) error {
							if _, err := tx.Notification(t.Context(), n.ID); err == nil {
								return nil // the transaction that seemed to break had been committed
							}
							return tx.Enqueue(t.Context(), n)
						})
					})
				}
				if number < bounces {
					i := number % replicas
					stops[i]()
					stops[i] = start(t, w.m, w.r,
						engine.Retry{Base: time.Second, Most: time.Minute, MaxAttempts: 1 << 20, MaxAge: 1 << 60})
				}
				time.Sleep(time.Duration(number) * time.Second)
			}
			time.Sleep(2 * time.Minute)
			w.heal()
			time.Sleep(10 * time.Minute)
			for _, stop := range stops {
				stop()
			}
		})
		w.check(rt, channels, requests)
	})
}

type world struct {
	m        *memory
	r        *receivers
	fates    []int
	attempts int
	healed   bool
	sound    bool // the store never breaks
	arrived  []arrival
	late     []engine.DeliveryID // came again after their success was on record
}

// breakWith lets one in five transactions break before its commit, and one in five after it.
func (w *world) breakWith(outages []int) {
	i := 0
	w.m.fail = func(bool) (before, after bool) {
		i++
		fate := outages[i%len(outages)]
		return fate == 0 || fate == 1, fate == 2 || fate == 3
	}
}

func (w *world) heal() {
	w.m.mu.Lock()
	w.m.fail = nil
	w.m.mu.Unlock()
	w.r.mu.Lock()
	w.healed = true
	w.r.mu.Unlock()
}

func (w *world) insist(try func() error) {
	for try() != nil {
		time.Sleep(time.Second)
	}
}

func (w *world) receive(ctx context.Context, p notify.Parcel, _ int) error {
	w.m.mu.Lock()
	acknowledged := w.m.tables.deliveries[p.ID].State == engine.DeliveryDelivered
	w.m.mu.Unlock()
	take := func(unsure bool) {
		w.arrived = append(w.arrived,
			arrival{p.Channel.ID, p.Notification.Request, p.Notification.Subject.Unended, p.ID, unsure})
	}
	w.r.mu.Lock()
	if acknowledged {
		w.late = append(w.late, p.ID)
	}
	w.attempts++
	fate := w.fates[w.attempts%len(w.fates)]
	if w.healed {
		fate = 9
	}
	switch fate {
	case 0:
		w.r.mu.Unlock()
		return failure(engine.Failure{Text: "refused for now"})
	case 1:
		take(true)
		w.r.mu.Unlock()
		return failure(engine.Failure{Text: "taken, and the answer was lost"})
	case 2:
		w.r.mu.Unlock()
		<-ctx.Done()
		return failure(engine.Failure{Text: "hung", Down: true})
	case 3:
		w.r.mu.Unlock()
		return failure(engine.Failure{Text: "429", Down: true, RetryAfter: 30 * time.Second})
	default:
		take(false)
		w.r.mu.Unlock()
		return nil
	}
}

func (w *world) check(t *rapid.T, channels, requests int) {
	lanes := map[string][]arrival{}
	for _, a := range w.arrived {
		lane := fmt.Sprint(a.channel, "/", a.request)
		lanes[lane] = append(lanes[lane], a)
	}
	if len(lanes) != channels*requests {
		t.Fatalf("%d lanes got something, want %d", len(lanes), channels*requests)
	}
	for lane, got := range lanes {
		var numbers []int
		for i, a := range got {
			numbers = append(numbers, a.number)
			if i > 0 && got[i-1].id == a.id && !got[i-1].unsure && w.sound {
				t.Errorf("lane %s: %s came twice though the first was acknowledged", lane, a.id)
			}
		}
		if !slices.IsSorted(numbers) {
			t.Errorf("lane %s: out of order: %v", lane, numbers)
		}
		if distinct := slices.Compact(slices.Clone(numbers)); len(distinct) != 3 {
			t.Errorf("lane %s: got %v, want each of 0, 1, 2", lane, numbers)
		}
	}
	if len(w.late) > 0 {
		t.Errorf("sent again after their success was on record: %v", w.late)
	}
	for _, d := range deliveries(w.m, "") {
		if d.State != engine.DeliveryDelivered {
			t.Errorf("delivery %s is %s", d.ID, d.State)
		}
	}
}
