package agentwire

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/postern-dev/postern/api"
)

// Codes of refusals that an agent acts upon.
const (
	// CodeTwice refuses a program while another one that has its certificate is served.
	CodeTwice = "agentTwice"

	// CodeAnotherEpoch refuses a report of what the server does not know, since it was restored from a backup.
	CodeAnotherEpoch = "anotherEpoch"
)

// Refusal returns the status and the code of an answer that is not what was asked for, and zeros for any other error.
func Refusal(err error) (status int, code string) {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p.Status, p.Code
	}
	return 0, ""
}

// Unknown reports whether the server does not know this agent, or no longer: its certificate was revoked, has
// expired, or is from elsewhere. It is true of such an answer, and of a TLS alert that says so.
func Unknown(err error) bool {
	if status, _ := Refusal(err); status != 0 {
		return status == http.StatusUnauthorized || status == http.StatusForbidden
	}
	return badCertificate(remoteAlert(err))
}

// RetryAfter returns how long the server asks to wait before the next call; 0 where it does not.
func RetryAfter(err error) time.Duration {
	if l, ok := errors.AsType[*later](err); ok {
		return l.after
	}
	return 0
}

// later is the error of an answer that says when to come again.
type later struct {
	error

	after time.Duration
}

func (l *later) Unwrap() error { return l.error }

const maxRetryAfter = 300 // seconds; what is longer is not taken at its word

// answered is the error of an answer that is not what was asked for.
func answered(response *http.Response, body []byte) error {
	p := problemOf(response.StatusCode, body)
	// a proxy may give a date: our own pauses stand for it
	after, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || after <= 0 {
		return p
	}
	return &later{error: p, after: time.Duration(min(after, maxRetryAfter)) * time.Second}
}

func problemOf(status int, body []byte) *api.Problem {
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Detail == "" && p.Title == "" {
		// It is not ours: a proxy's page, perhaps.
		p = api.Problem{Title: fmt.Sprintf("it answered with status %d %s", status, http.StatusText(status))}
	}
	p.Status, p.Detail, p.Title = status, cut(p.Detail, maxDetail), cut(p.Title, maxDetail)
	return &p
}

// remoteAlert returns the number of the TLS alert that the other side sent, or 0. The type that crypto/tls has for
// it is not exported, so its value is read by kind.
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

// badCertificate reports whether an alert is about our certificate (RFC 8446, section 6.2): bad, unsupported,
// revoked, expired, unknown, of an unknown CA, denied, or required.
func badCertificate(alert uint64) bool {
	return alert >= 42 && alert <= 46 || alert == 48 || alert == 49 || alert == 116
}

// explain turns an error of a connection into one that says what to do.
func (c *Client) explain(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		dns     *net.DNSError
		op      *net.OpError
	)
	server := c.Server()
	switch {
	case remoteAlert(err) != 0:
		return fmt.Errorf("%s refuses the connection: %w", server, err)
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is signed by a CA that this host does not trust; "+
			"give the server's own CA with --ca FILE or --ca-fingerprint: %w", server, err)
	case errors.As(err, &name):
		return fmt.Errorf("the certificate of %s is for another name; "+
			"use the name that the server was set up with: %w", server, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("the certificate of %s does not count; "+
			"check this host's clock, and the CA given with --ca: %w", server, err)
	case errors.As(err, &dns):
		return fmt.Errorf("the name of %s cannot be found; check the address and this host's DNS: %w", server, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s ended the connection: %w", server, err)
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s cannot be reached; check the address, and that nothing on the way blocks it: %w", server,
			err)
	}
	return err
}
