package oidc_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
)

// tenant makes a tenant, and gives its administrator.
func (w *world) tenant(name string) *api.Client {
	w.t.Helper()
	made, err := w.admin.CreateTenant(w.t.Context(), api.NewTenant{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	anonymous, err := api.NewClient(api.Options{Server: w.url, CA: w.ca})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(anonymous.Close)
	s, err := anonymous.SignIn(w.t.Context(),
		api.SignIn{Name: "admin@" + name, Password: made.Password, NewPassword: "correct horse battery"})
	if err != nil {
		w.t.Fatal(err)
	}
	return anonymous.WithToken(s.Token)
}

// start is the address at which people of a tenant begin.
func (w *world) start(tenant string) string {
	return w.url + "/auth/oidc/start?" + url.Values{"tenant": {tenant}, "return": {"/api/v1/me"}}.Encode()
}

// page gets an address in a browser.
func (w *world) page(b *http.Client, address string) (status int, text string) {
	w.t.Helper()
	answer, err := b.Get(address)
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

// TestTenants signs the same name in at the providers of three tenants: it is another person in each, and nobody of the
// others.
func TestTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if status, text := w.page(w.browser(), w.start("contoso")); status != http.StatusNotFound {
		t.Errorf("before there is the tenant: %d %s", status, text)
	}
	admins := map[string]*api.Client{
		"default": w.admin, "contoso": w.tenant("contoso"),
		"fabrikam": w.tenant("fabrikam"), "without": w.tenant("without"),
	}
	for tenant, has := range map[string]bool{
		"": true, "default": true, "contoso": true, "fabrikam": true,
		"without": false, "nobody's": false,
	} {
		_, text := w.page(w.browser(), w.url+"/sign-in?"+url.Values{"tenant": {tenant}, "next": {"/access"}}.Encode())
		if link := `href="/auth/oidc/start?tenant=` + tenant + `&amp;return=%2faccess"`; strings.Contains(text,
			link) != has || strings.Contains(text, "your organization") != has {
			t.Errorf("the sign-in page of %q, want %s: %t\n%s", tenant, link, has, text)
		}
	}

	ids := map[string]string{}
	for _, tenant := range []string{"default", "contoso", "fabrikam", "default", "contoso", "fabrikam"} {
		b := w.browser()
		w.atProvider(b, w.start(tenant), "anna", nil)
		status, text := w.me(b)
		var me api.Me
		if err := json.Unmarshal([]byte(text),
			&me); err != nil || status != http.StatusOK || me.Principal.Name != "anna" {
			t.Fatalf("anna of %s is %d %s %v", tenant, status, text, err)
		}
		if ids[tenant] == "" {
			ids[tenant] = me.Principal.ID
		}
		if ids[tenant] != me.Principal.ID {
			t.Errorf("anna of %s is %s the second time, not %s", tenant, me.Principal.ID, ids[tenant])
		}
	}
	for tenant, admin := range admins {
		var found []string
		for p, err := range admin.Principals(t.Context(), api.PrincipalQuery{Kind: "user"}) {
			if err != nil {
				t.Fatal(err)
			}
			if p.Name != "admin" {
				found = append(found, p.ID)
			}
		}
		if strings.Join(found, " ") != ids[tenant] {
			t.Errorf("%s has %v, want %q", tenant, found, ids[tenant])
		}
	}
	if len(ids) != 3 || ids["default"] == ids["contoso"] || ids["default"] == ids["fabrikam"] ||
		ids["contoso"] == ids["fabrikam"] {
		t.Errorf("anna is %v", ids)
	}

	// The page of a tenant takes the plain name of its own people, and of no others.
	for tenant, want := range map[string]int{"contoso": http.StatusSeeOther, "nobody's": http.StatusUnauthorized} {
		b := w.browser()
		b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		answer, err := b.PostForm(w.url+"/sign-in",
			url.Values{"tenant": {tenant}, "name": {"admin"}, "password": {"correct horse battery"}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("at the page of %q: %s", tenant, answer.Status)
		}
	}
}

// TestOneTenantsSignInIsNotAnothers tries to finish the sign-in of one tenant with what the provider answered for
// another.
func TestOneTenantsSignInIsNotAnothers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admins := map[string]*api.Client{
		"default": w.admin, "contoso": w.tenant("contoso"),
		"fabrikam": w.tenant("fabrikam"),
	}
	issuers := map[string]string{"default": w.issuer, "contoso": w.contoso, "fabrikam": w.issuer}
	// answered gives a browser that began at a tenant, and what the provider sends it back to.
	answered := func(tenant string) (*http.Client, *url.URL) {
		t.Helper()
		b := w.browser()
		stopped := w.atProvider(b, w.start(tenant), "anna",
			func(u *url.URL) bool { return strings.HasPrefix(u.Path, "/auth/oidc/callback/") })
		to, err := url.Parse(stopped.Header.Get("Location"))
		if err != nil || to.Path != "/auth/oidc/callback/"+tenant || to.Query().Get("iss") != issuers[tenant] {
			t.Fatalf("sent to %v, %v", to, err)
		}
		return b, to
	}
	want := map[string]int{}
	for _, c := range []struct {
		what, begun, answered string
		path, issuer          string // the tenant whose path and whose issuer the forged answer has
	}{
		{"another's answer, as it is", "default", "contoso", "contoso", "contoso"},
		{"another's answer at the right path", "default", "contoso", "default", "contoso"},
		{"another's answer without its issuer", "default", "contoso", "default", ""},
		{"another's code under the right name", "default", "contoso", "default", "default"},
		{"the other way round", "contoso", "default", "contoso", "contoso"},
		{"of one issuer, at another tenant's path", "default", "fabrikam", "fabrikam", "fabrikam"},
		{"of one issuer, at the right path", "default", "fabrikam", "default", "default"},
		{"of one issuer, the other way round", "fabrikam", "default", "fabrikam", "fabrikam"},
		{"one's own answer at another tenant's path", "contoso", "contoso", "default", "contoso"},
		{"one's own answer at a path of nobody", "contoso", "contoso", "nobody", "contoso"},
	} {
		b, own := answered(c.begun)
		_, other := answered(c.answered)
		query := url.Values{"state": {own.Query().Get("state")}, "code": {other.Query().Get("code")}}
		if c.begun == c.answered {
			query.Set("code", own.Query().Get("code"))
		}
		if c.issuer != "" {
			query.Set("iss", issuers[c.issuer])
		}
		if status, text := w.page(b,
			w.url+"/auth/oidc/callback/"+c.path+"?"+query.Encode()); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", c.what, status, text)
		}
		if status, text := w.me(b); status != http.StatusUnauthorized {
			t.Errorf("%s: in, as %s", c.what, text)
		}
		// It is over: nor does the right answer count any more.
		if status, _ := w.page(b, own.String()); status != http.StatusUnauthorized {
			t.Errorf("%s: the right answer counts afterwards: %d", c.what, status)
		}
		want[c.begun]++
	}
	for tenant, admin := range admins {
		refused := 0
		for e, err := range admin.Events(t.Context(), api.EventQuery{Kind: "session.refused"}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Actor != issuers[tenant] {
				t.Errorf("%s has on record a refusal of %s", tenant, e.Actor)
			}
			refused++
		}
		if refused != want[tenant] {
			t.Errorf("%s has %d refusals on record, want %d", tenant, refused, want[tenant])
		}
		if people, err := api.All(admin.Principals(t.Context(),
			api.PrincipalQuery{Kind: "user"})); err != nil || len(people) != 1 {
			t.Errorf("%s has %v, %v", tenant, people, err)
		}
	}
}
