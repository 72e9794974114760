package armapi

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/identity"
)

// maxBody is how much a client may send: as much as Azure takes, since a policy of a thousand machines is sent back
// whole, with the requests that it was shown with.
const maxBody = 4 << 20

// Config is what the API is made of. All of it is required but Observe.
type Config struct {
	Engine   *services.Services
	Identity *identity.Identity
	Now      func() time.Time
	Log      *slog.Logger
	Observe  func(route string, status int, took time.Duration) // told of each answered call
}

// API is the Azure-compatible API as an http.Handler. It is safe for concurrent use.
type API struct {
	config Config
	router *router
}

// New makes the API.
func New(c Config) (*API, error) {
	if c.Engine == nil || c.Identity == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("armapi needs an engine, an identity, a clock and a log")
	}
	a := &API{config: c}
	a.router = newRouter(a.routes())
	return a, nil
}

// Routes gives every operation as method and pattern, for tests that go through them all.
func (a *API) Routes() []string {
	all := make([]string, 0, len(a.router.routes))
	for _, r := range a.router.routes {
		all = append(all, r.method+" "+r.pattern)
	}
	return all
}

func (a *API) routes() []route {
	return slices.Concat(metadataRoutes(), resourceRoutes(), jitRoutes(), securityRoutes(), computeRoutes(),
		networkRoutes(), authorizationRoutes(),
		scheduleRoutes(), rolePolicyRoutes(), approvalRoutes(), insightsRoutes(), solutionsRoutes(), graphRoutes())
}

// Serves tells whether a path is one of Azure Resource Manager's, or of Microsoft Graph's, so that the server gives it
// to this API.
func Serves(path string) bool {
	segments := split(path)
	if len(segments) == 0 {
		return false
	}
	switch strings.ToLower(segments[0]) {
	case "subscriptions", "tenants", "providers", "v1.0", "beta":
		return true
	case "metadata":
		return len(segments) == 2 && strings.EqualFold(segments[1], "endpoints")
	}
	return false
}

// call is one call being answered.
type call struct {
	*http.Request

	api    *API
	caller engine.Caller
	vars   map[string]string
	header http.Header                                 // of the answer
	kinds  map[access.PrincipalID]access.PrincipalKind // of the principals that were asked for
}

// ServeHTTP answers one call.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := a.config.Now()
	id := uuid.Must(uuid.NewRandomFromReader(rand.Reader)).String()
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("Pragma", "no-cache")
	header.Set("Expires", "-1")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("x-ms-request-id", id)
	header.Set("x-ms-correlation-request-id", correlation(r, id))
	if own := r.Header.Get("x-ms-client-request-id"); own != "" && len(own) <= 64 {
		header.Set("x-ms-client-request-id", own)
	}
	pattern := "unknown"
	status := http.StatusInternalServerError
	cut := false
	defer func() {
		if cause := recover(); cause != nil {
			a.config.Log.ErrorContext(r.Context(), "handler broke", "request_id", id, "path", r.URL.Path, "cause",
				fmt.Sprint(cause), "stack", string(debug.Stack()))
			_, body := translate(errors.New("handler broke"))
			write(w, status, body) //nolint:errcheck,gosec // it is no document
		}
		took := a.config.Now().Sub(began)
		if a.config.Observe != nil {
			a.config.Observe(pattern, status, took)
		}
		a.config.Log.InfoContext(r.Context(), "arm call", "request_id", id, "method", r.Method, "path", r.URL.Path,
			"status", status, "took_ms", float64(took.Microseconds())/1000)
		if cut {
			panic(http.ErrAbortHandler) // so that the client does not take a part for the whole
		}
	}()
	answer, found, err := a.answer(w, r)
	if found != nil {
		pattern = found.pattern
	}
	if err != nil {
		code, body := translate(err)
		if code == http.StatusUnauthorized {
			header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
			header.Set("Retry-After", "5")
		}
		if code == http.StatusInternalServerError {
			a.config.Log.ErrorContext(r.Context(), "arm call failed", "request_id", id, "error", err)
		}
		answer = reply{status: code, body: body}
		if isGraph(r.URL.Path) {
			code, graph := graphError(err, id, cmp.Or(header.Get("x-ms-client-request-id"), id), began)
			answer = reply{status: code, body: graph}
		}
	}
	status = answer.status
	if err := write(w, answer.status, answer.body); err != nil {
		a.config.Log.ErrorContext(r.Context(), "arm answer was cut short", "request_id", id, "error", err)
		cut = true
	}
}

func correlation(r *http.Request, id string) string {
	if given := r.Header.Get("x-ms-correlation-request-id"); given != "" {
		if parsed, err := uuid.Parse(given); err == nil {
			return parsed.String()
		}
	}
	return id
}

func (a *API) answer(w http.ResponseWriter, r *http.Request) (reply, *compiled, error) {
	found, vars, others := a.router.find(r.Method, r.URL.Path)
	if found != nil && found.open {
		answer, err := found.handle(&call{Request: r, api: a, vars: vars, header: w.Header()})
		return answer, found, err
	}
	address, _, err := a.config.Identity.ClientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
	if err != nil {
		return reply{}, found, err
	}
	caller, err := a.config.Identity.AuthenticateToken(r.Context(), r.Header.Get("Authorization"),
		"https://"+a.config.Identity.Host(r.Host), address)
	if err != nil {
		return reply{}, found, err
	}
	switch {
	case found == nil && len(others) > 0:
		w.Header().Set("Allow", strings.Join(others, ", "))
		return reply{}, nil, access.Fault(access.KindInvalid, "HttpMethodNotSupported",
			"the method %s is not supported here", r.Method)
	case found == nil:
		return reply{}, nil, a.unknownPath(r.URL.Path)
	}
	r, err = wellQueried(r)
	if err != nil {
		return reply{}, found, err
	}
	if err := checkVersion(found, (&call{Request: r}).query("api-version")); err != nil {
		return reply{}, found, err
	}
	if len(vars) > 0 {
		if _, err := access.ParseResourceID("/" + strings.Join(split(r.URL.Path), "/")); err != nil {
			return reply{}, found, err
		}
	}
	if sub, has := vars["subscription"]; has && uuid.Validate(sub) != nil {
		return reply{}, found, access.Fault(access.KindInvalid, "InvalidSubscriptionId",
			"the subscription id %q is malformed: it must be a GUID", clip(sub))
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	answer, err := found.handle(&call{Request: r, api: a, caller: caller, vars: vars, header: w.Header()})
	return answer, found, err
}

// wellQueried gives the call with a query of which nothing is left out when it is read: a semicolon is a character like
// others, and what is malformed is refused, since a list without its $filter would answer with more than was asked for.
func wellQueried(r *http.Request) (*http.Request, error) {
	there := *r.URL
	there.RawQuery = strings.ReplaceAll(there.RawQuery, ";", "%3B")
	if _, err := url.ParseQuery(there.RawQuery); err != nil {
		return nil, access.Fault(access.KindInvalid, "InvalidRequestUri",
			"the query of the address is malformed: write each percent sign in it as %%25")
	}
	r = r.WithContext(r.Context())
	r.URL = &there
	return r, nil
}

func (a *API) unknownPath(path string) error {
	if isGraph(path) {
		return access.Fault(access.KindNotFound, "Request_ResourceNotFound",
			"Resource '%s' does not exist: of Microsoft Graph users, servicePrincipals and "+
				"directoryObjects/getByIds can be read here.",
			clip(path))
	}
	segments := split(path)
	for i, s := range segments {
		if !strings.EqualFold(s, "providers") || i+1 == len(segments) {
			continue
		}
		for namespace := range a.served() {
			if strings.EqualFold(namespace, segments[i+1]) {
				return access.Fault(access.KindNotFound, "InvalidResourceType",
					"The resource type '%s' could not be found in the namespace '%s' as it is written here; GET "+
						"/providers/%s lists what is served.",
					clip(strings.Join(segments[i+2:], "/")), namespace, namespace)
			}
		}
		return invalidNamespace(segments[i+1])
	}
	return access.Fault(access.KindNotFound, "InvalidRequestUri", "nothing is served at %q", clip(path))
}

func checkVersion(found *compiled, version string) error {
	switch {
	case len(found.versions) == 0:
		return nil
	case version == "":
		return access.Fault(access.KindInvalid, "MissingApiVersionParameter",
			"the api-version query parameter (?api-version=) is required; supported here are %s",
			strings.Join(found.versions, ", "))
	case slices.Equal(found.versions, anyVersion()) && isVersion(version):
		return nil
	case !slices.Contains(found.versions, version):
		return access.Fault(access.KindInvalid, "InvalidApiVersionParameter",
			"the api-version %q is not supported here; supported are %s", clip(version),
			strings.Join(found.versions, ", "))
	}
	return nil
}

// anyVersion stands for every version that has the form of one: what is only read, and has the same few fields in each.
func anyVersion() []string { return []string{"YYYY-MM-DD", "YYYY-MM-DD-preview"} }

func isVersion(text string) bool {
	day, rest, dashed := strings.Cut(text[min(len(text), len("2006-01-02")):], "-")
	_, err := time.Parse(time.DateOnly, text[:min(len(text), len("2006-01-02"))])
	return err == nil && day == "" && (!dashed || rest == "preview" || rest == "alpha" || rest == "beta")
}

// decode reads the call's JSON body. Members that the type neither has nor passes over are refused: see notUnderstood.
func (c *call) decode(into any) error {
	data, err := io.ReadAll(c.Body)
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return access.Fault(access.KindInvalid, "RequestContentTooLarge", "the body is longer than %d bytes", maxBody)
	}
	if err != nil {
		return access.Fault(access.KindInvalid, "InvalidRequestContent", "the body could not be read whole")
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // which Windows PowerShell puts before a file that it sends
	if err := json.Unmarshal(data, into); err != nil {
		return access.Fault(access.KindInvalid, "InvalidRequestContent",
			"the body is not the JSON that is expected: %s", describe(err))
	}
	return notUnderstood(data, into)
}

// describe says where JSON is wrong without repeating what it holds.
func describe(err error) string {
	if e, wrongType := errors.AsType[*json.UnmarshalTypeError](err); wrongType {
		return fmt.Sprintf("%q must be of type %s, and a %s was sent", e.Field, e.Type, e.Value)
	}
	if e, syntax := errors.AsType[*json.SyntaxError](err); syntax {
		return fmt.Sprintf("malformed at byte %d", e.Offset)
	}
	if e, ours := errors.AsType[*access.Error](err); ours {
		return e.Message
	}
	return "it is incomplete"
}

// base gives the scheme and host under which the client knows us, for absolute links.
func (c *call) base() string { return "https://" + c.api.config.Identity.Host(c.Host) }

// engine gives the engine.
func (c *call) engine() *services.Services { return c.api.config.Engine }

// write sends an answer. It fails where a document broke off.
func write(w http.ResponseWriter, status int, body any) error {
	if body == nil {
		w.WriteHeader(status)
		return nil
	}
	if d, is := body.(document); is {
		w.Header().Set("Content-Type", d.kind)
		w.WriteHeader(status)
		return d.write(w)
	}
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(
			`{"error":{"code":"InternalServerError","message":"the answer could not be written"}}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(data) //nolint:errcheck,gosec // the client may be gone, and there is nobody else to tell
	return nil
}
