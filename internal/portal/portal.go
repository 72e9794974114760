package portal

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/identity"
)

//go:embed pages
var files embed.FS

// Config is what the pages are made of. All of it is required.
type Config struct {
	Engine   *services.Services
	Identity *identity.Identity
	Now      func() time.Time
	Log      *slog.Logger
}

// Portal is the pages as an http.Handler. It is safe for concurrent use.
type Portal struct {
	config  Config
	pages   *template.Template
	app     *app
	handler http.Handler
}

// New makes the pages.
func New(c Config) (*Portal, error) {
	if c.Engine == nil || c.Identity == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("portal needs an engine, an identity, a clock and a log")
	}
	pages, err := template.ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	web, err := newApp()
	if err != nil {
		return nil, err
	}
	p := &Portal{config: c, pages: pages, app: web}
	p.handler = http.NewCrossOriginProtection().Handler(http.HandlerFunc(p.serve))
	return p, nil
}

// pages gives what answers at each path. One that ends in a slash stands for everything below it.
func pages() map[string]func(*visit) {
	return map[string]func(*visit){
		stylePath:             func(v *visit) { http.ServeFileFS(v.w, v.Request, files, "pages/sign-in.css") },
		scriptPath:            func(v *visit) { http.ServeFileFS(v.w, v.Request, files, "pages/sign-in.js") },
		passkeyScript:         func(v *visit) { http.ServeFileFS(v.w, v.Request, files, "pages/passkey.js") },
		passkeyPath:           (*visit).passkey,
		installFolder:         func(v *visit) { v.install(strings.TrimPrefix(v.URL.Path, installFolder)) },
		oidcStart:             (*visit).startOIDC,
		identity.OIDCCallback: (*visit).finishOIDC,
		devicePath:            (*visit).device,
		signInPath:            (*visit).enter,
		signOutPath:           (*visit).leave,
	}
}

// Paths gives the paths of the pages, sorted; the sign-in pages of authorities and the web application are beside them.
func Paths() []string { return slices.Sorted(maps.Keys(pages())) }

// page finds what answers at a path.
func page(path string) (func(*visit), bool) {
	for _, folder := range []string{installFolder, identity.OIDCCallback} {
		if strings.HasPrefix(path, folder) {
			path = folder
		}
	}
	if authority, found := cutAuthorize(path); found {
		return func(v *visit) { v.authorize(authority) }, true
	}
	found, ok := pages()[path]
	return found, ok
}

// Serves tells whether a path is one of these pages.
func Serves(path string) bool {
	_, found := page(path)
	return found
}

const (
	devicePath  = "/device"
	stylePath   = "/sign-in.css"
	scriptPath  = "/sign-in.js"
	signInPath  = "/sign-in"
	signOutPath = "/sign-out"
)

// cutAuthorize gives the path of the authority whose authorization endpoint path is.
func cutAuthorize(path string) (authority string, found bool) {
	for _, suffix := range []string{"/oauth2/v2.0/authorize", "/oauth2/authorize"} {
		if cut := len(path) - len(suffix); cut > 0 && strings.EqualFold(path[cut:], suffix) {
			return path[:cut], strings.Count(path[:cut], "/") <= 2
		}
	}
	return "", false
}

// ServeHTTP answers one call.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// visit is one call of a page.
type visit struct {
	*http.Request

	portal  *Portal
	w       http.ResponseWriter
	address netip.Addr
}

const maxForm = 64 << 10

func (p *Portal) serve(w http.ResponseWriter, r *http.Request) {
	answer, found := page(r.URL.Path) //nolint:contextcheck // a visit carries its call, and the context of it
	if !found {
		p.app.ServeHTTP(w, r)
		return
	}
	v := &visit{Request: r, portal: p, w: w}
	v.protect("")
	address, _, err := p.config.Identity.ClientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
	if err == nil {
		v.address = address
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if parseErr := r.ParseForm(); parseErr != nil {
			err = access.Fault(access.KindInvalid, "malformedForm", "what was sent is not a form that this page has")
		}
	}
	if err != nil {
		v.fail(err)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		v.show(http.StatusMethodNotAllowed, "error.html", "This page takes GET and POST.")
		return
	}
	answer(v)
}

const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "

// script lets the page run the one script that there is for it, which calls the server and makes no markup.
func (v *visit) script() {
	v.w.Header().Set("Content-Security-Policy",
		pagePolicy+"; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'")
}

// protect says what browsers may do with the page. A form may be answered by sending the browser on to redirect, the
// origin of a client on the person's own machine.
func (v *visit) protect(redirect string) {
	header := v.w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", strings.TrimSpace(pagePolicy+redirect))
	header.Set("Referrer-Policy", "same-origin") // the browser's Origin header goes with it
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
}

func (v *visit) show(status int, page string, data any) {
	var text bytes.Buffer
	if err := v.portal.pages.ExecuteTemplate(&text, page, data); err != nil {
		v.portal.config.Log.Error("write page", "page", page, "error", err)
		http.Error(v.w, "something went wrong in the server; its log says what", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	v.w.Write(text.Bytes()) //nolint:errcheck,gosec // the browser may be gone, and there is nobody else to tell
}

// fail shows what went wrong; faults of ours are told to the log alone.
func (v *visit) fail(err error) {
	status, text := say(err)
	if status == http.StatusInternalServerError {
		v.portal.config.Log.Error("page failed", "path", v.URL.Path, "error", err)
	}
	v.show(status, "error.html", text)
}

// say gives an error the status of its page, and its words as a sentence.
func say(err error) (status int, text string) {
	e, known := errors.AsType[*access.Error](err)
	if !known {
		return http.StatusInternalServerError, "Something went wrong in the server; its log says what."
	}
	switch e.Kind {
	case access.KindInvalid, access.KindConflict:
		return http.StatusBadRequest, sentence(e.Message)
	case access.KindUnauthenticated:
		return http.StatusUnauthorized, sentence(e.Message)
	case access.KindForbidden:
		return http.StatusForbidden, sentence(e.Message)
	case access.KindNotFound:
		return http.StatusNotFound, sentence(e.Message)
	case access.KindLimited:
		return http.StatusTooManyRequests, sentence(e.Message)
	case access.KindUnavailable:
		return http.StatusServiceUnavailable, sentence(e.Message)
	case access.KindInternal:
	}
	return http.StatusInternalServerError, "Something went wrong in the server; its log says what."
}

// signIn checks the name and password of the form, in a tenant where one is given, and opens a session for the client.
// Its token is told to nobody: the client exchanges its own code for one.
func (v *visit) signIn(tenant, client string) (session string, err error) {
	signed, err := v.check(tenant, "sign-in page for "+client)
	if err != nil {
		return "", err
	}
	return identity.SessionOf(signed), nil
}

// credentials is what a form with a name and a password shows.
type credentials struct {
	Name string
	// the one-time password that was typed, which goes along in the form where a new one takes its place
	Password    string
	Problem     string
	NewPassword bool // a new password is asked for
}

func (v *visit) credentials() credentials {
	return credentials{
		Name: v.PostFormValue("name"), Password: v.PostFormValue("password"),
		NewPassword: v.PostFormValue("newPassword") != "",
	}
}

// refused says why nobody was signed in. Who has to choose a new password, or chose one that will not do, is asked for
// that alone: the one-time password needs no typing again.
func (c *credentials) refused(err error) (status int) {
	status, c.Problem = say(err)
	c.NewPassword = access.CodeOf(err) == "passwordChangeRequired" || c.NewPassword && access.KindOf(
		err) == access.KindInvalid
	return status
}

func (v *visit) check(tenant, client string) (identity.SignedIn, error) {
	if chosen := v.PostFormValue("newPassword"); chosen != "" && v.PostFormValue("again") != chosen {
		return identity.SignedIn{}, access.Fault(access.KindInvalid, "passwordsDiffer",
			"the two were not the same: type the new password twice")
	}
	return v.portal.config.Identity.SignIn(v.Context(), identity.SignInInput{
		Tenant: tenant, Name: v.PostFormValue("name"), Password: v.PostFormValue("password"),
		NewPassword: v.PostFormValue("newPassword"),
		Address:     v.address, Via: "portal", Client: client,
	})
}

// sentence makes one of a message, which begins in lower case and has no full stop.
func sentence(message string) string {
	first, size := utf8.DecodeRuneInString(message)
	message = string(unicode.ToUpper(first)) + message[size:]
	if !strings.HasSuffix(message, ".") {
		message += "."
	}
	return message
}
