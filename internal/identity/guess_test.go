package identity_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

// TestWhoHasGuessedTooOftenIsToldNothing holds that an address which has named wrong codes and tenants for as long as
// it may is not told which are right, and that who names them rightly spends nothing.
func TestWhoHasGuessedTooOftenIsToldNothing(t *testing.T) {
	t.Parallel()
	const burst = 5
	w := newWorld(t, func(c *identity.Config) {
		c.OIDC = []identity.OIDCConfig{{
			Tenant: "with", Issuer: describes(t, true), ClientID: "h",
			Client: &http.Client{},
		}}
		c.Anonymous = identity.Rate{PerSecond: 1.0 / 3600, Burst: burst}
	})
	if _, _, err := w.identity.CreateTenant(w.ctx, w.admin(), directory.TenantInput{Name: "with"}); err != nil {
		t.Fatal(err)
	}
	_, device := w.ask(w.identity, "postern.example", "/default/oauth2/v2.0/devicecode",
		url.Values{"client_id": {"a"}, "scope": {"openid"}})
	code, ok := device["user_code"].(string)
	if !ok {
		t.Fatalf("there is no code: %v", device)
	}
	for name, c := range map[string]struct {
		right, wrong string
		ask          func(what string, from netip.Addr) (found bool, err error)
	}{
		"codes of devices": {code, "BCDFGHJK", func(what string, from netip.Addr) (bool, error) {
			waiting, err := w.identity.WaitingDevice(w.ctx, what, from)
			if access.KindOf(err) == access.KindNotFound {
				err = nil
			}
			return waiting.Client != "", err
		}},
		"tenants": {
			"with", "without",
			func(what string, from netip.Addr) (bool, error) { return w.identity.HasOIDC(w.ctx, what, from) },
		},
	} {
		for _, from := range []netip.Addr{
			netip.AddrFrom4([4]byte{198, 51, 100, byte(len(name))}),
			netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(len(name))}),
		} {
			for range 3 * burst {
				if found, err := c.ask(c.right, from); err != nil || !found {
					t.Fatalf("%s from %s: what is right: %t, %v", name, from, found, err)
				}
			}
			for range burst {
				if found, err := c.ask(c.wrong, from); err != nil || found {
					t.Fatalf("%s from %s: what is wrong: %t, %v", name, from, found, err)
				}
			}
			for _, what := range []string{c.wrong, c.right} {
				found, err := c.ask(what, from)
				if wantCode(t, err, access.KindLimited, "tooManyAttempts"); found {
					t.Errorf("%s from %s: who has guessed too often finds %s", name, from, what)
				}
			}
		}
	}
}
