package portal_test

import (
	"bytes"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/portal"
)

// visit asks a portal that never comes to its engine.
func visit(t *testing.T, target string, header ...string) *http.Response {
	t.Helper()
	p, err := portal.New(portal.Config{
		Engine: &services.Services{}, Identity: &identity.Identity{}, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result()
}

const cookie = identity.SessionCookie + "=pst_x"

func TestPagesNeedASession(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/":                   "/sign-in",
		"/access":             "/sign-in?next=%2Faccess",
		"/machines?tab=a&q=b": "/sign-in?next=%2Fmachines%3Ftab%3Da%26q%3Db",
	} {
		answer := visit(t, target)
		if got := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || got != want {
			t.Errorf("%s gave %d to %q, want 303 to %q", target, answer.StatusCode, got, want)
		}
	}
}

func TestEveryPageIsTheApplication(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/machines/web-1", "/index.html", "/nowhere"} {
		answer := visit(t, target, "Cookie", cookie)
		header := answer.Header
		if answer.StatusCode != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"),
			"text/html") || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s gave %d %v", target, answer.StatusCode, header)
		}
		policy := header.Get("Content-Security-Policy")
		if strings.Contains(policy,
			"unsafe") || !strings.Contains(policy,
			"script-src 'self';") || !strings.Contains(policy, "require-trusted-types-for 'script'") {
			t.Errorf("%s has the policy %q", target, policy)
		}
	}
	if answer := visit(t, "/assets/gone.js", "Cookie", cookie); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is gone gave %d, want 404", answer.StatusCode)
	}
}

// TestThePageOfPasskeys proves that the page has its own script alone, and a form that leads to this machine alone.
func TestThePageOfPasskeys(t *testing.T) {
	t.Parallel()
	answer := visit(t, "/passkey")
	policy := answer.Header.Get("Content-Security-Policy")
	for _, part := range []string{
		"default-src 'none'", "script-src 'self'", "form-action 'self' http://127.0.0.1:*;",
		"frame-ancestors 'none'",
	} {
		if answer.StatusCode != http.StatusOK || !strings.Contains(policy, part) {
			t.Errorf("the page gave %d, and may %q, which lacks %q", answer.StatusCode, policy, part)
		}
	}
	if policy := visit(t, "/sign-in").Header.Get("Content-Security-Policy"); strings.Contains(policy, "127.0.0.1") {
		t.Errorf("another page may %q", policy)
	}
	script := visit(t, "/passkey.js")
	if kind := script.Header.Get("Content-Type"); script.StatusCode != http.StatusOK || !strings.Contains(kind,
		"javascript") {
		t.Errorf("the script gave %d %s", script.StatusCode, kind)
	}
}

func TestFilesAreKeptAndPacked(t *testing.T) {
	t.Parallel()
	seen := 0
	err := fs.WalkDir(os.DirFS("dist"), "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".br" {
			return err
		}
		seen++
		plain := visit(t, "/"+name)
		if plain.StatusCode != http.StatusOK || plain.Header.Get(
			"Content-Encoding") != "" || !strings.Contains(plain.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s gave %d %v", name, plain.StatusCode, plain.Header)
		}
		packed := visit(t, "/"+name, "Accept-Encoding", "gzip, deflate, br;q=0.5")
		want, err := os.ReadFile(path.Join("dist", name+".br"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(packed.Body); err != nil || packed.Header.Get(
			"Content-Encoding") != "br" || !bytes.Equal(got, want) {
			t.Errorf("%s packed gave %v, %v", name, packed.Header, err)
		}
		if refused := visit(t, "/"+name, "Accept-Encoding",
			"br;q=0, gzip"); refused.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s came packed to one who does not take it", name)
		}
		return nil
	})
	if err != nil || seen < 2 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestServesApp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, target, accept string
		want                   bool
	}{
		{"GET", "/", "*/*", true},
		{"GET", "/machines", "text/html,*/*", true},
		{"GET", "/machines", "application/json", false},
		{"POST", "/machines", "text/html", false},
		{"GET", "/api/v1/machines", "text/html", false},
		{"GET", "/healthz", "text/html", false},
		{"GET", "/openapi.yaml", "text/html", false},
		{"GET", "/assets/a.js", "*/*", true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.target, nil)
		r.Header.Set("Accept", c.accept)
		if got := portal.ServesApp(r); got != c.want {
			t.Errorf("%s %s for %s: %t, want %t", c.method, c.target, c.accept, got, c.want)
		}
	}
}
