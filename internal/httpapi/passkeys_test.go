package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/httpapi"
	"github.com/postern-dev/postern/internal/identity"
)

// TestAPasskeyEndsTheSessionBefore proves that signing a browser in with a passkey ends the session that its cookie
// held.
func TestAPasskeyEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	var i *identity.Identity
	s := newService(t, func(c *httpapi.Config) { i = c.Identity })
	s.api.AfterThePasskey("/after-the-passkey", identity.SignedIn{Token: "new", ExpiresAt: time.Now().Add(time.Hour)})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, httpapi.Prefix+"/after-the-passkey",
		strings.NewReader(`{"ceremony":"x","response":{}}`))
	r.Header.Set("Content-Type", "application/json")
	r.AddCookie(identity.NewSessionCookie(identity.SignedIn{Token: s.token, ExpiresAt: time.Now().Add(time.Hour)},
		time.Now()))
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	answer := w.Result()
	defer answer.Body.Close() //nolint:errcheck // a recorder's
	if cookies := answer.Cookies(); answer.StatusCode != http.StatusOK || len(
		cookies) != 1 || cookies[0].Name != identity.SessionCookie || cookies[0].Value != "new" ||
		!cookies[0].HttpOnly {
		t.Errorf("the browser gets %d and %v: %s", answer.StatusCode, cookies, w.Body)
	}
	if _, err := i.Authenticate(t.Context(), s.token, netip.MustParseAddr("203.0.113.7"),
		"portal"); access.KindOf(err) != access.KindUnauthenticated {
		t.Errorf("the session before lets in: %v", err)
	}
}
