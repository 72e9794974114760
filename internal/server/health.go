package server

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/engine"
)

const pingTimeout = 2 * time.Second

// health answers whoever decides whether to restart the server, or to send it calls.
type health struct {
	store engine.Store
	alive func() bool // the reconciler runs
	room  func() bool // there is room for what is written next
}

func (h health) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
		defer cancel()
		switch {
		case h.store.Ping(ctx) != nil:
			say(w, http.StatusServiceUnavailable, "the database does not answer\n")
		case !h.room():
			say(w, http.StatusServiceUnavailable, "the disk of the data folder is full\n")
		case !h.alive():
			say(w, http.StatusServiceUnavailable, "the reconciler does not run\n")
		default:
			say(w, http.StatusOK, "ready\n")
		}
	})
}

// leastRoom is what the data folder needs: one large commit, and the log of the database with it.
const leastRoom = 16 << 20

// room tells whether the disk of the data folder has leastRoom for this server. One that cannot be asked has.
func (f *folder) room() bool {
	var s unix.Statfs_t
	return unix.Statfs(f.path, &s) != nil || s.Bavail*uint64(s.Bsize) >= leastRoom //nolint:gosec // a block has a size
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write([]byte(text)); err != nil {
		return // the caller left
	}
}
