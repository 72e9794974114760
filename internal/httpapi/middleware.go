package httpapi

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

const requestIDHeader = "X-Request-Id"

// answerTimeout bounds how long an answer may take to be written; streams set their own deadlines.
const answerTimeout = 2 * time.Minute

// wrap puts around the routes what holds for all of them.
func (a *API) wrap(mux http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := a.now()
		id := newRequestID()
		header := w.Header()
		header.Set(requestIDHeader, id)
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		if strings.HasPrefix(r.URL.Path, Prefix+"/agent/") {
			// agents bound by it how far their clock is from ours
			header.Set(agentwire.TimeHeader, agentwire.FormatTime(began, a.clock))
		}
		answer := &statusWriter{ResponseWriter: w}
		defer a.finished(answer, r, id, began)
		if err := crossOrigin.Check(r); err != nil {
			a.fail(answer, r,
				access.Fault(access.KindForbidden, "crossOrigin",
					"a page of another origin may not call this API; call it from its own origin or from a program"))
			return
		}
		if err := http.NewResponseController(w).SetWriteDeadline(
			began.Add(answerTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			a.log.DebugContext(r.Context(), "no write deadline", "error", err)
		}
		mux.ServeHTTP(answer, r)
	})
}

// finished counts and logs an answered call, and answers one whose handler broke.
func (a *API) finished(w *statusWriter, r *http.Request, id string, began time.Time) {
	if cause := recover(); cause != nil {
		if cause == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares it so, and it is never wrapped
			panic(cause)
		}
		a.log.ErrorContext(r.Context(), "handler broke", "request_id", id, "method", r.Method, "path", r.URL.Path,
			"cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		if w.status == 0 {
			a.fail(w, r, fmt.Errorf("handler broke: %v", cause))
		}
	}
	took := a.now().Sub(began)
	route := r.Pattern
	if route == "" || route == "/" {
		route = "unknown"
	}
	if a.observe != nil {
		a.observe(route, w.status, took)
	}
	a.log.InfoContext(r.Context(), "call", "request_id", id, "method", r.Method, "path", r.URL.Path, "status", w.status,
		"took_ms", float64(took.Microseconds())/1000, "remote", r.RemoteAddr)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter

	status int
}

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes that a body without a status means 200.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Hijack notes that the handler goes on by itself, with an answer of 200.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusOK
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func newRequestID() string {
	var b [8]byte
	rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// unknown answers what no route matches: with the methods that there are, where the path is right.
func (a *API) unknown(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete,
	} {
		other := *r
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != "/" && method != r.Method {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 && !slices.Contains(allowed, r.Method) {
		p := &problem{headers: http.Header{"Allow": {strings.Join(allowed, ", ")}}}
		p.Status, p.Title, p.Code = http.StatusMethodNotAllowed, http.StatusText(
			http.StatusMethodNotAllowed), "methodNotAllowed"
		p.Detail = "this path takes " + strings.Join(allowed, ", ")
		a.fail(w, r, p)
		return
	}
	a.fail(w, r,
		access.Fault(access.KindNotFound, "unknownPath",
			"there is nothing at this path; the API is described at /openapi.yaml"))
}

// tooLarge refuses a body by what its header says of its length.
func tooLarge(limit int64) *problem {
	p := &problem{headers: http.Header{"Connection": {"close"}}}
	p.Status, p.Title, p.Code = http.StatusRequestEntityTooLarge, http.StatusText(
		http.StatusRequestEntityTooLarge), "bodyTooLarge"
	p.Detail = fmt.Sprintf("the body is longer than the %d bytes that are allowed here; send less at once", limit)
	return p
}

// Error gives the problem's text.
func (p *problem) Error() string { return p.Problem.Error() }
