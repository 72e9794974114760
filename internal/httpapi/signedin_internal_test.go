package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/store"
)

// TestAPasskeyEndsTheSessionBefore proves that signing a browser in with a passkey ends the session that its cookie held.
func TestAPasskeyEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	ctx := context.Background() //nolint:usetesting // the store is closed after the test's own context has ended
	log, dir := slog.New(slog.DiscardHandler), t.TempDir()
	db, err := store.Open(ctx, store.Config{DSN: filepath.Join(dir, "postern.db"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	e, err := engine.New(engine.Config{Store: db, SealKey: make([]byte, engine.SealKeySize), Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	password, err := e.Bootstrap(ctx, identity.HashPassword)
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
	a, err := New(Config{Engine: e, Identity: i, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	before, err := i.SignIn(ctx, identity.SignInInput{Name: engine.AdminName, Password: password, NewPassword: "correct horse battery", Address: netip.MustParseAddr("203.0.113.7"), Via: "portal"})
	if err != nil {
		t.Fatal(err)
	}
	now := identity.SignedIn{Token: "new", ExpiresAt: time.Now().Add(time.Hour), Principal: before.Principal}
	register(a, operation{method: http.MethodPost, path: "/after-the-passkey", id: "afterThePasskey", entry: anybody},
		func(ctx context.Context, in *passkeySignInInput) (*browserSession, error) {
			return a.signedIn(ctx, in, now), nil
		})

	r := httptest.NewRequestWithContext(ctx, http.MethodPost, Prefix+"/after-the-passkey", strings.NewReader(`{"ceremony":"x","response":{}}`))
	r.Header.Set("Content-Type", "application/json")
	r.AddCookie(identity.NewSessionCookie(before, time.Now()))
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	answer := w.Result()
	defer answer.Body.Close() //nolint:errcheck // a recorder's
	if cookies := answer.Cookies(); answer.StatusCode != http.StatusOK || len(cookies) != 1 || cookies[0].Name != identity.SessionCookie || cookies[0].Value == "" || !cookies[0].HttpOnly {
		t.Errorf("the browser gets %d and %v: %s", answer.StatusCode, cookies, w.Body)
	}
	if _, err := i.Authenticate(ctx, before.Token, netip.MustParseAddr("203.0.113.7"), "portal"); access.KindOf(err) != access.KindUnauthenticated {
		t.Errorf("the session before lets in: %v", err)
	}
}
