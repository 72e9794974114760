package agentwire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// serve answers calls over TLS, and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc, change ...func(*Config)) *Client {
	t.Helper()
	s := httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)
	config := Config{Server: s.URL, TLS: s.Client().Transport.(*http.Transport).TLSClientConfig}
	for _, c := range change {
		c(&config)
	}
	c, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestStream follows a stream as the server writes it, with an event between of which this version knows nothing.
func TestStream(t *testing.T) {
	t.Parallel()
	now := noon()
	var sent bytes.Buffer
	for _, e := range []struct {
		name string
		data any
	}{
		{EventDesired, wireState()},
		{"advice", "of a later version"},
		{EventHeartbeat, api.Heartbeat{ServerTime: now.Add(time.Second).UnixMicro()}},
	} {
		if err := WriteEvent(&sent, e.name, e.data); err != nil {
			t.Fatal(err)
		}
	}
	var asked, exchanges int
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", StreamType)
		w.Header().Set(TimeHeader, FormatTime(now, "clock-1"))
		if got := r.Header.Get(InstanceHeader); got != "program-1" || r.URL.Path != "/api/v1/agent/desired" {
			t.Errorf("asked for %s as %q", r.URL.Path, got)
		}
		_, _ = w.Write(sent.Bytes())
	}, func(c *Config) {
		c.Instance = "program-1"
		c.Now = func() time.Time { asked++; return now.Add(time.Duration(asked) * time.Hour) }
		c.Exchanged = func(clock string, asked, at, answered time.Time) {
			exchanges++
			if clock != "clock-1" || !at.Equal(now) || !asked.Before(answered) {
				t.Errorf("exchanged %s of %q between %s and %s", at, clock, asked, answered)
			}
		}
	})
	s, err := c.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Clock != "clock-1" || !s.Asked.After(now) || exchanges != 1 {
		t.Errorf("asked at %s, of clock %q, with %d exchanges", s.Asked, s.Clock, exchanges)
	}
	for i := range 2 {
		e, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		at, desired, err := e.Read()
		if err != nil || !at.Equal(now.Add(time.Duration(i)*time.Second)) || (desired == nil) != (i == 1) {
			t.Errorf("event %d was sent at %s with %+v, %v", i, at, desired, err)
		}
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestAnswersThatAreNotOurs holds what comes of answers that no server of ours gives.
func TestAnswersThatAreNotOurs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body, media string
		status            int
		want              string
	}{
		{"a page instead of a stream", "<html>", "text/html", http.StatusOK, "not a stream of events"},
		{"a page of a proxy", "<html>", "text/html", http.StatusBadGateway, "502 Bad Gateway"},
		{"another way", "", "", http.StatusFound, "302 Found"},
		{"no end", strings.Repeat("x", maxAnswer+1), "application/problem+json", http.StatusForbidden, "longer than"},
		{
			"a long problem", `{"detail":"` + strings.Repeat("x", 5000) + `"}`, "application/problem+json",
			http.StatusConflict, strings.Repeat("x", maxDetail),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.media)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			_, err := cl.Follow(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 2*maxDetail {
				t.Errorf("following gave %v, want one that says %q", err, c.want)
			}
		})
	}
}

// TestRefusal holds what an agent learns of a refusal.
func TestRefusal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  int
		after   string
		unknown bool
		wait    time.Duration
	}{
		{http.StatusUnauthorized, "", true, 0},
		{http.StatusForbidden, "-1", true, 0},
		{http.StatusConflict, "soon", false, 0},
		{http.StatusTooManyRequests, "7", false, 7 * time.Second},
		{http.StatusServiceUnavailable, "99999999", false, maxRetryAfter * time.Second},
	} {
		cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(c.status)
			_, _ = fmt.Fprintf(w, `{"code":"because","detail":"it is so"}`)
		})
		err := cl.Report(t.Context(), Report{})
		status, code := Refusal(err)
		if status != c.status || code != "because" || Unknown(err) != c.unknown || RetryAfter(err) != c.wait {
			t.Errorf("%d with Retry-After %q: %v is %d %q, unknown %t, wait %s",
				c.status, c.after, err, status, code, Unknown(err), RetryAfter(err))
		}
	}
	err := context.Canceled
	if status, code := Refusal(err); status != 0 || code != "" || Unknown(err) || RetryAfter(err) != 0 {
		t.Error("what no server said counts as a refusal")
	}
}

// TestServerAddress holds what an address of a server is.
func TestServerAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://postern.example:8443": "https://postern.example:8443",
		"https://postern.example/":     "https://postern.example",
		"https://[2001:db8::1]:8443":   "https://[2001:db8::1]:8443",
		"http://postern.example":       "", "postern.example:8443": "", "https://": "", "https://a/b": "",
		"https://a?b": "",
		"https://a#b": "", "https://me@a": "", "https://a:b": "",
	} {
		c, err := NewClient(Config{Server: text, TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
		switch {
		case (err == nil) != (want != ""):
			t.Errorf("%q: %v", text, err)
		case err == nil && c.Server() != want:
			t.Errorf("%q is %q, want %q", text, c.Server(), want)
		case err == nil && c.transport.TLSClientConfig.MinVersion != tls.VersionTLS13:
			t.Errorf("%q is called by an older TLS", text)
		}
	}
}
