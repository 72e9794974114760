package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/internal/identity"
)

// OIDC is the identity provider that the people of a tenant may sign in with.
type OIDC struct {
	Tenant           string // name or id
	Issuer           string
	ClientID         string
	ClientSecretFile string
	Scopes           []string // none: those that are needed
	NameClaim        string   // of these claims, empty ones have the usual names
	DisplayNameClaim string
	EmailClaim       string
	GroupsClaim      string
	UserInfo         string            // needed, always or never
	Groups           map[string]string // what is claimed, to the name of a group here
	Domains          []string
	CAFile           string
	AllowPrivate     bool // what the provider names besides its issuer may have a private address
}

// setOIDCText reads the list where there is no file: it is JSON, or YAML.
func setOIDCText(c *Config, text string) error {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	if len(document.Content) == 0 {
		c.OIDC = nil
		return nil
	}
	return setOIDC(c, document.Content[0])
}

// setOIDC reads the list strictly: of mappings of known keys, each once, and of each tenant one.
func setOIDC(c *Config, list *yaml.Node) error {
	c.OIDC = nil
	if list.Kind != yaml.SequenceNode {
		return errors.New("must be a list with a mapping for each tenant that has a provider: tenant, issuer, " +
			"clientID …")
	}
	for n, item := range list.Content {
		var o OIDC
		err := o.decode(item)
		if err == nil {
			err = o.check()
		}
		for _, other := range c.OIDC {
			if err == nil && strings.EqualFold(other.Tenant, o.Tenant) {
				err = fmt.Errorf("tenant %q has a provider already; keep one", o.Tenant)
			}
		}
		if err != nil {
			return fmt.Errorf("provider %d: %w", n+1, err)
		}
		c.OIDC = append(c.OIDC, o)
	}
	return nil
}

func (o *OIDC) decode(item *yaml.Node) error {
	if item.Kind != yaml.MappingNode {
		return errors.New("must be a mapping of keys to values, such as: tenant: default")
	}
	const plain = "one plain value"
	fields := []struct {
		key, form string
		to        any
	}{
		{"tenant", plain, &o.Tenant},
		{"issuer", plain, &o.Issuer},
		{"clientID", plain, &o.ClientID},
		{"clientSecretFile", plain, &o.ClientSecretFile},
		{"scopes", "a list of plain values", &o.Scopes},
		{"nameClaim", plain, &o.NameClaim},
		{"displayNameClaim", plain, &o.DisplayNameClaim},
		{"emailClaim", plain, &o.EmailClaim},
		{"groupsClaim", plain, &o.GroupsClaim},
		{"userinfo", plain, &o.UserInfo},
		{"groups", "a mapping of what is claimed to a group here, each once", &o.Groups},
		{"domains", "a list of plain values", &o.Domains},
		{"caFile", plain, &o.CAFile},
		{"allowPrivate", "true or false", &o.AllowPrivate},
	}
	known, seen := make([]string, len(fields)), map[string]bool{}
	for i, f := range fields {
		known[i] = f.key
	}
	for i := 0; i+1 < len(item.Content); i += 2 {
		key := item.Content[i].Value
		n := slices.Index(known, key)
		switch {
		case n < 0:
			return fmt.Errorf("there is no key %q; the keys are %s", key, strings.Join(known, ", "))
		case seen[key]:
			return fmt.Errorf("%s is set a second time; keep one", key)
		case item.Content[i+1].Decode(fields[n].to) != nil:
			return fmt.Errorf("%s must be %s", key, fields[n].form)
		}
		seen[key] = true
	}
	return nil
}

// check wants https of the issuer, since the provider's word is all that counts; a provider on the same host may do
// without.
func (o *OIDC) check() error {
	switch {
	case o.Tenant == "":
		return errors.New("tenant is missing; name the one whose people sign in so, such as default")
	case strings.Trim(strings.ToLower(o.Tenant), "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return fmt.Errorf("tenant %q is not the name or id of a tenant", o.Tenant)
	case o.Issuer == "":
		return errors.New("issuer is missing")
	case o.ClientID == "":
		return errors.New("clientID is missing")
	}
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not the address of an issuer; write one such as https://login.example/realms/main",
			o.Issuer)
	}
	address, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || err != nil || !address.IsLoopback()) {
		return fmt.Errorf("%q is not https: anybody on the way could sign in as anybody", o.Issuer)
	}
	if o.UserInfo != "" {
		if err := oneOf(o.UserInfo, string(identity.UserInfoNeeded), string(identity.UserInfoAlways),
			string(identity.UserInfoNever)); err != nil {
			return fmt.Errorf("userinfo: %w", err)
		}
	}
	for _, scope := range o.Scopes {
		if scope == "" || strings.ContainsFunc(scope,
			func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
			return fmt.Errorf("%q is not a scope", scope)
		}
	}
	for claimed, group := range o.Groups {
		if claimed == "" || group == "" {
			return errors.New("groups has an empty name")
		}
	}
	return nil
}

// providers gives what package identity needs.
func (c Config) providers() (list []identity.OIDCConfig, err error) {
	for n := range c.OIDC {
		provider, err := c.OIDC[n].identity(c.PublicURL)
		if err != nil {
			return nil, &KeyError{Key: "oidc", Err: fmt.Errorf("provider %d: %w", n+1, err)}
		}
		list = append(list, provider)
	}
	return list, nil
}

func (o *OIDC) identity(publicURL string) (identity.OIDCConfig, error) {
	c := identity.OIDCConfig{
		Tenant: o.Tenant, Issuer: o.Issuer, ClientID: o.ClientID, PublicURL: publicURL, Scopes: o.Scopes,
		UserInfo: identity.UserInfo(o.UserInfo),
		Claims: identity.ClaimNames{
			Name: o.NameClaim, DisplayName: o.DisplayNameClaim, Email: o.EmailClaim,
			Groups: o.GroupsClaim,
		},
		Groups: o.Groups, Domains: o.Domains,
	}
	if o.ClientSecretFile != "" {
		data, err := os.ReadFile(o.ClientSecretFile)
		if err != nil {
			return c, fmt.Errorf("clientSecretFile: %w", err)
		}
		if c.ClientSecret = strings.TrimSpace(string(data)); c.ClientSecret == "" {
			return c, fmt.Errorf("clientSecretFile: %s is empty", o.ClientSecretFile)
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		data, err := os.ReadFile(o.CAFile)
		if err != nil {
			return c, fmt.Errorf("caFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return c, fmt.Errorf("caFile: %s holds no certificate in PEM form", o.CAFile)
		}
	}
	var err error
	c.Client, err = o.client(config, http.ProxyFromEnvironment)
	return c, err
}
