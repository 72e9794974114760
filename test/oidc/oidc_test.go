// Package oidc_test signs in through a real OpenID provider: the npm package oidc-provider, as a process of its own.
package oidc_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/server"
)

// world is a server whose tenants trust a provider each: contoso one of its own, and fabrikam that of the home tenant.
type world struct {
	t       *testing.T
	url     string
	issuer  string // of the home tenant
	contoso string // the issuer of that tenant
	ca      []byte
	admin   *api.Client

	browsers byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed")
	}
	if _, err := os.Stat("node_modules/oidc-provider"); err != nil {
		t.Skip("the provider is not installed; run: npm ci, in test/oidc")
	}
	w := &world{t: t}
	port, other := freePort(t), freePort(t)
	w.issuer, w.contoso = "http://127.0.0.1:"+port, "http://127.0.0.1:"+other
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a-secret-for-the-test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := w.manual(secret)
	config.Data, config.Listen, config.MetricsListen = t.TempDir(), "127.0.0.1:0", "off"
	config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	config.Out, config.Log = io.Discard, io.Discard
	shared := config.OIDC[0]
	shared.Tenant = "fabrikam"
	config.OIDC = append(config.OIDC, shared)
	ready := make(chan server.Ready, 1)
	config.Ready = func(r server.Ready) { ready <- r }
	ctx, stop := context.WithCancel(context.Background()) //nolint:usetesting // it ends in the cleanup, in its own time
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, config) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	is := <-ready
	w.url, w.ca = "https://"+is.Address, is.CA
	w.provider(port, "default", "fabrikam")
	w.provider(other, "contoso")
	anonymous, err := api.NewClient(api.Options{Server: w.url, CA: w.ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(anonymous.Close)
	s, err := anonymous.SignIn(t.Context(),
		api.SignIn{Name: "admin", Password: is.AdminPassword, NewPassword: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	w.admin = anonymous.WithToken(s.Token)
	if _, err := w.admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "group", Name: "operators"}); err != nil {
		t.Fatal(err)
	}
	return w
}

// manual gives the configuration that the manual shows, with this provider in the place of its example.
func (w *world) manual(secret string) server.Config {
	w.t.Helper()
	page, err := os.ReadFile("../../docs/operate/sign-in.md")
	if err != nil {
		w.t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```yaml\n(# server.yaml\n.*?)```").FindSubmatch(page)
	if found == nil {
		w.t.Fatal("the manual shows no configuration")
	}
	text := strings.NewReplacer(
		"https://login.example/realms/main", w.issuer, "https://login.contoso.example", w.contoso,
		"/etc/postern/oidc-secret", secret, "/etc/postern/contoso-secret", secret,
		"platform-team: ops", "idp-ops: operators, idp-none: no such group", "publicURL: https://postern.example\n", "",
	).Replace(string(found[1]))
	file := filepath.Join(w.t.TempDir(), "server.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	config, err := server.Load(file, func(string) string { return "" }, map[string]string{"data": w.t.TempDir()})
	if err != nil {
		w.t.Fatalf("%v in\n%s", err, text)
	}
	return config
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// provider starts a provider that serves tenants, and waits until it listens.
func (w *world) provider(port string, tenants ...string) {
	w.t.Helper()
	var log bytes.Buffer
	command := exec.Command("node", "provider.mjs", port)
	for _, tenant := range tenants {
		command.Args = append(command.Args, w.url+"/auth/oidc/callback/"+tenant)
	}
	command.Stderr = &log
	out, err := command.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		w.t.Fatalf("the provider did not start: %v %q\n%s", err, line, log.String())
	}
}

// behind sends calls on as a proxy does for a machine of that address.
type behind struct {
	http.RoundTripper

	address netip.Addr
}

func (b behind) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", b.address.String())
	return b.RoundTripper.RoundTrip(r)
}

// browser is one with cookies that trusts the server, on a machine of its own.
func (w *world) browser() *http.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	w.t.Cleanup(transport.CloseIdleConnections)
	w.browsers++
	from := behind{transport, netip.AddrFrom4([4]byte{198, 51, 100, w.browsers})}
	return &http.Client{Jar: jar, Transport: from, Timeout: 30 * time.Second}
}

var form = regexp.MustCompile(`action="([^"]+)"`)

// atProvider opens an address of ours and types a name at the provider; it gives the last answer, whose address tells
// where the browser ended. Redirects to hosts that stop names are not followed.
func (w *world) atProvider(b *http.Client, start, name string, stop func(*url.URL) bool) *http.Response {
	w.t.Helper()
	b.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if stop != nil && stop(r.URL) {
			return http.ErrUseLastResponse
		}
		if len(via) > 20 {
			return errors.New("too many redirects")
		}
		return nil
	}
	page, err := b.Get(start)
	if err != nil {
		w.t.Fatal(err)
	}
	body, err := io.ReadAll(page.Body)
	page.Body.Close()
	found := form.FindSubmatch(body)
	if err != nil || found == nil {
		w.t.Fatalf("no form of the provider at %s: %s %v", page.Request.URL, body, err)
	}
	answer, err := b.PostForm(string(found[1]), url.Values{"prompt": {"login"}, "login": {name}, "password": {"x"}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// me asks who the browser's session is.
func (w *world) me(b *http.Client) (status int, text string) {
	w.t.Helper()
	answer, err := b.Get(w.url + "/api/v1/me")
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(data)
}

// TestBrowser signs people in by the provider, in browsers.
func TestBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := w.url + "/auth/oidc/start?return=" + url.QueryEscape("/api/v1/me")

	anna := w.browser()
	if answer := w.atProvider(anna, start, "anna",
		nil); answer.Request.URL.Path != "/api/v1/me" || answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("the browser ended at %s: %s %s", answer.Request.URL, answer.Status, text)
	}
	if status, text := w.me(anna); status != http.StatusOK || !strings.Contains(text,
		`"name":"anna"`) || !strings.Contains(text, `"email":"anna@example.org"`) {
		t.Errorf("anna is %d %s", status, text)
	}
	members, err := api.All(w.admin.Principals(t.Context(), api.PrincipalQuery{Group: "operators"}))
	if err != nil || len(members) != 1 || members[0].Name != "anna" {
		t.Errorf("members %v, %v", members, err)
	}

	// Somebody whom the provider calls like the administrator is somebody else here.
	ben := w.browser()
	w.atProvider(ben, start, "ben", nil)
	if status, text := w.me(ben); status != http.StatusOK || !strings.Contains(text, `"name":"admin (127.0.0.1)"`) {
		t.Errorf("ben is %d %s", status, text)
	}

	// A domain that is not let in, and a mail address that nobody verified.
	for _, name := range []string{"eve", "mia"} {
		b := w.browser()
		if answer := w.atProvider(b, start, name, nil); answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s got %s", name, answer.Status)
		}
		if status, _ := w.me(b); status != http.StatusUnauthorized {
			t.Errorf("%s is in: %d", name, status)
		}
	}

	// The second sign-in is the same person, and memberships follow the provider.
	if _, err := http.Get(w.issuer + "/revoke-groups"); err != nil {
		t.Fatal(err)
	}
	again := w.browser()
	w.atProvider(again, start, "anna", nil)
	_, first := w.me(anna)
	_, second := w.me(again)
	if id := regexp.MustCompile(`"id":"[^"]+"`); id.FindString(first) != id.FindString(second) {
		t.Errorf("two people: %s and %s", first, second)
	}
	if members, err := api.All(w.admin.Principals(t.Context(),
		api.PrincipalQuery{Group: "operators"})); err != nil || len(members) != 0 {
		t.Errorf("members %v, %v", members, err)
	}

	// A disabled user stays outside, whatever the provider says.
	disabled := true
	if _, err := w.admin.ChangePrincipal(t.Context(), "anna", api.PrincipalChange{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	if answer := w.atProvider(w.browser(), start, "anna", nil); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a disabled user got %s", answer.Status)
	}
}

// TestCallbackIsBound proves that a callback counts once, in the browser that began, and never leads elsewhere.
func TestCallbackIsBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := w.url + "/auth/oidc/start?return=" + url.QueryEscape("https://elsewhere.example/")
	callback := func(u *url.URL) bool { return u.Path == "/auth/oidc/callback/default" }
	get := func(b *http.Client, address string) *http.Response {
		t.Helper()
		answer, err := b.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}

	// Another's browser: a stolen answer, or one that was slipped to somebody.
	mine := w.browser()
	stopped := w.atProvider(mine, start, "anna", callback)
	address := stopped.Header.Get("Location")
	if answer := get(w.browser(), address); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("in another browser: %s", answer.Status)
	}
	if answer := get(mine, address); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("after another browser used it up: %s", answer.Status)
	}

	// Once, and to our own root, since the way back was not one of ours.
	mine = w.browser()
	address = w.atProvider(mine, start, "anna", callback).Header.Get("Location")
	mine.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if answer := get(mine, address); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" {
		t.Errorf("%s to %s", answer.Status, answer.Header.Get("Location"))
	}
	if answer := get(mine, address); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a second time: %s", answer.Status)
	}
	for _, query := range []string{"", "?state=x&code=y", "?error=access_denied&state=" + strings.Repeat("z", 43)} {
		if answer := get(w.browser(),
			w.url+"/auth/oidc/callback/default"+query); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %s", query, answer.Status)
		}
	}
}

// TestLoopback signs a program on the person's machine in, whose code nobody else can exchange.
func TestLoopback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verifier := strings.Repeat("v", 50)
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"redirect_uri": {"http://127.0.0.1:9/"}, "state": {"the program's"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	loopback := func(u *url.URL) bool { return u.Port() == "9" }
	code := func() string {
		t.Helper()
		to, err := url.Parse(w.atProvider(w.browser(), w.url+"/auth/oidc/start?"+query.Encode(), "anna",
			loopback).Header.Get(
			"Location"))
		if err != nil || to.Host != "127.0.0.1:9" || to.Query().Get("state") != "the program's" {
			t.Fatalf("sent to %v, %v", to, err)
		}
		return to.Query().Get("code")
	}
	anonymous, err := api.NewClient(api.Options{Server: w.url, CA: w.ca})
	if err != nil {
		t.Fatal(err)
	}
	defer anonymous.Close()
	got := code()
	s, err := anonymous.ExchangeCode(t.Context(), api.CodeExchange{Code: got, Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	if me, err := anonymous.WithToken(s.Token).Me(t.Context()); err != nil || me.Principal.Name != "anna" {
		t.Errorf("%v, %v", me, err)
	}
	if _, err := anonymous.ExchangeCode(t.Context(), api.CodeExchange{Code: got, Verifier: verifier}); err == nil {
		t.Error("a code counts twice")
	}
	got = code()
	if _, err := anonymous.ExchangeCode(t.Context(), api.CodeExchange{Code: got, Verifier: "another"}); err == nil {
		t.Error("another program exchanged the code")
	}
	if _, err := anonymous.ExchangeCode(t.Context(), api.CodeExchange{Code: got, Verifier: verifier}); err == nil {
		t.Error("a code counts after another program tried it")
	}
	for _, bad := range []string{
		"https://elsewhere.example/", "http://192.0.2.1/",
		"http://localhost@elsewhere.example/",
	} {
		query.Set("redirect_uri", bad)
		answer, err := w.browser().Get(w.url + "/auth/oidc/start?" + query.Encode())
		if err != nil || answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %v, %v", bad, answer, err)
		}
	}
}
