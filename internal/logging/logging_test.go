package logging

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reader is a writer that takes nothing while it is stopped, like a terminal after Ctrl-S.
type reader struct {
	mu      sync.Mutex
	stopped chan struct{} // nil where it takes what comes
	text    bytes.Buffer
}

func (r *reader) Write(p []byte) (int, error) {
	if r.stopped != nil {
		<-r.stopped
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *reader) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Split(strings.TrimSuffix(r.text.String(), "\n"), "\n")
}

func text(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

// TestNobodyWaitsForWhoReadsTheLog logs more than is kept to a reader that takes nothing: all of it takes as long as
// one line is waited for, what was kept comes in its order once the reader goes on, and of the rest the number.
func TestNobodyWaitsForWhoReadsTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &reader{stopped: make(chan struct{})}
		log := New(r, text)
		began := time.Now()
		for i := range mostKept + 25 {
			log.Info("line", "n", i)
		}
		if took := time.Since(began); took != patience {
			t.Errorf("%d lines took %s while nobody read", mostKept+25, took)
		}
		close(r.stopped)
		synctest.Wait()
		got := r.lines()
		if len(got) != mostKept+1 {
			t.Fatalf("%d lines came, want %d and the number of the others", len(got), mostKept)
		}
		for i, line := range got[:mostKept] {
			if want := fmt.Sprintf("level=INFO msg=line n=%d", i); line != want {
				t.Fatalf("line %d is %q, want %q", i, line, want)
			}
		}
		if !strings.Contains(got[mostKept], "lines=25") {
			t.Errorf("of the lines that were left out it says %q", got[mostKept])
		}
		// It reads again: a line is there when the call returns.
		log.Info("after")
		if got := r.lines(); got[len(got)-1] != "level=INFO msg=after" {
			t.Errorf("the last line is %q", got[len(got)-1])
		}
	})
}

// TestLogToAPipeThatNobodyReads holds it with a pipe of the kernel, which is what a service's standard error often is.
func TestLogToAPipeThatNobodyReads(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close() //nolint:errcheck // nobody reads it
	defer read.Close()  //nolint:errcheck // which ends the write that waits
	log := New(write, text)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2 * mostKept {
			log.Info("line", "text", strings.Repeat("x", 1000))
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("who logs waits for who reads the log")
	}
}
