package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Secret is what a service principal proves itself with: a secret, or a certificate.
type Secret struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Kind      string    `json:"kind" enum:"secret,certificate"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// NewSecret adds a secret or a certificate to a service principal.
type NewSecret struct {
	Name        string `json:"name,omitempty" doc:"For people." maxLength:"256"`
	Certificate string `json:"certificate,omitempty" doc:"A certificate, PEM; without it Postern makes a secret." maxLength:"65536"`
	TTLSeconds  int64  `json:"ttlSeconds,omitempty" doc:"How long it is good for; 180 days if absent. A certificate ends with itself at the latest." minimum:"60" maximum:"63072000"`
}

// CreatedSecret is a new secret; its text is shown once.
type CreatedSecret struct {
	Secret   Secret `json:"secret"`
	ClientID string `json:"clientId" doc:"What the program signs in as."`
	Tenant   string `json:"tenant"`
	Text     string `json:"text,omitempty" doc:"The secret itself; absent for a certificate."`
}

// Secrets lists the secrets and certificates of a service principal, the oldest first.
func (c *Client) Secrets(ctx context.Context, principal string) iter.Seq2[Secret, error] {
	return pages[Secret](ctx, c, "/principals/"+url.PathEscape(principal)+"/secrets", nil)
}

// AddSecret gives a service principal one more secret or certificate.
func (c *Client) AddSecret(ctx context.Context, principal string, in NewSecret) (CreatedSecret, error) {
	return ask[CreatedSecret](ctx, c,
		call{method: http.MethodPost, path: "/principals/" + url.PathEscape(principal) + "/secrets", body: in})
}

// DeleteSecret takes a secret away; the tokens that came from it end with it.
func (c *Client) DeleteSecret(ctx context.Context, principal, secret string) error {
	return c.do(ctx,
		call{
			method: http.MethodDelete,
			path:   "/principals/" + url.PathEscape(principal) + "/secrets/" + url.PathEscape(secret),
		})
}
