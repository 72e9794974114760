package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	betweenChanges = 300 * time.Millisecond // between two messages of one stream
	streamsPerUser = 16
)

func (a *API) changesRoute(mux *http.ServeMux) {
	mux.HandleFunc("GET "+Prefix+"/changes", a.changes)
	a.huma.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: Prefix + "/changes", OperationID: "followChanges", Tags: []string{"Activity log"},
		Security: security(people),
		Summary:  "Be told that something changed, so that lists need not be asked for again and again",
		Description: "A stream of server-sent events. An event \"changes\", at once and after each change, has a " +
			"Changes as data: the kinds of thing " +
			"that changed in the caller's tenant, not which. An event \"heartbeat\", at least every 17 seconds, has " +
			"a Heartbeat. The stream ends " +
			"with the session; a caller may have " + fmt.Sprint(streamsPerUser) + " at a time.",
		Responses: map[string]*huma.Response{
			"200": {
				Description: "OK",
				Content:     map[string]*huma.MediaType{agentwire.StreamType: {Schema: a.schemaOf(api.Changes{})}},
			},
			"default": a.problemResponse(),
		},
	})
}

// crowd counts the streams of each principal.
type crowd struct {
	mu    sync.Mutex
	count map[access.PrincipalID]int
}

func (c *crowd) enter(p access.PrincipalID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[p] >= streamsPerUser {
		return access.Fault(access.KindLimited, "tooManyStreams",
			"you follow changes %d times already: close a page, or ask for lists instead", streamsPerUser)
	}
	if c.count == nil {
		c.count = map[access.PrincipalID]int{}
	}
	c.count[p]++
	return nil
}

func (c *crowd) leave(p access.PrincipalID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[p]--; c.count[p] <= 0 {
		delete(c.count, p)
	}
}

// changes tells a person's browser when there is something to load anew.
func (a *API) changes(w http.ResponseWriter, r *http.Request) {
	address, _, err := a.identity.ClientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	c, err := a.caller(r, address, a.identity.Recognize)
	if err == nil {
		err = a.crowd.enter(c.Principal)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer a.crowd.leave(c.Principal)
	w.Header().Set("Content-Type", agentwire.StreamType)
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must pass each message on
	to := response{ResponseWriter: w, ResponseController: http.NewResponseController(w)}
	if err := a.tell(r, c, to); err != nil {
		a.log.DebugContext(r.Context(), "stream ended", "principal", c.Name, "error", err)
	}
}

// tell sends what changed until the caller leaves, the server drains, or the session has ended.
func (a *API) tell(r *http.Request, c engine.Caller, to sink) error {
	ctx := r.Context()
	// Watched before the first look, so that no change falls between the two.
	changed, stop := a.engine.Records.WatchChanges()
	defer stop()
	now, err := a.engine.Records.Changes(ctx, c, -1)
	if err != nil {
		return err
	}
	if err := a.send(to, "changes", api.Changes{Seq: now.Seq, Kinds: []string{}}); err != nil {
		return err
	}
	beat := time.NewTicker(agentwire.Heartbeat)
	defer beat.Stop()
	for seq := now.Seq; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.draining:
			return nil
		case <-changed:
			next, err := a.engine.Records.Changes(ctx, c, max(seq, 0))
			if err != nil {
				return err
			}
			seq = next.Seq
			if slices.Contains(next.Kinds, "session") || slices.Contains(next.Kinds, "principal") {
				if _, err := a.caller(r, c.Address, a.identity.Recognize); err != nil {
					return err // it may have been this session's end
				}
			}
			if len(next.Kinds) == 0 {
				continue // of another tenant
			}
			if err := a.send(to, "changes", api.Changes{Seq: seq, Kinds: next.Kinds}); err != nil {
				return err
			}
			if err := pause(ctx, betweenChanges); err != nil {
				return err
			}
		case <-beat.C:
			if _, err := a.caller(r, c.Address, a.identity.Recognize); err != nil {
				return err // the session is over
			}
			if err := a.send(to, agentwire.EventHeartbeat, api.Heartbeat{ServerTime: a.now().UnixMicro()}); err != nil {
				return err
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
