package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Limits of the client.
const (
	maxAnswer     = 64 << 20         // bytes of one answer that is held in memory
	answerTimeout = 60 * time.Second // for everything but streams and exports; long polls take up to 25 s
)

// Options say which server a Client talks to, and as whom.
type Options struct {
	Server    string // such as https://postern.example:8443
	Token     string // of a session; empty for calls that need none
	CA        []byte // PEM; empty trusts the system's certificate authorities
	UserAgent string // what the program calls itself; "postern" if empty

	// Dial makes the connections, for a server that is reached in a way of its own; nil dials as usual.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client calls one server. It is safe for concurrent use. Every error that the server itself gave is a *Problem.
type Client struct {
	base      *url.URL
	token     string
	userAgent string
	http      *http.Client
}

// NewClient makes a client; it does not connect yet.
func NewClient(o Options) (*Client, error) {
	base, err := url.Parse(o.Server)
	if err != nil || base.Host == "" || base.Scheme != "https" {
		return nil, fmt.Errorf("server %q is not an address; write it like https://postern.example:8443", o.Server)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if len(o.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("the CA holds no certificate in PEM form")
		}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: answerTimeout,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     true,
	}
	if o.Dial != nil {
		transport.Proxy, transport.DialContext = nil, o.Dial
	}
	c := &Client{base: base, token: o.Token, userAgent: o.UserAgent, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if c.userAgent == "" {
		c.userAgent = "postern"
	}
	return c, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// WithToken gives a client that calls with another session and shares this one's connections.
func (c *Client) WithToken(token string) *Client {
	other := *c
	other.token = token
	return &other
}

// call is one exchange: body and answer are nil where there is none.
type call struct {
	method, path string // the path below /api/v1, its segments escaped
	query        url.Values
	header       http.Header
	body, answer any
}

func (c *Client) do(ctx context.Context, call call) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	response, err := c.send(ctx, call)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // nothing is lost: the answer was read or is given up
	if call.answer == nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base.Host, err)
	}
	if err := json.Unmarshal(data, call.answer); err != nil {
		return fmt.Errorf("understand the answer of %s: %w", c.base.Host, err)
	}
	return nil
}

// ask does a call and returns what it answers.
func ask[T any](ctx context.Context, c *Client, call call) (T, error) {
	var out T
	call.answer = &out
	err := c.do(ctx, call)
	return out, err
}

// send gives the answer of a call that succeeded; whoever calls it closes the body.
func (c *Client) send(ctx context.Context, call call) (*http.Response, error) {
	var body io.Reader
	if call.body != nil {
		data, err := json.Marshal(call.body)
		if err != nil {
			return nil, fmt.Errorf("encode the body: %w", err)
		}
		body = bytes.NewReader(data)
	}
	target := c.base.String() + "/api/v1" + call.path
	if len(call.query) > 0 {
		target += "?" + call.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, call.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	maps.Copy(request.Header, call.header)
	request.Header.Set("User-Agent", c.userAgent)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // it would repeat the whole address
		}
		return nil, fmt.Errorf("reach the server %s: %w", c.base.Host, err)
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close() //nolint:errcheck // the problem is what matters
	return nil, c.problem(response)
}

func (c *Client) problem(response *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the problem that %s reports: %w", c.base.Host, err)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	p := &Problem{}
	if media != "application/problem+json" || json.Unmarshal(data, p) != nil {
		text := strings.TrimSpace(string(data[:min(len(data), 200)]))
		p = &Problem{
			Title: http.StatusText(response.StatusCode), Code: "unexpectedAnswer",
			Detail: fmt.Sprintf("%s answered %q in a form that is not Postern's: %s", c.base.Host, response.Status,
				text),
		}
	}
	p.Status = response.StatusCode
	return p
}

// pages goes through a list, page by page, until it ends, fails, or the loop is left.
func pages[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		query := cloneValues(query)
		for {
			var page Page[T]
			if err := c.do(ctx, call{method: http.MethodGet, path: path, query: query, answer: &page}); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}

func cloneValues(v url.Values) url.Values {
	if v == nil {
		return url.Values{}
	}
	return url.Values(http.Header(v).Clone())
}

// All gathers what an iterator of this client gives.
func All[T any](list iter.Seq2[T, error]) ([]T, error) {
	items := []T{}
	for item, err := range list {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// NewIdempotencyKey gives a key that no other call has: a call that is repeated with it happens once.
func NewIdempotencyKey() string { return rand.Text() }

// Token gives the token that the client calls with.
func (c *Client) Token() string { return c.token }
