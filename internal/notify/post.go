package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

const (
	maxAnswer = 16 << 10 // bytes of an answer that are read
	userAgent = "Postern-Notify/1"
)

// post sends body to raw, which may be a secret, and says what the receiver answered. It follows no redirect, uses no
// proxy, keeps no connection, and reads a bounded part of the answer.
func post(ctx context.Context, c engine.Channel, raw string, header http.Header, body []byte, secret opened,
	now func() time.Time,
) (Receipt, error) {
	if err := engine.CheckURL(raw, c.AllowPrivate); err != nil {
		return Receipt{}, permanent(err.Error(), err)
	}
	trust, err := tlsConfig(c.CA)
	if err != nil {
		return Receipt{}, permanent(err.Error(), err)
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: Dialer(c.AllowPrivate).DialContext, TLSClientConfig: trust,
			TLSHandshakeTimeout: connectTimeout,
			ForceAttemptHTTP2:   true, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       sendTimeout,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, raw, bytes.NewReader(body))
	if err != nil {
		return Receipt{}, permanent("the URL is malformed", err)
	}
	maps.Copy(request.Header, header)
	request.Header.Set("User-Agent", userAgent)

	host := request.URL.Hostname()
	began := now()
	response, err := client.Do(request)
	if err != nil {
		return Receipt{}, explain(host, err, secret)
	}
	defer response.Body.Close() //nolint:errcheck // read as far as it is wanted
	answer, readErr := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	said := excerpt(answer, secret)
	if failure := classify(response.StatusCode, response.Header, said, host, now()); failure != nil {
		return Receipt{}, failure
	}
	if readErr != nil && len(answer) == 0 && response.ContentLength != 0 {
		said = "the answer broke off"
	}
	text := fmt.Sprintf("%s answered %d %s in %d ms", host, response.StatusCode, http.StatusText(response.StatusCode),
		now().Sub(began).Milliseconds())
	if said != "" {
		text += ": " + said
	}
	return Receipt{Text: text}, nil
}

// explain says in words why host could not be reached, without the URL, which net/http puts into its errors
// and which may be a secret.
func explain(host string, err error, secret opened) *SendError {
	cause := err
	if e, ok := errors.AsType[*url.Error](err); ok {
		cause = e.Err
	}
	var timeout net.Error
	if e, ok := errors.AsType[*destinationError](cause); ok {
		return permanent("cannot reach "+host+": "+e.text, err)
	}
	switch {
	case errors.Is(cause, context.DeadlineExceeded), errors.As(cause, &timeout) && timeout.Timeout():
		return unreachable(fmt.Sprintf("%s did not answer within %s", host, sendTimeout), err)
	case errors.Is(cause, context.Canceled):
		return temporary("the attempt was interrupted", err)
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF):
		return unreachable(host+" closed the connection without an answer", err)
	}
	if e, ok := errors.AsType[*net.DNSError](cause); ok {
		return unreachable("the name "+host+" does not resolve: "+e.Err, err)
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](cause); ok {
		return unreachable("the certificate of "+host+" is not trusted: "+e.Err.Error(), err)
	}
	if e, ok := errors.AsType[x509.HostnameError](cause); ok {
		return unreachable("the certificate is not for "+host+": "+e.Error(), err)
	}
	if e, ok := errors.AsType[*net.OpError](cause); ok {
		return unreachable("cannot reach "+host+": "+e.Err.Error(), err)
	}
	return unreachable("cannot reach "+host+": "+excerpt([]byte(cause.Error()), secret), err)
}
