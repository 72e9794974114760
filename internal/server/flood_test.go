package server_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
)

// TestOneAgentCannotFloodTheServer has an agent, or whoever has its certificate, call as often as it can: it is told to
// wait, the calls of another agent and of people are answered as ever, and once it keeps still what it has to say is
// taken.
func TestOneAgentCannotFloodTheServer(t *testing.T) {
	t.Parallel()
	r, admin, web := guarded(t)
	other := r.enroll(admin, "web-2")
	client := r.plain()
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*web.certificate} //nolint:forcetypeassert // plain's is
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 8                                            //nolint:forcetypeassert // the same
	call := func(method, path, body string) (status int, wait string) {
		request, err := http.NewRequestWithContext(t.Context(), method, r.url()+"/api/v1/agent/"+path,
			strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		if method == http.MethodPost || response.StatusCode != http.StatusOK { // else it is a stream that was let in
			_, err = io.Copy(io.Discard, response.Body)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Error(err)
		}
		return response.StatusCode, response.Header.Get("Retry-After")
	}

	empty, err := json.Marshal(agentwire.Report{})
	if err != nil {
		t.Fatal(err)
	}
	const floods, calls = 8, 400
	var mu sync.Mutex
	var taken, turned int
	began := time.Now()
	var flooding sync.WaitGroup
	for range floods {
		flooding.Go(func() {
			for range calls {
				status, wait := call(http.MethodPost, "report", string(empty))
				mu.Lock()
				switch {
				case status == http.StatusNoContent:
					taken++
				case status == http.StatusTooManyRequests && wait != "":
					turned++
				default:
					t.Errorf("a report of the flood is answered %d, Retry-After %q", status, wait)
				}
				mu.Unlock()
			}
		})
	}
	for range 20 {
		if err := other.Report(t.Context(), agentwire.Report{}); err != nil {
			t.Errorf("another agent's report during the flood: %v", err)
		}
		if _, err := admin.Machine(t.Context(), "web-1"); err != nil {
			t.Errorf("a person's call during the flood: %v", err)
		}
	}
	flooding.Wait()
	most := 500 + int(50*time.Since(began).Seconds()) + 1
	if taken > most || turned == 0 {
		t.Errorf("of %d reports %d were taken in %s and %d turned away; at most %d may be taken", floods*calls, taken,
			time.Since(began), turned, most)
	}
	// Nothing is left to spend, so the agent cannot connect again and again either.
	if status, wait := call(http.MethodGet, "desired", ""); status != http.StatusTooManyRequests || wait == "" {
		t.Errorf("a stream after the flood is answered %d, Retry-After %q", status, wait)
	}
	if n := strings.Count(r.log.String(), "an agent calls too often"); n != 1 {
		t.Errorf("the log says %d times that the agent calls too often", n)
	}
	contains(t, "/metrics", r.metrics(),
		`postern_http_request_seconds_count{route="POST /api/v1/agent/report",status="429"}`)
	for over := time.Now().Add(patience); ; {
		if status, _ := call(http.MethodPost, "report", string(empty)); status == http.StatusNoContent {
			break
		}
		if time.Now().After(over) {
			t.Fatal("the agent is not heard any more")
		}
	}
}
