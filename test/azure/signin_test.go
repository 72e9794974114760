package azure_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestTokensEnd proves that a token is good for nothing once what it came from is gone, and nowhere else.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	list := "/subscriptions?api-version=2022-12-01"
	if status, answer := x.call(http.MethodGet, list,
		nil); status != http.StatusOK || len(at(t, answer, "value").([]any)) != 1 {
		t.Fatalf("the subscriptions are %d %v", status, answer)
	}
	other := *x
	other.host = "elsewhere.example:443"
	other.fails(http.MethodGet, list, nil, http.StatusUnauthorized, "InvalidAuthenticationTokenAudience")
	for what, token := range map[string]string{
		"garbage": "garbage", "altered": x.token[:len(x.token)-6] + "AAAAAA",
		"none": "e30.e30.e30",
	} {
		bad := *x
		bad.token = token
		if status, _ := bad.call(http.MethodGet, list, nil); status != http.StatusUnauthorized {
			t.Errorf("a token that is %s gave %d", what, status)
		}
	}
	secrets, err := api.All(c.admin.Secrets(t.Context(), "deploy"))
	if err != nil || len(secrets) != 1 {
		t.Fatalf("the secrets are %v, %v", secrets, err)
	}
	c.must(c.admin.DeleteSecret(t.Context(), "deploy", secrets[0].ID))
	x.fails(http.MethodGet, list, nil, http.StatusUnauthorized, "InvalidAuthenticationToken")

	client, secret := c.servicePrincipal("second", "Reader")
	y := c.as(client, secret)
	disabled := true
	_, err = c.admin.ChangePrincipal(t.Context(), "second", api.PrincipalChange{Disabled: &disabled})
	c.must(err)
	y.fails(http.MethodGet, list, nil, http.StatusUnauthorized, "InvalidAuthenticationToken")
}

// TestSignInIsRefused proves that wrong credentials get the same answer whatever is wrong, and in the end none.
func TestSignInIsRefused(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := &caller{cloud: c, http: c.http()}
	good := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.client}, "client_secret": {c.secret},
		"scope": {c.url + "/.default"},
	}
	with := func(change ...string) url.Values {
		values := url.Values{}
		maps.Copy(values, good)
		for i := 0; i < len(change); i += 2 {
			values.Set(change[i], change[i+1])
		}
		return values
	}
	for _, one := range []struct {
		path   string
		form   url.Values
		status int
		name   string
	}{
		{"/adfs/oauth2/token", with("client_secret", "pss_wrong"), 401, "invalid_client"},
		{"/adfs/oauth2/token", with("client_id", "nobody"), 401, "invalid_client"},
		{"/adfs/oauth2/token", with("client_id", "admin"), 401, "invalid_client"},
		{"/adfs/oauth2/token", with("scope", "https://graph.microsoft.com/.default"), 400, "invalid_resource"},
		{"/adfs/oauth2/token", with("grant_type", "password"), 400, "unsupported_grant_type"},
		{"/adfs/oauth2/token", with("grant_type", ""), 400, "invalid_request"},
		{"/no-such-tenant/oauth2/v2.0/token", good, 400, "invalid_tenant"},
		{"/adfs/oauth2/token", with("client_assertion", "a.b.c"), 401, "invalid_client"},
		{"/adfs/oauth2/token", good, 200, ""},
		{"/adfs/adfs/oauth2/token", good, 200, ""},
		{"/" + c.tenant + "/oauth2/v2.0/token?client-request-id=1", good, 200, ""},
		{"/adfs/" + c.tenant + "/oauth2/v2.0/token", with("scope", c.url+"//.default"), 200, ""},
	} {
		status, answer := x.form(one.path, one.form)
		if name, _ := answer["error"].(string); status != one.status || name != one.name {
			t.Errorf("%s with %v gave %d %v, want %d %s", one.path, one.form, status, answer, one.status, one.name)
		}
	}
	limited := false
	for range 40 {
		if status, _ := x.form("/adfs/oauth2/token",
			with("client_secret", "pss_wrong")); status == http.StatusTooManyRequests {
			limited = true
			break
		}
	}
	if !limited {
		t.Error("nobody stops a caller who guesses secrets")
	}
	if status, _ := x.form("/adfs/oauth2/token", good); status != http.StatusOK {
		t.Errorf("guesses at one address lock the right secret out: %d", status)
	}
}

// page is what a browser sees.
func (x *caller) page(method, path string, form url.Values) (status int, location, text string) {
	x.cloud.t.Helper()
	r, err := http.NewRequestWithContext(x.cloud.t.Context(), method, x.cloud.url+path,
		strings.NewReader(form.Encode()))
	x.cloud.must(err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	response, err := x.http.Do(r)
	x.cloud.must(err)
	defer func() { x.cloud.must(response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	x.cloud.must(err)
	if csp := response.Header.Get("Content-Security-Policy"); !strings.Contains(csp,
		"default-src 'none'") || strings.Contains(csp, "unsafe") {
		x.cloud.t.Errorf("%s has the policy %q", path, csp)
	}
	if regexp.MustCompile(`(?i)<script|\son\w+=|style=`).Match(body) {
		x.cloud.t.Errorf("%s has active content", path)
	}
	return response.StatusCode, response.Header.Get("Location"), string(body)
}

// TestDeviceCode signs a person in on a device, by the page that they open elsewhere.
func TestDeviceCode(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := &caller{cloud: c, http: c.http()}
	status, begun := x.form("/adfs/oauth2/devicecode", url.Values{"client_id": {"az"}, "scope": {c.url + "/.default"}})
	if status != http.StatusOK {
		t.Fatalf("devicecode gave %d %v", status, begun)
	}
	code := at(t, begun, "user_code").(string)
	ask := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"az"},
		"device_code": {at(t, begun, "device_code").(string)}, "client_info": {"1"},
	}
	if status, answer := x.form("/adfs/oauth2/token",
		ask); status != http.StatusBadRequest || answer["error"] != "authorization_pending" {
		t.Errorf("too early an attempt gave %d %v", status, answer)
	}
	if status, _, text := x.page(http.MethodGet, "/device?code="+strings.ToLower(code),
		nil); status != http.StatusOK || !strings.Contains(text, code) ||
		!strings.Contains(text, "<strong>az</strong>") {
		t.Errorf("the page is %d %s", status, text)
	}
	if status, _, text := x.page(http.MethodPost, "/device",
		url.Values{
			"code": {code}, "name": {"admin"}, "password": {"wrong"},
			"answer": {"allow"},
		}); status != http.StatusUnauthorized || !strings.Contains(text, "role=\"alert\"") {
		t.Errorf("a wrong password gave %d %s", status, text)
	}
	if status, _, text := x.page(http.MethodPost, "/device",
		url.Values{
			"code": {code}, "name": {"admin"}, "password": {adminPassword},
			"answer": {"allow"},
		}); status != http.StatusOK || !strings.Contains(text, "You are signed in") {
		t.Fatalf("the right password gave %d %s", status, text)
	}
	status, answer := x.form("/adfs/oauth2/token", ask)
	if status != http.StatusOK || answer["id_token"] == nil || answer["refresh_token"] == nil ||
		answer["client_info"] == nil {
		t.Fatalf("the code was answered with %d %v", status, answer)
	}
	x.token = at(t, answer, "access_token").(string)
	if status, _ := x.call(http.MethodGet, "/tenants?api-version=2022-12-01", nil); status != http.StatusOK {
		t.Errorf("the tenants gave %d", status)
	}
	if status, _ := x.form("/adfs/oauth2/token", ask); status != http.StatusBadRequest {
		t.Errorf("the same code works twice: %d", status)
	}
	idAsAccess := *x
	idAsAccess.token = at(t, answer, "id_token").(string)
	if status, _ := idAsAccess.call(http.MethodGet, "/tenants?api-version=2022-12-01",
		nil); status != http.StatusUnauthorized {
		t.Errorf("an id token is taken for an access token: %d", status)
	}
	refresh := url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"az"},
		"refresh_token": {at(t, answer, "refresh_token").(string)}, "scope": {c.url + "/.default"},
	}
	if status, answer := x.form("/adfs/oauth2/token", refresh); status != http.StatusOK ||
		answer["access_token"] == nil {
		t.Errorf("refresh gave %d %v", status, answer)
	}
	if status, _, text := x.page(http.MethodGet, "/device?code=BBBB-BBBB",
		nil); status != http.StatusNotFound || !strings.Contains(text, "unknown or has expired") {
		t.Errorf("a wrong code gave %d %s", status, text)
	}
}

// TestAuthorizationCode signs a person in for a program on their own machine, and for no other.
func TestAuthorizationCode(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := &caller{cloud: c, http: c.http()}
	verifier := strings.Repeat("v", 50)
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id": {"az"}, "response_type": {"code"}, "redirect_uri": {"http://localhost:8400/x"},
		"scope": {c.url + "/.default openid"}, "state": {"s & t"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"nonce": {"n"},
	}
	const path = "/adfs/oauth2/authorize?"
	if status, _, text := x.page(http.MethodGet, path+query.Encode(),
		nil); status != http.StatusOK || !strings.Contains(text, "localhost:8400") {
		t.Fatalf("the page is %d %s", status, text)
	}
	elsewhere := maps.Clone(query)
	elsewhere.Set("redirect_uri", "http://evil.example/")
	if status, location, _ := x.page(http.MethodGet, path+elsewhere.Encode(),
		nil); status != http.StatusBadRequest || location != "" {
		t.Errorf("an address elsewhere gave %d to %q", status, location)
	}
	plain := maps.Clone(query)
	plain.Set("code_challenge_method", "plain")
	if _, location, _ := x.page(http.MethodGet, path+plain.Encode(),
		nil); !strings.Contains(location, "error=invalid_request") {
		t.Errorf("without PKCE the browser goes to %q", location)
	}
	issue := func() string {
		t.Helper()
		status, location, text := x.page(http.MethodPost, path+query.Encode(),
			url.Values{"name": {"admin"}, "password": {adminPassword}, "answer": {"allow"}})
		to, err := url.Parse(location)
		if status != http.StatusSeeOther || err != nil || to.Host != "localhost:8400" || to.Query().Get(
			"state") != "s & t" || to.Query().Get("code") == "" {
			t.Fatalf("sign-in gave %d to %q %s", status, location, text)
		}
		return to.Query().Get("code")
	}
	redeem := func(code, verifier, redirect string) (int, map[string]any) {
		return x.form("/adfs/oauth2/token",
			url.Values{
				"grant_type": {"authorization_code"}, "client_id": {"az"}, "code": {code},
				"code_verifier": {verifier}, "redirect_uri": {redirect},
			})
	}
	if status, answer := redeem(issue(), "another",
		"http://localhost:8400/x"); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("another verifier gave %d %v", status, answer)
	}
	if status, answer := redeem(issue(), verifier,
		"http://localhost:8401/x"); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("another address gave %d %v", status, answer)
	}
	code := issue()
	status, answer := redeem(code, verifier, "http://localhost:8400/x")
	if status != http.StatusOK {
		t.Fatalf("the code gave %d %v", status, answer)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(at(t, answer, "id_token").(string), ".")[1])
	c.must(err)
	if text := string(payload); !strings.Contains(text,
		`"nonce":"n"`) || !strings.Contains(text, `"aud":"az"`) || !strings.Contains(text, `"upn":"admin"`) {
		t.Errorf("the id token says %s", text)
	}
	if status, _ := redeem(code, verifier, "http://localhost:8400/x"); status != http.StatusBadRequest {
		t.Errorf("the same code works twice: %d", status)
	}
	r := x.request(http.MethodPost, "/device", "code=X&answer=allow")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := x.http.Do(r)
	c.must(err)
	c.must(response.Body.Close())
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site gave %d", response.StatusCode)
	}
}
