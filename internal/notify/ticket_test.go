package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

func TestTicketWebhook(t *testing.T) {
	t.Parallel()
	key := notify.NewSigningKey()
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string // "", "refused" or "none"
	}{
		"good":         {func(w http.ResponseWriter) { io.WriteString(w, `{"ok": true}`) }, ""},                              //nolint:errcheck // a test
		"refused":      {func(w http.ResponseWriter) { io.WriteString(w, `{"ok": false, "message": "closed"}`) }, "refused"}, //nolint:errcheck // a test
		"error":        {func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, "none"},
		"created":      {func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated); io.WriteString(w, `{"ok": true}`) }, "none"}, //nolint:errcheck // a test
		"not JSON":     {func(w http.ResponseWriter) { io.WriteString(w, `<html>`) }, "none"},                                          //nolint:errcheck // a test
		"says nothing": {func(w http.ResponseWriter) { io.WriteString(w, `{}`) }, "none"},                                              //nolint:errcheck // a test
		"endless": {func(w http.ResponseWriter) {
			io.WriteString(w, `{"message": "`+strings.Repeat("x", 1<<20)) //nolint:errcheck // a test
		}, "none"},
		"elsewhere": {
			func(w http.ResponseWriter) {
				w.Header().Set("Location", "/good")
				w.WriteHeader(http.StatusFound)
			},
			"none",
		},
		"hangs": {func(http.ResponseWriter) { time.Sleep(3 * time.Second) }, "none"}, //nolint:forbidigo // a receiver that is slow
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				if err := notify.VerifyWebhook(key, r.Header, body, time.Now()); err != nil {
					t.Errorf("the question is not signed: %v", err)
				}
				var q map[string]any
				if err := json.Unmarshal(body, &q); err != nil || q["ticket"] != "OPS-7" || q["requester"] != "ann" {
					t.Errorf("asked %s", body)
				}
				c.answer(w)
			}))
			defer s.Close()
			hook := notify.TicketWebhook{URL: s.URL, Keys: key, Now: time.Now}
			if err := hook.Check(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if name == "hangs" {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			}
			defer cancel()
			err := hook.CheckTicket(ctx,
				engine.TicketQuery{Ticket: "OPS-7", Requester: "ann", Machines: []string{"web-1"}})
			got := "none"
			switch {
			case err == nil:
				got = ""
			case access.KindOf(err) == access.KindInvalid:
				got = "refused"
			}
			if got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestTicketWebhookConfiguration(t *testing.T) {
	t.Parallel()
	for _, bad := range []notify.TicketWebhook{
		{URL: "ftp://example.org"},
		{URL: "https://user:secret@example.org"},
		{URL: "https://example.org", Keys: "short"},
		{URL: "https://example.org", CA: "none"},
	} {
		if err := bad.Check(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
