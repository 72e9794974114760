package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/notify"
)

// client makes what calls the provider. The operator's word counts for the issuer alone: what the provider names
// besides it, such as where its keys are, or where it redirects to, is another's word, so it must be https and, unless
// the operator allows it, no private address. proxy chooses a proxy as http.Transport's does, the same one whenever it
// is asked.
func (o *OIDC) client(config *tls.Config, proxy func(*http.Request) (*url.URL, error)) (*http.Client, error) {
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, err
	}
	trusted, guarded := &net.Dialer{Timeout: providerPatience}, notify.Dialer(o.AllowPrivate)
	calls := &providerCalls{issuer: issuer, allowPrivate: o.AllowPrivate, proxy: proxy}
	calls.direct = providerTransport(config, func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.EqualFold(address, hostPort(issuer)) {
			return trusted.DialContext(ctx, network, address)
		}
		return guarded.DialContext(ctx, network, address)
	})
	calls.proxied = providerTransport(config, trusted.DialContext)
	calls.proxied.Proxy = func(r *http.Request) (*url.URL, error) {
		by, err := proxy(r)
		if err == nil && by == nil {
			err = errors.New("no proxy is set any more") // what this dials must be a proxy
		}
		return by, err
	}
	return &http.Client{Timeout: providerPatience, Transport: calls}, nil
}

// Bounds on what a provider answers: how long it may take, and in bytes, after decompression, since whoever reads it
// reads it whole.
const (
	providerPatience  = 15 * time.Second
	maxProviderHeader = 64 << 10
	maxProviderAnswer = 1 << 20
)

func providerTransport(config *tls.Config,
	dial func(ctx context.Context, network, address string) (net.Conn, error),
) *http.Transport {
	return &http.Transport{
		TLSClientConfig: config.Clone(), DialContext: dial, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: providerPatience, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2,
		MaxResponseHeaderBytes: maxProviderHeader,
	}
}

// providerCalls calls nothing without TLS but one issuer, which may be on the same host, and takes no answer that is
// too long. What it calls itself is checked where it is dialed. A proxy is told a name and dials it out of sight, so
// the name is checked before the proxy is told.
type providerCalls struct {
	issuer       *url.URL
	allowPrivate bool
	proxy        func(*http.Request) (*url.URL, error)
	direct       *http.Transport // dials what a URL names
	proxied      *http.Transport // dials proxies alone
}

// RoundTrip implements http.RoundTripper.
func (p *providerCalls) RoundTrip(r *http.Request) (*http.Response, error) {
	own := r.URL.Scheme == p.issuer.Scheme && hostPort(r.URL) == hostPort(p.issuer)
	if r.URL.Scheme != "https" && !own {
		return nil, fmt.Errorf("the provider names %s, which is not https", r.URL.Host)
	}
	by, err := p.proxy(r)
	if err != nil {
		return nil, fmt.Errorf("choose a proxy: %w", err)
	}
	transport := p.direct
	if by != nil {
		transport = p.proxied
		if !own {
			if err := notify.CheckHost(r.Context(), r.URL.Hostname(), p.allowPrivate); err != nil {
				return nil, fmt.Errorf("the provider names %s, which the proxy is not asked for: %w", r.URL.Host, err)
			}
		}
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: maxProviderAnswer}
	return response, nil
}

// boundedBody fails where a body is longer than what is left.
type boundedBody struct {
	io.ReadCloser

	left int64
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more tells a body that is too long from one that fits
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), fmt.Errorf("the provider's answer is longer than %d bytes", maxProviderAnswer)
	}
	b.left -= int64(n)
	return n, err
}

// hostPort gives what is dialed for a URL.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
}
