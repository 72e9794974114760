package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"time"
)

const serverTime = 397 * 24 * time.Hour

// ServerCertificate loads the server's certificate with its key from server.pem in dir, and makes both anew where there
// is none, where it is not of this authority, where it does not hold for all the names (host names or addresses), or
// where less than a third of its time is left. The file is readable by the owner alone; it is one, so that it is never
// half new.
func (ca *CA) ServerCertificate(dir string, names []string, now time.Time) (tls.Certificate, error) {
	if len(names) == 0 {
		return tls.Certificate{}, errors.New("the server's certificate needs at least one name")
	}
	path := filepath.Join(dir, "server.pem")
	pair, err := tls.LoadX509KeyPair(path, path)
	switch {
	case err == nil && ca.good(pair.Leaf, names, now):
		return pair, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return tls.Certificate{}, fmt.Errorf("load %s: %w; move it away to have a new one made", path, err)
	}
	text, err := ca.makeServerCertificate(names, now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server's certificate: %w", err)
	}
	if err := WriteFile(path, text, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(text, text)
}

// makeServerCertificate gives the certificate and its key, both PEM.
func (ca *CA) makeServerCertificate(names []string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := ca.issue(template, key.Public(), serverTime, now)
	if err != nil {
		return nil, err
	}
	encodedKey, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return append(encodeCertificate(der), encodedKey...), nil
}

func (ca *CA) good(leaf *x509.Certificate, names []string, now time.Time) bool {
	if leaf.CheckSignatureFrom(ca.certificate) != nil || now.Before(leaf.NotBefore) {
		return false
	}
	if leaf.NotAfter.Sub(now) < leaf.NotAfter.Sub(leaf.NotBefore)/3 {
		return false
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}
