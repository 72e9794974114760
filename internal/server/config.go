// Package server is the assembly of Postern's control plane: it opens the store, wires the engine to its façades,
// serves them, drains and closes. It holds no rule.
package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/notify"
)

// Config says how the server runs. Load reads it from a file, the environment and flags; each field that they may set
// is described by Settings.
type Config struct {
	Data     string // folder of the database, the CA and the server's key
	Listen   string // host:port of the API
	Database string // postgres://…, or empty for SQLite in Data
	// what the server's certificate holds for, besides this host's own names and addresses
	Names          []string
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	ProxyProtocol  []netip.Prefix // load balancers whose connections begin with a header of the PROXY protocol
	OIDC           []OIDC         // the identity providers that people may sign in with, each of a tenant of its own
	MetricsListen  string         // host:port of /metrics, or "off"
	LogFormat      string         // text or json
	LogLevel       string         // debug, info, warn or error
	CallsPerSecond int            // of one principal
	Quotas         engine.Quotas  // of what people have

	TLS12                 bool // for Azure's clients and their sign-in pages
	ConnectionsPerAddress int  // of clients that have not shown an agent's certificate

	TicketWebhook string        // URL that is asked whether a ticket is good; empty: none
	TicketKey     string        // what it signs its questions with; empty: they are not signed
	TicketCA      string        // PEM of the authorities that it trusts; empty: the system's
	SessionIdle   time.Duration // how long a session lasts without being used
	AnchorFile    string        // file that checkpoints of the activity log are added to; empty: none
	AnchorWebhook string        // URL that they are sent to; empty: none
	AnchorKey     string        // what the calls to it are signed with; empty: they are not signed
	AnchorCA      string        // PEM of the authorities that it trusts; empty: the system's
	AnchorEvery   time.Duration // how often
	PublicURL     string        // where people reach the server, for links in notifications; empty is guessed

	Out   io.Writer   // the first start prints here what is shown once; os.Stdout if nil
	Log   io.Writer   // where the log goes; os.Stderr if nil
	Ready func(Ready) // called once callers can connect, before any is answered; may be nil

	// Now is the server's wall clock; time.Now if nil.
	Now func() time.Time
}

// Ready tells where a server that has started is found.
type Ready struct {
	Address       string // host:port of the API, with the real port where 0 was asked for
	Metrics       string // host:port of /metrics; empty where it is off
	CA            []byte // the CA's certificate, PEM
	AdminPassword string // one-time, at the first start; empty later
}

// Default gives the configuration of a server for which nothing is said.
func Default() Config {
	return Config{
		Listen: ":8443", MetricsListen: "127.0.0.1:9464", LogFormat: "text", LogLevel: "info",
		CallsPerSecond: 200, Quotas: engine.DefaultQuotas(), ConnectionsPerAddress: 1000,
		SessionIdle: services.DefaultSessionIdle, AnchorEvery: time.Hour,
	}
}

// KeyError is a value of the configuration that cannot be used.
type KeyError struct {
	Key  string // as in the file
	From string // where the value came from, such as "postern.yaml:3" or "--listen"; empty for a default
	Err  error
}

// Error names the key, its place and the reason.
func (e *KeyError) Error() string {
	if e.From == "" {
		return fmt.Sprintf("configuration: %s: %v", e.Key, e.Err)
	}
	return fmt.Sprintf("configuration: %s (%s): %v", e.Key, e.From, e.Err)
}

// Unwrap gives the reason.
func (e *KeyError) Unwrap() error { return e.Err }

func setData(c *Config, text string) error {
	if text == "" {
		return errors.New("is empty; name a folder for the server's files")
	}
	dir, err := filepath.Abs(text)
	if err != nil {
		return err
	}
	c.Data = dir
	return nil
}

func setListen(c *Config, text string) error {
	c.Listen = text
	return checkHostPort(text)
}

func setMetricsListen(c *Config, text string) error {
	c.MetricsListen = text
	if text == off {
		return nil
	}
	return checkHostPort(text)
}

const off = "off"

func checkHostPort(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("%q is not host:port; write one such as :8443, 192.0.2.7:8443 or [::1]:8443", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q of %q is not a number from 0 to 65535, where 0 is any free one", port, text)
	}
	return nil
}

func setDatabase(c *Config, text string) error {
	c.Database = text
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		// the parser's text would show a password
		return errors.New("is not an address; write postgres://USER@HOST/DATABASE")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return fmt.Errorf("scheme %q is not known; use postgres://…, or leave the key away for SQLite in the data folder",
			u.Scheme)
	}
	return nil
}

// noPassword refuses an address with a password in it, in either of the places where PostgreSQL's addresses have one.
func noPassword(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("is not an address; write postgres://USER@HOST/DATABASE")
	}
	_, within := u.User.Password()
	if q := u.Query(); within || q.Has("password") || q.Has("sslpassword") {
		return errors.New("has a password, which every user of this host can read on a command line: write the " +
			"address to a file, name it with --database-file, and change the password")
	}
	return nil
}

func setDatabaseFile(c *Config, text string) error {
	if text == "" {
		return nil
	}
	data, err := os.ReadFile(text) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	return setDatabase(c, strings.TrimSpace(string(data)))
}

func setNames(c *Config, text string) error {
	c.Names = nil
	for _, name := range split(text) {
		if _, err := netip.ParseAddr(name); err != nil && !isHostName(name) {
			return fmt.Errorf("%q is neither a host name nor an address", name)
		}
		c.Names = append(c.Names, name)
	}
	return nil
}

func isHostName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

func setTrustedProxies(c *Config, text string) (err error) {
	c.TrustedProxies, err = prefixes(text)
	return err
}

func setProxyProtocol(c *Config, text string) (err error) {
	c.ProxyProtocol, err = prefixes(text)
	return err
}

func prefixes(text string) (list []netip.Prefix, err error) {
	for _, part := range split(text) {
		p, err := netip.ParsePrefix(part)
		if addr, addrErr := netip.ParseAddr(part); addrErr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a prefix", part)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

func setLogFormat(c *Config, text string) error {
	c.LogFormat = text
	return oneOf(text, "text", "json")
}

func setLogLevel(c *Config, text string) error {
	c.LogLevel = text
	return oneOf(text, "debug", "info", "warn", "error")
}

func setQuota(of *int, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1_000_000_000 {
		return fmt.Errorf("%q is not a number from 1 on", text)
	}
	*of = n
	return nil
}

func setCallsPerSecond(c *Config, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1_000_000 {
		return fmt.Errorf("%q is not a number from 1 to 1000000", text)
	}
	c.CallsPerSecond = n
	return nil
}

func setTLS12(c *Config, text string) error {
	if err := oneOf(text, "true", "false"); err != nil {
		return err
	}
	c.TLS12 = text == "true"
	return nil
}

func setConnectionsPerAddress(c *Config, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1_000_000 {
		return fmt.Errorf("%q is not a number from 1 to 1000000", text)
	}
	c.ConnectionsPerAddress = n
	return nil
}

func oneOf(text string, known ...string) error {
	if slices.Contains(known, text) {
		return nil
	}
	return fmt.Errorf("%q is not known; use %s", text, strings.Join(known, " or "))
}

func split(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func setTicketWebhook(c *Config, text string) error {
	c.TicketWebhook = text
	return notify.TicketWebhook{URL: text}.Check()
}

func setTicketKeyFile(c *Config, text string) error {
	data, err := os.ReadFile(text) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	c.TicketKey = strings.TrimSpace(string(data))
	return notify.TicketWebhook{URL: "https://localhost", Keys: c.TicketKey}.Check()
}

func setTicketCA(c *Config, text string) error {
	data, err := os.ReadFile(text) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	c.TicketCA = string(data)
	return notify.TicketWebhook{URL: "https://localhost", CA: c.TicketCA}.Check()
}

func setSessionIdle(c *Config, text string) error {
	const least, most = 5 * time.Minute, 12 * time.Hour
	idle, err := time.ParseDuration(text)
	if err != nil || idle < least || idle > most {
		return fmt.Errorf("%q is not a time from %s to %s, such as 2h", text, least, most)
	}
	c.SessionIdle = idle
	return nil
}
