package notify

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

// operatorHook is a webhook that the operator's own configuration names, so it may be in the operator's own network.
// What is posted is JSON, signed as webhooks are where there are keys. It follows no redirect and uses no proxy.
type operatorHook struct {
	url  string
	keys string // apart by spaces, as NewSigningKey makes them; empty: calls are not signed
	ca   string // PEM of the authorities to trust; empty: the system's
	now  func() time.Time
}

// check tells what is wrong with it.
func (h operatorHook) check() error {
	if err := engine.CheckURL(h.url, true); err != nil {
		return err
	}
	if h.keys != "" {
		if _, err := signingKeys(h.keys); err != nil {
			return err
		}
	}
	_, err := tlsConfig(h.ca)
	return err
}

// post sends a body. The caller closes the answer's.
func (h operatorHook) post(ctx context.Context, body []byte) (*http.Response, error) {
	trust, err := tlsConfig(h.ca)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: Dialer(true).DialContext, TLSClientConfig: trust, TLSHandshakeTimeout: connectTimeout,
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       sendTimeout,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", userAgent)
	if h.keys != "" {
		keys, err := signingKeys(h.keys)
		if err != nil {
			return nil, err
		}
		sign(request.Header, keys, rand.Text(), h.now(), body)
	}
	return client.Do(request)
}
