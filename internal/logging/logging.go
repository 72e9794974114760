// Package logging makes logs that hold nobody up: a terminal whose output is stopped, a pipe that nobody reads and a
// journal that hangs take nothing, and whoever closes, opens or decides must not wait for them.
package logging

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// How long a line is waited for, once: while its reader stands still no further one is.
	patience = 100 * time.Millisecond
	mostKept = 1000 // lines that wait for a reader; what comes beside them is counted, and left out
)

// New makes a log that writes to w with the handler that make gives. Lines are written in their order, and a line is
// usually written before the call that logs it returns. Where w does not take it, the line waits and the caller does
// not; of lines that found no room there is one that gives their number.
func New(w io.Writer, handler func(io.Writer) slog.Handler) *slog.Logger {
	left := slog.New(handler(w))
	return slog.New(handler(&queue{out: w, left: func(lines int64) {
		left.Warn("lines of this log were left out, because whatever reads it took none", "lines", lines)
	}}))
}

// queue stands between those who log and a writer.
type queue struct {
	out  io.Writer
	left func(lines int64) // writes how many lines were left out

	mu      sync.Mutex
	waiting []line
	lost    int64
	writing bool // a goroutine empties the queue, and ends with it
	late    bool // a line was not taken in time, and nothing was since
}

type line struct {
	text    []byte
	written chan struct{}
}

// Write implements io.Writer; it never fails.
func (q *queue) Write(p []byte) (int, error) {
	l := line{text: bytes.Clone(p), written: make(chan struct{})}
	q.mu.Lock()
	if len(q.waiting) >= mostKept {
		q.lost++
		q.mu.Unlock()
		return len(p), nil
	}
	q.waiting = append(q.waiting, l)
	if !q.writing {
		q.writing = true
		go q.empty()
	}
	late := q.late
	q.mu.Unlock()
	if late {
		return len(p), nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.written:
	case <-timer.C:
		q.mu.Lock()
		q.late = q.writing
		q.mu.Unlock()
	}
	return len(p), nil
}

// empty writes what waits, until nothing does.
func (q *queue) empty() {
	for {
		q.mu.Lock()
		lines, lost := q.waiting, q.lost
		if len(lines) == 0 && lost == 0 {
			q.writing, q.late = false, false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		if len(lines) > 0 {
			_, _ = q.out.Write(lines[0].text) // a log that cannot be written is passed over
			q.mu.Lock()
			q.waiting = q.waiting[1:]
			q.mu.Unlock()
			close(lines[0].written)
			continue
		}
		q.left(lost)
		q.mu.Lock()
		q.lost -= lost
		q.mu.Unlock()
	}
}
