package agentwire

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

const (
	root        = "/api/v1/agent"
	maxAnswer   = 1 << 20
	dialTimeout = 10 * time.Second
	callTimeout = 30 * time.Second
)

// Config says which server a client calls, and as whom. Server and TLS are required.
type Config struct {
	Server   string        // such as https://postern.example:8443
	TLS      *tls.Config   // whom to believe, and the agent's certificate, which enrolling does not need
	Instance string        // which running program calls; empty does not say
	Silence  time.Duration // after which a stream counts as lost; Silence where 0

	// Now is the clock that exchanges are measured by, and Exchanged is told of each: the name of the server's
	// clock, what it showed, and what ours showed before the call was sent and when its answer came. Without
	// Exchanged, Now may be nil too.
	Now       func() time.Time
	Exchanged func(clock string, asked, at, answered time.Time)

	// Dial makes the connections, to a server that is reached in a way of its own; nil dials as usual.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client is an agent's side of the protocol. It is safe for concurrent use. Its errors say what to do about them;
// those that the server itself gave are an *api.Problem inside.
type Client struct {
	config    Config
	server    *url.URL
	transport *http.Transport
}

// NewClient makes a client; it does not connect yet. It speaks HTTP/1.1 alone: one stream and now and then a
// report for each agent cost the server the least memory that way. Connections without a use are let go of soon,
// and taken up again by TLS session tickets.
func NewClient(c Config) (*Client, error) {
	server, err := serverURL(c.Server)
	if err != nil {
		return nil, err
	}
	config := c.TLS.Clone()
	config.MinVersion = tls.VersionTLS13
	config.ClientSessionCache = tls.NewLRUClientSessionCache(2)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
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
	if c.Dial != nil {
		transport.Proxy, transport.DialContext = nil, c.Dial
	}
	if c.Exchanged == nil {
		c.Now, c.Exchanged = func() (t time.Time) { return t }, func(string, time.Time, time.Time, time.Time) {}
	}
	c.Silence = cmp.Or(c.Silence, Silence)
	return &Client{config: c, server: server, transport: transport}, nil
}

// serverURL checks the address of a server: https, a host, and no path.
func serverURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("server address %.80q cannot be read; use one such as https://postern.example:8443",
			text)
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server address %.80q is not of the form https://HOST:PORT", text)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Server returns the address of the server in its plain form.
func (c *Client) Server() string { return c.server.String() }

// Close lets go of idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Enroll shows an enrollment token and returns the agent's certificate.
func (c *Client) Enroll(ctx context.Context, in Enroll) (out Enrolled, err error) {
	err = c.post(ctx, "enroll", in, &out)
	return out, err
}

// Renew returns a fresh certificate for the one that the client calls with.
func (c *Client) Renew(ctx context.Context, in Renew) (out Enrolled, err error) {
	err = c.post(ctx, "renew", in, &out)
	return out, err
}

// Report says what the agent really has.
func (c *Client) Report(ctx context.Context, in Report) error { return c.post(ctx, "report", in, nil) }

// Found says what the agent found on its host.
func (c *Client) Found(ctx context.Context, in Findings) error {
	return c.post(ctx, "findings", in, nil)
}

// ReportGlass says that a code was used while the server was out of reach.
func (c *Client) ReportGlass(ctx context.Context, in GlassUse) error {
	return c.post(ctx, "break-glass", in, nil)
}

// post sends in and reads the answer into out, which may be nil.
func (c *Client) post(ctx context.Context, call string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, _, err := c.send(ctx, http.MethodPost, call, in)
	if err != nil {
		return c.explain(err)
	}
	data, err := answer(response)
	if err != nil || out == nil {
		return c.explain(err)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// send makes a call and returns an answer of success; whoever calls closes its body. asked is when our clock was
// read before any of the call was sent.
func (c *Client) send(
	ctx context.Context, method, call string, in any,
) (response *http.Response, asked time.Time, err error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, asked, fmt.Errorf("write the message: %w", err)
		}
		body = bytes.NewReader(data)
	}
	asked = c.config.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { asked = c.config.Now() },
	})
	request, err := http.NewRequestWithContext(ctx, method, c.server.JoinPath(root, call).String(), body)
	if err != nil {
		return nil, asked, err
	}
	if body != nil {
		request.Header.Set("Accept", "application/json")
		request.Header.Set("Content-Type", "application/json")
	} else {
		request.Header.Set("Accept", StreamType)
		request.Header.Set("Cache-Control", "no-store")
	}
	if c.config.Instance != "" {
		request.Header.Set(InstanceHeader, c.config.Instance)
	}
	response, err = c.transport.RoundTrip(request)
	if err != nil {
		return nil, asked, err
	}
	if at, clock, ok := ParseTime(response.Header.Get(TimeHeader)); ok {
		c.config.Exchanged(clock, asked, at, c.config.Now())
	}
	if response.StatusCode/100 != 2 {
		data, err := answer(response)
		if err != nil {
			return nil, asked, err
		}
		return nil, asked, answered(response, data)
	}
	return response, asked, nil
}

// answer reads the body of an answer, and closes it.
func answer(response *http.Response) ([]byte, error) {
	defer response.Body.Close() //nolint:errcheck // nothing is lost: the answer was read or is given up
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(data) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return data, nil
}
