package notify_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
	"github.com/postern-dev/postern/internal/store"
)

func openStore(tb testing.TB) *store.DB {
	tb.Helper()
	db, err := store.Open(tb.Context(),
		store.Config{DSN: filepath.Join(tb.TempDir(), "postern.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	if err := db.Update(tb.Context(), func(tx engine.Tx) error {
		return tx.SaveTenant(tb.Context(), access.Tenant{ID: tenant, Name: "Example", CreatedAt: time.Now()})
	}); err != nil {
		tb.Fatal(err)
	}
	return db
}

// addWebhook keeps a channel to url with a route for everything.
func addWebhook(tb testing.TB, db *store.DB, v *notify.Vault, id engine.ChannelID, url, authority, key string) {
	tb.Helper()
	c := engine.Channel{
		ID: id, Tenant: tenant, Name: string(id), Kind: engine.Webhook, Enabled: true,
		AllowPrivate: true, URL: url, CA: authority, Revision: 1, CreatedAt: time.Now(),
	}
	var err error
	if c.Secret, err = v.Seal(id, c.Kind, key); err != nil {
		tb.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	err = db.Update(tb.Context(), func(tx engine.Tx) error {
		if err := tx.SaveChannel(tb.Context(), c, 0); err != nil {
			return err
		}
		return tx.SaveRoute(tb.Context(),
			engine.Route{ID: engine.RouteID("route-" + id), Tenant: tenant, Channel: id, CreatedAt: time.Now()})
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// change is what a use case does: its event and its notification in one transaction.
func change(tb testing.TB, db *store.DB, n engine.Notification) {
	tb.Helper()
	err := db.Update(tb.Context(), func(tx engine.Tx) error {
		if err := tx.Append(tb.Context(),
			access.Event{
				At: n.At, Kind: access.RequestSubmitted, Outcome: access.Succeeded, Tenant: tenant,
				Request: n.Request,
			}); err != nil {
			return err
		}
		return tx.Enqueue(tb.Context(), n)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// TestReplicasShareAStore runs two dispatchers over one SQLite store to a receiver that fails now and then.
func TestReplicasShareAStore(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	s, authority, got := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%5 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	v := newVault(t, "")
	db := openStore(t)
	addWebhook(t, db, v, "c1", s.URL, authority, notify.NewSigningKey())
	retry := engine.Retry{
		Base: 10 * time.Millisecond, Most: 100 * time.Millisecond, MaxAttempts: 100,
		MaxAge: time.Hour,
	}
	stops := []func(){
		start(t, engine.NewOutbox(db), newCourier(t, v), retry),
		start(t, engine.NewOutbox(db), newCourier(t, v), retry),
	}
	const requests = 8
	kinds := []engine.NotificationKind{
		engine.NotifyRequested, engine.NotifyDecided, engine.NotifyOpened,
		engine.NotifyEnded,
	}
	for _, kind := range kinds {
		for r := range requests {
			change(t, db, about(fmt.Sprint("r", r), kind))
		}
	}
	delivered := func() int {
		var listed engine.Listed[engine.Delivery]
		err := db.View(t.Context(), func(r engine.Reader) error {
			var err error
			listed, err = r.Deliveries(t.Context(), engine.DeliveryFilter{State: engine.DeliveryDelivered},
				engine.Page{Limit: 1000})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(listed.Items)
	}
	for deadline := time.Now().Add(50 * time.Second); delivered() < requests*len(kinds) &&
		time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	for _, stop := range stops {
		stop()
	}
	if d := delivered(); d != requests*len(kinds) {
		t.Fatalf("%d delivered, want %d", d, requests*len(kinds))
	}
	taken, order := map[string]int{}, map[string][]string{}
	for _, r := range got() {
		var event struct {
			Data struct{ Request, Kind string }
		}
		if err := json.Unmarshal(r.Body, &event); err != nil {
			t.Fatal(err)
		}
		taken[r.Header.Get("Webhook-Id")]++
		order[event.Data.Request] = append(order[event.Data.Request], event.Data.Kind)
	}
	if len(taken) != requests*len(kinds) || len(
		got()) != int(n.Load()) || len(got()) != requests*len(kinds)+int(n.Load()/5) {
		t.Errorf("%d calls of %d deliveries, want one each and one more for each of the %d that failed", len(got()),
			len(taken), n.Load()/5)
	}
	for request, came := range order {
		want := []string{"requested", "decided", "opened", "ended"}
		if got := slices.Compact(came); !slices.Equal(got, want) {
			t.Errorf("request %s: %v, want %v", request, got, want)
		}
	}
}

// BenchmarkChangeBesideASlowReceiver measures the change of a request, with its notification, alone and while a
// receiver hangs with every attempt; the two should not differ.
func BenchmarkChangeBesideASlowReceiver(b *testing.B) {
	for _, name := range []string{"no dispatcher", "swift receiver", "receiver that hangs"} {
		b.Run(name, func(b *testing.B) {
			db := openStore(b)
			if name != "no dispatcher" {
				v, err := notify.NewVault([]byte("0123456789abcdef0123456789abcdef"), "")
				if err != nil {
					b.Fatal(err)
				}
				addWebhook(b, db, v, "c1", "https://127.0.0.1:9", "", notify.NewSigningKey())
				r := newReceivers(nil)
				if name == "receiver that hangs" {
					r.behave = hang
				}
				d, err := notify.New(notify.Config{
					Outbox: engine.NewOutbox(db), Sender: r, Now: time.Now,
					Log: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					b.Fatal(err)
				}
				stop := run(b, d)
				defer stop()
			}
			took := make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for i := range b.N {
				n := about(fmt.Sprint("r", i), engine.NotifyRequested)
				began := time.Now()
				change(b, db, n)
				took = append(took, time.Since(began))
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
