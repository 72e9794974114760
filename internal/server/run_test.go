package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/server"
)

func TestFirstStart(t *testing.T) {
	t.Parallel()
	r := start(t)
	if r.ready.AdminPassword == "" {
		t.Fatal("the first start made no password")
	}
	contains(t, "the first start", r.out.String(), r.ready.AdminPassword)
	contains(t, "the first start", r.out.String(), filepath.Join(r.config.Data, "ca.pem"))
	contains(t, "the first start", r.out.String(), "SHA-256")
	contains(t, "the first start", r.out.String(),
		"postern login --server https://"+r.ready.Address+" --ca-fingerprint ")
	if strings.Contains(r.log.String(), r.ready.AdminPassword) {
		t.Error("the password is in the log")
	}
	for path, want := range map[string]string{
		"/healthz": "alive", "/readyz": "ready",
		"/openapi.yaml": "openapi: 3.1.0",
	} {
		if status, body := r.get(path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d %.80q, want 200 with %q", path, status, body, want)
		}
	}
	c := r.client()
	_, err := c.SignIn(t.Context(), api.SignIn{Name: "admin", Password: r.ready.AdminPassword})
	wantProblem(t, "the one-time password alone", err, 0, "passwordChangeRequired")
	admin := r.admin()
	me, err := admin.Me(t.Context())
	if err != nil || me.Principal.Name != "admin" || me.Address != "127.0.0.1" || me.Warning == "" {
		t.Errorf("me = %+v, %v; want admin from 127.0.0.1 with a warning", me, err)
	}
	if err := admin.SignOut(t.Context()); err != nil {
		t.Errorf("sign out: %v", err)
	}
	_, err = admin.Me(t.Context())
	wantProblem(t, "a session that ended", err, http.StatusUnauthorized, "")
	r.end()

	again := start(t, func(c *server.Config) { c.Data = r.config.Data })
	if again.ready.AdminPassword != "" || again.out.String() != "" {
		t.Errorf("the second start printed %q", again.out)
	}
	if string(again.ready.CA) != string(r.ready.CA) {
		t.Error("the second start made another CA")
	}
	again.signIn("admin", adminPassword, "")
}

// TestAnnouncedBeforeAnswered asks a server that is still announcing itself: whoever gets an answer finds the first
// password printed.
func TestAnnouncedBeforeAnswered(t *testing.T) {
	t.Parallel()
	config := server.Default()
	config.Data, config.Listen, config.MetricsListen = t.TempDir(), "127.0.0.1:0", "off"
	config.Out, config.Log = io.Discard, io.Discard
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked := false
	config.Ready = func(ready server.Ready) {
		defer stop()
		asked = true
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ready.CA)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 300 * time.Millisecond}
		if response, err := client.Get("https://" + ready.Address + "/readyz"); err == nil {
			_ = response.Body.Close()
			t.Errorf("a server that is not announced yet answers %s", response.Status)
		}
	}
	if err := server.Run(ctx, config); err != nil || !asked {
		t.Errorf("the server ended with %v, announced: %t", err, asked)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := start(t)
	follow(t, r.enroll(r.admin(), "web-1").Client)
	deadline := time.Now().Add(patience)
	for {
		text := r.metrics()
		if strings.Contains(text, "postern_agents_connected 1\n") {
			contains(t, "/metrics", text,
				`postern_http_request_seconds_count{route="POST /api/v1/sessions",status="201"} 1`)
			contains(t, "/metrics", text, "process_resident_memory_bytes")
			contains(t, "/metrics", text, "postern_reconciler_up 1")
			contains(t, "/metrics", text, "postern_store_update_seconds_count")
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/metrics does not count the agent:\n%s", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if status, _ := r.get("/metrics"); status != http.StatusNotFound {
		t.Errorf("GET /metrics on the API = %d, want 404", status)
	}
}

// TestDrain proves that a stop ends streams and long polls politely and soon.
func TestDrain(t *testing.T) {
	t.Parallel()
	r, admin, web := guarded(t)
	f := follow(t, web.Client)
	f.until("the first state", func(agentwire.Desired) bool { return true })
	asked, err := admin.Submit(t.Context(), ask(), "")
	if err != nil || len(asked.Grants) != 1 {
		t.Fatalf("submit: %+v, %v", asked, err)
	}
	polled := make(chan error, 1)
	go func() {
		g, err := admin.Grant(t.Context(), asked.Grants[0].ID, 25*time.Second)
		if err == nil && g.State != "opening" {
			err = errors.New("the grant is " + g.State)
		}
		polled <- err
	}()
	// for the poll to have begun, on a busy machine too; were it later, it would be refused, and the test fail
	time.Sleep(2 * time.Second)
	began := time.Now()
	r.end()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("draining took %s", took)
	}
	if err := <-polled; err != nil {
		t.Errorf("the long poll ended with: %v", err)
	}
	if err := <-f.ended; !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v, want a polite end", err)
	}
	contains(t, "the log", r.log.String(), "stopping")
}

func TestRefusedAtStart(t *testing.T) {
	t.Parallel()
	used := start(t)
	readOnly := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(readOnly, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*server.Config)
		key    string
		says   string
	}{
		"port in use": {func(c *server.Config) { c.Listen = used.ready.Address }, "listen", "in use"},
		"metrics port in use": {
			func(c *server.Config) { c.MetricsListen = used.ready.Metrics }, "metricsListen",
			"in use",
		},
		"folder in use":    {func(c *server.Config) { c.Data = used.config.Data }, "data", "another server uses"},
		"folder is a file": {func(c *server.Config) { c.Data = readOnly }, "data", "cannot be"},
		"database not reached": {
			func(c *server.Config) { c.Database = "postgres://postern@127.0.0.1:1/postern" },
			"database", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := server.Default()
			config.Data, config.Listen, config.MetricsListen = t.TempDir(), "127.0.0.1:0", "off"
			config.Out, config.Log = io.Discard, io.Discard
			config.Ready = func(server.Ready) { t.Error("the server started") }
			c.change(&config)
			err := server.Run(t.Context(), config)
			key, ok := errors.AsType[*server.KeyError](err)
			if !ok || key.Key != c.key {
				t.Fatalf("Run gave %v, want an error of the key %q", err, c.key)
			}
			contains(t, "the error", err.Error(), c.says)
			if config.Data == used.config.Data || config.Data == readOnly {
				return
			}
			again := start(t, func(mended *server.Config) { mended.Data = config.Data })
			if again.ready.AdminPassword == "" {
				t.Error("the start that was refused used the first password up, and showed it to nobody")
			}
		})
	}
}

// wantProblem checks that err is a problem of that status (0: any) and code (empty: any).
func wantProblem(tb testing.TB, what string, err error, status int, code string) {
	tb.Helper()
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		tb.Errorf("%s gave %v, want a problem", what, err)
		return
	}
	if status != 0 && p.Status != status || code != "" && p.Code != code {
		tb.Errorf("%s gave %d %s (%s), want %d %s", what, p.Status, p.Code, p, status, code)
	}
	if p.Detail == "" || p.Title == "" || p.Instance == "" && code != "unexpectedAnswer" {
		tb.Errorf("%s gave a problem without detail, title or instance: %+v", what, p)
	}
}
