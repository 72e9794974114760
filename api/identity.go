package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// APIToken lets a program act for the principal that made it, within bounds.
type APIToken struct { //nolint:revive // a token of the API, unlike an enrollment token
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Scope     string    `json:"scope,omitempty" doc:"The token is good at this resource id and below; absent means everywhere."`
	Actions   []string  `json:"actions,omitempty" doc:"The token is good for actions that one of these patterns matches; absent means all."`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// NewAPIToken makes a token for the caller's own programs.
type NewAPIToken struct {
	Name       string   `json:"name" minLength:"1" maxLength:"256" doc:"What it is for."`
	TTLSeconds int64    `json:"ttlSeconds,omitempty" minimum:"60" maximum:"31622400" doc:"How long it is good for; 90 days if absent, a year at most."`
	Scope      string   `json:"scope,omitempty" maxLength:"2048" doc:"A resource id: the token is good there and below. Absent: everywhere."`
	Actions    []string `json:"actions,omitempty" maxItems:"100" doc:"Actions, or patterns of them such as */read. Absent: all that the caller may do."`
}

// CreatedAPIToken is a new token, which is shown once.
type CreatedAPIToken struct {
	APIToken

	Token string `json:"token" doc:"Send it as Authorization: Bearer."`
}

// Network is a name for prefixes.
type Network struct {
	Name      string    `json:"name"`
	Prefixes  []string  `json:"prefixes"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	Revision  int64     `json:"revision" doc:"Send it as If-Match to change what you saw."`
}

// NetworkInput says what a network's name stands for.
type NetworkInput struct {
	Prefixes []string `json:"prefixes" minItems:"1" maxItems:"100" doc:"Prefixes or addresses."`
}

// RoleInput is a custom role.
type RoleInput struct {
	Name             string       `json:"name" maxLength:"512"`
	Description      string       `json:"description,omitempty" maxLength:"2048"`
	Permissions      []Permission `json:"permissions" maxItems:"100"`
	AssignableScopes []string     `json:"assignableScopes" maxItems:"2000" doc:"Resource ids at and below which it may be assigned."`
}

// NewLeastPrivilegedRole asks for the custom role that Microsoft's script Set-JitLeastPrivilegedRole makes.
type NewLeastPrivilegedRole struct {
	Subscription string `json:"subscription,omitempty" maxLength:"2048" doc:"Name or GUID; absent: the default one."`
	Name         string `json:"name,omitempty" maxLength:"512" doc:"Absent: JIT Access Role."`
	APIOnly      bool   `json:"apiOnly,omitempty" doc:"Without the actions that only a portal needs."`
}

// CodeExchange shows the code that a browser brought to a program on the same machine, and the verifier whose challenge
// the program began with (PKCE, S256).
type CodeExchange struct {
	Code     string `json:"code" maxLength:"256"`
	Verifier string `json:"verifier" maxLength:"256"`
}

// ExchangeCode gives the session that was opened in a browser.
func (c *Client) ExchangeCode(ctx context.Context, in CodeExchange) (Session, error) {
	return ask[Session](ctx, c, call{method: http.MethodPost, path: "/sessions/exchange", body: in})
}

// CreateAPIToken makes a token for the caller's own programs.
func (c *Client) CreateAPIToken(ctx context.Context, in NewAPIToken) (CreatedAPIToken, error) {
	return ask[CreatedAPIToken](ctx, c, call{method: http.MethodPost, path: "/tokens", body: in})
}

// APITokens lists the caller's own tokens.
func (c *Client) APITokens(ctx context.Context) iter.Seq2[APIToken, error] {
	return pages[APIToken](ctx, c, "/tokens", nil)
}

// RevokeAPIToken ends one of the caller's own tokens, by name or id.
func (c *Client) RevokeAPIToken(ctx context.Context, ref string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/tokens/" + url.PathEscape(ref)})
}

// Networks lists named networks by name.
func (c *Client) Networks(ctx context.Context) iter.Seq2[Network, error] {
	return pages[Network](ctx, c, "/networks", nil)
}

// SetNetwork makes a named network, or gives it other prefixes. Where ifRevision is not 0 and the network has another
// revision, it changes nothing and gives a conflict.
func (c *Client) SetNetwork(ctx context.Context, name string, in NetworkInput, ifRevision int64) (Network, error) {
	return ask[Network](ctx, c, call{
		method: http.MethodPut, path: "/networks/" + url.PathEscape(name), header: ifMatch(ifRevision), body: in,
	})
}

// DeleteNetwork deletes a named network that no policy names.
func (c *Client) DeleteNetwork(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/networks/" + url.PathEscape(name)})
}

// Role gives one role by name or id.
func (c *Client) Role(ctx context.Context, ref string) (Role, error) {
	return ask[Role](ctx, c, call{method: http.MethodGet, path: "/roles/" + url.PathEscape(ref)})
}

// CreateRole makes a custom role.
func (c *Client) CreateRole(ctx context.Context, in RoleInput) (Role, error) {
	return ask[Role](ctx, c, call{method: http.MethodPost, path: "/roles", body: in})
}

// UpdateRole replaces a custom role, which is named by name or id; ifRevision as in SetNetwork.
func (c *Client) UpdateRole(ctx context.Context, ref string, in RoleInput, ifRevision int64) (Role, error) {
	return ask[Role](ctx, c, call{
		method: http.MethodPut, path: "/roles/" + url.PathEscape(ref), header: ifMatch(ifRevision), body: in,
	})
}

// DeleteRole deletes a custom role that is assigned to nobody, by name or id.
func (c *Client) DeleteRole(ctx context.Context, ref string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/roles/" + url.PathEscape(ref)})
}

// CreateLeastPrivilegedRole makes the custom role that Microsoft's script Set-JitLeastPrivilegedRole makes.
func (c *Client) CreateLeastPrivilegedRole(ctx context.Context, in NewLeastPrivilegedRole) (Role, error) {
	return ask[Role](ctx, c, call{method: http.MethodPost, path: "/least-privileged-roles", body: in})
}
