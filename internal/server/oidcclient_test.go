package server

import (
	"compress/gzip"
	"crypto/tls"
	"io"
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

// TestProviderAnswersAreBounded proves that no answer of a provider is read for ever, not even one that is short on the wire.
func TestProviderAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		length int64
		packed bool
		fits   bool
	}{
		"as long as may be": {maxProviderAnswer, false, true},
		"a byte longer":     {maxProviderAnswer + 1, false, false},
		"packed":            {32 << 20, true, false},
		"short and packed":  {1000, true, true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				to := io.Writer(w)
				if c.packed {
					w.Header().Set("Content-Encoding", "gzip")
					packed := gzip.NewWriter(w)
					defer packed.Close() //nolint:errcheck // the client may be gone
					to = packed
				}
				io.Copy(to, io.LimitReader(spaces{}, c.length)) //nolint:errcheck // likewise
			}))
			t.Cleanup(issuer.Close)
			o := OIDC{Issuer: issuer.URL}
			client, err := o.client(&tls.Config{MinVersion: tls.VersionTLS12})
			if err != nil {
				t.Fatal(err)
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close() //nolint:errcheck // it was only read
			n, err := io.Copy(io.Discard, response.Body)
			switch {
			case c.fits && (err != nil || n != c.length):
				t.Errorf("read %d of %d bytes: %v", n, c.length, err)
			case !c.fits && (err == nil || !strings.Contains(err.Error(), "longer than") || n > maxProviderAnswer):
				t.Errorf("read %d bytes: %v, want at most %d and a refusal", n, err, maxProviderAnswer)
			}
		})
	}
}

// spaces reads as spaces without an end.
type spaces struct{}

// Read implements io.Reader.
func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
