package portal

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/identity"
)

// built is the web application as `make web` builds it from web/: each file, and beside it what brotli makes of it.
//
//go:embed all:dist
var built embed.FS

const (
	indexFile    = "index.html"
	assetsFolder = "/assets/" // names of files in it hold a digest of what they are
	packed       = ".br"
)

// appPolicy lets the application run its own files and call its own server, and nothing else. Svelte makes its elements
// through the one named policy of Trusted Types.
const appPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types " +
	"svelte-trusted-html"

// app serves the built files from memory.
type app struct{ files map[string]asset }

type asset struct {
	plain, packed []byte
	kind          string
}

func newApp() (*app, error) {
	a := &app{files: map[string]asset{}}
	err := fs.WalkDir(built, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, packed) {
			return err
		}
		one := asset{kind: mime.TypeByExtension(path.Ext(name))}
		if one.plain, err = built.ReadFile(name); err != nil {
			return err
		}
		if one.packed, err = built.ReadFile(name + packed); err != nil {
			one.packed = nil // what does not shrink has none
		}
		a.files[strings.TrimPrefix(name, "dist")] = one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the web application: %w", err)
	}
	if _, found := a.files["/"+indexFile]; !found {
		return nil, fmt.Errorf("the web application has no %s: build it with make web", indexFile)
	}
	return a, nil
}

// ServesApp tells whether a call is a browser's, for a page or a file of the web application. Programs that ask for
// other paths get the native API's answer.
func ServesApp(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.URL.Path {
	case "/", "/favicon.svg":
		return true
	case "/openapi.yaml", "/healthz", "/readyz", "/metrics":
		return false
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		return false
	}
	return strings.HasPrefix(r.URL.Path, assetsFolder) || strings.Contains(r.Header.Get("Accept"), "text/html")
}

// ServeHTTP gives a file where there is one, and the application itself at every other path: it finds its page there.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", appPolicy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	file, found := a.files[path.Clean(r.URL.Path)]
	switch {
	case found && strings.HasPrefix(r.URL.Path, assetsFolder):
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	case strings.HasPrefix(r.URL.Path, assetsFolder):
		http.Error(w, "there is no such file; load the page again", http.StatusNotFound)
		return
	case found && r.URL.Path != "/"+indexFile:
		header.Set("Cache-Control", "max-age=3600")
	default:
		header.Set("Cache-Control", "no-store")
		if cookie, err := r.Cookie(identity.SessionCookie); err != nil || cookie.Value == "" {
			http.Redirect(w, r, signInFor(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		file = a.files["/"+indexFile]
	}
	header.Set("Content-Type", file.kind)
	header.Set("Vary", "Accept-Encoding")
	content := file.plain
	if file.packed != nil && acceptsBrotli(r.Header.Get("Accept-Encoding")) {
		header.Set("Content-Encoding", "br")
		content = file.packed
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func acceptsBrotli(header string) bool {
	for one := range strings.SplitSeq(header, ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(one), ";")
		if strings.EqualFold(strings.TrimSpace(name), "br") {
			return strings.ReplaceAll(quality, " ", "") != "q=0"
		}
	}
	return false
}
