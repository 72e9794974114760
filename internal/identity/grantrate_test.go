package identity_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

// resource is what the tokens of these tests are for.
const resource = "https://postern.example"

// client makes a service principal with a secret, and returns the form by which it signs in.
func (w *world) client(admin engine.Caller, name string) url.Values {
	w.tb.Helper()
	p, err := w.engine.Directory.CreatePrincipal(w.ctx, admin,
		directory.PrincipalInput{Kind: access.ServicePrincipal, Name: name})
	if err != nil {
		w.tb.Fatal(err)
	}
	secret, _, err := w.engine.Directory.AddSecret(w.ctx, admin, string(p.ID), directory.SecretInput{Name: "s"})
	if err != nil {
		w.tb.Fatal(err)
	}
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {string(p.ID)}, "client_secret": {secret},
		"scope": {resource + "/.default"},
	}
}

// TestSignInsOfProgramsCount proves that a program signs in, and a session is refreshed, as often as a principal may
// call and no more, with nobody else being the worse for it.
func TestSignInsOfProgramsCount(t *testing.T) {
	t.Parallel()
	const burst = 10
	w := newWorld(t, func(c *identity.Config) { c.Known = identity.Rate{PerSecond: 1, Burst: burst} })
	status := func(form url.Values) int {
		code, _ := w.ask(w.identity, "postern.example", "/default/oauth2/v2.0/token", form)
		return code
	}
	admin := w.admin()
	first, other := w.client(admin, "first"), w.client(admin, "other")
	session, err := w.signIn("admin", goodPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {session.Token}, "client_id": {"az"}}
	for name, form := range map[string]url.Values{"a program": first, "a session": refresh} {
		for n := range burst {
			if got := status(form); got != http.StatusOK {
				t.Fatalf("sign-in %d of %s: %d", n, name, got)
			}
		}
		if got := status(form); got != http.StatusTooManyRequests {
			t.Errorf("one more of %s: %d", name, got)
		}
	}
	if got := status(other); got != http.StatusOK {
		t.Errorf("another program: %d", got)
	}
	w.clock.advance(time.Second)
	if got := status(first); got != http.StatusOK {
		t.Errorf("a second later: %d", got)
	}
}

// TestBusyProgramsSignIn proves that the limit which counts by default is beyond what a program needs that signs in
// anew for each of its calls.
func TestBusyProgramsSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	form := w.client(w.admin(), "pipeline")
	for second := range 5 {
		for n := range 100 {
			code, answer := w.ask(w.identity, "postern.example", "/default/oauth2/v2.0/token", form)
			if code != http.StatusOK {
				t.Fatalf("second %d, sign-in %d: %d %v", second, n, code, answer)
			}
			token, _ := answer["access_token"].(string) //nolint:errcheck // an empty one is refused
			if _, err := w.identity.AuthenticateToken(w.ctx, "Bearer "+token, resource, office); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.advance(time.Second)
	}
}
