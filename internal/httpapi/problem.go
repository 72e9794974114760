package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/hosts"
)

const problemType = "application/problem+json"

// statuses maps each kind of error to its status: the one place where that is decided.
func statuses() map[access.Kind]int {
	return map[access.Kind]int{
		access.KindInvalid:         http.StatusBadRequest,
		access.KindUnauthenticated: http.StatusUnauthorized,
		access.KindForbidden:       http.StatusForbidden,
		access.KindNotFound:        http.StatusNotFound,
		access.KindConflict:        http.StatusConflict,
		access.KindLimited:         http.StatusTooManyRequests,
		access.KindUnavailable:     http.StatusServiceUnavailable,
		access.KindInternal:        http.StatusInternalServerError,
	}
}

// StatusOf gives the status that answers an error of that kind.
func StatusOf(kind access.Kind) int {
	if status, ok := statuses()[kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// problem is a refusal on its way out, as huma wants an error to be.
type problem struct {
	api.Problem

	cause   error // for the log only
	headers http.Header
}

// GetStatus gives the answer's status.
func (p *problem) GetStatus() int { return p.Status }

// GetHeaders gives headers that go with the answer.
func (p *problem) GetHeaders() http.Header { return p.headers }

// ContentType makes the answer problem details.
func (p *problem) ContentType(string) string { return problemType }

// problemOf turns an error of the engine or of identity into what the caller sees. The text of anything that is not an
// *access.Error, or is an internal one, stays in the log.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*access.Error](err)
	if !ok || e.Kind == access.KindInternal {
		p := &problem{cause: err}
		p.Status, p.Code = http.StatusInternalServerError, "internal"
		p.Title = http.StatusText(p.Status)
		p.Detail = "something went wrong in the server; its log says what, under the id in instance"
		return p
	}
	p := &problem{headers: http.Header{}}
	p.Status = StatusOf(e.Kind)
	p.Title = http.StatusText(p.Status)
	p.Code, p.Detail = e.Code, e.Message
	if e.Kind == access.KindUnavailable {
		p.cause = err
	}
	for _, r := range e.Reasons {
		p.Reasons = append(p.Reasons, api.Reason{Code: r.Code, Field: r.Field, Message: r.Message})
	}
	if p.Code == hosts.OldConnection {
		p.headers.Set("Connection", "close") // the next call comes over a new one
	}
	switch p.Status {
	case http.StatusUnauthorized:
		p.headers.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		p.headers.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	return p
}

// retryAfter is what a caller who was too fast, or came while something was away, should wait, in seconds.
const retryAfter = 10

// invalid gathers what is wrong with an input that never reaches the engine.
type invalid []access.Reason

func (in *invalid) add(code, field, format string, args ...any) {
	*in = append(*in, access.Reason{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
}

// err gives one error with every reason, or nil.
func (in *invalid) err() error {
	if len(*in) == 0 {
		return nil
	}
	e := access.Fault(access.KindInvalid, "invalidInput", "the input is not valid; see the reasons")
	e.Reasons = *in
	return e
}

// outcome is the problem that answers a call which huma refused before any handler saw it.
func outcome(m *huma.ErrorModel) *problem {
	p := &problem{}
	p.Status = status(m.Status)
	p.Title = http.StatusText(p.Status)
	switch p.Status {
	case http.StatusBadRequest:
		p.Code, p.Detail = "invalidInput", "the input is not valid; see the reasons"
	case http.StatusRequestEntityTooLarge:
		p.Code, p.Detail = "bodyTooLarge", "the body is too large; send less at once"
	case http.StatusRequestTimeout:
		p.Code, p.Detail = "bodyTimeout", "the body did not arrive in time; send it again"
	case http.StatusUnsupportedMediaType:
		p.Code, p.Detail = "unsupportedMediaType", "send the body as Content-Type: application/json"
	default:
		p.Code, p.Detail = "internal", "something went wrong in the server; its log says what, under the id in instance"
		p.cause = m
	}
	for _, e := range m.Errors {
		p.Reasons = append(p.Reasons, reasonOf(e))
	}
	if len(p.Reasons) == 0 && p.Status == http.StatusBadRequest {
		p.Reasons = []api.Reason{{Code: "bodyMissing", Field: "body", Message: "send a JSON body"}}
	}
	return p
}

// reasonOf tells what huma found wrong at one place of the input; what was sent there is not repeated, since it may be
// a secret.
func reasonOf(e *huma.ErrorDetail) api.Reason {
	field := e.Location
	for _, where := range []string{"body.", "query.", "path.", "header."} {
		field = strings.TrimPrefix(field, where)
	}
	switch {
	case e.Message == validation.MsgUnexpectedProperty:
		return api.Reason{
			Code: "unknownField", Field: field,
			Message: "there is no such field; check its spelling, or take it away",
		}
	case e.Location == "body" && e.Value != nil && !json.Valid([]byte(fmt.Sprint(e.Value))):
		return api.Reason{Code: "malformedJSON", Field: field, Message: "the body is not valid JSON: " + e.Message}
	default:
		return api.Reason{Code: "invalidField", Field: field, Message: inPlainWords(e.Message)}
	}
}

// status is what we answer where huma would answer got: one status stands for all invalid input.
func status(got int) int {
	if got == http.StatusUnprocessableEntity {
		return http.StatusBadRequest
	}
	return got
}

// fail answers a call of a plain handler with a problem.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	a.finish(r.Method+" "+r.URL.Path, w.Header(), p)
	maps.Copy(w.Header(), p.headers)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(&p.Problem); err != nil {
		a.log.DebugContext(r.Context(), "the caller left before the answer", "error", err)
	}
}

// finish puts the request's id into the problem, and its cause into the log.
func (a *API) finish(what string, answer http.Header, p *problem) {
	p.Instance = answer.Get(requestIDHeader)
	if p.cause != nil {
		a.log.Error("call failed", "call", what, "request_id", p.Instance, "error", p.cause)
	}
}
