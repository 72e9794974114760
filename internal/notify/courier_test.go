package notify_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

const public = "https://postern.example.com"

func newVault(t *testing.T, folder string) *notify.Vault {
	t.Helper()
	v, err := notify.NewVault([]byte("0123456789abcdef0123456789abcdef"), folder)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// home says that the tenant of these tests runs the server.
func home(context.Context) (access.TenantID, error) { return tenant, nil }

func newCourier(t *testing.T, v *notify.Vault) *notify.Courier {
	t.Helper()
	c, err := notify.NewCourier(v, public, home, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// received is one request as a receiver got it.
type received struct {
	Path   string
	Header http.Header
	Body   []byte
}

// listen starts a receiver with TLS on loopback that keeps what it gets and answers by handle.
func listen(t *testing.T, handle http.HandlerFunc) (s *httptest.Server, authority string, got func() []received) {
	t.Helper()
	var mu sync.Mutex
	var all []received
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the body: %v", err)
		}
		mu.Lock()
		all = append(all, received{r.URL.Path, r.Header.Clone(), body})
		mu.Unlock()
		handle(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	authority = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return s, authority, func() []received { mu.Lock(); defer mu.Unlock(); return all }
}

// channelTo makes a channel of that kind to url, with its secret sealed.
func channelTo(t *testing.T, v *notify.Vault, kind engine.ChannelKind, url, authority, secret string) engine.Channel {
	t.Helper()
	c := engine.Channel{
		ID: "c1", Tenant: tenant, Name: "c1", Kind: kind, Enabled: true, CA: authority,
		AllowPrivate: true,
	}
	switch kind {
	case engine.Webhook, engine.PagerDuty:
		c.URL = url
	case engine.Slack, engine.Teams, engine.SMTP, engine.Lifecycle:
	}
	var err error
	if c.Secret, err = v.Seal(c.ID, kind, secret); err != nil {
		t.Fatal(err)
	}
	return c
}

func parcel(c engine.Channel) notify.Parcel {
	return notify.Parcel{
		ID: "00112233445566778899aabbccddeeff", Channel: c,
		Notification: sample(engine.NotifyNeedsDecision),
	}
}

func TestReceiversThatMisbehave(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		handle    http.HandlerFunc
		text      string // a part of what is said
		permanent bool
		after     time.Duration
		patience  time.Duration
	}{
		"500":       {handle: answer(500, "boom"), text: "127.0.0.1 answered 500 Internal Server Error: boom"},
		"503 after": {handle: answer(503, "", "Retry-After", "120"), text: "answered 503", after: 2 * time.Minute},
		"429":       {handle: answer(429, "", "Retry-After", "30"), text: "answered 429", after: 30 * time.Second},
		"408":       {handle: answer(408, ""), text: "answered 408"},
		"425":       {handle: answer(425, ""), text: "answered 425"},
		"410":       {handle: answer(410, ""), text: "answered 410 Gone", permanent: true},
		"404":       {handle: answer(404, "no_service"), text: "answered 404 Not Found: no_service", permanent: true},
		"400": {
			handle: answer(400, "invalid\r\npayload\x00\x1b[31m"),
			text:   "400 Bad Request: invalid payload [31m", permanent: true,
		},
		"301": {
			handle: answer(301, "", "Location", "https://127.0.0.1:1/elsewhere"),
			text:   "redirects are not followed", permanent: true,
		},
		"307": {
			handle: answer(307, "", "Location", "https://127.0.0.1:1/elsewhere"),
			text:   "redirects are not followed",
		},
		"hangs": {
			handle: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			text:   "did not answer", patience: 3 * time.Second,
		},
		"drops": {
			handle: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			text:   "127.0.0.1",
		},
		"huge answer": {
			handle: func(w http.ResponseWriter, _ *http.Request) { flood(w, 400) }, text: "answered 400",
			permanent: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, authority, got := listen(t, tc.handle)
			v := newVault(t, "")
			ctx := t.Context()
			if tc.patience > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tc.patience)
				defer cancel()
			}
			_, err := newCourier(t, v).Send(ctx,
				parcel(channelTo(t, v, engine.Webhook, s.URL+"/hook", authority, notify.NewSigningKey())))
			e, ok := errors.AsType[*notify.SendError](err)
			if !ok {
				t.Fatalf("Send: %v, want a SendError", err)
			}
			if !strings.Contains(e.Failure.Text, tc.text) || len(e.Failure.Text) > 400 {
				t.Errorf("it says %q, want %q in it, and to be short", e.Failure.Text, tc.text)
			}
			if e.Failure.Permanent != tc.permanent || e.Failure.RetryAfter != tc.after {
				t.Errorf("permanent %v after %s, want %v after %s", e.Failure.Permanent, e.Failure.RetryAfter,
					tc.permanent, tc.after)
			}
			if n := len(got()); n != 1 {
				t.Errorf("the receiver was asked %d times, want once", n)
			}
		})
	}
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body) //nolint:errcheck // the receiver's own trouble
	}
}

// flood answers without end.
func flood(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	for {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	v := newVault(t, "")
	_, err = newCourier(t, v).Send(t.Context(),
		parcel(channelTo(t, v, engine.Webhook, "https://"+address, "", notify.NewSigningKey())))
	if e, ok := errors.AsType[*notify.SendError](
		err); !ok || e.Failure.Permanent || !strings.Contains(e.Failure.Text, "refused") {
		t.Errorf("Send: %v, want a temporary failure that says refused", err)
	}
}

func TestACertificateIsVerified(t *testing.T) {
	t.Parallel()
	s, _, got := listen(t, answer(204, ""))
	v := newVault(t, "")
	_, err := newCourier(t, v).Send(t.Context(),
		parcel(channelTo(t, v, engine.Webhook, s.URL, "", notify.NewSigningKey())))
	if e, ok := errors.AsType[*notify.SendError](err); !ok || !strings.Contains(e.Failure.Text, "not trusted") {
		t.Errorf("Send: %v, want that the certificate is not trusted", err)
	}
	if len(got()) != 0 {
		t.Error("the body went to a receiver that is not trusted")
	}
}

func TestPrivateDestinationsAreRefusedAtTheDial(t *testing.T) {
	t.Parallel()
	s, authority, got := listen(t, answer(204, ""))
	v := newVault(t, "")
	port := s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	for _, url := range []string{
		"https://127.0.0.1:" + port, "https://localhost:" + port,
		"https://[::ffff:127.0.0.1]:" + port, "https://2130706433:" + port,
	} {
		c := channelTo(t, v, engine.Webhook, url, authority, notify.NewSigningKey())
		c.AllowPrivate = false
		_, err := newCourier(t, v).Send(t.Context(), parcel(c))
		e, ok := errors.AsType[*notify.SendError](err)
		if !ok || strings.HasSuffix(url, "localhost:"+port) && !e.Failure.Permanent {
			t.Errorf("%s: %v, want a permanent failure", url, err)
		}
	}
	if n := len(got()); n != 0 {
		t.Errorf("the receiver on loopback was reached %d times", n)
	}
}

func TestWebhooksAreSignedCloudEvents(t *testing.T) {
	t.Parallel()
	s, authority, got := listen(t, answer(202, "queued"))
	v := newVault(t, "")
	older, newer := notify.NewSigningKey(), notify.NewSigningKey()
	p := parcel(channelTo(t, v, engine.Webhook, s.URL+"/hook", authority, older+" "+newer))
	for range 2 {
		receipt, err := newCourier(t, v).Send(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(receipt.Text,
			"127.0.0.1 answered 202 Accepted") || !strings.HasSuffix(receipt.Text, "queued") {
			t.Errorf("receipt: %q", receipt.Text)
		}
	}
	requests := got()
	first := requests[0]
	for _, key := range []string{older, newer} {
		if err := notify.VerifyWebhook(key, first.Header, first.Body, time.Now()); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
	if err := notify.VerifyWebhook(notify.NewSigningKey(), first.Header, first.Body,
		time.Now()); access.CodeOf(err) != "signatureWrong" {
		t.Errorf("verify with another key: %v", err)
	}
	if err := notify.VerifyWebhook(older, first.Header, append([]byte(" "), first.Body...),
		time.Now()); access.CodeOf(err) != "signatureWrong" {
		t.Errorf("verify another body: %v", err)
	}
	if err := notify.VerifyWebhook(older, first.Header, first.Body,
		time.Now().Add(6*time.Minute)); access.CodeOf(err) != "timestampTooFar" {
		t.Errorf("verify a replay: %v", err)
	}
	if a, b := requests[0].Header.Get("Webhook-Id"), requests[1].Header.Get(
		"Webhook-Id"); a != b || a != "msg_00112233445566778899aabbccddeeff" {
		t.Errorf("ids of the repetition: %q and %q, want the same", a, b)
	}
	var event map[string]any
	if err := json.Unmarshal(first.Body, &event); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"specversion": "1.0", "type": "dev.postern.notification.needsDecision", "source": public,
		"id": "0197c0de-0000-7000-8000-000000000001", "subject": "requests/0197c0de-0000-7000-8000-0000000000aa",
		"datacontenttype": "application/json",
	} {
		if diff := cmp.Diff(want, event[field]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field, diff)
		}
	}
	if ct := first.Header.Get("Content-Type"); ct != "application/cloudevents+json; charset=utf-8" {
		t.Errorf("content type %q", ct)
	}
}

func TestPagerDutyOpensAndResolvesIncidents(t *testing.T) {
	t.Parallel()
	s, authority, got := listen(t, answer(202, `{"status":"success"}`))
	v := newVault(t, "")
	const key = "0123456789abcdef0123456789abcdef"
	channel := channelTo(t, v, engine.PagerDuty, s.URL, authority, key)
	over := sample(engine.NotifyEnded)
	partly := sample(engine.NotifyEnded)
	partly.Subject.Unended = 1
	closed := sample(engine.NotifyAlert)
	closed.Subject.Outcome = "closed"
	request := "postern/request/0197c0de-0000-7000-8000-0000000000aa"
	grant := "postern/grant/0197c0de-0000-7000-8000-0000000000bb"
	cases := []struct {
		n    engine.Notification
		want []string
	}{
		{sample(engine.NotifyNeedsDecision), []string{"trigger info " + request + "/decision"}},
		{sample(engine.NotifyDecided), []string{"resolve " + request + "/decision"}},
		{sample(engine.NotifyBreakGlass), []string{"trigger critical " + request + "/breakGlass"}},
		{partly, []string{"resolve " + grant + "/failed"}},
		{over, []string{"resolve " + grant + "/failed", "resolve " + request + "/breakGlass"}},
		{sample(engine.NotifyFailed), []string{"trigger error " + grant + "/failed"}},
		{sample(engine.NotifyAlert), []string{"trigger critical postern/alert/a1"}},
		{closed, []string{"resolve postern/alert/a1"}},
	}
	for _, tc := range cases {
		before := len(got())
		if _, err := newCourier(t, v).Send(t.Context(),
			notify.Parcel{ID: "d", Channel: channel, Notification: tc.n}); err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, r := range got()[before:] {
			var event struct {
				RoutingKey string `json:"routing_key"`
				Action     string `json:"event_action"`
				Dedup      string `json:"dedup_key"`
				Payload    *struct{ Summary, Source, Severity string }
			}
			if err := json.Unmarshal(r.Body, &event); err != nil || event.RoutingKey != key {
				t.Fatalf("event %s: %v", r.Body, err)
			}
			text := event.Action
			if event.Payload != nil {
				text += " " + event.Payload.Severity
				if event.Payload.Summary == "" || event.Payload.Source == "" {
					t.Errorf("%s: no summary or source", r.Body)
				}
			}
			have = append(have, text+" "+event.Dedup)
		}
		if diff := cmp.Diff(tc.want, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.n.Kind, diff)
		}
	}
}

// TestSecretsStayOut sends through every kind to receivers that fail in many ways and say back all that they got, and
// looks for the secret in errors, receipts, and logs.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	const token = "T0SECRETB0SECRETxyz"
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, r.URL.Path, " https://", r.Host, r.URL.Path, " ", r.Header.Get("Secret")) //nolint:errcheck // the receiver's own trouble
		}
	}
	handlers := map[string]http.HandlerFunc{
		"500": echo(500), "200": echo(200), "404": echo(404),
		"drop": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+r.URL.Path+"/next", http.StatusFound)
		},
	}
	for name, handle := range handlers {
		for kind, secret := range map[engine.ChannelKind]string{
			engine.Slack: "/services/" + token, engine.Teams: "/workflows/" + token + "?sig=SECRETsig",
			engine.SMTP:      "", // has its own tests
			engine.Webhook:   "whsec_SECRETSECRETSECRETSECRETSECRETSECRETSECR",
			engine.PagerDuty: "0123456789abcdefSECRETSECRETSECR",
		} {
			if kind == engine.SMTP {
				continue
			}
			t.Run(name+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				s, authority, _ := listen(t, func(w http.ResponseWriter, r *http.Request) {
					r.Header.Set("Secret", secret)
					handle(w, r)
				})
				v := newVault(t, "")
				if kind == engine.Slack || kind == engine.Teams {
					secret = s.URL + secret
				}
				for _, trusted := range []string{authority, ""} {
					c := channelTo(t, v, kind, s.URL+"/hook", trusted, secret)
					receipt, err := newCourier(t, v).Send(t.Context(), parcel(c))
					var log strings.Builder
					slog.New(slog.NewTextHandler(&log, nil)).Info("sent", slog.Any("channel", c),
						slog.Any("secret", c.Secret), slog.Any("error", err), slog.Any("receipt", receipt))
					for _, text := range []string{
						fmt.Sprint(err), fmt.Sprintf("%+v", receipt), log.String(),
						fmt.Sprintf("%v %+v %#v", c, c, c),
					} {
						if strings.Contains(text, "SECRET") {
							t.Errorf("it shows its secret: %s", text)
						}
					}
				}
			})
		}
	}
}

func TestTestSaysWhatHappened(t *testing.T) {
	t.Parallel()
	s, authority, got := listen(t, answer(200, "ok"))
	v := newVault(t, "")
	c := channelTo(t, v, engine.Slack, "", authority, s.URL+"/services/x")
	receipt, err := newCourier(t, v).Test(t.Context(), c, "", "ana")
	if err != nil || !strings.Contains(receipt.Text, "127.0.0.1 answered 200 OK in ") {
		t.Errorf("Test: %q, %v", receipt.Text, err)
	}
	if requests := got(); len(requests) != 1 || !strings.Contains(string(requests[0].Body),
		"Test of a Postern channel") || requests[0].Path != "/services/x" {
		t.Errorf("received: %+v", requests)
	}
}
