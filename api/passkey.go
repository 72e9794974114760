package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Passkey is a credential that a person signs in with, or confirms a session with.
type Passkey struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"createdAt"`
	UsedAt    *time.Time `json:"usedAt,omitempty"`
}

// PasskeyChallenge is what a browser's API is called with.
type PasskeyChallenge struct {
	Ceremony string `json:"ceremony" doc:"Send it along with the response."`
	Options  any    `json:"options" doc:"The argument of navigator.credentials.create or get, with bytes as base64url."`
}

// PasskeyResponse is what a browser's API gave.
type PasskeyResponse struct {
	Ceremony string         `json:"ceremony" maxLength:"256"`
	Response map[string]any `json:"response" doc:"The credential, as its toJSON gives it."`
}

// NewPasskey keeps a passkey that a browser made.
type NewPasskey struct {
	PasskeyResponse

	Name string `json:"name" minLength:"1" maxLength:"256" doc:"Where it is, for people."`
}

// Passkeys lists the caller's own passkeys.
func (c *Client) Passkeys(ctx context.Context) iter.Seq2[Passkey, error] {
	return pages[Passkey](ctx, c, "/passkeys", nil)
}

// DeletePasskey forgets one of the caller's own passkeys, by name or id.
func (c *Client) DeletePasskey(ctx context.Context, ref string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/passkeys/" + url.PathEscape(ref)})
}

// PasskeysOf lists the passkeys of a person.
func (c *Client) PasskeysOf(ctx context.Context, principal string) iter.Seq2[Passkey, error] {
	return pages[Passkey](ctx, c, "/principals/"+url.PathEscape(principal)+"/passkeys", nil)
}

// DeletePasskeyOf forgets a passkey of somebody else, by its id.
func (c *Client) DeletePasskeyOf(ctx context.Context, principal, id string) error {
	return c.do(ctx,
		call{
			method: http.MethodDelete,
			path:   "/principals/" + url.PathEscape(principal) + "/passkeys/" + url.PathEscape(id),
		})
}

// BeginPasskey begins to add a passkey; the browser makes it.
func (c *Client) BeginPasskey(ctx context.Context) (PasskeyChallenge, error) {
	return c.challenge(ctx, "/passkeys/begin")
}

// BeginPasskeySignIn begins to sign somebody in whose passkey will say who they are.
func (c *Client) BeginPasskeySignIn(ctx context.Context) (PasskeyChallenge, error) {
	return c.challenge(ctx, "/sessions/passkey/begin")
}

// BeginStepUp begins to confirm the session that calls.
func (c *Client) BeginStepUp(ctx context.Context) (PasskeyChallenge, error) {
	return c.challenge(ctx, "/sessions/current/step-up/begin")
}

func (c *Client) challenge(ctx context.Context, path string) (PasskeyChallenge, error) {
	return ask[PasskeyChallenge](ctx, c, call{method: http.MethodPost, path: path})
}

// AddPasskey keeps a passkey that a browser made.
func (c *Client) AddPasskey(ctx context.Context, in NewPasskey) (Passkey, error) {
	return ask[Passkey](ctx, c, call{method: http.MethodPost, path: "/passkeys", body: in})
}

// PasskeySignIn opens a session.
func (c *Client) PasskeySignIn(ctx context.Context, in PasskeyResponse) (Session, error) {
	return ask[Session](ctx, c, call{method: http.MethodPost, path: "/sessions/passkey", body: in})
}

// StepUp confirms the session that calls.
func (c *Client) StepUp(ctx context.Context, in PasskeyResponse) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/sessions/current/step-up", body: in})
}
