package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

const tenant access.TenantID = "t1"

// sent is one attempt as a receiver saw it.
type sent struct {
	Channel engine.ChannelID
	Request access.RequestID
	Kind    engine.NotificationKind
	To      string
	At      time.Duration // since the receivers were made
}

// receivers is a Sender whose receivers do what behave says, and which remembers what reached them.
type receivers struct {
	mu     sync.Mutex
	began  time.Time
	got    []sent
	behave func(ctx context.Context, p notify.Parcel, attempt int) error
	tries  map[engine.DeliveryID]int
}

func newReceivers(behave func(ctx context.Context, p notify.Parcel, attempt int) error) *receivers {
	return &receivers{began: time.Now(), behave: behave, tries: map[engine.DeliveryID]int{}}
}

func (r *receivers) Send(ctx context.Context, p notify.Parcel) (notify.Receipt, error) {
	r.mu.Lock()
	r.tries[p.ID]++
	attempt := r.tries[p.ID]
	r.got = append(r.got,
		sent{
			Channel: p.Channel.ID, Request: p.Notification.Request, Kind: p.Notification.Kind, To: p.Address,
			At: time.Since(r.began),
		})
	r.mu.Unlock()
	if r.behave != nil {
		if err := r.behave(ctx, p, attempt); err != nil {
			return notify.Receipt{}, err
		}
	}
	return notify.Receipt{Text: "taken"}, nil
}

func (r *receivers) seen(keep func(sent) bool) []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []sent
	for _, s := range r.got {
		if keep == nil || keep(s) {
			out = append(out, s)
		}
	}
	return out
}

func failure(f engine.Failure) error { return &notify.SendError{Failure: f} }

func webhook(id engine.ChannelID) engine.Channel {
	return engine.Channel{ID: id, Tenant: tenant, Name: string(id), Kind: engine.Webhook, Enabled: true, Revision: 1}
}

func about(id string, kind engine.NotificationKind, to ...access.PrincipalID) engine.Notification {
	return engine.Notification{
		ID: engine.NotificationID(id + "/" + string(kind)), Kind: kind, Tenant: tenant,
		Request: access.RequestID(id), Recipients: to, At: time.Now(),
	}
}

// setUp makes an outbox with these channels, each with a route for everything.
func setUp(t *testing.T, channels ...engine.Channel) *memory {
	t.Helper()
	m := newMemory()
	err := m.UpdateOutbox(t.Context(), func(tx engine.OutboxTx) error {
		for _, c := range channels {
			if err := errors.Join(tx.SaveChannel(t.Context(), c, 0),
				tx.SaveRoute(t.Context(),
					engine.Route{ID: engine.RouteID("all-" + c.ID), Tenant: tenant, Channel: c.ID})); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func enqueue(t *testing.T, m *memory, notifications ...engine.Notification) {
	t.Helper()
	if err := m.UpdateOutbox(t.Context(),
		func(tx engine.OutboxTx) error { return tx.Enqueue(t.Context(), notifications...) }); err != nil {
		t.Fatal(err)
	}
}

// start runs a dispatcher in the bubble; stop ends it and waits.
func start(t *testing.T, o engine.Outbox, s notify.Sender, retry engine.Retry) (stop func()) {
	t.Helper()
	d, err := notify.New(notify.Config{
		Outbox: o, Sender: s, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Retry: retry,
	})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, d)
}

func run(tb testing.TB, d *notify.Dispatcher) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx); err != nil {
			tb.Errorf("Run: %v", err)
		}
	}()
	return func() { cancel(); <-done }
}

// hang is a receiver that answers to nothing but the end of the attempt.
func hang(ctx context.Context, _ notify.Parcel, _ int) error {
	<-ctx.Done()
	return failure(engine.Failure{Text: "hangs", Down: true})
}

func deliveries(m *memory, state engine.DeliveryState) []engine.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []engine.Delivery
	for _, d := range m.tables.deliveries {
		if state == "" || d.State == state {
			out = append(out, d)
		}
	}
	return out
}

func TestEachChannelGetsEachNotificationInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("a"), webhook("b"))
		r := newReceivers(nil)
		stop := start(t, m, r, engine.Retry{})
		enqueue(t, m, about("r1", engine.NotifyRequested), about("r1", engine.NotifyDecided),
			about("r1", engine.NotifyOpened))
		time.Sleep(time.Second)
		stop()
		for _, channel := range []engine.ChannelID{"a", "b"} {
			var kinds []engine.NotificationKind
			for _, s := range r.seen(func(s sent) bool { return s.Channel == channel }) {
				kinds = append(kinds, s.Kind)
			}
			if diff := cmp.Diff([]engine.NotificationKind{
				engine.NotifyRequested, engine.NotifyDecided,
				engine.NotifyOpened,
			},
				kinds); diff != "" {
				t.Errorf("channel %s (-want +got):\n%s", channel, diff)
			}
		}
		if n := len(deliveries(m, engine.DeliveryDelivered)); n != 6 {
			t.Errorf("%d deliveries are delivered, want 6", n)
		}
	})
}

func TestALaterNotificationWaitsForTheEarlierOfItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("a"))
		r := newReceivers(func(_ context.Context, p notify.Parcel, attempt int) error {
			if p.Notification.ID == "r1/requested" && attempt <= 3 {
				return failure(engine.Failure{Text: "busy"})
			}
			return nil
		})
		stop := start(t, m, r,
			engine.Retry{Base: 10 * time.Second, Most: time.Hour, MaxAttempts: 9, MaxAge: 24 * time.Hour})
		enqueue(t, m, about("r1", engine.NotifyRequested), about("r1", engine.NotifyDecided),
			about("r2", engine.NotifyRequested))
		time.Sleep(3 * time.Second)
		if n := len(r.seen(func(s sent) bool { return s.Request == "r2" })); n != 1 {
			t.Errorf("another request's notification was sent %d times, want 1: it must not wait", n)
		}
		time.Sleep(10 * time.Minute)
		stop()
		got := r.seen(func(s sent) bool { return s.Request == "r1" })
		if len(got) != 5 || got[3].Kind != engine.NotifyRequested || got[4].Kind != engine.NotifyDecided {
			t.Fatalf("attempts: %+v, want four of the first and then one of the second", got)
		}
		// Pauses double, and the upper half of each is random.
		for i, least := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
			if pause := got[i+1].At - got[i].At; pause < least || pause > 2*least+time.Second {
				t.Errorf("pause %d took %s, want %s to %s", i+1, pause, least, 2*least)
			}
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("a"))
		r := newReceivers(func(_ context.Context, _ notify.Parcel, attempt int) error {
			if attempt == 1 {
				return failure(engine.Failure{Text: "429", RetryAfter: 7 * time.Minute, Down: true})
			}
			return nil
		})
		stop := start(t, m, r, engine.Retry{})
		enqueue(t, m, about("r1", engine.NotifyRequested))
		time.Sleep(time.Second)
		enqueue(t, m, about("r2", engine.NotifyRequested)) // the limit is the channel's: this one waits as well
		time.Sleep(20 * time.Minute)
		stop()
		got := r.seen(nil)
		if len(got) < 3 || got[1].At < 7*time.Minute || got[1].At > 7*time.Minute+10*time.Second {
			t.Errorf("attempts: %+v, want the second after seven minutes", got)
		}
	})
}

func TestHopelessDeliveriesDieAndCanBeQueuedAgain(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]engine.Failure{
		"gone":        {Text: "410 Gone", Permanent: true},
		"always busy": {Text: "503", Down: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := setUp(t, webhook("a"))
				healed := false
				r := newReceivers(nil)
				r.behave = func(context.Context, notify.Parcel, int) error {
					r.mu.Lock()
					defer r.mu.Unlock()
					if healed {
						return nil
					}
					return failure(f)
				}
				stop := start(t, m, r, engine.Retry{})
				enqueue(t, m, about("r1", engine.NotifyRequested), about("r1", engine.NotifyDecided))
				time.Sleep(26 * time.Hour)
				dead := deliveries(m, engine.DeliveryDead)
				if len(dead) != 2 || dead[0].LastError != f.Text {
					t.Fatalf("dead: %+v, want both, with the reason", dead)
				}
				if attempts := len(r.seen(
					nil)); f.Permanent && attempts != 2 || !f.Permanent && (attempts < 20 || attempts > 80) {
					t.Errorf("%d attempts", attempts)
				}
				r.mu.Lock()
				healed = true
				r.mu.Unlock()
				err := m.UpdateOutbox(t.Context(), func(tx engine.OutboxTx) error {
					for _, d := range dead {
						again, err := d.Requeue(time.Now())
						if err := errors.Join(err, tx.SaveDelivery(t.Context(), again, d.Revision)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				stop()
				if n := len(deliveries(m, engine.DeliveryDelivered)); n != 2 {
					t.Errorf("%d delivered after they were queued again, want 2", n)
				}
			})
		})
	}
}

func TestASlowReceiverDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("slow"), webhook("swift"))
		var most, now int
		var mu sync.Mutex
		r := newReceivers(func(ctx context.Context, p notify.Parcel, _ int) error {
			if p.Channel.ID != "slow" {
				return nil
			}
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-ctx.Done() // hangs until the dispatcher's own limit
			mu.Lock()
			now--
			mu.Unlock()
			return failure(engine.Failure{Text: "hangs", Down: true})
		})
		stop := start(t, m, r, engine.Retry{})
		for i := range 50 {
			enqueue(t, m, about(fmt.Sprint("r", i), engine.NotifyRequested))
		}
		time.Sleep(2 * time.Second)
		if n := len(r.seen(func(s sent) bool { return s.Channel == "swift" })); n != 50 {
			t.Errorf("the swift receiver got %d of 50 within two seconds", n)
		}
		time.Sleep(10 * time.Minute)
		stop()
		if most > 4 {
			t.Errorf("%d attempts at once on one channel, want at most 4", most)
		}
	})
}

func TestAReceiverThatIsDownIsTriedOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("a"))
		r := newReceivers(func(context.Context, notify.Parcel, int) error {
			return failure(engine.Failure{Text: "down", Down: true})
		})
		stop := start(t, m, r, engine.Retry{})
		var many []engine.Notification
		for i := range 1000 {
			many = append(many, about(fmt.Sprint("r", i), engine.NotifyRequested))
		}
		enqueue(t, m, many...)
		time.Sleep(time.Hour)
		stop()
		if n := len(r.seen(nil)); n > 150 {
			t.Errorf("%d attempts in an hour at a receiver that is down, want about one a minute", n)
		}
	})
}

func TestALeaseThatWasNotKeptIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("a"))
		enqueue(t, m, about("r1", engine.NotifyRequested))
		// A replica claims the delivery and dies: its outbox does not answer any more after the claim.
		var died sync.Once
		dead := make(chan struct{})
		first := newReceivers(func(ctx context.Context, _ notify.Parcel, _ int) error {
			died.Do(func() { close(dead) })
			<-ctx.Done()
			return failure(engine.Failure{Text: "nobody will hear this"})
		})
		stopFirst := start(t, &dying{memory: m, dead: dead}, first, engine.Retry{})
		time.Sleep(time.Second)
		second := newReceivers(nil)
		stopSecond := start(t, m, second, engine.Retry{})
		time.Sleep(time.Minute)
		if n := len(second.seen(nil)); n != 0 {
			t.Errorf("taken over while the lease lasted, %d times", n)
		}
		time.Sleep(2 * time.Minute)
		if n := len(second.seen(nil)); n != 1 {
			t.Errorf("sent %d times after the lease was over, want once", n)
		}
		stopFirst()
		stopSecond()
	})
}

// dying is an outbox that stops answering.
type dying struct {
	*memory
	dead chan struct{}
}

func (d *dying) UpdateOutbox(ctx context.Context, fn func(engine.OutboxTx) error) error {
	select {
	case <-d.dead:
		return errStore
	default:
		return d.memory.UpdateOutbox(ctx, fn)
	}
}

func TestStoppingWaitsForAttemptsAndGivesBackWhatItInterrupts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("brief"), webhook("hangs"))
		r := newReceivers(func(ctx context.Context, p notify.Parcel, _ int) error {
			if p.Channel.ID == "brief" {
				time.Sleep(5 * time.Second)
				return nil
			}
			<-ctx.Done()
			return failure(engine.Failure{Text: "interrupted"})
		})
		stop := start(t, m, r, engine.Retry{})
		enqueue(t, m, about("r1", engine.NotifyRequested))
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("stopping took %s", took)
		}
		for _, d := range deliveries(m, "") {
			switch {
			case d.Channel == "brief" && d.State != engine.DeliveryDelivered:
				t.Errorf("the attempt that was under way is %s, want delivered", d.State)
			case d.Channel == "hangs" && (d.State != engine.DeliveryPending || d.Attempts != 0 || d.NextAttempt.After(
				time.Now())):
				t.Errorf("the interrupted attempt was not given back: %+v", d)
			}
		}
	})
}

func TestADisabledChannelKeepsWhatWaitsAndTakesNothingNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("a"))
		r := newReceivers(func(context.Context, notify.Parcel,
			int,
		) error {
			return failure(engine.Failure{Text: "no"})
		})
		stop := start(t, m, r,
			engine.Retry{Base: 20 * time.Second, Most: 20 * time.Second, MaxAttempts: 99, MaxAge: 24 * time.Hour})
		enqueue(t, m, about("r1", engine.NotifyRequested))
		time.Sleep(time.Second)
		set := func(enabled bool, was int64) {
			c := webhook("a")
			c.Enabled, c.Revision = enabled, was+1
			if err := m.UpdateOutbox(t.Context(),
				func(tx engine.OutboxTx) error { return tx.SaveChannel(t.Context(), c, was) }); err != nil {
				t.Fatal(err)
			}
		}
		set(false, 1)
		time.Sleep(time.Second)
		before := len(r.seen(nil))
		enqueue(t, m, about("r2", engine.NotifyRequested))
		time.Sleep(time.Hour)
		if n := len(r.seen(nil)); n != before {
			t.Errorf("%d attempts through a disabled channel", n-before)
		}
		set(true, 2)
		time.Sleep(time.Minute)
		stop()
		if len(r.seen(nil)) == before || len(deliveries(m, "")) != 1 {
			t.Errorf("after it was enabled: %d attempts more, deliveries %+v", len(r.seen(nil))-before,
				deliveries(m, ""))
		}
	})
}

func TestMailReachesThoseAddressedThroughGroupsAndNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mail := engine.Channel{ID: "mail", Tenant: tenant, Name: "mail", Kind: engine.SMTP, Enabled: true, Revision: 1}
		m := setUp(t, mail)
		user := func(id access.PrincipalID, email string, disabled bool) {
			m.tables.principals[id] = access.Principal{
				ID: id, Tenant: tenant, Kind: access.User, Email: email,
				Disabled: disabled,
			}
		}
		user("ana", "ana@example.com", false)
		user("bo", "bo@example.com", false)
		user("cy", "cy@example.com", true)
		user("di", "", false)
		user("eve", "eve@example.com", false)
		m.tables.principals["inner"] = access.Principal{ID: "inner", Tenant: tenant, Kind: access.Group}
		m.tables.principals["outer"] = access.Principal{ID: "outer", Tenant: tenant, Kind: access.Group}
		m.tables.members["outer"] = []access.PrincipalID{"ana", "inner", "di"}
		m.tables.members["inner"] = []access.PrincipalID{"bo", "cy", "ana", "outer"} // a circle
		r := newReceivers(nil)
		stop := start(t, m, r, engine.Retry{})
		enqueue(t, m, about("r1", engine.NotifyNeedsDecision, "outer", "gone", "ana"))
		time.Sleep(time.Minute)
		stop()
		got := map[string]int{}
		for _, s := range r.seen(nil) {
			got[s.To]++
		}
		if diff := cmp.Diff(map[string]int{"ana@example.com": 1, "bo@example.com": 1}, got); diff != "" {
			t.Errorf("mails (-want +got):\n%s", diff)
		}
	})
}

func TestOldNotificationsArePruned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := setUp(t, webhook("a"))
		stop := start(t, m, newReceivers(nil), engine.Retry{})
		n := about("r1", engine.NotifyRequested)
		n.At = n.At.Add(-90*24*time.Hour + 90*time.Minute)
		enqueue(t, m, n)
		time.Sleep(80 * time.Minute)
		if n := len(deliveries(m, "")); n != 1 {
			t.Errorf("%d deliveries just before 90 days, want 1", n)
		}
		time.Sleep(80 * time.Minute)
		stop()
		if n := len(deliveries(m, "")); n != 0 || len(m.tables.queue) != 0 {
			t.Errorf("%d deliveries and %d notifications after 90 days, want none", n, len(m.tables.queue))
		}
	})
}

// TestMailGoesWhereItIsMeantToGo proves that a notification which names an address goes there, also when the person has
// another by then or none.
func TestMailGoesWhereItIsMeantToGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mail := webhook("mail")
		mail.Kind = engine.SMTP
		m := setUp(t, mail)
		m.tables.principals = map[access.PrincipalID]access.Principal{
			"moved":   {ID: "moved", Tenant: tenant, Kind: access.User, Email: "new@example.com"},
			"without": {ID: "without", Tenant: tenant, Kind: access.User},
		}
		r := newReceivers(nil)
		defer start(t, m, r, engine.DefaultRetry())()
		for n, to := range []access.PrincipalID{"moved", "without", "moved"} {
			one := about("", engine.NotifyAccount, to)
			one.ID = engine.NotificationID(strconv.Itoa(n))
			if n < 2 {
				one.Address = "old@example.com"
			}
			enqueue(t, m, one)
		}
		time.Sleep(time.Minute)
		got := map[string]int{}
		for _, s := range r.seen(nil) {
			got[s.To]++
		}
		if want := map[string]int{"old@example.com": 2, "new@example.com": 1}; !maps.Equal(got, want) {
			t.Errorf("mail went to %v, want %v", got, want)
		}
	})
}
