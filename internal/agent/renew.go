package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
)

// keepRenewing asks for a new certificate after two thirds of the life of the present one, until ctx ends.
func (a *agent) keepRenewing(ctx context.Context) {
	const (
		look  = 10 * time.Minute // the wall clock may be set, and the host may sleep: look now and then
		retry = time.Minute
	)
	for failures := 0; ctx.Err() == nil; {
		if wait := a.creds.renewAt().Sub(a.creds.now()); wait > 0 {
			sleep(ctx, min(wait, look))
			continue
		}
		if err := a.renew(ctx); err != nil {
			if ctx.Err() == nil {
				a.Log.WarnContext(ctx, "the certificate could not be renewed", "until",
					a.creds.pair.Load().Leaf.NotAfter, "error", err.Error())
			}
			sleep(ctx, afterAsked(err, retry+10*a.timing.backOffAfter(failures)))
			failures++
			continue
		}
		failures = 0
		a.Log.InfoContext(ctx, "the certificate was renewed", "until", a.creds.pair.Load().Leaf.NotAfter)
	}
}

// renew gets a new certificate for the same key, so that a lost answer locks nobody out, and takes it into use.
func (a *agent) renew(ctx context.Context) error {
	pair := a.creds.pair.Load()
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("the agent's key is not an ECDSA key; enroll this host again with --replace")
	}
	csr, err := signingRequest(key)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Renew(ctx, agentwire.Renew{CSR: csr})
	if err != nil {
		return err
	}
	if answer.Agent != string(a.id.Agent) {
		return fmt.Errorf("the answer is for agent %.80q", answer.Agent)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	before, err := readFile(a.StateDir, caFile)
	if err != nil {
		return fmt.Errorf("read the server's CA: %w", err)
	}
	if err := keepCertificate(a.StateDir, key, keyPEM, before, answer); err != nil {
		return err
	}
	if err := a.creds.load(a.StateDir, a.id); err != nil {
		return err
	}
	a.connectAnew()
	return nil
}

// connectAnew ends the connection that shows the old certificate; what is in force is not touched.
func (a *agent) connectAnew() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.anew != nil {
		a.anew()
	}
}

// onAnew sets what connectAnew calls; the result unsets it.
func (a *agent) onAnew(f func()) (unset func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.anew = f
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.anew = nil
	}
}
