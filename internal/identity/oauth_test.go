package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
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

// program is a service principal that signs in with a certificate.
type program struct {
	w   *world
	key *ecdsa.PrivateKey
	id  string
}

func (w *world) program() program {
	w.tb.Helper()
	admin := w.admin()
	p, err := w.engine.Directory.CreatePrincipal(w.ctx, admin,
		directory.PrincipalInput{Kind: access.ServicePrincipal, Name: "deploy"})
	if err != nil {
		w.tb.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: w.clock.now().Add(-time.Hour),
		NotAfter: w.clock.now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.tb.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if _, _, err := w.engine.Directory.AddSecret(w.ctx, admin, string(p.ID),
		directory.SecretInput{Certificate: text}); err != nil {
		w.tb.Fatal(err)
	}
	return program{w, key, string(p.ID)}
}

// assertion signs one for an audience; id is its jti, and empty for none.
func (p program) assertion(audience, id string) string {
	p.w.tb.Helper()
	claims := map[string]any{
		"iss": p.id, "sub": p.id, "aud": audience,
		"exp": p.w.clock.now().Add(10 * time.Minute).Unix(),
	}
	if id != "" {
		claims["jti"] = id
	}
	text, err := json.Marshal(claims)
	if err != nil {
		p.w.tb.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, nil)
	if err != nil {
		p.w.tb.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		p.w.tb.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		p.w.tb.Fatal(err)
	}
	return compact
}

// ask posts a form to an endpoint of an authority, at a replica that is called by that host.
func (w *world) ask(i *identity.Identity, host, path string, form url.Values) (status int, answer map[string]any) {
	w.tb.Helper()
	r := httptest.NewRequestWithContext(w.ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Host, r.RemoteAddr = host, "203.0.113.7:4711"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	identity.NewOAuth(i).ServeHTTP(recorder, r)
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
		w.tb.Fatal(err)
	}
	return recorder.Code, answer
}

// post asks the token endpoint of a replica, as the client that called it by that host.
func (p program) post(i *identity.Identity, host, assertion string) (status int, answer map[string]any) {
	p.w.tb.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {p.id}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	return p.w.ask(i, host, "/default/oauth2/v2.0/token", form)
}

const ours = "https://postern.example/default/oauth2/v2.0/token"

// TestOwnNamesDecideAudiences proves that an assertion which a client made for another provider is not taken here,
// whatever the caller writes into the header Host.
func TestOwnNamesDecideAudiences(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := w.program()
	for what, c := range map[string]struct {
		host, audience string
		status         int
	}{
		"ours": {"postern.example", ours, http.StatusOK},
		"another's": {
			"postern.example",
			"https://login.microsoftonline.com/default/oauth2/v2.0/token", http.StatusUnauthorized,
		},
		"another's, by another Host": {
			"login.microsoftonline.com",
			"https://login.microsoftonline.com/default/oauth2/v2.0/token", http.StatusUnauthorized,
		},
		"ours, by a Host not of ours": {"10.0.0.1", ours, http.StatusOK},
	} {
		if status, answer := p.post(w.identity, c.host, p.assertion(c.audience, what)); status != c.status {
			t.Errorf("%s: %d %v", what, status, answer)
		}
	}
}

// TestAssertionsCountOnce repeats assertions, also to another replica and at the same time, with and without a jti.
func TestAssertionsCountOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *identity.Config) {
		c.OIDC = []identity.OIDCConfig{{
			Tenant: "default", Issuer: "https://login.example", ClientID: "c",
			Client: &http.Client{},
		}}
	})
	p := w.program()
	replica := w.again()
	for _, id := range []string{"1", ""} {
		assertion := p.assertion(ours, id)
		var group sync.WaitGroup
		statuses := make([]int, 8)
		for n := range statuses {
			group.Go(func() {
				statuses[n], _ = p.post([]*identity.Identity{w.identity, replica}[n%2], "postern.example", assertion)
			})
		}
		group.Wait()
		taken := 0
		for _, status := range statuses {
			if status == http.StatusOK {
				taken++
			} else if status != http.StatusUnauthorized {
				t.Errorf("jti %q: %d", id, status)
			}
		}
		if taken != 1 {
			t.Errorf("jti %q: taken %d times", id, taken)
		}
		// Whoever knows what was signed cannot have it forgotten: what a browser brings back is looked up by its hash
		// too.
		_, err := w.identity.FinishOIDC(w.ctx, identity.OIDCFinish{State: p.id + "\x00" + id, Address: office})
		if err == nil {
			t.Error("an assertion finished a sign-in")
		}
		if status, answer := p.post(w.identity, "postern.example", assertion); status != http.StatusUnauthorized ||
			!strings.Contains(answer["error_description"].(string), "counts once") { //nolint:forcetypeassert // it is text
			t.Errorf("jti %q, later: %d %v", id, status, answer)
		}
	}
	w.clock.advance(time.Minute)
	if status, answer := p.post(w.identity, "postern.example",
		p.assertion(ours, "1")); status != http.StatusUnauthorized {
		t.Errorf("the same jti, signed anew: %d %v", status, answer)
	}
	if status, answer := p.post(w.identity, "postern.example", p.assertion(ours, "2")); status != http.StatusOK {
		t.Errorf("another jti: %d %v", status, answer)
	}
}

// TestPollsLeaveSignInsAlone proves that whoever asks after device codes that they made up, as often as they like, does
// not have the limits of names forgotten.
func TestPollsLeaveSignInsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *identity.Config) { c.Anonymous = identity.Rate{PerSecond: 1.0 / 3600, Burst: 3} })
	attempt := func(last byte) error {
		_, err := w.identity.SignIn(w.ctx,
			identity.SignInInput{
				Name: "nobody", Password: "x", Address: netip.AddrFrom4([4]byte{192, 0, 2, last}),
				Via: "cli",
			})
		return err
	}
	for n := range byte(3) {
		if err := attempt(n); access.CodeOf(err) != "wrongCredentials" {
			t.Fatal(err)
		}
	}
	if err := attempt(4); access.CodeOf(err) != "tooManyAttempts" {
		t.Fatalf("the name has no limit: %v", err)
	}
	for n := range 16384 {
		w.ask(w.identity, "postern.example", "/default/oauth2/v2.0/token",
			url.Values{"grant_type": {"device_code"}, "device_code": {strconv.Itoa(n)}})
	}
	if err := attempt(5); access.CodeOf(err) != "tooManyAttempts" {
		t.Errorf("after many questions the limit of the name is forgotten: %v", err)
	}
}

// TestRefusedProgramsAreOnRecordWhereTheyAsked proves that an attempt to be a program of a tenant is in that tenant's
// log and in no other, whatever the program calls itself.
func TestRefusedProgramsAreOnRecordWhereTheyAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	admin := w.admin()
	contoso, _, err := w.identity.CreateTenant(w.ctx, admin, directory.TenantInput{Name: "contoso"})
	if err != nil {
		t.Fatal(err)
	}
	for authority, want := range map[string]access.TenantID{"contoso": contoso.Tenant.ID, "default": admin.Tenant} {
		for _, client := range []string{"nobody", "nobody@contoso", "nobody@default"} {
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {"x"}}
			if status, answer := w.ask(w.identity, "postern.example", "/"+authority+"/oauth2/v2.0/token",
				form); status != http.StatusUnauthorized {
				t.Fatalf("%d %v", status, answer)
			}
			for _, of := range []access.TenantID{contoso.Tenant.ID, admin.Tenant} {
				c := admin
				if c.Tenant = of; of == contoso.Tenant.ID {
					c.Principal = contoso.Admin.ID
				}
				events, err := w.engine.Records.Events(w.ctx, c, engine.EventFilter{}, engine.Page{Limit: 1})
				if err != nil || len(events.Items) != 1 {
					t.Fatal(err)
				}
				e := events.Items[0]
				if found := e.Kind == access.SignInRefused && e.Actor.Name == client; found != (of == want) {
					t.Errorf("%s at %s: the newest event of %s is %s of %s", client, authority, of, e.Kind,
						e.Actor.Name)
				}
			}
			// One more, so that the newest event is not that of the round before.
			if err := w.engine.Directory.SignInRefused(w.ctx,
				directory.SignInRefusal{Tenant: authority, Name: "between"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
