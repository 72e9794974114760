package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/identity"
)

func (a *API) sessionRoutes() {
	const tag = "Sessions"
	register(a, operation{
		method: http.MethodPost, path: "/sessions", id: "signIn", tag: tag, status: http.StatusCreated, entry: anybody,
		summary: "Open a session with a name and a password",
	}, a.signIn)
	register(a, operation{
		method: http.MethodDelete, path: "/sessions/current", id: "signOut", tag: tag, entry: people,
		summary: "End the session that calls",
	}, a.signOut)
	register(a, operation{
		method: http.MethodGet, path: "/me", id: "me", tag: tag, entry: people,
		summary: "Tell who calls, and from where",
	}, a.me)
}

type signInInput struct {
	calling

	Body api.SignIn
}

func (a *API) signIn(ctx context.Context, in *signInInput) (*answer[api.Session], error) {
	s, err := a.identity.SignIn(ctx, identity.SignInInput{
		Name: in.Body.Name, Password: in.Body.Password, NewPassword: in.Body.NewPassword,
		Address: in.address, Via: via(in.client), Client: clip(in.client),
	})
	if err != nil {
		return nil, err
	}
	return &answer[api.Session]{api.Session{Token: s.Token, ExpiresAt: s.ExpiresAt.UTC(), Principal: principalOut(s.Principal)}}, nil
}

type callInput struct{ calling }

func (a *API) signOut(ctx context.Context, in *callInput) (*nothing, error) {
	return &nothing{}, a.identity.SignOut(ctx, in.caller)
}

func (a *API) me(ctx context.Context, in *callInput) (*answer[api.Me], error) {
	self, err := a.engine.Self(ctx, in.caller)
	if err != nil {
		return nil, err
	}
	return &answer[api.Me]{api.Me{Principal: principalOut(self), Address: addressText(in.address), Warning: in.warning}}, nil
}
