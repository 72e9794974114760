package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
)

const (
	apiRoot     = "/api/v1"
	maxAnswer   = 1 << 20
	dialTimeout = 10 * time.Second
	callTimeout = 30 * time.Second
)

// refused tells whether the server does not know this agent, or no longer: its certificate was revoked, has expired,
// or is from elsewhere. It is true of such an answer, and of a TLS alert that says so.
func refused(err error) bool {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden
	}
	return badCertificate(remoteAlert(err))
}

// instanceHeader says which running program calls.
const instanceHeader = "Postern-Agent-Instance"

// signed is a transport whose requests say which running program makes them, and whose answers tell of the server's clock.
type signed struct {
	http.RoundTripper

	self   string
	boot   func() time.Time
	clocks *clocks
}

func (a *agent) signed(transport http.RoundTripper) signed {
	return signed{RoundTripper: transport, self: a.self, boot: a.Clock.Boot, clocks: &a.clocks}
}

// RoundTrip implements http.RoundTripper.
func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := s.boot()
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { asked = s.boot() }} // before any of the request is sent
	r = r.Clone(httptrace.WithClientTrace(r.Context(), trace))
	r.Header.Set(instanceHeader, s.self)
	res, err := s.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if at, server, ok := parseTime(res.Header.Get(timeHeader)); ok {
		s.clocks.exchanged(server, asked, at, s.boot())
	}
	return res, nil
}

// isTwice tells whether the server serves another program that has our certificate.
func isTwice(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Code == "agentTwice"
}

// remoteAlert gives the number of the TLS alert that the other side sent, or 0. The type that crypto/tls has for it is
// not exported, so its value is read by kind.
func remoteAlert(err error) uint64 {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return 0
	}
	if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
		return v.Uint()
	}
	return 0
}

// badCertificate tells whether an alert is about our certificate (RFC 8446, section 6.2): bad, unsupported, revoked,
// expired, unknown, of an unknown CA, denied, or required.
func badCertificate(alert uint64) bool {
	return alert >= 42 && alert <= 46 || alert == 48 || alert == 49 || alert == 116
}

// serverURL checks the address of a server: https, a host, and no path.
func serverURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("server address %q cannot be read; use one such as https://postern.example:8443", clip(text))
	}
	if u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("server address %q is not of the form https://HOST:PORT", clip(text))
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// newTransport speaks HTTP/1.1 alone: one stream and now and then a report for each agent cost the server the least
// memory that way. Connections without a use are let go of soon, and taken up again by TLS session tickets.
func newTransport(config *tls.Config) *http.Transport {
	config.ClientSessionCache = tls.NewLRUClientSessionCache(2)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: callTimeout,
		IdleConnTimeout:       5 * time.Second,
		MaxIdleConns:          1,
		DisableCompression:    true,
		ReadBufferSize:        4 << 10,
		WriteBufferSize:       4 << 10,
		Protocols:             protocols,
	}
}

// call posts in and reads the answer into out, which may be nil. An answer other than 2xx is an *api.Problem.
func call(ctx context.Context, rt http.RoundTripper, u url.URL, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	if res.StatusCode/100 != 2 {
		return answered(res, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// answered is the error of an answer that is not what was asked for.
func answered(res *http.Response, body []byte) error {
	p := problemOf(res.StatusCode, body)
	after, err := strconv.Atoi(res.Header.Get("Retry-After")) // a proxy may give a date, which our own pauses stand for
	if err != nil || after <= 0 {
		return p
	}
	return &later{error: p, after: time.Duration(min(after, maxRetryAfter)) * time.Second}
}

// later is the error of an answer that says when to come again.
type later struct {
	error

	after time.Duration
}

func (l *later) Unwrap() error { return l.error }

const maxRetryAfter = 300 // seconds; what is longer is not taken at its word

// afterAsked gives a pause that is no shorter than the server asks for.
func afterAsked(err error, pause time.Duration) time.Duration {
	if l, ok := errors.AsType[*later](err); ok && l.after > pause {
		return jitter(l.after, l.after+l.after/4) // not all of those that were told so at once
	}
	return pause
}

func problemOf(status int, body []byte) *api.Problem {
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Detail == "" && p.Title == "" {
		p = api.Problem{Title: fmt.Sprintf("it answered with status %d %s", status, http.StatusText(status))} // not ours: a proxy's page, perhaps
	}
	p.Status, p.Detail, p.Title = status, cut(p.Detail, maxDetail), cut(p.Title, maxDetail)
	return &p
}

// explain turns an error of a connection into one that says what to do.
func explain(server string, err error) error {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		dns     *net.DNSError
		op      *net.OpError
	)
	switch {
	case remoteAlert(err) != 0:
		return fmt.Errorf("%s refuses the connection: %w", server, err)
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is signed by a CA that this host does not trust; give the server's own CA with --ca FILE or --ca-fingerprint: %w", server, err)
	case errors.As(err, &name):
		return fmt.Errorf("the certificate of %s is for another name; use the name that the server was set up with: %w", server, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("the certificate of %s does not count; check this host's clock, and the CA given with --ca: %w", server, err)
	case errors.As(err, &dns):
		return fmt.Errorf("the name of %s cannot be found; check the address and this host's DNS: %w", server, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s ended the connection: %w", server, err)
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s cannot be reached; check the address, and that nothing on the way blocks it: %w", server, err)
	}
	return err
}
