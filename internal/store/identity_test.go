package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func TestIdentityRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		token := engine.APIToken{
			ID: "t-1", Principal: f.user, Name: "ci", Hash: "aa",
			Bounds:    engine.Bounds{Scope: "/subscriptions/x", Actions: []string{"*/read"}},
			CreatedAt: day(), ExpiresAt: day().Add(time.Hour),
		}
		bare := engine.APIToken{
			ID: "t-2", Principal: f.user, Name: "bare", Hash: "ab", CreatedAt: day(),
			ExpiresAt: day().Add(time.Hour),
		}
		network := access.Network{
			Tenant: tenantID, Name: "Office",
			Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/48")}, CreatedAt: day(), UpdatedAt: day(),
			Revision: 1,
		}
		external := engine.ExternalIdentity{
			Tenant: tenantID, Issuer: "https://idp.example", Subject: "42",
			Principal: f.user, CreatedAt: day(),
		}
		elsewhere := engine.ExternalIdentity{
			Tenant: "other", Issuer: external.Issuer, Subject: external.Subject,
			Principal: "user-o", CreatedAt: day(),
		}
		key := engine.Passkey{
			ID: "k", Principal: f.user, Name: "laptop", Body: `{"x":1}`, CreatedAt: day(),
			UsedAt: day().Add(time.Hour), Revision: 1,
		}
		ceremony := engine.Ceremony{
			Hash: "cc", Kind: "oidc", Principal: f.user, Body: "{}", CreatedAt: day(),
			ExpiresAt: day().Add(time.Minute),
		}
		code := engine.GlassCode{
			ID: "g-1", Machine: f.machine, Agent: f.agent, Hash: "dd", Most: time.Hour,
			IssuedBy: f.user, IssuedAt: day(), ExpiresAt: day().Add(time.Hour),
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveAPIToken(ctx, token), tx.SaveAPIToken(ctx, bare), tx.SaveNetwork(ctx, network, 0),
				tx.SaveExternalIdentity(ctx, external),
				tx.SaveTenant(ctx, access.Tenant{ID: "other", Name: "Other", CreatedAt: day()}),
				tx.SavePrincipal(ctx,
					access.Principal{
						ID: "user-o", Tenant: "other", Kind: access.User, Name: "ann", CreatedAt: day(),
						Revision: 1,
					},
					0),
				tx.SaveExternalIdentity(ctx, elsewhere),
				tx.SavePasskey(ctx, key, 0), tx.SaveCeremony(ctx, ceremony), tx.SaveGlassCode(ctx, code))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			get := func(what string, want, got any, err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				same(t, what, want, got)
			}
			tokens, err := r.APITokens(ctx, f.user)
			get("tokens", []engine.APIToken{token, bare}, tokens, err)
			one, err := r.APITokenByHash(ctx, "aa")
			get("token by hash", token, one, err)
			one, err = r.APIToken(ctx, "t-2")
			get("token", bare, one, err)
			n, err := r.Network(ctx, tenantID, "oFFICE")
			get("network", network, n, err)
			ns, err := r.Networks(ctx, tenantID)
			get("networks", []access.Network{network}, ns, err)
			e, err := r.ExternalIdentity(ctx, tenantID, "https://idp.example", "42")
			get("external identity", external, e, err)
			e, err = r.ExternalIdentity(ctx, "other", "https://idp.example", "42")
			get("the same subject in another tenant", elsewhere, e, err)
			es, err := r.ExternalIdentities(ctx, f.user)
			get("external identities", []engine.ExternalIdentity{external}, es, err)
			k, err := r.Passkey(ctx, "k")
			get("passkey", key, k, err)
			ks, err := r.Passkeys(ctx, f.user)
			get("passkeys", []engine.Passkey{key}, ks, err)
			c, err := r.Ceremony(ctx, "cc")
			get("ceremony", ceremony, c, err)
			g, err := r.GlassCode(ctx, "g-1")
			get("code", code, g, err)
			gs, err := r.GlassCodes(ctx, f.machine)
			get("codes of machine", []engine.GlassCode{code}, gs, err)
			gs, err = r.GlassCodesOfAgents(ctx, []access.AgentID{"nothing", f.agent})
			get("codes of agents", []engine.GlassCode{code}, gs, err)
			for what, err := range map[string]error{
				"token":    second(r.APIToken(ctx, "x")),
				"hash":     second(r.APITokenByHash(ctx, "x")),
				"network":  second(r.Network(ctx, "other", "office")),
				"external": second(r.ExternalIdentity(ctx, tenantID, "https://idp.example", "43")),
				"foreign":  second(r.ExternalIdentity(ctx, "third", "https://idp.example", "42")),
				"passkey":  second(r.Passkey(ctx, "x")),
				"ceremony": second(r.Ceremony(ctx, "x")),
				"code":     second(r.GlassCode(ctx, "x")),
			} {
				wantKind(t, what, err, access.KindNotFound, "")
			}
			return nil
		})
		conflict := func(what string, do func(ctx context.Context, tx engine.Tx) error) {
			t.Helper()
			wantKind(t, what, f.Update(t.Context(), func(tx engine.Tx) error { return do(t.Context(), tx) }),
				access.KindConflict, "")
		}
		conflict("a network twice",
			func(ctx context.Context, tx engine.Tx) error { return tx.SaveNetwork(ctx, network, 0) })
		conflict("a subject twice",
			func(ctx context.Context, tx engine.Tx) error { return tx.SaveExternalIdentity(ctx, external) })
		conflict("a stale passkey", func(ctx context.Context, tx engine.Tx) error {
			key.Revision = 9
			return tx.SavePasskey(ctx, key, 8)
		})
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.UseCeremony(ctx, "cc"), tx.UseGlassCode(ctx, "g-1", day()),
				tx.DeleteNetwork(ctx, tenantID, "OFFICE"), tx.DeleteAPIToken(ctx, "t-2"))
		})
		conflict("a ceremony twice", func(ctx context.Context, tx engine.Tx) error { return tx.UseCeremony(ctx, "cc") })
		conflict("a code twice",
			func(ctx context.Context, tx engine.Tx) error { return tx.UseGlassCode(ctx, "g-1", day()) })
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return tx.EndGlassCode(ctx, "g-1", day())
		})
		err := f.Update(t.Context(), func(tx engine.Tx) error { return tx.EndGlassCode(t.Context(), "x", day()) })
		wantKind(t, "a code that there is not", err, access.KindNotFound, "")
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			code, err := r.GlassCode(ctx, "g-1")
			if err == nil && !code.ExpiresAt.Equal(day()) {
				t.Errorf("the code that was ended expires at %s", code.ExpiresAt)
			}
			return err
		})
	})
}

// each runs a test against both databases.
func each(t *testing.T, run func(t *testing.T, f *fixture)) {
	t.Helper()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, newFixture(t, dsn(t)))
		})
	}
}

func second[T any](_ T, err error) error { return err }

// TestPurge proves that what has expired goes in batches, and that nothing else does.
func TestPurge(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		request, _, _ := f.request(day())
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			errs := []error{tx.SaveRequest(ctx, request, 0)}
			for i := range 10 {
				// Half of them are over when it is purged.
				end := day().Add(time.Duration(i-5) * time.Hour)
				name := fmt.Sprint(i)
				errs = append(errs,
					tx.SaveSession(ctx, engine.Session{Hash: name, Principal: f.user, ExpiresAt: end}),
					tx.SaveAPIToken(ctx,
						engine.APIToken{ID: engine.APITokenID(name), Hash: name, Principal: f.user, ExpiresAt: end}),
					tx.SaveCeremony(ctx, engine.Ceremony{Hash: name, ExpiresAt: end}),
					tx.SavePendingSignIn(ctx, engine.PendingSignIn{Hash: name, ExpiresAt: end}),
					tx.SaveEnrollmentToken(ctx,
						engine.EnrollmentToken{Hash: name, Tenant: tenantID, Subscription: subID, ExpiresAt: end}),
					tx.SaveGlassCode(ctx, engine.GlassCode{ID: engine.GlassCodeID(name), ExpiresAt: end}),
					tx.SaveIdempotency(ctx,
						engine.Idempotency{Principal: f.user, Key: name, Request: request.ID, CreatedAt: end}))
			}
			return errors.Join(errs...)
		})
		var counts []int
		for range 4 {
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				n, err := tx.Purge(ctx, day(), day(), 2)
				counts = append(counts, n)
				return err
			})
		}
		same(t, "purged in batches", []int{14, 14, 7, 0}, counts)
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			_, err := r.Session(ctx, "4")
			wantKind(t, "an old session", err, access.KindNotFound, "")
			for i := 5; i < 10; i++ {
				if _, err := r.Session(ctx, fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
				if _, err := r.Idempotent(ctx, f.user, fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			}
			return nil
		})
	})
}
