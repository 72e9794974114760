package identity_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/identity"
)

func TestTheAuthorityIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	first, err := identity.OpenCA(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	second, err := identity.OpenCA(dir, now.Add(time.Hour))
	if err != nil || !bytes.Equal(first.PEM(), second.PEM()) {
		t.Errorf("the second start has another authority: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key has the mode %s, %v", info.Mode(), err)
	}
	// A crash after the key was written is made good, a lost key is not.
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.OpenCA(dir, now); err != nil {
		t.Errorf("with a key and no certificate: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.OpenCA(dir, now); err == nil {
		t.Error("with a certificate and no key it made another authority")
	}
	left, err := fs.Glob(os.DirFS(dir), ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestServerCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	ca, err := identity.OpenCA(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(at time.Time, names ...string) *x509.Certificate {
		t.Helper()
		pair, err := ca.ServerCertificate(dir, names, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := pair.Leaf.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
		return pair.Leaf
	}
	first := issue(now, "postern.example.com", "192.0.2.1", "::1")
	if again := issue(now.Add(24*time.Hour), "::1", "postern.example.com"); !again.Equal(first) {
		t.Error("it was made anew without need")
	}
	if other := issue(now, "other.example.com"); other.Equal(first) {
		t.Error("it does not hold for the name")
	}
	before := issue(now, "other.example.com")
	if late := issue(now.Add(300*24*time.Hour), "other.example.com"); late.Equal(before) {
		t.Error("it was not renewed when it was due")
	}
	info, err := os.Stat(filepath.Join(dir, "server.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the key has the mode %s, %v", info.Mode(), err)
	}
	if _, err := ca.ServerCertificate(dir, nil, now); err == nil {
		t.Error("a certificate without names")
	}
}

func request(t *testing.T) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key
}

// handshake connects with a client certificate and gives what the server sees of it.
func handshake(t *testing.T, w *world, server tls.Certificate, client *tls.Certificate) (*tls.ConnectionState, error) {
	t.Helper()
	config := w.identity.CA().TLSConfig(server)
	config.Time = w.clock.now
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.identity.CA().PEM())
	mine := &tls.Config{RootCAs: roots, ServerName: "postern.test", Time: w.clock.now, MinVersion: tls.VersionTLS13}
	if client != nil {
		mine.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client, nil }
	}
	ours, theirs := net.Pipe()
	t.Cleanup(func() {
		if err := errors.Join(ours.Close(), theirs.Close()); err != nil {
			t.Error(err)
		}
	})
	done := make(chan error, 1)
	go func() { done <- tls.Client(theirs, mine).HandshakeContext(context.WithoutCancel(t.Context())) }()
	conn := tls.Server(ours, config)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	state := conn.ConnectionState()
	return &state, nil
}

func TestAgentsByCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	admin := w.admin()
	token, _, err := w.engine.Machines.MakeEnrollmentToken(w.ctx, admin, machines.TokenInput{Name: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	csr, key := request(t)
	enrolled, issued, err := w.identity.Enroll(w.ctx, office, machines.EnrollInput{Token: token}, csr)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(issued.PEM)
	mine := &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
	server, err := w.identity.CA().ServerCertificate(t.TempDir(), []string{"postern.test"}, w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	agent := func(client *tls.Certificate) (access.Agent, error) {
		t.Helper()
		state, err := handshake(t, w, server, client)
		if err != nil {
			t.Fatal(err)
		}
		return w.identity.AgentFromCertificate(w.ctx, state, office, identity.CostOfBody(0, 0))
	}
	got, err := agent(mine)
	if err != nil || got.ID != enrolled.Agent.ID {
		t.Fatalf("the certificate is of %+v, %v", got, err)
	}
	_, err = agent(nil)
	wantCode(t, err, access.KindUnauthenticated, "certificateMissing")
	if n := w.count(access.AgentRefused); n != 0 {
		t.Errorf("%d refusals before there was one", n)
	}

	// Another installation's authority, with the same agent's name.
	foreign := newWorld(t, nil)
	foreignToken, _, err := foreign.engine.Machines.MakeEnrollmentToken(foreign.ctx, foreign.admin(),
		machines.TokenInput{Name: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	foreignCSR, foreignKey := request(t)
	_, theirs, err := foreign.identity.Enroll(foreign.ctx, office, machines.EnrollInput{Token: foreignToken},
		foreignCSR)
	if err != nil {
		t.Fatal(err)
	}
	foreignBlock, _ := pem.Decode(theirs.PEM)
	_, err = agent(&tls.Certificate{Certificate: [][]byte{foreignBlock.Bytes}, PrivateKey: foreignKey})
	wantCode(t, err, access.KindUnauthenticated, "certificateRefused")
	// The server's own certificate is of our authority, and of no agent.
	_, err = agent(&server)
	wantCode(t, err, access.KindUnauthenticated, "certificateRefused")

	fresh, _ := request(t)
	_, _, err = w.identity.Renew(w.ctx, enrolled.Agent.ID, office, fresh)
	wantCode(t, err, access.KindForbidden, "anotherKey")
	_, renewed, err := w.identity.Renew(w.ctx, enrolled.Agent.ID, office, csr)
	if err != nil {
		t.Fatal(err)
	}
	freshBlock, _ := pem.Decode(renewed.PEM)
	if _, err = agent(&tls.Certificate{Certificate: [][]byte{freshBlock.Bytes}, PrivateKey: key}); err != nil {
		t.Errorf("the renewed certificate: %v", err)
	}
	if _, err = agent(mine); err != nil {
		t.Errorf("the one before: %v", err)
	}
	if err := w.engine.Machines.DeleteMachine(w.ctx, admin, "web-1"); err != nil {
		t.Fatal(err)
	}
	_, err = agent(mine)
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
	w.clock.advance(31 * 24 * time.Hour)
	_, err = agent(mine)
	wantCode(t, err, access.KindUnauthenticated, "certificateRefused")
	if n := w.count(access.AgentRefused); n != 5 {
		t.Errorf("%d refusals on record, want 5", n)
	}
}

func TestSigningRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	token, _, err := w.engine.Machines.MakeEnrollmentToken(w.ctx, w.admin(), machines.TokenInput{Name: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	good, _ := request(t)
	block, _ := pem.Decode(good)
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaDER, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	armor := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	for name, csr := range map[string][]byte{
		"empty":         nil,
		"text":          []byte("hello"),
		"other block":   armor("CERTIFICATE", block.Bytes),
		"two blocks":    append(bytes.Clone(good), good...),
		"not its key":   armor("CERTIFICATE REQUEST", forged),
		"another kind":  armor("CERTIFICATE REQUEST", rsaDER),
		"far too large": bytes.Repeat([]byte("a"), 20_000),
	} {
		_, _, err := w.identity.Enroll(w.ctx, office, machines.EnrollInput{Token: token}, csr)
		if access.KindOf(err) != access.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := w.identity.Enroll(w.ctx, office, machines.EnrollInput{Token: token}, good); err != nil {
		t.Errorf("after refused ones the token should still be good: %v", err)
	}
}
