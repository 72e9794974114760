package server

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postern-dev/postern/internal/identity"
)

// renewal is how often the server looks whether its certificate needs to be made anew.
const renewal = 12 * time.Hour

// certificate is the server's own, kept fresh.
type certificate struct {
	ca    *identity.CA
	dir   string
	names []string
	tls12 bool // TLS 1.2 is taken too
	now   func() time.Time
	log   *slog.Logger

	current atomic.Pointer[tls.Certificate]
}

// load takes the certificate from its folder, where it is made when it is due.
func (c *certificate) load() error {
	fresh, err := c.ca.ServerCertificate(c.dir, c.names, c.now())
	if err != nil {
		return fmt.Errorf("load the server's certificate: %w", err)
	}
	// The CA goes along, so that a client that knows only its fingerprint can have it (postern login --ca-fingerprint).
	if block, _ := pem.Decode(c.ca.PEM()); block != nil {
		fresh.Certificate = append(slices.Clip(fresh.Certificate), block.Bytes)
	}
	c.current.Store(&fresh)
	return nil
}

// keep renews it until ctx ends.
func (c *certificate) keep(ctx context.Context) {
	tick := time.NewTicker(renewal)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := c.load(); err != nil {
				c.log.ErrorContext(ctx, "the server's certificate was not renewed", "error", err)
			}
		}
	}
}

// config gives the TLS configuration that always shows the newest certificate.
func (c *certificate) config() *tls.Config {
	config := c.ca.TLSConfig(*c.current.Load())
	config.Certificates = nil
	if c.tls12 {
		config.MinVersion = tls.VersionTLS12
		config.CipherSuites = []uint16{ // for the server's certificate, forward secret and authenticated
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		}
	}
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }
	return config
}

// names gives the names under which the server is known: those of its certificate, and where people reach it.
func (s *server) names() (identity.Names, error) {
	public, err := reached(s.config, s.listener.Addr().String())
	if err != nil {
		return identity.Names{}, err
	}
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return identity.Names{}, err
	}
	return identity.NewNames(public, s.certificate.names, port)
}

// names gives what the certificate should hold for: what the operator named, the host that is listened at, and this
// host's own names and addresses, so that a first installation works without naming any.
func names(c Config) ([]string, error) {
	all := append([]string{"localhost", "127.0.0.1", "::1"}, c.Names...)
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && host != "" {
		if addr, err := netip.ParseAddr(host); err != nil || !addr.IsUnspecified() {
			all = append(all, host)
		}
	}
	if host, err := os.Hostname(); err == nil && isHostName(host) {
		all = append(all, host)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list this host's addresses: %w", err)
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			all = append(all, p.Addr().Unmap().String())
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
