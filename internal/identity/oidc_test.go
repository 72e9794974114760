package identity_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

// describes serves what a provider says of itself, which is all that a sign-in needs to begin; names tells whether it
// announces that its answers name it. Whoever asks it for more fails the test.
func describes(t *testing.T, names bool) string {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/openid-configuration" {
			t.Errorf("the provider was asked for %s", r.URL.Path)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token",
			"jwks_uri": s.URL + "/keys",
			"authorization_response_iss_parameter_supported": names,
		})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestProviderOfATenant holds that each tenant's sign-in leads to its own provider, and that nothing of it is taken
// from another.
func TestProviderOfATenant(t *testing.T) {
	t.Parallel()
	home, contoso := describes(t, true), describes(t, false)
	w := newWorld(t, func(c *identity.Config) {
		c.OIDC = []identity.OIDCConfig{
			{Tenant: "default", Issuer: home, ClientID: "h", Client: &http.Client{}},
			{Tenant: "Contoso", Issuer: contoso, ClientID: "c", Client: &http.Client{}},
		}
	})
	admin := w.admin()
	start := func(tenant string) (state, browser string, at *url.URL) {
		t.Helper()
		to, browser, err := w.identity.StartOIDC(w.ctx,
			identity.OIDCStart{Tenant: tenant, Origin: "https://postern.example", Address: office})
		if err != nil {
			t.Fatal(err)
		}
		at, err = url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		return at.Query().Get("state"), browser, at
	}
	for _, tenant := range []string{"contoso", "nobody's"} { // neither is there
		_, _, err := w.identity.StartOIDC(w.ctx, identity.OIDCStart{Tenant: tenant, Address: office})
		wantCode(t, err, access.KindNotFound, "oidcNotConfigured")
	}
	made, _, err := w.identity.CreateTenant(w.ctx, admin, directory.TenantInput{Name: "contoso"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.identity.CreateTenant(w.ctx, admin, directory.TenantInput{Name: "without"}); err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[string]bool{
		"": true, "DEFAULT": true, "contoso": true, string(made.Tenant.ID): true,
		"without": false, "nobody's": false,
	} {
		if has, err := w.identity.HasOIDC(w.ctx, tenant, office); err != nil || has != want {
			t.Errorf("HasOIDC(%q) is %t, %v", tenant, has, err)
		}
	}
	for tenant, want := range map[string]string{
		"":                     home + " /auth/oidc/callback/default",
		"contoso":              contoso + " /auth/oidc/callback/Contoso",
		string(made.Tenant.ID): contoso + " /auth/oidc/callback/Contoso",
	} {
		_, _, at := start(tenant)
		if got := "http://" + at.Host + " " + strings.TrimPrefix(at.Query().Get("redirect_uri"),
			"https://postern.example"); got != want {
			t.Errorf("%q leads to %s, want %s", tenant, got, want)
		}
	}
	for what, c := range map[string]struct{ tenant, path, issuer string }{
		"the path of another tenant":               {"contoso", "default", ""},
		"the path of no tenant":                    {"contoso", "", ""},
		"another's name on the way":                {"contoso", "Contoso", home},
		"another's name":                           {"", "default", contoso},
		"no name of one that announces to give it": {"", "default", ""},
	} {
		state, browser, _ := start(c.tenant)
		in := identity.OIDCFinish{
			Path: identity.OIDCCallback + c.path, Issuer: c.issuer, State: state, Code: "code",
			Browser: browser, Address: office,
		}
		_, err := w.identity.FinishOIDC(w.ctx, in)
		if access.KindOf(err) != access.KindUnauthenticated || access.CodeOf(err) != "otherProvider" {
			t.Errorf("%s: %v", what, err)
		}
		_, err = w.identity.FinishOIDC(w.ctx, in)
		if access.CodeOf(err) != "ceremonyOver" {
			t.Errorf("%s, a second time: %v", what, err)
		}
	}
	// Each refusal is on the record of the tenant that it was begun for: the home tenant has its two.
	if n := w.count(access.SignInRefused); n != 2 {
		t.Errorf("%d refusals on the record of the home tenant", n)
	}
}

// TestTenantsAreNotGuessed holds that who asks for the provider of one tenant after another is soon told to wait, and
// gets the same answer for a tenant that is not there as for one without a provider. Who names none tries nothing.
func TestTenantsAreNotGuessed(t *testing.T) {
	t.Parallel()
	const burst = 5
	w := newWorld(t, func(c *identity.Config) {
		c.OIDC = []identity.OIDCConfig{{
			Tenant: "default", Issuer: describes(t, true), ClientID: "h",
			Client: &http.Client{},
		}}
		c.Anonymous = identity.Rate{PerSecond: 0.001, Burst: burst}
	})
	if _, _, err := w.identity.CreateTenant(w.ctx, w.admin(), directory.TenantInput{Name: "without"}); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(tenant string, from netip.Addr) error{
		"a page": func(tenant string, from netip.Addr) error {
			has, err := w.identity.HasOIDC(w.ctx, tenant, from)
			if has {
				t.Errorf("%s has a provider", tenant)
			}
			return err
		},
		"a start": func(tenant string, from netip.Addr) error {
			_, _, err := w.identity.StartOIDC(w.ctx,
				identity.OIDCStart{Tenant: tenant, Origin: "https://postern.example", Address: from})
			if access.KindOf(err) == access.KindNotFound {
				return nil
			}
			return err
		},
	} {
		for n, tenant := range []string{"without", "nobody's"} {
			from := netip.AddrFrom4([4]byte{203, 0, byte(len(name)), byte(n)})
			for range burst {
				if err := ask(tenant, from); err != nil {
					t.Errorf("%s of %s: %v", name, tenant, err)
				}
			}
			wantCode(t, ask(tenant, from), access.KindLimited, "tooManyAttempts")
		}
	}
	from := netip.MustParseAddr("192.0.2.77")
	for range 2 * burst {
		if has, err := w.identity.HasOIDC(w.ctx, "", from); err != nil || !has {
			t.Fatalf("the page of no tenant: %t, %v", has, err)
		}
	}
	for n := range burst + 1 {
		r := httptest.NewRequestWithContext(w.ctx, http.MethodGet, "/nobodys/v2.0/.well-known/openid-configuration",
			nil)
		answer := httptest.NewRecorder()
		identity.NewOAuth(w.identity).ServeHTTP(answer, r)
		if want := map[bool]int{
			false: http.StatusBadRequest,
			true:  http.StatusTooManyRequests,
		}[n == burst]; answer.Code != want {
			t.Errorf("the authority of a tenant that is not there answers %d at try %d, want %d", answer.Code, n, want)
		}
	}
}
