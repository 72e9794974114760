package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// program is one running program with an agent's certificate.
type program struct {
	t        *testing.T
	r        *running
	web      agent
	instance string
}

// call makes a call as that program, on a connection of its own.
func (p program) call(ctx context.Context, method, path, body string) (res *http.Response, hangUp func()) {
	p.t.Helper()
	client := p.r.plain()
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		p.t.Fatal("no transport")
	}
	transport.TLSClientConfig.Certificates = append(transport.TLSClientConfig.Certificates, *p.web.certificate)
	request, err := http.NewRequestWithContext(ctx, method, p.r.url()+"/api/v1/agent/"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if p.instance != "" {
		request.Header.Set("Postern-Agent-Instance", p.instance)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		p.t.Fatal(err)
	}
	return response, func() { _ = response.Body.Close(); transport.CloseIdleConnections() }
}

// follow gives the lines of the program's stream.
func (p program) follow() (lines <-chan string, hangUp func()) {
	p.t.Helper()
	response, hangUp := p.call(p.t.Context(), http.MethodGet, "desired", "") //nolint:bodyclose // hangUp does
	if response.StatusCode != http.StatusOK {
		p.t.Fatalf("%q is not served: %s", p.instance, response.Status)
	}
	all := make(chan string, 100)
	go func() {
		defer close(all)
		for in := bufio.NewScanner(response.Body); in.Scan(); {
			all <- in.Text()
		}
	}()
	p.t.Cleanup(hangUp)
	return all, hangUp
}

// refused proves that the program is not served.
func (p program) refused(method, path, body string) {
	p.t.Helper()
	response, hangUp := p.call(p.t.Context(), method, path, body) //nolint:bodyclose // hangUp does
	defer hangUp()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	var problem api.Problem
	if err := json.Unmarshal(text,
		&problem); err != nil || problem.Code != "agentTwice" || response.StatusCode != http.StatusConflict {
		p.t.Errorf("%s %s of %q is answered with %s %s", method, path, p.instance, response.Status, text)
	}
}

func until(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	over := time.After(patience)
	for {
		select {
		case line, ok := <-lines:
			if !ok && want == "" {
				return
			}
			if !ok {
				t.Fatalf("the stream ended before %q", want)
			}
			if want != "" && strings.Contains(line, want) {
				return
			}
		case <-over:
			t.Fatalf("the stream did not say %q in time", want)
		}
	}
}

// TestASecondAgentIsNotServed proves that of two programs with one certificate the first is served for as long as it is
// there, that the other is told why, on record and with an alert, and that a restart or a broken network locks nobody
// out.
func TestASecondAgentIsNotServed(t *testing.T) {
	t.Parallel()
	r, admin, web := guarded(t)
	original, copied, nameless := program{t, r, web, "original"}, program{t, r, web, "copied"}, program{t, r, web, ""}
	const report = `{"revision":1,"skewMillis":0,"version":"test"}`
	lines, _ := original.follow()
	until(t, lines, `"openings":[]`)
	for _, other := range []program{copied, nameless} {
		other.refused(http.MethodGet, "desired", "")
		other.refused(http.MethodPost, "report", report)
		other.refused(http.MethodPost, "renew", `{"csr":"none"}`)
	}
	if _, err := admin.Submit(t.Context(), ask(), ""); err != nil {
		t.Fatal(err)
	}
	until(t, lines, `"source":"203.0.113.7/32"`)
	response, hangUp := original.call(t.Context(), http.MethodPost, "report", report) //nolint:bodyclose // hangUp does
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("the report of the original is answered with %s", response.Status)
	}
	hangUp()
	events, err := api.All(admin.Events(t.Context(), api.EventQuery{Kind: "agent.twice"}))
	if err != nil || len(events) != 1 || events[0].Machine != web.enrolled.Machine {
		t.Errorf("the events are %+v, %v", events, err)
	}

	// The same program again, as after a break of the network: the connection before ends.
	again, hangUp := original.follow()
	until(t, again, `"source":"203.0.113.7/32"`)
	until(t, lines, "")
	// Another one, once the first has gone: a restart.
	hangUp()
	restarted, hangUp := program{t, r, web, "restarted"}.follow()
	until(t, restarted, `"source":"203.0.113.7/32"`)
	hangUp()
	old, _ := nameless.follow()
	until(t, old, `"source":"203.0.113.7/32"`)
}
