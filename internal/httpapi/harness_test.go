package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/httpapi"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/notify"
	"github.com/postern-dev/postern/internal/store"
)

const password = "a long enough password 42"

// service is the API on a real store, called without a network.
type service struct {
	api   *httpapi.API
	token string // of the administrator
}

func newService(tb testing.TB, change ...func(*httpapi.Config)) *service {
	tb.Helper()
	dir := tb.TempDir()
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(context.Background(), store.Config{DSN: filepath.Join(dir, "postern.db"), Log: log}) //nolint:usetesting // closed by Cleanup
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	e, err := services.New(services.Config{
		Store: db, SealKey: make([]byte, engine.SealKeySize), Now: time.Now,
		Log: log,
	})
	if err != nil {
		tb.Fatal(err)
	}
	first, err := e.Directory.Bootstrap(tb.Context(), identity.HashPassword)
	if err != nil {
		tb.Fatal(err)
	}
	ca, err := identity.OpenCA(dir, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	names, err := identity.NewNames("https://postern.example", []string{"127.0.0.1"})
	if err != nil {
		tb.Fatal(err)
	}
	often := identity.Rate{PerSecond: 1e6, Burst: 1e6}
	i, err := identity.New(identity.Config{
		Engine: e, CA: ca, Names: names, Now: time.Now, Log: log, Known: often,
		Anonymous: often,
	})
	if err != nil {
		tb.Fatal(err)
	}
	config := httpapi.Config{Engine: e, Identity: i, Title: notify.Title, Now: time.Now, Log: log}
	for _, c := range change {
		c(&config)
	}
	a, err := httpapi.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	s := &service{api: a}
	body, err := json.Marshal(api.SignIn{Name: "admin", Password: first, NewPassword: password})
	if err != nil {
		tb.Fatal(err)
	}
	answer := s.call(http.MethodPost, "/api/v1/sessions", body)
	var session api.Session
	if err := json.Unmarshal(answer.Body.Bytes(), &session); err != nil || session.Token == "" {
		tb.Fatalf("sign in: %d %s", answer.Code, answer.Body)
	}
	s.token = session.Token
	return s
}

// call sends one call; a path that no request can have is answered with nil.
func (s *service) call(method, path string, body []byte) *httptest.ResponseRecorder {
	r, err := http.NewRequest(method, "https://postern.example"+path, bytes.NewReader(body))
	if err != nil {
		return nil
	}
	r.RequestURI = path
	r.RemoteAddr = "203.0.113.9:1234"
	r.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	return w
}
