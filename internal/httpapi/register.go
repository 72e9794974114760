package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/identity"
)

// Limits on bodies, in bytes.
const (
	maxBody   = 1 << 20
	maxReport = 4 << 20
)

// entry says who may come in by a route.
type entry int

const (
	anybody entry = iota // a password or a token in the body
	people               // a session's token
	agents               // a client certificate
)

// operation describes one route.
type operation struct {
	method, path string // the path below Prefix
	id           string
	summary      string
	tag          string
	status       int // of success; 0 means 200, or 204 without a body
	entry        entry
	maxBody      int64  // 0 means maxBody
	media        string // of an answer that is not JSON, and is written as it comes
}

// humaContext lets call embed a huma.Context, whose own name would hide its method Context.
type humaContext huma.Context

// call is one call on its way through huma: it carries who calls to the input, and our own statuses to the answer.
type call struct {
	humaContext

	caller  engine.Caller
	agent   access.Agent
	address netip.Addr
	client  string
	warning string
	refused []api.Reason // why huma refused the input
}

// SetStatus answers with one status for all invalid input.
func (c *call) SetStatus(code int) { c.humaContext.SetStatus(status(code)) }

// Unwrap gives the context below, as huma's adapters need it.
func (c *call) Unwrap() huma.Context { return c.humaContext }

// calling is the part of an input that says who calls: huma fills it by calling Resolve.
type calling struct {
	caller  engine.Caller // of routes for people
	agent   access.Agent  // of routes for agents
	address netip.Addr    // where from
	client  string        // what the client calls itself
	warning string        // why the address is a poor source for an opening, if it is
	host    string        // which the caller knows the server by
}

// Resolve takes over what the middleware found out.
func (c *calling) Resolve(ctx huma.Context) []error {
	if from, ok := ctx.(*call); ok {
		*c = calling{
			caller: from.caller, agent: from.agent, address: from.address, client: from.client,
			warning: from.warning, host: ctx.Host(),
		}
	}
	return nil
}

// Paging is the part of an input that asks for a page.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Most items of one page."`
	Cursor string `query:"cursor" maxLength:"1024" doc:"The next of the page before."`
}

func (p Paging) page() engine.Page { return engine.Page{Limit: p.Limit, Cursor: p.Cursor} }

// answer is an output that is only a body.
type answer[T any] struct{ Body T }

// nothing is an output without a body.
type nothing struct{}

// register adds a route whose input is I, which embeds calling, and whose output is O.
func register[I, O any](a *API, op operation, handle func(context.Context, *I) (*O, error)) {
	limit := op.maxBody
	if limit == 0 {
		limit = maxBody
	}
	described := huma.Operation{
		Method: op.method, Path: Prefix + op.path, OperationID: op.id, Summary: op.summary, Tags: []string{op.tag},
		DefaultStatus: op.status,
		// huma refuses a body of exactly its limit too.
		MaxBodyBytes: limit + 1, BodyReadTimeout: bodyTimeout,
		Security:    security(op.entry),
		Responses:   map[string]*huma.Response{"default": a.problemResponse()},
		Middlewares: huma.Middlewares{a.enter(op.entry, limit)},
	}
	if op.media != "" {
		described.Responses["200"] = &huma.Response{
			Description: "OK",
			Content:     map[string]*huma.MediaType{op.media: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}
	}
	huma.Register(a.huma, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

const bodyTimeout = 30 * time.Second

// enter finds out who calls before anything of the body is read, and refuses a body that says it is too long.
func (a *API) enter(who entry, limit int64) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		c := &call{humaContext: ctx, client: r.UserAgent()}
		if err := a.identify(c, r, who, limit); err != nil {
			a.fail(w, r, err)
			return
		}
		if r.ContentLength > limit {
			p := tooLarge(limit)
			c.refused = []api.Reason{{Code: p.Code, Field: "body", Message: p.Detail}}
			a.fail(w, r, p)
		} else {
			next(c)
		}
		if len(c.refused) > 0 && slices.Contains([]string{submitID, activateID}, ctx.Operation().OperationID) {
			a.recordRefusal(r.Context(), c.caller, c.refused)
		}
	}
}

func (a *API) identify(c *call, r *http.Request, who entry, limit int64) (err error) {
	if c.address, c.warning, err = a.identity.ClientAddress(r.RemoteAddr,
		r.Header.Values("X-Forwarded-For")); err != nil {
		return err
	}
	switch who {
	case people:
		c.caller, err = a.person(r, c.address)
	case agents:
		if c.agent, err = a.identity.AgentFromCertificate(r.Context(), r.TLS, c.address,
			identity.CostOfBody(r.ContentLength, limit)); err == nil {
			err = isServed(c.agent.Stream, r)
		}
	case anybody: // signing in and enrolling count by address in identity
	}
	return err
}

// background is the header of calls that a page makes without the person: they do not keep the session from ending for
// want of use.
const background = "Postern-Background"

// person finds out which principal calls; identity counts the call.
func (a *API) person(r *http.Request, address netip.Addr) (engine.Caller, error) {
	if r.Header.Get(background) != "" {
		return a.caller(r, address, a.identity.Recognize)
	}
	return a.caller(r, address, a.identity.Authenticate)
}

func (a *API) caller(r *http.Request, address netip.Addr,
	who func(ctx context.Context, token string, address netip.Addr,
		via string) (engine.Caller, error),
) (engine.Caller, error) {
	token, by, err := credential(r)
	if err != nil {
		if limited := a.identity.AllowAnonymous(address); limited != nil {
			return engine.Caller{}, limited
		}
		return engine.Caller{}, err
	}
	c, err := who(r.Context(), token, address, by)
	c.ConnectedAt, _ = r.Context().Value(connectedKey{}).(time.Time)
	return c, err
}

type connectedKey struct{}

// Connected is the context of a connection that was accepted at an instant, for the ConnContext of an http.Server.
func Connected(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, connectedKey{}, at)
}

// credential gives the token of the header Authorization or, without one, of a browser's session.
func credential(r *http.Request) (token, by string, err error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		if token, err = identity.ParseSessionCookie(r); token != "" || err != nil {
			return token, "portal", err
		}
	}
	token, err = identity.ParseBearer(header)
	return token, via(r.UserAgent()), err
}

// via tells our own command line from other programs, for the activity log.
func via(userAgent string) string {
	if strings.HasPrefix(userAgent, "postern-cli/") {
		return "cli"
	}
	return "api"
}

// transform gives every refusal its last form, whoever made it.
func (a *API) transform(ctx huma.Context, _ string, v any) (any, error) {
	var p *problem
	switch v := v.(type) {
	case *problem:
		p = v
	case *huma.ErrorModel:
		p = outcome(v)
		if c, ok := ctx.(*call); ok {
			c.refused = p.Reasons
			if len(c.refused) == 0 {
				c.refused = []api.Reason{{Code: p.Code, Message: p.Detail}}
			}
		}
	default:
		return v, nil
	}
	_, w := humago.Unwrap(ctx)
	a.finish(ctx.Operation().Method+" "+ctx.Operation().Path, w.Header(), p)
	return &p.Problem, nil
}
