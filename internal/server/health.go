package server

import (
	"context"
	"net/http"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

const pingTimeout = 2 * time.Second

// health answers whoever decides whether to restart the server, or to send it calls.
type health struct {
	store engine.Store
	alive func() bool // the reconciler runs
}

func (h health) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
		defer cancel()
		switch {
		case h.store.Ping(ctx) != nil:
			say(w, http.StatusServiceUnavailable, "the database does not answer\n")
		case !h.alive():
			say(w, http.StatusServiceUnavailable, "the reconciler does not run\n")
		default:
			say(w, http.StatusOK, "ready\n")
		}
	})
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write([]byte(text)); err != nil {
		return // the caller left
	}
}
