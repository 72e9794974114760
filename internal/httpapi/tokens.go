package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

func (a *API) tokenRoutes() {
	const tag = "API tokens"
	register(a, operation{
		method: http.MethodGet, path: "/tokens", id: "listTokens", tag: tag, entry: people,
		summary: "List the caller's own API tokens; there is one page",
	}, a.listTokens)
	register(a, operation{
		method: http.MethodPost, path: "/tokens", id: "createToken", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Make an API token, which is shown once",
	}, a.createToken)
	register(a, operation{
		method: http.MethodDelete, path: "/tokens/{token}", id: "revokeToken", tag: tag, entry: people,
		summary: "End one of the caller's own API tokens",
	}, a.revokeToken)
}

func (a *API) listTokens(ctx context.Context, in *callInput) (*answer[api.Page[api.APIToken]], error) {
	list, err := a.engine.Directory.APITokens(ctx, in.caller)
	return &answer[api.Page[api.APIToken]]{page(engine.Listed[engine.APIToken]{Items: list}, tokenOut)}, err
}

type newTokenInput struct {
	calling

	Body api.NewAPIToken
}

func (a *API) createToken(ctx context.Context, in *newTokenInput) (*answer[api.CreatedAPIToken], error) {
	b := in.Body
	token, t, err := a.engine.Directory.MakeAPIToken(ctx, in.caller, directory.APITokenInput{
		Name: b.Name, TTL: seconds(b.TTLSeconds),
		Bounds: engine.Bounds{Scope: access.ResourceID(b.Scope), Actions: b.Actions},
	})
	return &answer[api.CreatedAPIToken]{api.CreatedAPIToken{APIToken: tokenOut(t), Token: token}}, err
}

type tokenInput struct {
	calling

	Token string `path:"token" maxLength:"256" doc:"Name or id."`
}

func (a *API) revokeToken(ctx context.Context, in *tokenInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.RevokeAPIToken(ctx, in.caller, in.Token)
}

func tokenOut(t engine.APIToken) api.APIToken {
	return api.APIToken{
		ID: string(t.ID), Name: t.Name, Scope: string(t.Bounds.Scope), Actions: t.Bounds.Actions,
		CreatedAt: t.CreatedAt.UTC(), ExpiresAt: t.ExpiresAt.UTC(),
	}
}
