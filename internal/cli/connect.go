package cli

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
)

// client connects as whoever signed in.
func (a *app) client() (*api.Client, error) {
	conf, err := a.effective()
	if err != nil {
		return nil, err
	}
	if conf.Server == "" || conf.Token == "" {
		return nil, fail(exitRefused, "Sign in with: postern login --server URL", "you are not signed in")
	}
	return a.connect(conf)
}

func (a *app) connect(conf config) (*api.Client, error) {
	c, err := api.NewClient(api.Options{
		Server: conf.Server, Token: conf.Token, CA: []byte(conf.CA),
		UserAgent: "postern-cli/" + version(),
	})
	if err != nil {
		return nil, fail(exitUsage, "Sign in again with: postern login --server URL", "%w", err)
	}
	return c, nil
}

// isUntrusted tells whether err is about a certificate that nothing vouches for.
func isUntrusted(err error) bool {
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}

const trustHint = `Get the CA of the server in one of two ways, over a channel that you trust:
  - the server prints the CA's fingerprint when it starts: postern login --ca-fingerprint SHA256:…
  - copy ca.pem from the server's data folder:             postern login --ca ca.pem`

// fetchCA gets the server's CA certificate from its handshake and checks it against a fingerprint, which makes it
// safe although the connection itself is not trusted yet.
func fetchCA(ctx context.Context, server, fingerprint string) (string, error) {
	want, err := parseFingerprint(fingerprint)
	if err != nil {
		return "", fail(exitUsage, "The server prints it when it starts.", "%w", err)
	}
	u, state, err := shake(ctx, server, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent; what comes is checked against the fingerprint
	})
	if err != nil {
		return "", err
	}
	for _, cert := range state.PeerCertificates {
		if sum := sha256.Sum256(cert.Raw); cert.IsCA && hex.EncodeToString(sum[:]) == want {
			return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})), nil
		}
	}
	return "",
		fail(exitRefused,
			"Either the fingerprint is not this server's, or something intercepts the connection. Nothing was sent.",
			"no CA with the fingerprint %s vouches for %s", fingerprint, u.Host)
}

// reach shakes hands with a server, whose certificate has to count: nobody types a password for a server that is
// another, or is not there.
func reach(ctx context.Context, conf config) error {
	check := &tls.Config{MinVersion: tls.VersionTLS12}
	if conf.CA != "" {
		check.RootCAs = x509.NewCertPool()
		check.RootCAs.AppendCertsFromPEM([]byte(conf.CA)) // one that cannot be read vouches for nobody
	}
	_, _, err := shake(ctx, conf.Server, check)
	return err
}

// shake makes a TLS connection to a server, sends nothing, and gives what it knows of the server.
func shake(ctx context.Context, server string, c *tls.Config) (*url.URL, tls.ConnectionState, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, tls.ConnectionState{}, err
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "443")
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: c}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, tls.ConnectionState{}, err
	}
	return u, conn.(*tls.Conn).ConnectionState(), conn.Close()
}

// parseFingerprint reads 64 hexadecimal digits, with or without "SHA256:" and colons, and gives them in lower case.
func parseFingerprint(s string) (string, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	for _, name := range []string{"sha256:", "sha-256"} {
		text = strings.TrimPrefix(text, name)
	}
	text = strings.ReplaceAll(strings.TrimSpace(text), ":", "")
	if raw, err := hex.DecodeString(text); err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("%q is not a SHA-256 fingerprint: it has 64 hexadecimal digits", s)
	}
	return text, nil
}
