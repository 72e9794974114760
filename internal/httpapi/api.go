// Package httpapi serves the native API, version 1, and the agents' endpoint on the same routes.
//
// It decodes, calls the engine or identity, and encodes: it has no rule of its own. Every error leaves as problem
// details with a stable code. The OpenAPI document is derived from the handlers and their wire types.
package httpapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/identity"
)

// Prefix is the path below which every route of the native API lies.
const Prefix = "/api/v1"

// Config is what the API is made of. Engine, Identity, Title, Now and Log are required.
type Config struct {
	Engine   *services.Services
	Identity *identity.Identity
	Title    func(engine.Notification) (string, error) // a line that says what a notification tells
	Now      func() time.Time                          // the server's wall clock
	Log      *slog.Logger

	// Patience is how long a peer may take nothing of its stream before it is given up; 0 means 20 seconds.
	Patience time.Duration

	// Observe is told of each answered call: the route's pattern, the status, and how long it took. It may be nil.
	Observe func(route string, status int, took time.Duration)
}

// API is the native API as an http.Handler. It is safe for concurrent use.
type API struct {
	engine   *services.Services
	identity *identity.Identity
	title    func(engine.Notification) (string, error)
	now      func() time.Time
	log      *slog.Logger
	observe  func(route string, status int, took time.Duration)
	patience time.Duration // with a peer that takes nothing of its stream

	huma     huma.API
	document []byte // openapi.yaml
	handler  http.Handler

	buffers   sync.Pool      // of *bytes.Buffer, for messages of streams
	streams   atomic.Int64   // agents that follow their desired state now
	following sync.WaitGroup // streams on connections of their own
	deriver   deriver
	crowd     crowd
	draining  chan struct{} // closed by Drain
	clock     string        // a name for the clock of this process
	drainOnce sync.Once
}

// New makes the API.
func New(c Config) (*API, error) {
	if c.Engine == nil || c.Identity == nil || c.Title == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("httpapi needs an engine, an identity, words, a clock and a log")
	}
	a := &API{
		engine: c.Engine, identity: c.Identity, title: c.Title, now: c.Now, log: c.Log, observe: c.Observe,
		draining: make(chan struct{}), clock: newRequestID(), patience: cmp.Or(c.Patience, writeTimeout),
	}
	a.deriver.engine, a.deriver.owner = c.Engine, &a.following
	mux := http.NewServeMux()
	a.huma = humago.New(mux, a.humaConfig())
	a.routes(mux)
	document, err := a.describe()
	if err != nil {
		return nil, err
	}
	a.document = document
	a.handler = a.wrap(mux)
	return a, nil
}

// ServeHTTP answers one call.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// Document gives the OpenAPI document of the API.
func (a *API) Document() []byte { return a.document }

// Streams tells how many agents follow their desired state now.
func (a *API) Streams() int64 { return a.streams.Load() }

// Drain ends streams and long polls, so that the server can finish. Calls that come later still work, but do not wait.
func (a *API) Drain() { a.drainOnce.Do(func() { close(a.draining) }) }

// Wait waits until the streams have ended, which Drain makes them do, and at most until ctx ends. http.Server does not
// wait for them.
func (a *API) Wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		a.following.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *API) routes(mux *http.ServeMux) {
	a.sessionRoutes()
	a.principalRoutes()
	a.machineRoutes()
	a.policyRoutes()
	a.scopePolicyRoutes()
	a.switchRoutes()
	a.editRoutes()
	a.requestRoutes()
	a.approvalRoutes()
	a.accessReviewRoutes(mux)
	a.grantRoutes()
	a.roleRoutes()
	a.eligibilityRoutes()
	a.customRoleRoutes()
	a.tokenRoutes()
	a.networkRoutes()
	a.appDefinitionRoutes()
	a.formRoutes()
	a.applicationRoutes()
	a.tenantRoutes()
	a.passkeyRoutes()
	a.glassRoutes()
	a.notificationRoutes()
	a.inboxRoutes()
	a.alertRoutes()
	a.insightRoutes()
	a.eventRoutes(mux)
	a.agentRoutes(mux)
	a.changesRoute(mux)
	mux.HandleFunc("GET /openapi.yaml", a.serveDocument)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.unknown(mux, w, r) })
}
