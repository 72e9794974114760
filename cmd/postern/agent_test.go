package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"github.com/postern-dev/postern/api"
)

// fakeAgent speaks an agent's protocol and has no kernel: it holds what it is told, and says so.
type fakeAgent struct {
	client   *api.Client
	reported chan struct{}
}

func enrolFake(server string, ca []byte, token string) (*fakeAgent, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	stranger, err := api.NewClient(api.Options{Server: server, CA: ca})
	if err != nil {
		return nil, err
	}
	defer stranger.Close()
	enrolled, err := stranger.Enroll(context.Background(), api.Enroll{
		Token: token, Name: "host", OS: "linux", Version: "1.2.3",
		Addresses: []string{"192.0.2.10", "2001:db8::10"},
		CSR:       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	})
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(enrolled.Certificate), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.Options{Server: server, CA: ca, Certificate: &pair})
	return &fakeAgent{client: client, reported: make(chan struct{}, 1)}, err
}

// follow reports each desired state as in force until ctx ends.
func (a *fakeAgent) follow(ctx context.Context) error {
	stream, err := a.client.Desired(ctx)
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // it is over
	for {
		event, err := stream.Next()
		if err != nil {
			return err
		}
		if event.Desired == nil {
			continue
		}
		if err := a.client.Report(ctx, api.Report{Revision: event.Desired.Revision, Observations: follows(event.Desired), Version: "1.2.3"}); err != nil {
			return err
		}
		select {
		case a.reported <- struct{}{}:
		default:
		}
	}
}

func (a *fakeAgent) wait(most time.Duration) error {
	select {
	case <-a.reported:
		return nil
	case <-time.After(most):
		return errors.New("the agent received no desired state")
	}
}
