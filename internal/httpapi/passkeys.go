package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/identity"
)

func (a *API) passkeyRoutes() {
	const tag = "Passkeys"
	register(a, operation{
		method: http.MethodGet, path: "/passkeys", id: "listPasskeys", tag: tag, entry: people,
		summary: "List the caller's own passkeys; there is one page",
	}, a.listPasskeys)
	register(a, operation{
		method: http.MethodPost, path: "/passkeys/begin", id: "beginPasskey", tag: tag, entry: people,
		summary: "Begin to add a passkey",
	}, a.beginPasskey)
	register(a, operation{
		method: http.MethodPost, path: "/passkeys", id: "addPasskey", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Keep the passkey that the browser made",
	}, a.addPasskey)
	register(a, operation{
		method: http.MethodDelete, path: "/passkeys/{passkey}", id: "deletePasskey", tag: tag, entry: people,
		summary: "Forget one of the caller's own passkeys",
	}, a.deletePasskey)
	register(a, operation{
		method: http.MethodPost, path: "/sessions/passkey/begin", id: "beginPasskeySignIn", tag: tag, entry: anybody,
		summary: "Begin to sign in with a passkey",
	}, a.beginPasskeySignIn)
	register(a, operation{
		method: http.MethodPost, path: "/sessions/passkey", id: "passkeySignIn", tag: tag, status: http.StatusCreated,
		entry:   anybody,
		summary: "Open a session with a passkey",
	}, a.passkeySignIn)
	register(a, operation{
		method: http.MethodPost, path: "/sessions/current/step-up/begin", id: "beginStepUp", tag: tag, entry: people,
		summary: "Begin to confirm the session with a passkey",
	}, a.beginStepUp)
	register(a, operation{
		method: http.MethodPost, path: "/sessions/current/step-up", id: "stepUp", tag: tag, entry: people,
		summary: "Confirm the session with a passkey, as rules may ask for it",
	}, a.stepUp)
}

func (c *calling) origin() string { return "https://" + c.host }

func (a *API) listPasskeys(ctx context.Context, in *callInput) (*answer[api.Page[api.Passkey]], error) {
	list, err := a.engine.Directory.Passkeys(ctx, in.caller)
	return &answer[api.Page[api.Passkey]]{page(engine.Listed[engine.Passkey]{Items: list}, passkeyOut)}, err
}

func passkeyOut(p engine.Passkey) api.Passkey {
	return api.Passkey{ID: p.ID, Name: p.Name, CreatedAt: p.CreatedAt.UTC(), UsedAt: instant(p.UsedAt)}
}

func challengeOut(c identity.PasskeyChallenge, err error) (*answer[api.PasskeyChallenge], error) {
	return &answer[api.PasskeyChallenge]{api.PasskeyChallenge{Ceremony: c.Ceremony, Options: c.Options}}, err
}

func (a *API) beginPasskey(ctx context.Context, in *callInput) (*answer[api.PasskeyChallenge], error) {
	return challengeOut(a.identity.BeginPasskey(ctx, in.caller, in.origin()))
}

type addPasskeyInput struct {
	calling

	Body api.NewPasskey
}

func (a *API) addPasskey(ctx context.Context, in *addPasskeyInput) (*answer[api.Passkey], error) {
	response, err := json.Marshal(in.Body.Response)
	if err != nil {
		return nil, err
	}
	p, err := a.identity.FinishPasskey(ctx, in.caller, in.origin(), in.Body.Ceremony, in.Body.Name, response)
	return &answer[api.Passkey]{passkeyOut(p)}, err
}

type passkeyInput struct {
	calling

	Passkey string `path:"passkey" maxLength:"2048" doc:"Name or id."`
}

func (a *API) deletePasskey(ctx context.Context, in *passkeyInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.DeletePasskey(ctx, in.caller, in.Passkey)
}

func (a *API) beginPasskeySignIn(ctx context.Context, in *callInput) (*answer[api.PasskeyChallenge], error) {
	return challengeOut(a.identity.BeginPasskeySignIn(ctx, in.origin(), in.address))
}

type passkeyResponseInput struct {
	calling

	Body api.PasskeyResponse
}

// browserSession is an answer that also puts the session into the browser's cookie: only browsers have passkeys.
type browserSession struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      api.Session
}

type passkeySignInInput struct {
	calling

	Held string `cookie:"__Host-postern" hidden:"true"`
	Body api.PasskeyResponse
}

func (a *API) passkeySignIn(ctx context.Context, in *passkeySignInInput) (*browserSession, error) {
	response, err := json.Marshal(in.Body.Response)
	if err != nil {
		return nil, err
	}
	s, err := a.identity.FinishPasskeySignIn(ctx, identity.PasskeySignIn{
		Origin: in.origin(), Ceremony: in.Body.Ceremony, Response: response, Address: in.address, Via: "portal",
		Client: clip(in.client),
	})
	if err != nil {
		return nil, err
	}
	return a.signedIn(ctx, in, s), nil
}

// signedIn lets the browser in; the session that it had ends.
func (a *API) signedIn(ctx context.Context, in *passkeySignInInput, s identity.SignedIn) *browserSession {
	if err := a.identity.EndHeld(ctx, in.Held, in.address, "portal"); err != nil {
		a.log.WarnContext(ctx, "a session was not ended", "error", err)
	}
	return &browserSession{SetCookie: *identity.NewSessionCookie(s, a.now()), Body: sessionOut(s)}
}

func (a *API) beginStepUp(ctx context.Context, in *callInput) (*answer[api.PasskeyChallenge], error) {
	return challengeOut(a.identity.BeginStepUp(ctx, in.caller, in.origin()))
}

func (a *API) stepUp(ctx context.Context, in *passkeyResponseInput) (*nothing, error) {
	response, err := json.Marshal(in.Body.Response)
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.identity.FinishStepUp(ctx, in.caller, in.origin(), in.Body.Ceremony, response)
}
