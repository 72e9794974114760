package identity

import (
	"net/http"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// SessionCookie is the name of the cookie that holds a browser's session. Its prefix makes browsers refuse it without
// TLS, for a part of the site, or for other hosts of the same domain.
const SessionCookie = "__Host-postern"

// NewSessionCookie makes the cookie of a sign-in: no script reads it, and no other site's form sends it.
func NewSessionCookie(s SignedIn, now time.Time) *http.Cookie {
	return sessionCookie(s.Token, int(s.ExpiresAt.Sub(now)/time.Second))
}

// EndedSessionCookie makes the browser forget its session.
func EndedSessionCookie() *http.Cookie { return sessionCookie("", -1) }

func sessionCookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: SessionCookie, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}

// ParseSessionCookie gives the token of a browser's session; empty without a cookie. An API token is no session.
//
// A call that changes something must say which page it comes from, as every browser of this decade does: the caller has
// refused other origins already, and here those are refused that say nothing.
func ParseSessionCookie(r *http.Request) (token string, err error) {
	cookie, err := r.Cookie(SessionCookie)
	if err != nil || cookie.Value == "" {
		return "", nil //nolint:nilerr // the only error is that there is none
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !safe && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return "", access.Fault(access.KindForbidden, "originMissing",
			"a browser's session changes nothing for a call without an origin: use a token")
	}
	if err := checkToken(cookie.Value); err != nil || strings.HasPrefix(cookie.Value, directory.APITokenPrefix) {
		return "", access.Fault(access.KindUnauthenticated, "tokenMalformed",
			"the session's cookie is not one of ours: sign in again")
	}
	return cookie.Value, nil
}
