package agent

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Identity is who this agent is and whom it talks to.
type Identity struct {
	Server      string           `json:"server"` // such as https://postern.example:8443
	Agent       access.AgentID   `json:"agent"`
	Machine     access.MachineID `json:"machine,omitempty"` // in host mode
	Name        string           `json:"name"`
	Mode        access.Mode      `json:"mode"`
	SystemRoots bool             `json:"systemRoots,omitempty"` // the system's CAs count too, as they did at enrollment
}

// ErrNotEnrolled says that the state folder holds no identity.
var ErrNotEnrolled = errors.New("this host is not enrolled; run \"postern agent enroll\"")

// LoadIdentity reads who the agent of a state folder is; ErrNotEnrolled where it is nobody yet.
func LoadIdentity(dir string) (Identity, error) {
	var id Identity
	data, err := readFile(dir, identityFile)
	if errors.Is(err, fs.ErrNotExist) {
		return id, ErrNotEnrolled
	}
	if err != nil {
		return id, fmt.Errorf("read the agent's identity: %w", err)
	}
	if err := decodeStrictly(data, &id); err != nil {
		return id, fmt.Errorf("read %s: %w", filepath.Join(dir, identityFile), err)
	}
	if id.Agent == "" || id.Server == "" || id.Mode != access.ModeHost && id.Mode != access.ModeGateway {
		return id, fmt.Errorf("%s is incomplete; enroll this host again with --replace",
			filepath.Join(dir, identityFile))
	}
	return id, nil
}

func (id Identity) save(dir string) error {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("write the agent's identity: %w", err)
	}
	return writeFile(dir, identityFile, append(data, '\n'))
}

func decodeStrictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("there is more after the end")
	}
	return nil
}

// newKey makes a P-256 key, with its PEM form.
func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// signingRequest gives a certificate signing request, PEM. Only its public key counts: the server names the agent.
func signingRequest(key any) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", fmt.Errorf("make a certificate signing request: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// credentials are the key and certificate in use, and the CAs that may sign the server's. They can be replaced while
// connections use them.
type credentials struct {
	clock  Clock
	pair   atomic.Pointer[tls.Certificate]
	pool   atomic.Pointer[x509.CertPool]
	server atomic.Int64 // the server's wall clock less our boot-time clock, in nanoseconds; 0 until it was heard
}

func loadCredentials(dir string, id Identity, clock Clock) (*credentials, error) {
	c := &credentials{clock: clock}
	if err := c.load(dir, id); err != nil {
		return nil, err
	}
	return c, nil
}

// load takes key, certificate and CAs from the state folder.
func (c *credentials) load(dir string, id Identity) error {
	data, err := readFile(dir, credentialsFile)
	if err != nil {
		return fmt.Errorf("read the agent's certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return fmt.Errorf("read %s: %w; enroll this host again with --replace", filepath.Join(dir, credentialsFile),
			err)
	}
	ca, err := readFile(dir, caFile)
	if err != nil {
		return fmt.Errorf("read the server's CA: %w", err)
	}
	pool, err := roots(id.SystemRoots, ca)
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(dir, caFile), err)
	}
	c.pair.Store(&pair)
	c.pool.Store(pool)
	return nil
}

func roots(system bool, more []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if system {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the system's CAs: %w", err)
		}
	}
	if len(bytes.TrimSpace(more)) > 0 && !pool.AppendCertsFromPEM(more) {
		return nil, errors.New("there is no CA certificate in PEM form")
	}
	return pool, nil
}

// renewAt tells when to ask for a new certificate: after two thirds of the life of the present one.
func (c *credentials) renewAt() time.Time {
	leaf := c.pair.Load().Leaf
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)
}

// now gives the time to judge certificates by: the server's, once it was heard; before that our wall clock, but not
// less than the beginning of our own certificate, which is a time that the server has seen. A host whose clock is
// behind can so still reach its server and say so.
func (c *credentials) now() time.Time {
	if ahead := c.server.Load(); ahead != 0 {
		return c.clock.Boot().Add(time.Duration(ahead))
	}
	wall := c.clock.Wall()
	if pair := c.pair.Load(); pair != nil && wall.Before(pair.Leaf.NotBefore) {
		return pair.Leaf.NotBefore
	}
	return wall
}

func (c *credentials) expired() bool { return c.now().After(c.pair.Load().Leaf.NotAfter) }

// tlsConfig gives a client's configuration that always shows the present certificate.
func (c *credentials) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       c.now,
		RootCAs:    c.pool.Load(),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.pair.Load(), nil
		},
	}
}
