package cli

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

	"github.com/postern-dev/postern/internal/agentwire"
)

// fakeAgent speaks an agent's protocol and has no kernel: it holds what it is told, and says so.
type fakeAgent struct {
	client   *agentwire.Client
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
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	config.RootCAs.AppendCertsFromPEM(ca)
	stranger, err := agentwire.NewClient(agentwire.Config{Server: server, TLS: config})
	if err != nil {
		return nil, err
	}
	defer stranger.Close()
	enrolled, err := stranger.Enroll(context.Background(), agentwire.Enroll{
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
	pair, err := tls.X509KeyPair([]byte(enrolled.Certificate),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	client, err := agentwire.NewClient(agentwire.Config{Server: server, TLS: config})
	return &fakeAgent{client: client, reported: make(chan struct{}, 1)}, err
}

// follow reports each desired state as in force until ctx ends.
func (a *fakeAgent) follow(ctx context.Context) error {
	stream, err := a.client.Follow(ctx)
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // it is over
	for {
		event, err := stream.Next()
		if err != nil {
			return err
		}
		_, desired, err := event.Read()
		if err != nil {
			return err
		}
		if desired == nil {
			continue
		}
		report := agentwire.Report{Revision: desired.Revision, Observations: follows(desired), Version: "1.2.3"}
		if err := a.client.Report(ctx, report); err != nil {
			return err
		}
		found := agentwire.Findings{Version: "1.2.3"}
		for _, trial := range desired.Trials {
			found.Trials = append(found.Trials, agentwire.TrialSeen{ID: trial.ID, State: agentwire.TrialInForce})
		}
		if err := a.client.Found(ctx, found); err != nil {
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
