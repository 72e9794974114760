package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/store"
)

// TestReadyWhileTheDiskIsFull asks a server whose data folder is on a small disk, before and after that is full.
func TestReadyWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("a disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	db, err := store.Open(t.Context(),
		store.Config{DSN: filepath.Join(t.TempDir(), "postern.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	mux := http.NewServeMux()
	health{store: db, alive: func() bool { return true }, room: (&folder{path: dir}).room}.routes(mux)
	ask := func(want int) {
		t.Helper()
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		if w.Code != want {
			t.Errorf("it says %d %s, want %d", w.Code, w.Body, want)
		}
	}
	ask(http.StatusOK)
	if err := os.WriteFile(dir+"/full", make([]byte, 24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ask(http.StatusServiceUnavailable)
	if err := os.Remove(dir + "/full"); err != nil {
		t.Fatal(err)
	}
	ask(http.StatusOK)
}
