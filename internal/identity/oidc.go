package identity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// OIDCConfig says which identity provider the people of a tenant may sign in with. Tenant, Issuer and ClientID are
// required.
type OIDCConfig struct {
	Tenant       string // name or id; there need not be such a tenant yet
	Issuer       string
	ClientID     string
	ClientSecret string // empty for a public client; PKCE is used either way
	PublicURL    string // of this server, such as https://postern.example; empty: as the browser calls it
	// that are asked for; empty: openid, profile, email, and groups where it is needed and offered
	Scopes   []string
	Claims   ClaimNames        // what the claims are called
	UserInfo UserInfo          // when the provider's userinfo endpoint is asked too; UserInfoNeeded where empty
	Groups   map[string]string // by value of the claim of groups: the name of a group here
	// of verified mail addresses, to one of which a person must belong; none: anybody of the provider
	Domains []string
	Client  *http.Client // that reaches the provider, and nothing that the server must not be sent to
}

const (
	ceremonyTime  = 10 * time.Minute
	oidcCeremony  = "oidc"
	oidcTimeout   = 15 * time.Second
	groupsScope   = "groups"
	oidcAlgorithm = "RS256 RS384 RS512 ES256 ES384 ES512 PS256 PS384 PS512 EdDSA" // never none, never symmetric
)

// oidcLogin is signing in with the identity provider of a tenant. It is safe for concurrent use.
type oidcLogin struct {
	config OIDCConfig

	mu       sync.Mutex // guards what follows
	provider *oidc.Provider
	fetching *fetching // nil while nobody asks
}

// fetching is the provider's description on its way.
type fetching struct {
	done chan struct{} // closed when what follows is set
	err  error
}

// found gives the provider, whose description is fetched when it is first needed: once for all who wait for it, and
// each waits no longer than its own call lasts.
func (l *oidcLogin) found(ctx context.Context) (*oidc.Provider, error) {
	l.mu.Lock()
	if l.provider != nil {
		defer l.mu.Unlock()
		return l.provider, nil
	}
	way := l.fetching
	if way == nil {
		way = &fetching{done: make(chan struct{})}
		l.fetching = way
		// Its keys are fetched later, by this context's client, so it may not end with the call; the client's own time
		// bounds it.
		client := context.WithoutCancel(oidc.ClientContext(ctx, l.config.Client))
		go func() {
			provider, err := oidc.NewProvider(client, l.config.Issuer)
			l.mu.Lock()
			defer l.mu.Unlock()
			if err == nil {
				l.provider = provider
			}
			way.err, l.fetching = err, nil
			close(way.done)
		}()
	}
	l.mu.Unlock()
	select {
	case <-way.done:
	case <-ctx.Done():
		return nil, providerAway(ctx.Err())
	}
	if way.err != nil {
		return nil, providerAway(way.err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.provider, nil
}

func providerAway(err error) error {
	away := access.Fault(access.KindUnavailable, "providerUnavailable",
		"the identity provider cannot be reached: try again, or tell an administrator")
	away.Err = err
	return away
}

// oidcState is what a sign-in at the provider is remembered by. It binds the tenant, and with it the provider: what
// another one answers is not taken.
type oidcState struct {
	Tenant   access.TenantID `json:"tenant"`
	Issuer   string          `json:"issuer"`
	Nonce    string          `json:"nonce"`
	Verifier string          `json:"verifier"`
	Redirect string          `json:"redirect"`
	// SHA-256 of what the browser keeps, so that nobody's sign-in is finished by another's browser
	Browser   string `json:"browser"`
	Return    string `json:"return,omitempty"`
	Loopback  string `json:"loopback,omitempty"` // where a program on the person's machine waits
	Challenge string `json:"challenge,omitempty"`
	State     string `json:"state,omitempty"`
}

// OIDCStart begins a sign-in with the identity provider of a tenant.
type OIDCStart struct {
	Tenant    string // name or id; empty is the tenant that runs the server
	Origin    string // https://host, as the browser calls the server
	Return    string // a path of ours to go to afterwards
	Loopback  string // or the address at which a program on the person's own machine waits
	Challenge string // of PKCE, of that program
	State     string // of that program
	Address   netip.Addr
}

// HasOIDC tells an address whether people of a tenant, by name or id, may sign in with an identity provider. Where a
// tenant is named and they may not, it counts as a call, whether there is such a tenant or not, and where too many were
// counted nothing is said of any: so nobody tries names without an end.
func (i *Identity) HasOIDC(ctx context.Context, tenant string, address netip.Addr) (bool, error) {
	right := func() {}
	if tenant != "" && len(i.oidc) > 0 { // or nothing was tried, or there is nothing to find
		var err error
		if right, err = i.AllowGuess(address); err != nil {
			return false, err
		}
	}
	_, _, err := i.oidcOf(ctx, tenant)
	if access.KindOf(err) == access.KindNotFound {
		return false, nil
	}
	right()
	return err == nil, err
}

func noOIDC() error {
	return access.Fault(access.KindNotFound, "oidcNotConfigured",
		"nobody of this tenant signs in by an identity provider: use a name and a password, or name another tenant")
}

// oidcOf gives the provider of a tenant, and the tenant's id. Where there is no such tenant the answer is that of one
// without a provider.
func (i *Identity) oidcOf(ctx context.Context, ref string) (*oidcLogin, access.TenantID, error) {
	if len(i.oidc) == 0 {
		return nil, "", noOIDC()
	}
	want, err := i.engine.Directory.FindTenant(ctx, ref)
	if access.KindOf(err) == access.KindNotFound {
		return nil, "", noOIDC()
	}
	if err != nil {
		return nil, "", err
	}
	for _, l := range i.oidc {
		if strings.EqualFold(l.config.Tenant, want.Name) || strings.EqualFold(l.config.Tenant, string(want.ID)) {
			return l, want.ID, nil
		}
	}
	return nil, "", noOIDC()
}

// StartOIDC gives the address of the provider to send the browser to, and the secret that the browser must keep until
// it comes back.
func (i *Identity) StartOIDC(ctx context.Context, in OIDCStart) (to, browser string, err error) {
	if err := i.AllowAnonymous(in.Address); err != nil { // first of all: whether there is a provider is an answer too
		return "", "", err
	}
	login, tenant, err := i.oidcOf(ctx, in.Tenant)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, oidcTimeout)
	defer cancel()
	provider, err := login.found(ctx)
	if err != nil {
		return "", "", err
	}
	origin := in.Origin
	if login.config.PublicURL != "" {
		origin = strings.TrimSuffix(login.config.PublicURL, "/")
	}
	text := func() string { return base64.RawURLEncoding.EncodeToString(random(tokenBytes)) }
	state := text()
	browser = text()
	kept := oidcState{
		Tenant: tenant, Issuer: login.config.Issuer,
		Nonce: text(), Verifier: oauth2.GenerateVerifier(), Redirect: origin + login.callback(),
		Browser: hashToken(browser),
		Return:  in.Return, Loopback: in.Loopback, Challenge: in.Challenge, State: in.State,
	}
	body, err := json.Marshal(kept)
	if err != nil {
		return "", "", err
	}
	now := i.now().UTC()
	err = i.engine.Directory.BeginCeremony(ctx,
		engine.Ceremony{
			Hash: hashToken(state), Kind: oidcCeremony, Body: string(body), CreatedAt: now,
			ExpiresAt: now.Add(ceremonyTime),
		})
	if err != nil {
		return "", "", fmt.Errorf("keep sign-in: %w", err)
	}
	return login.oauth(provider, kept.Redirect).AuthCodeURL(state, oidc.Nonce(kept.Nonce),
			oauth2.S256ChallengeOption(kept.Verifier)),
		browser, nil
}

// OIDCCallback is the folder of the paths that providers send the browser back to, each to that of its tenant. What one
// provider answers can so not be passed off as another's, also where a provider does not say whose answer it is.
const OIDCCallback = "/auth/oidc/callback/"

func (l *oidcLogin) callback() string { return OIDCCallback + l.config.Tenant }

func (l *oidcLogin) oauth(provider *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: l.config.ClientID, ClientSecret: l.config.ClientSecret, Endpoint: provider.Endpoint(),
		RedirectURL: redirect,
		Scopes:      l.scopes(provider),
	}
}

// scopes gives what is asked for. Many providers tell groups only to those who ask for the scope of that name.
func (l *oidcLogin) scopes(provider *oidc.Provider) []string {
	if len(l.config.Scopes) > 0 {
		if slices.Contains(l.config.Scopes, oidc.ScopeOpenID) {
			return l.config.Scopes
		}
		return append([]string{oidc.ScopeOpenID}, l.config.Scopes...)
	}
	scopes := []string{oidc.ScopeOpenID, "profile", "email"}
	var offered struct {
		Scopes []string `json:"scopes_supported"`
	}
	if len(l.config.Groups) > 0 && provider.Claims(&offered) == nil && slices.Contains(offered.Scopes, groupsScope) {
		scopes = append(scopes, groupsScope)
	}
	return scopes
}

// OIDCFinish is the browser coming back.
type OIDCFinish struct {
	Path    string // at which it came back
	Issuer  string // who answers, where the provider says so (RFC 9207)
	State   string
	Code    string
	Error   string // what the provider says instead of a code
	Browser string // the secret that the browser kept
	Address netip.Addr
	Client  string
}

// OIDCSignedIn is a person whom the provider vouched for.
type OIDCSignedIn struct {
	SignedIn

	Return   string // where the browser goes on
	Loopback string // or: the program's address, which gets Code and State
	Code     string
	State    string
}

// FinishOIDC takes a person in whom the provider vouches for: the state, the browser, the provider of the tenant that
// the sign-in was begun for, the code with its proof, the token's signature, issuer, audience, times and nonce, and the
// mail's domain must all be right. Everything is good for one use.
func (i *Identity) FinishOIDC(ctx context.Context, in OIDCFinish) (out OIDCSignedIn, err error) {
	if len(i.oidc) == 0 {
		return out, noOIDC()
	}
	if err := i.AllowAnonymous(in.Address); err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, oidcTimeout)
	defer cancel()
	ceremony, err := i.engine.Directory.FinishCeremony(ctx, hashToken(in.State), oidcCeremony)
	if err != nil {
		return out, err
	}
	var kept oidcState
	if err := json.Unmarshal([]byte(ceremony.Body), &kept); err != nil {
		return out, fmt.Errorf("read kept sign-in: %w", err)
	}
	said, err := i.vouched(ctx, kept, in)
	if err != nil {
		return out, i.oidcRefused(ctx, kept, in.Address, err)
	}
	token, now := newToken(), i.now().UTC().Truncate(time.Microsecond)
	session := engine.Session{
		Hash: hashToken(token), CreatedAt: now, ExpiresAt: now.Add(sessionTime),
		Address: in.Address.String(), Client: clip(in.Client),
	}
	said.Session, said.Address, said.Via = session, in.Address, "portal"
	principal, err := i.engine.Directory.SignInExternally(ctx, said)
	if err != nil {
		return out, err
	}
	out = OIDCSignedIn{
		SignedIn: SignedIn{Token: token, ExpiresAt: session.ExpiresAt, Principal: principal},
		Return:   kept.Return, State: kept.State,
	}
	if kept.Loopback == "" {
		return out, nil
	}
	code, hash := NewCode()
	out.Loopback, out.Code, out.Token = kept.Loopback, code, ""
	return out, i.engine.Directory.BeginSignIn(ctx, engine.PendingSignIn{
		Hash: hash, Client: "postern", Audience: oidcCeremony, Redirect: kept.Loopback, Challenge: kept.Challenge,
		Session: session.Hash,
		Address: in.Address.String(), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	})
}

// vouched exchanges the code and gives what the provider says of the person.
func (i *Identity) vouched(ctx context.Context, kept oidcState,
	in OIDCFinish,
) (said directory.ExternalSignIn, err error) {
	refuse := func(code, format string, args ...any) (directory.ExternalSignIn, error) {
		return said, access.Fault(access.KindUnauthenticated, code, format, args...)
	}
	if subtle.ConstantTimeCompare([]byte(hashToken(in.Browser)), []byte(kept.Browser)) != 1 {
		return refuse("otherBrowser", "this sign-in was begun in another browser: begin again here")
	}
	login, tenant, err := i.oidcOf(ctx, string(kept.Tenant))
	if err != nil {
		return said, err
	}
	provider, err := login.found(ctx)
	if err != nil {
		return said, err
	}
	if in.Path != login.callback() || kept.Issuer != login.config.Issuer || !answers(provider, in.Issuer, kept.Issuer) {
		return refuse("otherProvider",
			"this sign-in was begun with another identity provider: begin again at the sign-in page of your tenant")
	}
	if in.Error != "" || in.Code == "" {
		return refuse("providerRefused", "the identity provider did not sign you in (%s)", clip(in.Error))
	}
	tokens, err := login.oauth(provider, kept.Redirect).Exchange(oidc.ClientContext(ctx, login.config.Client), in.Code,
		oauth2.VerifierOption(kept.Verifier))
	if err != nil {
		if _, answered := errors.AsType[*oauth2.RetrieveError](err); answered {
			return refuse("providerRefused", "the identity provider did not take the code: begin again")
		}
		return said, providerAway(err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return refuse("providerRefused", "the identity provider gave no id token")
	}
	verifier := provider.VerifierContext(context.WithoutCancel(oidc.ClientContext(ctx, login.config.Client)),
		&oidc.Config{ClientID: login.config.ClientID, SupportedSigningAlgs: strings.Fields(oidcAlgorithm), Now: i.now})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return refuse("idTokenInvalid", "the identity provider's token is not right: %s", clip(err.Error()))
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(kept.Nonce)) != 1 {
		return refuse("idTokenInvalid", "the identity provider's token is for another sign-in")
	}
	claims, err := login.claims(ctx, provider, id, tokens)
	if err != nil {
		return said, err
	}
	if claims.failed != nil {
		i.log.WarnContext(ctx, "the identity provider's userinfo was not read", "issuer", login.config.Issuer, "error",
			claims.failed)
	}
	said, err = login.read(id, claims)
	said.Tenant = tenant
	return said, err
}

// answers tells whether the issuer that an answer names is the one that was asked. One that announces that it names
// itself must.
func answers(provider *oidc.Provider, named, asked string) bool {
	var announced struct {
		Names bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&announced); err != nil {
		return false
	}
	return named == asked || named == "" && !announced.Names
}

// oidcRefused records a refusal, and gives err back.
func (i *Identity) oidcRefused(ctx context.Context, kept oidcState, from netip.Addr, err error) error {
	if kind := access.KindOf(err); kind != access.KindUnauthenticated && kind != access.KindForbidden {
		return err
	}
	recorded := i.engine.Directory.SignInRefused(ctx,
		directory.SignInRefusal{
			Tenant: string(kept.Tenant), Name: kept.Issuer, Reason: access.CodeOf(err),
			Via: "portal", Address: from,
		})
	if recorded != nil {
		i.log.ErrorContext(ctx, "record refused sign-in", "error", recorded)
	}
	return err
}

// ExchangeCode gives a program on the person's own machine the session that the person opened in the browser, for the
// code that the browser brought and the verifier that only the program knows.
func (i *Identity) ExchangeCode(ctx context.Context, code, verifier, client string,
	address netip.Addr,
) (SignedIn, error) {
	if err := i.AllowAnonymous(address); err != nil {
		return SignedIn{}, err
	}
	token := newToken()
	_, session, err := i.engine.Directory.RedeemSignIn(ctx, hashToken(code),
		engine.Session{Hash: hashToken(token), Client: clip(client)}, func(p engine.PendingSignIn) error {
			sum := sha256.Sum256([]byte(verifier))
			if p.Audience != oidcCeremony || p.Challenge == "" || subtle.ConstantTimeCompare(
				[]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(p.Challenge)) != 1 {
				return access.Fault(access.KindUnauthenticated, directory.SignInUnknown,
					"the code was not made for this program: sign in again")
			}
			return nil
		})
	if err != nil {
		return SignedIn{}, err
	}
	p, err := i.engine.Directory.PrincipalOf(ctx, session)
	return SignedIn{Token: token, ExpiresAt: session.ExpiresAt, Principal: p}, err
}

func newOIDC(configs []OIDCConfig) (logins []*oidcLogin, err error) {
	for _, config := range configs {
		if config.Tenant == "" || config.Issuer == "" || config.ClientID == "" || config.Client == nil {
			return nil, errors.New("signing in by an identity provider needs the tenant, the provider's issuer, a " +
				"client id and what calls the provider")
		}
		config.Claims, config.UserInfo = config.Claims.complete(), cmp.Or(config.UserInfo, UserInfoNeeded)
		if err := config.UserInfo.check(); err != nil {
			return nil, err
		}
		logins = append(logins, &oidcLogin{config: config})
	}
	return logins, nil
}
