package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// paces are how slowly a client may be.
type paces struct {
	body time.Duration // for a whole body to come
	// for a part of an answer to be taken; longer than body, for an answer waits for the rest of a body
	take time.Duration
}

func usualPaces() paces { return paces{body: 30 * time.Second, take: time.Minute} }

const answerPart = 64 << 10 // bytes of a part of an answer

// bounded gives each body a deadline, whatever face it is for and whether anything reads it, so that nobody holds a
// connection by a body that never ends. A call without a body has none, for streams last.
func (p paces) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		// fails where the connection is gone, and then reading fails too
		_ = control.SetReadDeadline(time.Now().Add(p.body))
		timed := r.WithContext(r.Context()) // a copy: of its own call net/http wants to know the body
		timed.Body = &timedBody{ReadCloser: r.Body, control: control}
		next.ServeHTTP(w, timed)
	})
}

// timedBody lifts the deadline when the body has come whole, since what the handler does then may take longer.
type timedBody struct {
	io.ReadCloser

	control *http.ResponseController
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // fails where the connection is gone
	}
	return n, err
}

// taken makes sure that the answer is taken: a client that takes no part of it in time is given up. The native API sees
// to its own answers, of which some are streams.
func (p paces) taken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&timedWriter{ResponseWriter: w, control: http.NewResponseController(w), take: p.take}, r)
	})
}

type timedWriter struct {
	http.ResponseWriter

	control *http.ResponseController
	take    time.Duration
	moved   time.Time // when the deadline was last moved
}

// Write implements io.Writer.
func (w *timedWriter) Write(p []byte) (n int, err error) {
	for first := true; first || len(p) > 0; first = false {
		if now := time.Now(); now.Sub(w.moved) >= w.take/8 { // for most answers once
			w.moved = now
			if err := w.control.SetWriteDeadline(now.Add(w.take)); err != nil {
				return n, err
			}
		}
		part := p[:min(len(p), answerPart)]
		wrote, err := w.ResponseWriter.Write(part)
		if n += wrote; err != nil {
			return n, err
		}
		p = p[len(part):]
	}
	return n, nil
}

// Unwrap lets http.ResponseController reach the connection.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
