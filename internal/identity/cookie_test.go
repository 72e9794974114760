package identity_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/identity"
)

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	token := "pst_" + strings.Repeat("A", 43)
	cookie := identity.NewSessionCookie(identity.SignedIn{Token: token, ExpiresAt: now.Add(time.Hour)}, now)
	const want = "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"
	if got := cookie.String(); got != "__Host-postern="+token+want {
		t.Errorf("the cookie is %s", got)
	}
	for _, c := range []struct {
		name, method, value, header string
		want                        string
		code                        bool
	}{
		{"reading", "GET", token, "", token, false},
		{"changing from a page", "POST", token, "Sec-Fetch-Site", token, false},
		{"changing from nowhere", "POST", token, "", "", true},
		{"deleting from nowhere", "DELETE", token, "", "", true},
		{"an API token", "GET", "pat_" + strings.Repeat("A", 43), "", "", true},
		{"rubbish", "GET", "x", "", "", true},
		{"nothing", "POST", "", "", "", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, "/", nil)
		r.AddCookie(&http.Cookie{Name: identity.SessionCookie, Value: c.value}) //nolint:gosec // as a browser sends it
		if c.header != "" {
			r.Header.Set(c.header, "same-origin")
		}
		got, err := identity.ParseSessionCookie(r)
		if got != c.want || (err != nil) != c.code {
			t.Errorf("%s gave %q, %v", c.name, got, err)
		}
	}
}
