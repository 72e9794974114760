package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func (a *API) grantRoutes() {
	const tag = "Grants"
	register(a, operation{
		method: http.MethodGet, path: "/grants", id: "listGrants", tag: tag, entry: people,
		summary: "List grants, the newest first",
	}, a.listGrants)
	register(a, operation{
		method: http.MethodGet, path: "/grants/{grant}", id: "getGrant", tag: tag, entry: people,
		summary: "Get one grant, or wait until it is neither scheduled nor opening",
	}, a.getGrant)
	register(a, operation{
		method: http.MethodPost, path: "/grants/{grant}/revoke", id: "revokeGrant", tag: tag, entry: people,
		summary: "End a grant early",
	}, a.revokeGrant)
}

type listGrantsInput struct {
	calling
	Paging

	State     []string `query:"state" maxItems:"7" enum:"scheduled,opening,active,expired,revoked,superseded,failed" doc:"Only grants that stand so; several with commas between."`
	Machine   string   `query:"machine" maxLength:"2048" doc:"Name, id or resource id: only grants on it."`
	Principal string   `query:"principal" maxLength:"256" doc:"Name or id of who holds it; me is the caller."`
}

func (a *API) listGrants(ctx context.Context, in *listGrantsInput) (*answer[api.Page[api.Grant]], error) {
	var f engine.GrantFilter
	for _, s := range in.State {
		f.States = append(f.States, access.GrantState(strings.TrimSpace(s)))
	}
	var err error
	if f.Machine, err = a.machineID(ctx, in.caller, in.Machine); err != nil {
		return nil, err
	}
	if f.Principal, err = a.principalID(ctx, in.caller, in.Principal); err != nil {
		return nil, err
	}
	list, err := a.engine.Requests.Grants(ctx, in.caller, f, in.page())
	return &answer[api.Page[api.Grant]]{page(list, grantOut)}, err
}

type grantInput struct {
	calling

	Grant       string `path:"grant" maxLength:"64"`
	WaitSeconds int    `query:"waitSeconds" minimum:"0" maximum:"25" doc:"Answer only when the grant is neither scheduled nor opening, or after so long."`
}

func (a *API) getGrant(ctx context.Context, in *grantInput) (*answer[api.Grant], error) {
	d, err := waiting(ctx, a, in.WaitSeconds,
		func(ctx context.Context, most time.Duration) (engine.GrantDetail, error) {
			return a.engine.Requests.WaitGrant(ctx, in.caller, access.GrantID(in.Grant), most)
		})
	if err != nil {
		return nil, err
	}
	return &answer[api.Grant]{grantOut(d)}, nil
}

// waiting calls get, which may take so many seconds. A server that stops answers at once with what there is.
func waiting[T any](ctx context.Context, a *API, seconds int,
	get func(context.Context, time.Duration) (T, error),
) (T, error) {
	if seconds == 0 {
		return get(ctx, 0)
	}
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-a.draining:
		case <-bounded.Done():
		}
	}()
	out, err := get(bounded, time.Duration(seconds)*time.Second)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return get(ctx, 0)
	}
	return out, err
}

type revokeInput struct {
	calling

	Grant string `path:"grant" maxLength:"64"`
	Body  api.Note
}

func (a *API) revokeGrant(ctx context.Context, in *revokeInput) (*answer[api.Grant], error) {
	d, err := a.engine.Requests.Revoke(ctx, in.caller, access.GrantID(in.Grant), in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &answer[api.Grant]{grantOut(d)}, nil
}
