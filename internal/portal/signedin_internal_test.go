package portal

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/store"
)

// opened gives a portal over a fresh server, and the one-time password of its administrator.
func opened(t *testing.T) (p *Portal, password string) {
	t.Helper()
	ctx := context.Background() //nolint:usetesting // the store is closed after the test's own context has ended
	log, dir := slog.New(slog.DiscardHandler), t.TempDir()
	db, err := store.Open(ctx, store.Config{DSN: filepath.Join(dir, "postern.db"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	e, err := services.New(services.Config{
		Store: db, SealKey: make([]byte, engine.SealKeySize), Now: time.Now,
		Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	password, err = e.Directory.Bootstrap(ctx, identity.HashPassword)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := identity.OpenCA(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	names, err := identity.NewNames("https://postern.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	i, err := identity.New(identity.Config{Engine: e, CA: ca, Names: names, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	p, err = New(Config{Engine: e, Identity: i, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return p, password
}

// TestSigningInEndsTheSessionBefore proves that a browser has one session, however somebody signed in there: one that
// was put there beforehand is of no use afterwards.
func TestSigningInEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, password := opened(t)
	i := p.config.Identity
	office := netip.MustParseAddr("203.0.113.7")
	const fresh = "correct horse battery"
	signIn := func(password, next string) identity.SignedIn {
		t.Helper()
		s, err := i.SignIn(ctx,
			identity.SignInInput{
				Name: directory.AdminName, Password: password, NewPassword: next, Address: office,
				Via: "portal",
			})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	signIn(password, fresh)
	before, now := signIn(fresh, ""), signIn(fresh, "")
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/auth/oidc/callback/default", nil)
	r.AddCookie(identity.NewSessionCookie(before, time.Now()))
	w := httptest.NewRecorder()
	v := &visit{Request: r, portal: p, w: w, address: office}
	v.signedIn(now, "/access")
	answer := w.Result()
	defer answer.Body.Close() //nolint:errcheck // a recorder's
	if cookies := answer.Cookies(); len(
		cookies) != 1 || cookies[0].Value != now.Token || answer.Header.Get("Location") != "/access" {
		t.Errorf("the browser gets %v and goes to %s", cookies, answer.Header.Get("Location"))
	}
	if _, err := i.Authenticate(ctx, before.Token, office, "portal"); access.KindOf(err) != access.KindUnauthenticated {
		t.Errorf("the session before lets in: %v", err)
	}
	if _, err := i.Authenticate(ctx, now.Token, office, "portal"); err != nil {
		t.Error(err)
	}
}

// Nobody is told that they are signed out while their session lives.
func TestSignOutSaysWhatBecameOfTheSession(t *testing.T) {
	t.Parallel()
	p, password := opened(t)
	i := p.config.Identity
	office := netip.MustParseAddr("203.0.113.7")
	s, err := i.SignIn(t.Context(), identity.SignInInput{
		Name: directory.AdminName, Password: password, NewPassword: "correct horse battery", Address: office,
		Via: "portal",
	})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		what, origin string
		gone         bool
		status       int
		ended        bool
	}{
		{"the database does not answer", "https://postern.example", true, http.StatusInternalServerError, false},
		{"the browser does not say which page it comes from", "", false, http.StatusForbidden, false},
		{"all is well", "https://postern.example", false, http.StatusSeeOther, true},
	} {
		ctx := t.Context()
		if c.gone {
			ctx = gone
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/sign-out", nil)
		r.Header.Set("Origin", c.origin)
		r.AddCookie(identity.NewSessionCookie(s, time.Now()))
		w := httptest.NewRecorder()
		v := &visit{Request: r, portal: p, w: w, address: office}
		v.leave()
		if w.Code != c.status || strings.Contains(w.Body.String(),
			"You are still signed in") == c.ended || (w.Header().Get("Set-Cookie") != "") != c.ended {
			t.Errorf("%s: %d %v %s", c.what, w.Code, w.Header(), w.Body)
		}
		if _, err := i.Authenticate(t.Context(), s.Token, office, "portal"); (err != nil) != c.ended {
			t.Errorf("%s: the session: %v", c.what, err)
		}
	}
}

// TestAuthorizeSaysNothingOfTenants proves that the sign-in page of a program is the same for a tenant that is there as
// for one that is not, before somebody signs in and after a wrong password.
func TestAuthorizeSaysNothingOfTenants(t *testing.T) {
	t.Parallel()
	p, _ := opened(t)
	ask := url.Values{
		"client_id": {"az"}, "redirect_uri": {"http://localhost:8400"}, "response_type": {"code"},
		"code_challenge_method": {"S256"},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size))},
	}
	for what, form := range map[string]url.Values{
		"the page":         nil,
		"a wrong password": {"answer": {"sign-in"}, "name": {"ann"}, "password": {"wrong horse battery"}},
	} {
		var pages []string
		for _, tenant := range []string{"default", "nobodys"} {
			method := http.MethodGet
			if form != nil {
				method = http.MethodPost
			}
			r := httptest.NewRequestWithContext(t.Context(), method, "/"+tenant+"/oauth2/v2.0/authorize?"+ask.Encode(),
				strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			pages = append(pages, fmt.Sprint(w.Code, w.Header().Get("Location"), w.Body))
		}
		if pages[0] != pages[1] || !strings.Contains(pages[0], "<form") {
			t.Errorf("%s of a tenant that is there:\n%s\nand of one that is not:\n%s", what, pages[0], pages[1])
		}
	}
}
