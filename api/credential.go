package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Credentials is everything that lets somebody in as one principal.
type Credentials struct {
	Principal string              `json:"principal" doc:"Name of the principal."`
	Password  *PasswordState      `json:"password,omitempty" doc:"Absent where there is none."`
	Sessions  []OpenSession       `json:"sessions"`
	Tokens    []APIToken          `json:"tokens"`
	Passkeys  []Passkey           `json:"passkeys"`
	Secrets   []Secret            `json:"secrets" doc:"Secrets and certificates of a service principal."`
	Providers []ExternalSignInWay `json:"providers" doc:"Identity providers that sign the person in."`
	Places    []SignInPlace       `json:"places" doc:"Where the person signed in from, the newest first."`
}

// PasswordState says what there is to say of a password.
type PasswordState struct {
	ChangedAt time.Time `json:"changedAt"`
	OneTime   bool      `json:"oneTime,omitempty" doc:"It is good for nothing but choosing another."`
}

// OpenSession is a sign-in that lasts.
type OpenSession struct {
	ID        string     `json:"id"`
	Current   bool       `json:"current,omitempty" doc:"It is the one that asks."`
	CreatedAt time.Time  `json:"createdAt"`
	UsedAt    *time.Time `json:"usedAt,omitempty" doc:"About when it was last used."`
	ExpiresAt time.Time  `json:"expiresAt" doc:"When it ends at the latest."`
	Address   string     `json:"address" doc:"Where it was opened from."`
	Client    string     `json:"client,omitempty" doc:"What the client called itself."`
	Method    string     `json:"method,omitempty" doc:"password, passkey, or the issuer of the identity provider."`
}

// ExternalSignInWay is an identity provider that signs somebody in.
type ExternalSignInWay struct {
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	Since   time.Time `json:"since"`
}

// SignInPlace is a part of the network that somebody signed in from.
type SignInPlace struct {
	Prefix     string    `json:"prefix"`
	SignedInAt time.Time `json:"signedInAt"`
}

// IdentityProof shows that whoever holds a session is whom it was opened for.
type IdentityProof struct {
	Password string `json:"password" minLength:"1" maxLength:"1024" doc:"The present one."`
}

// Credentials gives every credential of a principal that has not ended; me is the caller.
func (c *Client) Credentials(ctx context.Context, principal string) (Credentials, error) {
	return ask[Credentials](ctx, c, call{method: http.MethodGet, path: credentialsPath(principal)})
}

// EndCredential ends one credential of a principal, by its id.
func (c *Client) EndCredential(ctx context.Context, principal, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: credentialsPath(principal) + "/" + url.PathEscape(id)})
}

// EndCredentials ends every credential of those kinds (session, token, passkey, secret), and of all kinds where none is
// given.
func (c *Client) EndCredentials(ctx context.Context, principal string, kinds ...string) error {
	return c.do(ctx,
		call{method: http.MethodDelete, path: credentialsPath(principal), query: url.Values{"kind": kinds}})
}

func credentialsPath(principal string) string {
	return "/principals/" + url.PathEscape(principal) + "/credentials"
}

// Prove shows the caller's password once more, which the first passkey needs.
func (c *Client) Prove(ctx context.Context, in IdentityProof) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/sessions/current/proof", body: in})
}
