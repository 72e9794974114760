package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
)

// TestStreamOverHTTP2 proves that an agent that speaks HTTP/2 gets the same messages.
func TestStreamOverHTTP2(t *testing.T) {
	t.Parallel()
	r, admin, web := guarded(t)
	transport, ok := r.plain().Transport.(*http.Transport)
	if !ok {
		t.Fatal("no transport")
	}
	transport.ForceAttemptHTTP2 = true
	transport.TLSClientConfig.Certificates = []tls.Certificate{*web.certificate}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+"/api/v1/agent/desired", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request) //nolint:bodyclose // closed does
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, response.Body)
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK || response.Header.Get(
		"Content-Type") != "text/event-stream" {
		t.Fatalf("the stream began with %s %s %v", response.Proto, response.Status, response.Header)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(response.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	until := func(want string) {
		t.Helper()
		over := time.After(patience)
		for {
			select {
			case line, ok := <-lines:
				if !ok {
					t.Fatalf("the stream ended before %q", want)
				}
				if strings.HasPrefix(line, "data: ") && strings.Contains(line, want) {
					return
				}
			case <-over:
				t.Fatalf("the stream did not say %q in time", want)
			}
		}
	}
	until(`"openings":[]`)
	if _, err := admin.Submit(t.Context(), ask(), ""); err != nil {
		t.Fatal(err)
	}
	until(`"source":"203.0.113.7/32"`)
}

// TestStreamEndsWithTheAgent proves that the stream of an agent that no longer counts ends when that becomes known.
func TestStreamEndsWithTheAgent(t *testing.T) {
	t.Parallel()
	_, admin, web := guarded(t)
	f := follow(t, web.Client)
	f.until("the first state", func(agentwire.Desired) bool { return true })
	if err := admin.DeleteMachine(t.Context(), "web-1"); err != nil {
		t.Fatal(err)
	}
	over := time.After(patience)
	for {
		select {
		case d := <-f.states:
			if len(d.Openings) != 0 {
				t.Errorf("the agent was still told of %+v", d.Openings)
			}
		case err := <-f.ended:
			if !errors.Is(err, io.EOF) {
				t.Errorf("the stream ended with %v, want a polite end", err)
			}
			return
		case <-over:
			t.Fatal("the stream goes on")
		}
	}
}
