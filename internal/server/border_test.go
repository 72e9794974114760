package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/portal"
)

var updateBorder = flag.Bool("update-border", false, "write testdata/border.txt anew; look at every 2xx in it")

// mark is in the name of everything of the victim's.
const mark = "zq7"

// border is two tenants: somebody of one calls with the ids of what is the other's.
type border struct {
	*running

	stranger string            // token of the administrator of another tenant
	client   *http.Client      // what the stranger calls with
	agent    *http.Client      // likewise, as an agent of the stranger's tenant
	request  string            // by which that one has its certificate renewed
	known    map[string]string // what parameters and fields of such a name are given
	variants []variant
	allowed  []string          // routes that show the stranger something of every tenant's
	said     string            // all that the stranger said
	got      map[string]string // status by route
}

// variant is other things of the victim's under names that known has too.
type variant struct {
	name  string
	known map[string]string
}

// TestBorder calls every route of the native API, the Azure-compatible API and the portal as the owner of another
// tenant, and as the administrator of the tenant that runs the server, with the ids of what is the victim's. No answer
// may hold anything that is the victim's and was not in the call, and nothing of the victim's may change.
// testdata/border*.txt have the status that each route answers with, so that a new one fails here until somebody has
// thought of its border. A call that is refused for its form fails, for it never comes to the border.
func TestBorder(t *testing.T) {
	t.Parallel()
	r := start(t)
	home := r.signInAs("admin", r.ready.AdminPassword)
	b := &border{running: r, known: map[string]string{}}
	_, victim := b.tenant(home.client, "victim-"+mark)
	other, _ := b.tenant(home.client, "stranger")
	b.furnish(victim)
	before := b.snapshot(victim)

	b.run(other, "border.txt", "")
	// Tenants, which they made, and the whole log are for those who run the server.
	made := fmt.Sprint("victim-", mark, b.known["tenant"], b.known["scope"], b.known["principal"])
	b.run(home, "border-home.txt", made, "listTenants", "getTenant", "exportAudit", "proveInclusion")
	if after := b.snapshot(victim); after != before {
		t.Errorf("the victim's things have changed:\n%s\nbefore:\n%s", after, before)
	}
}

// run calls every route as the stranger, and holds the statuses against a file. What the stranger knows may be on their
// log.
func (b *border) run(stranger signedIn, file, knows string, allowed ...string) {
	b.t.Helper()
	b.stranger, b.allowed, b.said, b.got = stranger.token, allowed, knows, map[string]string{}
	b.client = b.plain()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.agent = b.plain()
	transport, is := b.agent.Transport.(*http.Transport)
	if !is {
		b.t.Fatal("the client has another transport")
	}
	outpost := b.enroll(stranger.client, "outpost")
	transport.TLSClientConfig.Certificates, b.request = []tls.Certificate{*outpost.certificate}, outpost.request

	b.native(stranger.client)
	b.azure()
	b.pages()

	lines := make([]string, 0, len(b.got))
	for route, status := range b.got {
		lines = append(lines, route+" "+status)
	}
	slices.Sort(lines)
	file = filepath.Join("testdata", file)
	if *updateBorder {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, line := range lines {
		if !slices.Contains(strings.Split(string(want), "\n"), line) {
			b.t.Errorf("not in %s, or with another status: %s\nlook whether that is right, then run this test with "+
				"-update-border",
				file, line)
		}
	}
}

// signedIn is somebody with the token of their session.
type signedIn struct {
	client *api.Client
	token  string
}

// signInAs signs in for the first time.
func (r *running) signInAs(name, password string) signedIn {
	r.t.Helper()
	c := r.client()
	s, err := c.SignIn(r.t.Context(), api.SignIn{Name: name, Password: password, NewPassword: adminPassword})
	if err != nil {
		r.t.Fatalf("sign in as %s: %v", name, err)
	}
	return signedIn{client: c.WithToken(s.Token), token: s.Token}
}

// tenant makes a tenant and gives its administrator.
func (b *border) tenant(home *api.Client, name string) (signedIn, *api.Client) {
	b.t.Helper()
	made, err := home.CreateTenant(b.t.Context(), api.NewTenant{Name: name})
	if err != nil {
		b.t.Fatal(err)
	}
	if strings.Contains(name, mark) {
		b.known["tenant"], b.known["subscription"], b.known["principal"] = made.Tenant.ID, made.Subscription.ID, made.Admin.ID
		b.known["scope"] = made.Subscription.Scope
	}
	s := b.signInAs("admin@"+name, made.Password)
	return s, s.client
}

// call calls one route as the stranger, and looks at the answer.
func (b *border) call(route, method, path string, body []byte) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.Replace(b.url(), "127.0.0.1", "localhost", 1)+path,
		bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	client := b.client
	if strings.HasPrefix(path, "/api/v1/agent/") {
		client = b.agent
	} else {
		request.Header.Set("Authorization", "Bearer "+b.stranger)
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	// setNetwork makes one of the stranger's own, of the same name
	if method != http.MethodGet && strings.HasPrefix(path, "/api/") && route != "setNetwork" {
		request.Header.Set("If-Match", `"1"`)
	}
	response, err := client.Do(request)
	if err != nil {
		b.t.Errorf("%s: %v", route, err)
		return ""
	}
	defer response.Body.Close()                               //nolint:errcheck // nothing is lost
	if route == "followChanges" || route == "followDesired" { // streams go on
		defer time.AfterFunc(2*time.Second, cancel).Stop()
	}
	answer, _ := io.ReadAll(response.Body) //nolint:errcheck // a stream is cut by the time
	if !slices.Contains(b.allowed, route) {
		b.look(route, fmt.Sprint(request.URL.Path, request.URL.Query(), string(body)), response.StatusCode,
			string(answer))
	}
	b.got[route] = fmt.Sprint(response.StatusCode)
	if response.StatusCode == http.StatusBadRequest && !strings.HasPrefix(route, "page ") {
		b.malformed(route, string(body), string(answer))
	}
	return string(answer)
}

// malformed fails where a call was refused for its form, before anybody asked whose the thing is: such a call proves
// nothing.
func (b *border) malformed(route, body, answer string) {
	b.t.Helper()
	code := map[string]string{ // of those that say with 400 that what the body names is not there for the caller
		"reportBreakGlass": "unknownCode",
		"PUT /subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Solutions/jitRequests/{name}": "ApplicationNotFound",
	}[route]
	if (code == "" || !strings.Contains(answer, `"`+code+`"`)) && !strings.Contains(answer, "api-version") {
		b.t.Errorf("%s is refused for its form, so nothing is proved: give it a body that is well-formed, instead "+
			"of %s, which gave %s",
			route, body, answer)
	}
}

// marked is a name of the victim's; a hash in base64 never has a hyphen.
var marked = regexp.MustCompile(`[a-z-]+-` + mark)

// look fails where an answer holds something of the victim's that was not in the call.
func (b *border) look(route, called string, status int, answer string) {
	b.t.Helper()
	b.said += called
	if route == "listTokens" || strings.HasPrefix(route, "listAlerts") || strings.HasPrefix(route, "exportEvents") || strings.HasPrefix(route,
		"listEvents") || strings.HasSuffix(route, "/providers/Microsoft.Insights/eventtypes/management/values") {
		called = b.said // what the stranger did, and was refused, is the stranger's own
	}
	for _, values := range append([]variant{{known: b.known}}, b.variants...) {
		for name, value := range values.known {
			if len(value) > 30 && strings.Contains(answer, value) && !strings.Contains(called, value) {
				b.t.Errorf("%s answers %d with the victim's %s: %s", route, status, name, answer)
			}
		}
	}
	for _, name := range marked.FindAllString(answer, -1) {
		if !strings.Contains(called, name) {
			b.t.Errorf("%s answers %d with the victim's %s: %s", route, status, name, answer)
			return
		}
	}
}

// pages calls every page of the portal: they are for nobody in particular, and show nothing of anybody.
func (b *border) pages() {
	b.t.Helper()
	for _, path := range append(portal.Paths(), "/"+b.known["tenant"]+"/oauth2/v2.0/authorize", "/") {
		route := "page " + strings.ReplaceAll(path, b.known["tenant"], "{tenant}")
		b.call(route, http.MethodGet, path, nil)
	}
}
