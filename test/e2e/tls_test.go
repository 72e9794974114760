//go:build linux

package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/postern-dev/postern/api"
)

func poolOf(ca []byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, errors.New("there is no CA certificate yet")
	}
	return config, nil
}

// agentClient calls the server with the certificate that an agent keeps in a folder of its state.
func (w *world) agentClient(state string) *api.Client {
	w.t.Helper()
	certificate, err := tls.LoadX509KeyPair(w.path(state+"/credentials.pem"), w.path(state+"/credentials.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := api.NewClient(api.Options{Server: "https://" + w.address, CA: w.ca(), Certificate: &certificate, Dial: w.dial})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}
