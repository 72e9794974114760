package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Setting is one key of the configuration: in the file by its Key, in the environment by its Env, on the command line
// by its Flag.
type Setting struct {
	Key, Env, Flag string
	Doc            string
	Default        string
	List           bool // several values: a list in the file, commas elsewhere

	set func(*Config, string) error
	// reads the file's value instead, where that is more than plain values; else nil
	node func(*Config, *yaml.Node) error
	// refuses what may not stand on a command line, which every user of the host reads; else nil
	open func(string) error
}

// Settings gives every key there is, in the order of the manual.
func Settings() []Setting {
	return []Setting{
		{
			Key: "data", Env: "POSTERN_DATA", Flag: "data", set: setData,
			Doc: "folder for the database, the certificate authority and the server's key; created if missing",
		},
		{
			Key: "listen", Env: "POSTERN_LISTEN", Flag: "listen", Default: ":8443", set: setListen,
			Doc: "host:port on which the API listens, TLS only",
		},
		{
			Key: "database", Env: "POSTERN_DATABASE", Flag: "database", set: setDatabase, open: noPassword,
			Doc: "postgres://USER@HOST/DATABASE; if unset, SQLite in the data folder",
		},
		{
			Key: "databaseFile", Env: "POSTERN_DATABASE_FILE", Flag: "database-file", set: setDatabaseFile,
			Doc: "file with the database's address, for an address that contains a password",
		},
		{
			Key: "names", Env: "POSTERN_NAMES", Flag: "names", List: true, set: setNames,
			Doc: "host names and addresses of the server that its certificate covers, besides this host's own",
		},
		{
			Key: "trustedProxies", Env: "POSTERN_TRUSTED_PROXIES", Flag: "trusted-proxies", List: true,
			set: setTrustedProxies,
			Doc: "addresses and prefixes of proxies whose X-Forwarded-For is trusted; none by default",
		},
		{
			Key: "proxyProtocol", Env: "POSTERN_PROXY_PROTOCOL", Flag: "proxy-protocol", List: true,
			set: setProxyProtocol,
			Doc: "addresses and prefixes of load balancers that send the PROXY protocol, version 1 or 2: each of " +
				"their connections must begin with its header, and no other may",
		},
		{
			Key: "metricsListen", Env: "POSTERN_METRICS_LISTEN", Flag: "metrics-listen", Default: "127.0.0.1:9464",
			set: setMetricsListen,
			Doc: "host:port of /metrics, plain HTTP without authentication, so use a loopback or private address; " +
				"off disables it",
		},
		{
			Key: "logFormat", Env: "POSTERN_LOG_FORMAT", Flag: "log-format", Default: "text", set: setLogFormat,
			Doc: "text or json",
		},
		{
			Key: "logLevel", Env: "POSTERN_LOG_LEVEL", Flag: "log-level", Default: "info", set: setLogLevel,
			Doc: "debug, info, warn or error",
		},
		{
			Key: "callsPerSecond", Env: "POSTERN_CALLS_PER_SECOND", Flag: "calls-per-second", Default: "200",
			set: setCallsPerSecond,
			Doc: "calls per second for each session, API token or client secret, on average; bursts of twice as many",
		},
		{
			Key: "openPerPerson", Env: "POSTERN_OPEN_PER_PERSON", Flag: "open-per-person", Default: "1000",
			set: func(c *Config, text string) error { return setQuota(&c.Quotas.Person.Open, text) },
			Doc: "machine ports and roles that one person may have open at once in a tenant",
		},
		{
			Key: "scheduledPerPerson", Env: "POSTERN_SCHEDULED_PER_PERSON", Flag: "scheduled-per-person",
			Default: "2000",
			set:     func(c *Config, text string) error { return setQuota(&c.Quotas.Person.Scheduled, text) },
			Doc:     "windows that one person may have scheduled in a tenant; each window of a series counts",
		},
		{
			Key: "pendingPerPerson", Env: "POSTERN_PENDING_PER_PERSON", Flag: "pending-per-person", Default: "200",
			set: func(c *Config, text string) error { return setQuota(&c.Quotas.Person.Pending, text) },
			Doc: "pending requests that one person may have in a tenant",
		},
		{
			Key: "openPerTenant", Env: "POSTERN_OPEN_PER_TENANT", Flag: "open-per-tenant", Default: "20000",
			set: func(c *Config, text string) error { return setQuota(&c.Quotas.Tenant.Open, text) },
			Doc: "machine ports and roles that may be open at once in a tenant; break-glass access is limited by " +
				"openPerPerson only",
		},
		{
			Key: "scheduledPerTenant", Env: "POSTERN_SCHEDULED_PER_TENANT", Flag: "scheduled-per-tenant",
			Default: "100000",
			set:     func(c *Config, text string) error { return setQuota(&c.Quotas.Tenant.Scheduled, text) },
			Doc:     "windows that may be scheduled in a tenant",
		},
		{
			Key: "pendingPerTenant", Env: "POSTERN_PENDING_PER_TENANT", Flag: "pending-per-tenant", Default: "10000",
			set: func(c *Config, text string) error { return setQuota(&c.Quotas.Tenant.Pending, text) },
			Doc: "requests that may be pending in a tenant",
		},
		{
			Key: "connectionsPerAddress", Env: "POSTERN_CONNECTIONS_PER_ADDRESS", Flag: "connections-per-address",
			Default: "1000", set: setConnectionsPerAddress,
			Doc: "connections that one address may have open at once, in IPv6 one /64, and one /48 four times as many; " +
				"each agent has as many of its own, and those of trustedProxies do not count",
		},
		{
			Key: "tls12", Env: "POSTERN_TLS12", Flag: "tls12", Default: "false", set: setTLS12,
			Doc: "true allows TLS 1.2 for Azure clients, such as Az PowerShell on Windows 10, and their sign-in " +
				"pages; agents, the portal and the native API still require TLS 1.3",
		},
		{
			Key: "sessionIdle", Env: "POSTERN_SESSION_IDLE", Flag: "session-idle", Default: "2h", set: setSessionIdle,
			Doc: "time after which an idle session ends, from 5m to 12h; every session ends after 12h",
		},
		{
			Key: "ticketWebhook", Env: "POSTERN_TICKET_WEBHOOK", Flag: "ticket-webhook", set: setTicketWebhook,
			Doc: "URL that validates tickets, for policies that require checked tickets; if it does not answer, " +
				"nothing opens",
		},
		{
			Key: "ticketWebhookKeyFile", Env: "POSTERN_TICKET_WEBHOOK_KEY_FILE", Flag: "ticket-webhook-key-file",
			set: setTicketKeyFile,
			Doc: "file with the key (whsec_ and base64) that signs calls to the ticket webhook",
		},
		{
			Key: "ticketWebhookCA", Env: "POSTERN_TICKET_WEBHOOK_CA", Flag: "ticket-webhook-ca", set: setTicketCA,
			Doc: "file with CA certificates (PEM) for the ticket webhook, instead of the system's",
		},
		{
			Key: "anchorFile", Env: "POSTERN_ANCHOR_FILE", Flag: "anchor-file", set: setAnchorFile,
			Doc: "file to which signed checkpoints of the activity log are appended, on storage that the server " +
				"cannot rewrite; none by default",
		},
		{
			Key: "anchorWebhook", Env: "POSTERN_ANCHOR_WEBHOOK", Flag: "anchor-webhook", set: setAnchorWebhook,
			Doc: "URL of a receiver that stores signed checkpoints of the activity log; none by default",
		},
		{
			Key: "anchorWebhookKeyFile", Env: "POSTERN_ANCHOR_WEBHOOK_KEY_FILE", Flag: "anchor-webhook-key-file",
			set: setAnchorKeyFile,
			Doc: "file with the key (whsec_ and base64) that signs calls to the anchor webhook",
		},
		{
			Key: "anchorWebhookCA", Env: "POSTERN_ANCHOR_WEBHOOK_CA", Flag: "anchor-webhook-ca", set: setAnchorCA,
			Doc: "file with CA certificates (PEM) for the anchor webhook, instead of the system's",
		},
		{
			Key: "anchorEvery", Env: "POSTERN_ANCHOR_EVERY", Flag: "anchor-every", Default: "1h", set: setAnchorEvery,
			Doc: "how often a checkpoint is anchored, such as 15m or 24h",
		},
		{
			Key: "publicURL", Env: "POSTERN_PUBLIC_URL", Flag: "public-url", set: setPublicURL,
			Doc: "address at which people reach the server, such as https://postern.example: used in links, and as " +
				"the server's name for callers that use a foreign one; default: the first of names, or this host's name",
		},
		{
			Key: "oidc", Env: "POSTERN_OIDC", Flag: "oidc", set: setOIDCText, node: setOIDC,
			Doc: "OpenID providers for sign-in, one for each tenant: a list of mappings, given as JSON in the flag " +
				"and the environment variable; docs/operate/sign-in.md lists the keys",
		},
	}
}

// Load makes a configuration of, from the weakest to the strongest, the defaults, the file (none where it is empty),
// the environment, and flags (by name). What it cannot use is a *KeyError.
func Load(file string, getenv func(string) string, flags map[string]string) (Config, error) {
	c := Default()
	if file != "" {
		if err := loadFile(&c, file); err != nil {
			return c, err
		}
	}
	for _, s := range Settings() {
		if text := getenv(s.Env); text != "" {
			if err := s.set(&c, text); err != nil {
				return c, &KeyError{Key: s.Key, From: s.Env, Err: err}
			}
		}
	}
	for _, s := range Settings() {
		text, ok := flags[s.Flag]
		if !ok {
			continue
		}
		err := s.set(&c, text)
		if err == nil && s.open != nil {
			err = s.open(text)
		}
		if err != nil {
			return c, &KeyError{Key: s.Key, From: "--" + s.Flag, Err: err}
		}
	}
	if c.Data == "" {
		return c, &KeyError{
			Key: "data",
			Err: errors.New("is missing; name a folder for the server's files with --data, POSTERN_DATA or the key data"),
		}
	}
	return c, nil
}

func loadFile(c *Config, file string) error {
	f, err := os.Open(file) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	return decode(c, file, f)
}

// decode reads a file strictly: one mapping of known keys, each once, to scalars, lists of them, or what the key itself
// reads.
func decode(c *Config, name string, r io.Reader) error {
	const most = 1 << 20
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return fmt.Errorf("configuration: read %s: %w", name, err)
	}
	if len(data) > most {
		return fmt.Errorf("configuration: %s is longer than %d bytes", name, most)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return fmt.Errorf("configuration: %s is not YAML: %w", name, err)
	}
	if len(document.Content) == 0 {
		return nil // an empty file
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("configuration: %s:%d: must be a mapping of keys to values, such as: listen: \":8443\"", name,
			root.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		from := fmt.Sprintf("%s:%d", name, key.Line)
		s, err := settingOf(key.Value)
		if err != nil {
			return &KeyError{Key: key.Value, From: from, Err: err}
		}
		if seen[s.Key] {
			return &KeyError{Key: s.Key, From: from, Err: errors.New("is set a second time; keep one")}
		}
		seen[s.Key] = true
		if err := s.read(c, value); err != nil {
			return &KeyError{Key: s.Key, From: from, Err: err}
		}
	}
	return nil
}

func settingOf(key string) (Setting, error) {
	var known []string
	for _, s := range Settings() {
		if s.Key == key {
			return s, nil
		}
		known = append(known, s.Key)
	}
	return Setting{}, fmt.Errorf("there is no such key; the keys are %s", strings.Join(known, ", "))
}

// read takes over the file's value.
func (s Setting) read(c *Config, value *yaml.Node) error {
	if s.node != nil {
		return s.node(c, value)
	}
	text, err := s.text(value)
	if err != nil {
		return err
	}
	return s.set(c, text)
}

func (s Setting) text(value *yaml.Node) (string, error) {
	switch {
	case value.Kind == yaml.ScalarNode:
		return value.Value, nil
	case value.Kind == yaml.SequenceNode && s.List:
		var parts []string
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("must be a list of plain values")
			}
			parts = append(parts, item.Value)
		}
		return strings.Join(parts, ","), nil
	case s.List:
		return "", errors.New("must be a list of plain values")
	default:
		return "", errors.New("must be one plain value")
	}
}
