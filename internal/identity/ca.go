package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	authorityTime = 10 * 365 * 24 * time.Hour
	backdated     = 5 * time.Minute // certificates begin so long ago, for those whose clock is a little behind
)

// CA is the certificate authority of one installation: it vouches for the server to its agents and clients, and for
// agents to the server.
type CA struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// OpenCA loads the authority from dir, and makes it at the first start: ca.pem and, readable by the owner alone,
// ca.key. The key is written first, so that a crash between the two is made good at the next start.
func OpenCA(dir string, now time.Time) (*CA, error) {
	key, err := openKey(filepath.Join(dir, "ca.key"), filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("open key of the CA: %w", err)
	}
	path := filepath.Join(dir, "ca.pem")
	text, err := os.ReadFile(path) //nolint:gosec // the operator's data directory
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = makeAuthority(key, now); err == nil {
			err = WriteFile(path, text, 0o644)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open certificate of the CA: %w", err)
	}
	certificate, err := parseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if !samePublicKey(certificate.PublicKey, key.Public()) {
		return nil, fmt.Errorf("%s and ca.key do not belong together: restore both from the same backup", path)
	}
	if now.After(certificate.NotAfter) {
		return nil,
			fmt.Errorf("%s ended on %s: move ca.pem away to renew it with the same key, and give the new one to "+
				"agents and clients",
				path, certificate.NotAfter.Format(time.DateOnly))
	}
	return &CA{certificate: certificate, key: key, pem: text}, nil
}

// PEM gives the authority's certificate.
func (ca *CA) PEM() []byte { return append([]byte(nil), ca.pem...) }

func makeAuthority(key crypto.Signer, now time.Time) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Postern CA"},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(authorityTime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return encodeCertificate(der), nil
}

// issue signs a certificate for key.
func (ca *CA) issue(template *x509.Certificate, key crypto.PublicKey, lasting time.Duration,
	now time.Time,
) ([]byte, error) {
	template.SerialNumber = serial()
	template.NotBefore = now.Add(-backdated)
	template.NotAfter = now.Add(lasting)
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageDigitalSignature
	return x509.CreateCertificate(rand.Reader, template, ca.certificate, key, ca.key)
}

// TLSConfig gives the server's configuration: TLS 1.3, and client certificates asked for.
//
// A certificate that is shown proves the possession of its key, and nothing else: the handshake does not judge it, so
// that a foreign one can be refused with a reason and an event. AgentFromCertificate is the one place that does.
func (ca *CA) TLSConfig(server tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{server},
		ClientAuth:   tls.RequestClientCert,
		ClientCAs:    ca.pool(),
		NextProtos:   []string{"h2", "http/1.1"},
	}
}

func (ca *CA) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	return pool
}

// openKey loads a private key, and makes it where neither it nor what was made with it is there.
func openKey(path, madeWith string) (crypto.Signer, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's data directory
	if err == nil {
		return parseKey(path, text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, err := os.Stat(madeWith); err == nil {
		return nil, fmt.Errorf("%s is missing though %s is there: restore it from a backup", path, madeWith)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, WriteFile(path, encoded, 0o600)
}

func parseKey(path string, text []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(text)
	// openssl ecparam writes the curve before the key
	for block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, fmt.Errorf("%s has no private key as PEM", path)
	}
	var parsed any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil,
			fmt.Errorf("%s has a %s that cannot be read; write it anew with \"openssl pkcs8 -topk8 -nocrypt\": %w",
				path, block.Type, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s has a key that cannot sign", path)
	}
	return key, nil
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func serial() *big.Int { return new(big.Int).SetBytes(random(16)) }

// WriteFile replaces a file whole or not at all, and returns once it is on disk.
func WriteFile(path string, text []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // gone already where all went well
	_, err = file.Write(text)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	parent, err := os.Open(dir) //nolint:gosec // the operator's data directory
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
