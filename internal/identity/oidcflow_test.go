package identity_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

// TestWhatAProviderMayNotSay signs in with tokens that a dishonest provider, or whoever got hold of one, may give.
func TestWhatAProviderMayNotSay(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	if _, err := p.signIn(identity.OIDCStart{}, nil); err != nil {
		t.Fatalf("an honest one: %v", err)
	}
	honest := p.sign
	past := p.w.clock.now().Add(-time.Minute).Unix()
	for what, change := range map[string]func(*provider){
		"the nonce of another sign-in": func(p *provider) { p.claims = map[string]any{"nonce": "another"} },
		"an empty nonce":               func(p *provider) { p.claims = map[string]any{"nonce": ""} },
		"no nonce":                     func(p *provider) { p.without = []string{"nonce"} },
		"another audience":             func(p *provider) { p.claims = map[string]any{"aud": "another"} },
		"no audience":                  func(p *provider) { p.without = []string{"aud"} },
		"another issuer": func(
			p *provider,
		) {
			p.claims = map[string]any{"iss": "https://another.example"}
		},
		"a token that has ended": func(p *provider) { p.claims = map[string]any{"exp": past} },
		"no subject":             func(p *provider) { p.without = []string{"sub"} },
		"a subject that is too long": func(
			p *provider,
		) {
			p.claims = map[string]any{"sub": strings.Repeat("x", 256)}
		},
		"another key": func(p *provider) {
			p.sign = func(claims []byte) string {
				return p.signed(jose.HS256, []byte("secretsecretsecretsecretsecretse"), claims)
			}
		},
		"no signature": func(p *provider) {
			encode := base64.RawURLEncoding.EncodeToString
			p.sign = func(claims []byte) string { return encode([]byte(`{"alg":"none"}`)) + "." + encode(claims) + "." }
		},
		"what is no token": func(p *provider) { p.sign = func([]byte) string { return "token" } },
	} {
		p.says(func(p *provider) { p.claims, p.without, p.sign = nil, nil, honest; change(p) })
		_, err := p.signIn(identity.OIDCStart{}, nil)
		if access.KindOf(err) != access.KindUnauthenticated || access.CodeOf(err) != "idTokenInvalid" {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.says(func(p *provider) { p.claims, p.without, p.sign = nil, nil, honest })
	for what, change := range map[string]func(*identity.OIDCFinish){
		"another browser": func(in *identity.OIDCFinish) { in.Browser = "another" },
		"no browser":      func(in *identity.OIDCFinish) { in.Browser = "" },
	} {
		_, err := p.signIn(identity.OIDCStart{}, change)
		if access.KindOf(err) != access.KindUnauthenticated || access.CodeOf(err) != "otherBrowser" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := p.signIn(identity.OIDCStart{}, nil); err != nil {
		t.Errorf("an honest one again: %v", err)
	}
}

// TestCodesAreForTheirProgram holds that the command line's code is exchanged by who began, and that a code which
// another OAuth client was given is no session.
func TestCodesAreForTheirProgram(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	sum := sha256.Sum256([]byte("verifier"))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	begun := func() identity.OIDCSignedIn {
		t.Helper()
		signed, err := p.signIn(identity.OIDCStart{
			Loopback: "http://127.0.0.1:4711/", Challenge: challenge,
			State: "s",
		},
			nil)
		if err != nil || signed.Code == "" || signed.Token != "" || signed.State != "s" {
			t.Fatalf("signed in with %+v, %v", signed, err)
		}
		return signed
	}
	if _, err := p.w.identity.ExchangeCode(p.w.ctx, begun().Code, "another", "test",
		office); access.CodeOf(err) != directory.SignInUnknown {
		t.Errorf("another verifier: %v", err)
	}
	code := begun().Code
	session, err := p.w.identity.ExchangeCode(p.w.ctx, code, "verifier", "test", office)
	if err != nil || session.Token == "" {
		t.Errorf("the right one: %v", err)
	}
	if _, err := p.w.identity.ExchangeCode(p.w.ctx, code, "verifier", "test",
		office); access.CodeOf(err) != directory.SignInUnknown {
		t.Errorf("a second time: %v", err)
	}

	// What an OAuth client was given, with the same proof.
	p.w.admin()
	another, err := p.w.signIn("admin", goodPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	stolen, hash := identity.NewCode()
	now := p.w.clock.now()
	pending := engine.PendingSignIn{
		Hash: hash, Client: "another client", Audience: "https://postern.example", Redirect: "http://localhost:1/",
		Challenge: challenge, Session: identity.SessionOf(another),
		Address: office.String(), CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	if err := p.w.engine.Directory.BeginSignIn(p.w.ctx, pending); err != nil {
		t.Fatal(err)
	}
	if got, err := p.w.identity.ExchangeCode(p.w.ctx, stolen, "verifier", "test",
		office); access.CodeOf(err) != directory.SignInUnknown {
		t.Errorf("another client's code: a session of %s, %v", got.Principal.Name, err)
	}
}

// TestClaimsThatAreNotThere proves that a person of whose groups the provider says nothing stays in theirs, and that
// the reason is on record and shown; and that one who is said to be in none is in none.
func TestClaimsThatAreNotThere(t *testing.T) {
	t.Parallel()
	p := newProvider(t, func(_ *provider, c *identity.OIDCConfig) { c.Groups = map[string]string{"oncall": "ops"} })
	admin := p.w.admin()
	p.w.group(admin, "ops")
	for _, step := range []struct {
		what    string
		claims  map[string]any
		unknown string
		member  bool
	}{
		{"in it", map[string]any{"groups": []string{"oncall", "x"}}, "", true},
		{
			"more than fit",
			map[string]any{
				"_claim_names":   map[string]any{"groups": "src1"},
				"_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://graph.example/"}},
			},
			"overage", true,
		},
		{"more than fit, in short", map[string]any{"hasgroups": true}, "overage", true},
		{"no claim", map[string]any{}, "absent", true},
		{"null", map[string]any{"groups": nil}, "absent", true},
		{"objects", map[string]any{"groups": []any{map[string]any{"name": "oncall"}}}, "unreadable", true},
		{"a number", map[string]any{"groups": 7}, "unreadable", true},
		{"one text", map[string]any{"groups": "oncall"}, "", true},
		{"in none", map[string]any{"groups": []string{}}, "", false},
		{
			"in none, and more than fit of something else",
			map[string]any{
				"_claim_names":   map[string]any{"wids": "src1"},
				"_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://graph.example/"}},
			},
			"absent", false,
		},
		{"in it again", map[string]any{"groups": []string{"oncall"}}, "", true},
		{"an empty text", map[string]any{"groups": ""}, "", false},
	} {
		p.says(func(p *provider) { p.claims = step.claims })
		signed, err := p.signIn(identity.OIDCStart{}, nil)
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := slices.Equal(p.w.members(admin, "ops"), []string{signed.Principal.Name}); got != step.member {
			t.Errorf("%s: a member %t, want %t", step.what, got, step.member)
		}
		events, err := p.w.engine.Records.Events(p.w.ctx, admin, engine.EventFilter{Kind: access.SignedIn},
			engine.Page{Limit: 1})
		if err != nil || events.Items[0].Details["groupsUnknown"] != step.unknown {
			t.Errorf("%s: the record has %v, %v", step.what, events.Items, err)
		}
		list, err := p.w.engine.Directory.ExternalIdentities(p.w.ctx, admin, string(signed.Principal.ID))
		if err != nil || len(list) != 1 || !list[0].SeenAt.Equal(p.w.clock.now()) {
			t.Fatalf("%s: %v, %v", step.what, list, err)
		}
		read := list[0].Read[slices.IndexFunc(list[0].Read, func(r engine.ClaimRead) bool { return r.Use == "groups" })]
		if read.Problem != step.unknown || read.Claim != "groups" {
			t.Errorf("%s: shown is %+v", step.what, read)
		}
		p.w.clock.advance(time.Minute)
	}
}

// TestScopesAndClaimNames asks for scopes, and reads claims of other names.
func TestScopesAndClaimNames(t *testing.T) {
	t.Parallel()
	ops := map[string]string{"oncall": "ops"}
	for what, c := range map[string]struct {
		offered []string
		config  identity.OIDCConfig
		scope   string
	}{
		"nothing said": {[]string{"openid", "groups"}, identity.OIDCConfig{}, "openid profile email"},
		"groups, which are offered": {
			[]string{"openid", "groups"},
			identity.OIDCConfig{Groups: ops},
			"openid profile email groups",
		},
		"groups, which are not": {
			[]string{"openid", "profile"},
			identity.OIDCConfig{Groups: ops},
			"openid profile email",
		},
		"scopes": {
			[]string{"groups"},
			identity.OIDCConfig{Groups: ops, Scopes: []string{"openid", "roles"}},
			"openid roles",
		},
		"scopes without openid": {nil, identity.OIDCConfig{Scopes: []string{"roles"}}, "openid roles"},
	} {
		p := newProvider(t, func(p *provider, config *identity.OIDCConfig) {
			p.scopes, config.Groups, config.Scopes = c.offered, c.config.Groups, c.config.Scopes
		})
		if _, _, err := p.start(p.w.ctx, identity.OIDCStart{}); err != nil || p.asked.Get("scope") != c.scope {
			t.Errorf("%s: asked for %q, %v", what, p.asked.Get("scope"), err)
		}
	}
	p := newProvider(t, func(p *provider, c *identity.OIDCConfig) {
		c.Groups, c.Claims = ops, identity.ClaimNames{
			Name: "upn", DisplayName: "https://example.org/name",
			Email: "mail", Groups: "realm_access.roles",
		}
		p.claims = map[string]any{
			"upn": "berg", "https://example.org/name": "Anna", "mail": "anna@example.org", "email_verified": "true",
			"realm_access":       map[string]any{"roles": []string{"oncall"}},
			"preferred_username": "not this", "name": "nor this", "groups": []string{},
		}
	})
	admin := p.w.admin()
	p.w.group(admin, "ops")
	signed, err := p.signIn(identity.OIDCStart{}, nil)
	if who := signed.Principal; err != nil || who.Name != "berg" || who.DisplayName != "Anna" ||
		who.Email != "anna@example.org" {
		t.Errorf("signed in as %+v, %v", who, err)
	}
	if got := p.w.members(admin, "ops"); !slices.Equal(got, []string{"berg"}) {
		t.Errorf("the members are %v", got)
	}
}

// TestUserInfo asks the userinfo endpoint where the id token lacks what is needed, where it is told to, and never.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	full := map[string]any{
		"sub": "42", "preferred_username": "anna", "email": "anna@example.org",
		"email_verified": true, "groups": []string{"oncall"},
	}
	for what, c := range map[string]struct {
		token, info map[string]any
		use         identity.UserInfo
		code        string // of the refusal
		asks        int
		member      bool
	}{
		"groups that are there alone": {
			map[string]any{"email": "anna@example.org", "email_verified": true},
			full, "", "", 1, true,
		},
		"nothing in the token":    {map[string]any{}, full, "", "", 1, true},
		"everything in the token": {full, map[string]any{"sub": "42"}, "", "", 0, true},
		"always": {
			full,
			map[string]any{"sub": "42", "groups": []string{}},
			identity.UserInfoAlways, "", 1, true,
		},
		"never": {
			map[string]any{},
			full, identity.UserInfoNever, "domainNotAllowed",
			0, false,
		},
		"about somebody else": {
			map[string]any{},
			map[string]any{"sub": "43", "email": "anna@example.org", "email_verified": true},
			"", "userinfoInvalid", 1,
			false,
		},
		"another address, verified": {
			map[string]any{"email": "anna@example.org"},
			map[string]any{"sub": "42", "email": "b@example.org", "email_verified": true},
			"", "domainNotAllowed", 1,
			false,
		},
		"the same address, verified": {map[string]any{"email": "anna@example.org"}, full, "", "", 1, true},
		"one that the token says is not": {
			map[string]any{"email": "anna@example.org", "email_verified": false},
			full, "", "domainNotAllowed", 1, false,
		},
		"no answer, and no address in the token": {
			map[string]any{},
			map[string]any{"fails": true},
			"",
			"domainNotAllowed", 1, false,
		},
		"no answer, and no groups in the token": {
			map[string]any{"email": "anna@example.org", "email_verified": true},
			map[string]any{"fails": true},
			"", "", 1, false,
		},
	} {
		p := newProvider(t, func(p *provider, config *identity.OIDCConfig) {
			p.claims, p.info = c.token, c.info
			config.Groups, config.Domains, config.UserInfo = map[string]string{
				"oncall": "ops",
			}, []string{"example.org"}, c.use
		})
		admin := p.w.admin()
		p.w.group(admin, "ops")
		_, err := p.signIn(identity.OIDCStart{}, nil)
		if (err == nil) != (c.code == "") || err != nil && access.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", what, err, c.code)
		}
		if got := len(p.w.members(admin, "ops")) == 1; got != c.member {
			t.Errorf("%s: a member %t", what, got)
		}
		if p.infoAsks != c.asks {
			t.Errorf("%s: userinfo was asked %d times, want %d", what, p.infoAsks, c.asks)
		}
	}
}

// TestProviderThatHangs holds that people who wait for a provider's description wait side by side, each as long as
// their own call lasts, and that it is fetched once for all.
func TestProviderThatHangs(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	gate := make(chan struct{})
	p.says(func(p *provider) { p.gate = gate })
	var group sync.WaitGroup
	group.Go(func() {
		if _, _, err := p.w.identity.StartOIDC(p.w.ctx, identity.OIDCStart{Address: office}); err != nil {
			t.Errorf("who waited: %v", err)
		}
	})
	<-p.waiting // it hangs
	gone, cancel := context.WithCancel(p.w.ctx)
	cancel()
	for range 3 {
		left := make(chan error, 1)
		go func() {
			_, _, err := p.w.identity.StartOIDC(gone, identity.OIDCStart{Tenant: "", Address: office})
			left <- err
		}()
		select {
		case err := <-left:
			if err == nil || access.KindOf(err) != access.KindUnavailable && !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		case <-time.After(20 * time.Second):
			close(gate)
			t.Fatal("who left waits for the one before")
		}
	}
	close(gate)
	group.Wait()
	if n := len(p.waiting); n != 0 {
		t.Errorf("the description was fetched %d times more", n)
	}
}
