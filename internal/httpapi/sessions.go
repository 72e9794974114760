package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/identity"
)

func (a *API) sessionRoutes() {
	const tag = "Sessions"
	register(a, operation{
		method: http.MethodPost, path: "/sessions", id: "signIn", tag: tag, status: http.StatusCreated, entry: anybody,
		summary: "Open a session with a name and a password",
	}, a.signIn)
	register(a, operation{
		method: http.MethodPost, path: "/sessions/exchange", id: "exchangeCode", tag: tag, status: http.StatusCreated,
		entry:   anybody,
		summary: "Get the session that was opened in a browser, for the code that the browser brought",
	}, a.exchangeCode)
	register(a, operation{
		method: http.MethodDelete, path: "/sessions/current", id: "signOut", tag: tag, entry: people,
		summary: "End the session that calls",
	}, a.signOut)
	register(a, operation{
		method: http.MethodDelete, path: "/sessions", id: "signOutEverywhere", tag: tag, entry: people,
		summary: "End every session of the caller, this one among them; API tokens stay",
	}, a.signOutEverywhere)
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
		Tenant: in.Body.Tenant,
		Name:   in.Body.Name, Password: in.Body.Password, NewPassword: in.Body.NewPassword,
		Address: in.address, Via: via(in.client), Client: clip(in.client),
	})
	if err != nil {
		return nil, err
	}
	return &answer[api.Session]{api.Session{
		Token: s.Token, ExpiresAt: s.ExpiresAt.UTC(),
		Principal: principalOut(s.Principal),
	}}, nil
}

type exchangeInput struct {
	calling

	Body api.CodeExchange
}

func (a *API) exchangeCode(ctx context.Context, in *exchangeInput) (*answer[api.Session], error) {
	s, err := a.identity.ExchangeCode(ctx, in.Body.Code, in.Body.Verifier, in.client, in.address)
	if err != nil {
		return nil, err
	}
	return &answer[api.Session]{sessionOut(s)}, nil
}

func sessionOut(s identity.SignedIn) api.Session {
	return api.Session{Token: s.Token, ExpiresAt: s.ExpiresAt.UTC(), Principal: principalOut(s.Principal)}
}

type callInput struct{ calling }

func (a *API) signOut(ctx context.Context, in *callInput) (*nothing, error) {
	return &nothing{}, a.identity.SignOut(ctx, in.caller)
}

func (a *API) signOutEverywhere(ctx context.Context, in *callInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.SignOutEverywhere(ctx, in.caller)
}

func (a *API) me(ctx context.Context, in *callInput) (*answer[api.Me], error) {
	self, err := a.engine.Directory.Self(ctx, in.caller)
	if err != nil {
		return nil, err
	}
	warnings, err := a.sourceWarnings(ctx, in.caller, in.warning)
	if err != nil {
		return nil, err
	}
	actions, err := a.engine.Roles.Able(ctx, in.caller)
	if err != nil {
		return nil, err
	}
	runs, err := a.engine.Roles.RunsServer(ctx, in.caller)
	if err != nil {
		return nil, err
	}
	return &answer[api.Me]{api.Me{
		Principal: principalOut(self), Address: addressText(in.address), Warning: strings.Join(warnings, "; "),
		SteppedUpAt: instant(in.caller.SteppedUpAt),
		Actions:     actions, RunsServer: runs,
	}}, nil
}

// sourceWarnings says why the caller's own address is a poor source for an opening: what it is, and who else came from
// it.
func (a *API) sourceWarnings(ctx context.Context, c engine.Caller, warning string) (warnings []string, err error) {
	if warning != "" {
		warnings = append(warnings, warning)
	}
	others, err := a.engine.Machines.SharedAddress(ctx, c)
	if others > 0 {
		who := fmt.Sprintf("%d others", others)
		if others == 1 {
			who = "one other person"
		}
		warnings = append(warnings,
			"this address is shared: "+who+" asked for access from it within a day, and an opening for you is one "+
				"for them")
	}
	return warnings, err
}
