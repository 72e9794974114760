package notify_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

// TestRealReceivers runs a dispatcher over real connections to a receiver that hangs, one that fails every other time,
// and one that works.
func TestRealReceivers(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hangs, hangsCA, hung := listen(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	var n atomic.Int64
	flaky, flakyCA, flakyGot := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 3 {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			panic(http.ErrAbortHandler)
		}
	})
	works, worksCA, worked := listen(t, answer(http.StatusNoContent, ""))
	v := newVault(t, "")
	key := notify.NewSigningKey()
	var channels []engine.Channel
	for id, at := range map[engine.ChannelID][2]string{
		"hangs": {hangs.URL, hangsCA}, "flaky": {flaky.URL, flakyCA},
		"works": {works.URL, worksCA},
	} {
		c := engine.Channel{
			ID: id, Tenant: tenant, Name: string(id), Kind: engine.Webhook, Enabled: true,
			AllowPrivate: true, URL: at[0], CA: at[1], Revision: 1,
		}
		var err error
		if c.Secret, err = v.Seal(id, c.Kind, key); err != nil {
			t.Fatal(err)
		}
		channels = append(channels, c)
	}
	m := setUp(t, channels...)
	stop := start(t, m, newCourier(t, v),
		engine.Retry{Base: 10 * time.Millisecond, Most: 100 * time.Millisecond, MaxAttempts: 1000, MaxAge: time.Hour})
	for i := range 3 {
		for _, kind := range []engine.NotificationKind{
			engine.NotifyRequested, engine.NotifyDecided,
			engine.NotifyOpened,
		} {
			enqueue(t, m, about(fmt.Sprint("r", i), kind))
		}
	}
	delivered := func() (n int) {
		for _, d := range deliveries(m, engine.DeliveryDelivered) {
			if d.Channel != "hangs" {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(50 * time.Second); delivered() < 18 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if got := delivered(); got != 18 {
		t.Errorf("%d delivered to those that work or will, want 18", got)
	}
	close(release)
	stop()
	if len(worked()) != 9 || len(flakyGot()) < 18 || len(hung()) == 0 {
		t.Errorf("received: %d where it works, want 9; %d where it fails, want more; %d where it hangs", len(worked()),
			len(flakyGot()), len(hung()))
	}
	order := map[access.RequestID][]string{}
	for _, r := range worked() {
		if err := notify.VerifyWebhook(key, r.Header, r.Body, time.Now()); err != nil {
			t.Error(err)
		}
		var event struct {
			Data struct{ Request, Kind string }
		}
		if err := json.Unmarshal(r.Body, &event); err != nil {
			t.Fatal(err)
		}
		order[access.RequestID(event.Data.Request)] = append(order[access.RequestID(event.Data.Request)],
			event.Data.Kind)
	}
	for request, kinds := range order {
		if !slices.Equal(kinds, []string{"requested", "decided", "opened"}) {
			t.Errorf("request %s: %s", request, strings.Join(kinds, ", "))
		}
	}
}
