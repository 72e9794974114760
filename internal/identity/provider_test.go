package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

// provider is an OpenID provider that says whatever a test has it say. It is honest in the rest: it takes the code with
// the proof that belongs to it, and signs by the key that it publishes.
type provider struct {
	tb     testing.TB
	w      *world
	url    string
	key    *ecdsa.PrivateKey
	scopes []string // that it offers

	mu       sync.Mutex     // protects what follows
	claims   map[string]any // of the id token, beside those that it must have
	without  []string       // of those that it must have
	info     map[string]any // of userinfo; nil: it has none
	sign     func(claims []byte) string
	asked    url.Values // the authorization request
	infoAsks int
	gate     chan struct{} // what its description waits for; nil for nothing
	waiting  chan struct{} // gets one for each that waits there
}

func newProvider(tb testing.TB, change func(*provider, *identity.OIDCConfig)) *provider {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	p := &provider{
		tb: tb, key: key, claims: map[string]any{"preferred_username": "anna", "name": "Anna Berg"},
		waiting: make(chan struct{}, 100),
	}
	p.sign = func(claims []byte) string { return p.signed(jose.ES256, p.key, claims) }
	s := httptest.NewServer(p)
	tb.Cleanup(s.Close)
	p.url = s.URL
	config := identity.OIDCConfig{
		Tenant: "default", Issuer: p.url, ClientID: "postern", ClientSecret: "secret",
		PublicURL: "https://postern.example", Client: s.Client(),
	}
	if change != nil {
		change(p, &config)
	}
	p.w = newWorld(tb, func(c *identity.Config) { c.OIDC = []identity.OIDCConfig{config} })
	return p
}

func (p *provider) signed(algorithm jose.SignatureAlgorithm, key any, claims []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key},
		(&jose.SignerOptions{}).WithHeader("kid", "1"))
	if err != nil {
		p.tb.Error(err)
		return ""
	}
	object, err := signer.Sign(claims)
	if err != nil {
		p.tb.Error(err)
		return ""
	}
	text, err := object.CompactSerialize()
	if err != nil {
		p.tb.Error(err)
	}
	return text
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		if gate != nil {
			p.waiting <- struct{}{}
			<-gate
		}
		description := map[string]any{
			"issuer": p.url, "authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token",
			"jwks_uri":         p.url + "/keys",
			"scopes_supported": p.scopes, "id_token_signing_alg_values_supported": []string{"ES256"},
		}
		if p.info != nil {
			description["userinfo_endpoint"] = p.url + "/userinfo"
		}
		answer = description
	case "/keys":
		answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: p.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"},
		}}
	case "/token":
		answer = p.exchange(r)
	case "/userinfo":
		p.mu.Lock()
		p.infoAsks++
		answer = p.info
		p.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer access" ||
			answer.(map[string]any)["fails"] != nil { //nolint:forcetypeassert // it is one
			w.WriteHeader(http.StatusUnauthorized)
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		p.tb.Error(err)
	}
}

// exchange gives tokens for a code.
func (p *provider) exchange(r *http.Request) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if r.PostFormValue("code") != "code" || base64.RawURLEncoding.EncodeToString(
		sum[:]) != p.asked.Get("code_challenge") {
		p.tb.Errorf("the code came with %v", r.PostForm)
	}
	now := p.w.clock.now()
	claims := map[string]any{
		"iss": p.url, "sub": "42", "aud": "postern", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"nonce": p.asked.Get("nonce"),
	}
	maps.Copy(claims, p.claims)
	for _, name := range p.without {
		delete(claims, name)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		p.tb.Error(err)
	}
	return map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": p.sign(text)}
}

// says has the provider say something else.
func (p *provider) says(change func(*provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// start begins a sign-in.
func (p *provider) start(ctx context.Context, in identity.OIDCStart) (state, browser string, err error) {
	in.Address = office
	to, browser, err := p.w.identity.StartOIDC(ctx, in)
	if err != nil {
		return "", "", err
	}
	u, err := url.Parse(to)
	if err != nil {
		return "", "", err
	}
	p.says(func(p *provider) { p.asked = u.Query() })
	return u.Query().Get("state"), browser, nil
}

// signIn goes all the way; change may alter what comes back.
func (p *provider) signIn(in identity.OIDCStart, change func(*identity.OIDCFinish)) (identity.OIDCSignedIn, error) {
	p.tb.Helper()
	state, browser, err := p.start(p.w.ctx, in)
	if err != nil {
		p.tb.Fatal(err)
	}
	back := identity.OIDCFinish{
		Path: identity.OIDCCallback + "default", State: state, Code: "code", Browser: browser,
		Address: office, Client: "test",
	}
	if change != nil {
		change(&back)
	}
	return p.w.identity.FinishOIDC(p.w.ctx, back)
}

// group makes a group.
func (w *world) group(admin engine.Caller, name string) {
	w.tb.Helper()
	if _, err := w.engine.Directory.CreatePrincipal(w.ctx, admin,
		directory.PrincipalInput{Kind: access.Group, Name: name}); err != nil {
		w.tb.Fatal(err)
	}
}

// members gives the names of a group's members.
func (w *world) members(admin engine.Caller, group string) (names []string) {
	w.tb.Helper()
	list, err := w.engine.Directory.Principals(w.ctx, admin, engine.PrincipalFilter{Group: access.PrincipalID(group)},
		engine.Page{Limit: 100})
	if err != nil {
		w.tb.Fatal(err)
	}
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}
