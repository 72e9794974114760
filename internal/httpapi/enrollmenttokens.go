package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

func (a *API) enrollmentTokenRoutes() {
	const tag = "Machines"
	register(a, operation{
		method: http.MethodGet, path: "/enrollment-tokens", id: "listEnrollmentTokens", tag: tag, entry: people,
		summary: "List tokens that no agent has enrolled with yet; there is one page",
	}, a.listEnrollmentTokens)
	register(a, operation{
		method: http.MethodPost, path: "/enrollment-tokens", id: "createEnrollmentToken", tag: tag,
		status: http.StatusCreated, entry: people,
		summary: "Make a token with which one agent enrolls, once",
	}, a.createEnrollmentToken)
	register(a, operation{
		method: http.MethodDelete, path: "/enrollment-tokens/{token}", id: "deleteEnrollmentToken", tag: tag,
		entry:   people,
		summary: "Withdraw a token that no agent has enrolled with",
	}, a.deleteEnrollmentToken)
}

type createTokenInput struct {
	calling

	Body api.NewEnrollmentToken
}

func (a *API) createEnrollmentToken(ctx context.Context, in *createTokenInput) (*answer[api.EnrollmentToken], error) {
	b := in.Body
	token, t, err := a.engine.Machines.MakeEnrollmentToken(ctx, in.caller, machines.TokenInput{
		Name: b.Name, Mode: access.Mode(b.Mode),
		ResourceGroup: b.ResourceGroup, TTL: seconds(b.TTLSeconds),
	})
	if err != nil {
		return nil, err
	}
	return &answer[api.EnrollmentToken]{
		api.EnrollmentToken{
			Token: token, CreatedAt: t.CreatedAt.UTC(), ExpiresAt: t.ExpiresAt.UTC(),
			CA: string(a.identity.CA().PEM()),
		},
	}, nil
}

func (a *API) listEnrollmentTokens(ctx context.Context, in *callInput) (*answer[api.Page[api.WaitingToken]], error) {
	list, err := a.engine.Machines.EnrollmentTokens(ctx, in.caller)
	return &answer[api.Page[api.WaitingToken]]{
		page(engine.Listed[engine.EnrollmentToken]{Items: list}, waitingTokenOut),
	}, err
}

func waitingTokenOut(t engine.EnrollmentToken) api.WaitingToken {
	return api.WaitingToken{
		ID: t.PublicID(), Name: t.Name, Mode: string(t.Mode), ResourceGroup: t.ResourceGroup,
		CreatedAt: t.CreatedAt.UTC(), ExpiresAt: t.ExpiresAt.UTC(),
	}
}

type enrollmentTokenInput struct {
	calling

	Token string `path:"token" maxLength:"64" doc:"Id."`
}

func (a *API) deleteEnrollmentToken(ctx context.Context, in *enrollmentTokenInput) (*nothing, error) {
	return &nothing{}, a.engine.Machines.DeleteEnrollmentToken(ctx, in.caller, in.Token)
}
