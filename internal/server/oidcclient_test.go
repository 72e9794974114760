package server

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestProviderSendsTheServerNowhere proves that the operator's word counts for the issuer alone: what a provider names
// besides it, or redirects to, must be https and no private address.
func TestProviderSendsTheServerNowhere(t *testing.T) {
	t.Parallel()
	var called atomic.Int32
	inside := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) })
	secure, open := httptest.NewTLSServer(inside), httptest.NewServer(inside)
	t.Cleanup(secure.Close)
	t.Cleanup(open.Close)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}))
	t.Cleanup(issuer.Close)

	o := OIDC{Issuer: issuer.URL}
	config := secure.Client().Transport.(*http.Transport).TLSClientConfig //nolint:forcetypeassert // httptest's is
	for what, c := range map[string]struct {
		to      string
		private bool
		fails   string // a part of the error; empty: it is called
	}{
		"the issuer":                       {issuer.URL, false, ""},
		"a private address":                {secure.URL, false, "is a private address"},
		"a redirect to a private address":  {issuer.URL + "?to=" + secure.URL, false, "is a private address"},
		"no TLS":                           {open.URL, true, "is not https"},
		"a redirect to what has no TLS":    {issuer.URL + "?to=" + open.URL, true, "is not https"},
		"a cloud's metadata":               {"https://169.254.169.254/", true, "is no address of a receiver"},
		"a private address that may be so": {secure.URL, true, ""},
	} {
		o.AllowPrivate = c.private
		client, err := o.client(&tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", what, err, c.fails)
		}
	}
	if n := called.Load(); n != 1 {
		t.Errorf("what is inside was called %d times, want once, where it is allowed", n)
	}
}
