package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/identity"
)

// OIDC is the identity provider that people may sign in with.
type OIDC struct {
	Issuer           string
	ClientID         string
	ClientSecretFile string
	GroupsClaim      string
	Groups           map[string]string // what is claimed, to the name of a group here
	Domains          []string
	Tenant           string
	CAFile           string
}

// setOIDCIssuer wants https, since the provider's word is all that counts; a provider on the same host may do without.
func setOIDCIssuer(c *Config, text string) error {
	c.OIDC.Issuer = text
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not the address of an issuer; write one such as https://login.example/realms/main", text)
	}
	address, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || err != nil || !address.IsLoopback()) {
		return fmt.Errorf("%q is not https: anybody on the way could sign in as anybody", text)
	}
	return nil
}

func setOIDCSecretFile(c *Config, text string) error {
	c.OIDC.ClientSecretFile = text
	return nil
}

func setOIDCGroups(c *Config, text string) error {
	c.OIDC.Groups = map[string]string{}
	for _, part := range split(text) {
		claimed, group, found := strings.Cut(part, "=")
		if !found || claimed == "" || group == "" {
			return fmt.Errorf("%q is not of the form CLAIMED=GROUP", part)
		}
		c.OIDC.Groups[claimed] = group
	}
	return nil
}

// identity gives what package identity needs; nil where there is no issuer.
func (o OIDC) identity(publicURL string) (*identity.OIDCConfig, error) {
	if o.Issuer == "" {
		return nil, nil //nolint:nilnil // nobody signs in by a provider
	}
	if o.ClientID == "" {
		return nil, &KeyError{Key: "oidcClientID", Err: errors.New("is missing; oidcIssuer needs it")}
	}
	c := &identity.OIDCConfig{
		Issuer: o.Issuer, ClientID: o.ClientID, PublicURL: publicURL, Tenant: o.Tenant, GroupsClaim: o.GroupsClaim, Groups: o.Groups, Domains: o.Domains,
	}
	if o.ClientSecretFile != "" {
		data, err := os.ReadFile(o.ClientSecretFile)
		if err != nil {
			return nil, &KeyError{Key: "oidcClientSecretFile", Err: err}
		}
		if c.ClientSecret = strings.TrimSpace(string(data)); c.ClientSecret == "" {
			return nil, &KeyError{Key: "oidcClientSecretFile", Err: fmt.Errorf("%s is empty", o.ClientSecretFile)}
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		data, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, &KeyError{Key: "oidcCAFile", Err: err}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, &KeyError{Key: "oidcCAFile", Err: fmt.Errorf("%s holds no certificate in PEM form", o.CAFile)}
		}
	}
	const patience = 15 * time.Second
	c.Client = &http.Client{Timeout: patience, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DialContext: (&net.Dialer{Timeout: patience}).DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: patience, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2,
	}}
	return c, nil
}
