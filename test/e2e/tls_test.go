//go:build linux

package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/postern-dev/postern/internal/agentwire"
)

func poolOf(ca []byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, errors.New("there is no CA certificate yet")
	}
	return config, nil
}

// agentClient is the client of an agent, with the certificate that it keeps in a folder of its state.
func (w *world) agentClient(state string) *agentwire.Client {
	w.t.Helper()
	certificate, err := tls.LoadX509KeyPair(w.path(state+"/credentials.pem"), w.path(state+"/credentials.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := poolOf(w.ca())
	if err != nil {
		w.t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{certificate}
	c, err := agentwire.NewClient(agentwire.Config{Server: "https://" + w.address, TLS: config, Dial: w.dial})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}
