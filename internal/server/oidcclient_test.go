package server

import (
	"compress/gzip"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
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
		client, err := o.client(&tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12}, noProxy)
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t, client,
			c.to); (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", what, err, c.fails)
		}
	}
	if n := called.Load(); n != 1 {
		t.Errorf("what is inside was called %d times, want once, where it is allowed", n)
	}
}

// call asks for an address, and says what kept it from an answer.
func call(t *testing.T, client *http.Client, address string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// noProxy is what a server without HTTPS_PROXY has.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // as http.ProxyFromEnvironment

// tunnel is a proxy that connects to whatever it is asked for, and remembers what that was.
type tunnel struct {
	*httptest.Server

	mu    sync.Mutex // guards asked
	asked []string
}

func newTunnel(t *testing.T) *tunnel {
	t.Helper()
	p := &tunnel{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.Host)
		p.mu.Unlock()
		there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()                        //nolint:errcheck // the test is over
		here, _, err := w.(http.Hijacker).Hijack() //nolint:forcetypeassert // httptest's is
		if err != nil {
			t.Error(err)
			return
		}
		defer here.Close() //nolint:errcheck // likewise
		if _, err := io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		go io.Copy(there, here) //nolint:errcheck // it ends with the connections
		io.Copy(here, there)    //nolint:errcheck // likewise
	}))
	t.Cleanup(p.Close)
	return p
}

// TestProxyIsSentNowhere proves that a proxy in the server's environment is no way round the check: what it dials is
// checked before it is asked, and the proxy itself is nothing that a provider may name.
func TestProxyIsSentNowhere(t *testing.T) {
	t.Parallel()
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	issuer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}))
	t.Cleanup(inside.Close)
	t.Cleanup(issuer.Close)
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config := inside.Client().Transport.(*http.Transport).TLSClientConfig //nolint:forcetypeassert // httptest's is

	const itself = "the proxy itself"
	for what, c := range map[string]struct {
		to      string
		private bool
		fails   string // a part of the error; empty: it is called
		asked   string // what the proxy is asked for last; empty: nothing beyond the issuer
	}{
		"the issuer": {issuer.URL, false, "", issuer.Listener.Addr().String()},
		"the issuer without TLS": {
			"http" + strings.TrimPrefix(issuer.URL, "https"), true, "is not https",
			"",
		},
		"a private address":                 {inside.URL, false, "is a private address", ""},
		"a redirect to a private address":   {issuer.URL + "?to=" + inside.URL, false, "is a private address", ""},
		"a name of a private address":       {"https://localhost:" + port, false, "is a private address", ""},
		"a cloud's metadata":                {"https://169.254.169.254/", true, "is no address of a receiver", ""},
		"a cloud's metadata as a number":    {"https://2852039166/", true, "neither a name nor an address", ""},
		"a cloud's metadata as a short":     {"https://169.254.43518./", true, "neither a name nor an address", ""},
		"a cloud's metadata in wide digits": {"https://169.254.169.２５４/", true, "neither a name nor an address", ""},
		"a name that only the proxy knows":  {"https://no..name:1", false, "cannot be told here", ""},
		"the same, where all is allowed":    {"https://no..name:1", true, "Bad Gateway", "no..name:1"},
		"a private address that may be so":  {inside.URL, true, "", inside.Listener.Addr().String()},
		itself:                              {"", false, "is a private address", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			proxy := newTunnel(t)
			if what == itself {
				c.to = "https" + strings.TrimPrefix(proxy.URL, "http")
			}
			o := OIDC{Issuer: issuer.URL, AllowPrivate: c.private}
			client, err := o.client(&tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12},
				func(*http.Request) (*url.URL, error) {
					if what == itself {
						return nil, nil //nolint:nilnil // as NO_PROXY has it
					}
					return url.Parse(proxy.URL)
				})
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdleConnections()
			if err := call(t, client,
				c.to); (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v, want %q", err, c.fails)
			}
			proxy.mu.Lock()
			defer proxy.mu.Unlock()
			asked := slices.DeleteFunc(proxy.asked, func(what string) bool {
				return c.asked == "" && what == "CONNECT "+issuer.Listener.Addr().String()
			})
			if last := strings.Join(asked,
				", "); c.asked == "" && last != "" || c.asked != "" && last != "CONNECT "+c.asked {
				t.Errorf("the proxy was asked for %q, want %q", last, c.asked)
			}
		})
	}
}

// TestProviderAnswersAreBounded proves that no answer of a provider is read for ever, not even one that is short on the
// wire.
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
			client, err := o.client(&tls.Config{MinVersion: tls.VersionTLS12}, noProxy)
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
