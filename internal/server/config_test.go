package server_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-dev/postern/internal/server"
)

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	t.Parallel()
	file := write(t,
		"data: /srv/one\nlisten: 192.0.2.7:8443\nnames: [postern.example, 192.0.2.7]\ntrustedProxies:\n  - "+
			"198.51.100.0/24\n  - 2001:db8::1\nlogFormat: json\ncallsPerSecond: 50\n")
	got, err := server.Load(file, environment("POSTERN_LOG_FORMAT", "text", "POSTERN_DATA", "/srv/two"),
		map[string]string{"data": "/srv/three"})
	if err != nil {
		t.Fatal(err)
	}
	want := server.Default()
	want.Data, want.Listen, want.LogFormat, want.CallsPerSecond = "/srv/three", "192.0.2.7:8443", "text", 50
	want.Names = []string{"postern.example", "192.0.2.7"}
	want.TrustedProxies = []netip.Prefix{
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("2001:db8::1/128"),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// TestLoadProviders reads the list of identity providers from a file, and the same from the environment as JSON.
func TestLoadProviders(t *testing.T) {
	t.Parallel()
	want := []server.OIDC{
		{
			Tenant: "default", Issuer: "https://login.example/realms/main", ClientID: "postern",
			ClientSecretFile: "/etc/postern/oidc-secret", Groups: map[string]string{"a": "b", "c": "b"},
			Domains: []string{"example.org"},
		},
		{
			Tenant: "contoso", Issuer: "http://127.0.0.1:8080", ClientID: "42", NameClaim: "upn", DisplayNameClaim: "cn",
			EmailClaim: "mail", GroupsClaim: "roles", Scopes: []string{"openid", "groups"}, UserInfo: "always",
			CAFile: "/etc/ca.pem",
		},
	}
	file := write(t, `data: /srv
oidc:
  - {tenant: default, issuer: "https://login.example/realms/main", clientID: postern, clientSecretFile: /etc/postern/oidc-secret, groups: {a: b, c: b}, domains: [example.org]}
  - {tenant: contoso, issuer: "http://127.0.0.1:8080", clientID: 42, nameClaim: upn, displayNameClaim: cn, emailClaim: mail, groupsClaim: roles, scopes: [openid, groups], userinfo: always, caFile: /etc/ca.pem}
`)
	got, err := server.Load(file, environment(), nil)
	if diff := cmp.Diff(want, got.OIDC); err != nil || diff != "" {
		t.Errorf("from a file: %v (-want +got):\n%s", err, diff)
	}
	got, err = server.Load(file,
		environment("POSTERN_OIDC",
			`[{"tenant":"contoso","issuer":"http://127.0.0.1:8080","clientID":"42","nameClaim":"upn","displayNameClaim":"cn","emailClaim":"mail","groupsClaim":"roles","scopes":["openid","groups"],"userinfo":"always","caFile":"/etc/ca.pem"}]`),
		nil)
	if diff := cmp.Diff(want[1:], got.OIDC); err != nil || diff != "" {
		t.Errorf("from the environment: %v (-want +got):\n%s", err, diff)
	}
	got, err = server.Load(file, environment(), map[string]string{"oidc": ""})
	if err != nil || len(got.OIDC) != 0 {
		t.Errorf("an empty flag leaves %v, %v", got.OIDC, err)
	}
}

// TestDefaults proves that the defaults that Settings documents are those of the code.
func TestDefaults(t *testing.T) {
	t.Parallel()
	flags := map[string]string{"data": "/srv"}
	for _, s := range server.Settings() {
		if s.Default != "" {
			flags[s.Flag] = s.Default
		}
		if s.Doc == "" || s.Env != "POSTERN_"+strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_")) {
			t.Errorf("setting %s is not described, or its environment name %s does not follow from its flag %s", s.Key,
				s.Env, s.Flag)
		}
	}
	got, err := server.Load("", environment(), flags)
	if err != nil {
		t.Fatal(err)
	}
	want := server.Default()
	want.Data = "/srv"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documented and real defaults (-real +documented):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file  string
		env   []string
		flags map[string]string
		key   string
		says  string
	}{
		"no folder": {key: "data", says: "is missing"},
		"unknown key": {
			file: "data: /srv\nlisten: \":1\"\nlisen: \":8443\"\n", key: "lisen",
			says: "postern.yaml:3",
		},
		"key twice":          {file: "data: /srv\ndata: /srv2\n", key: "data", says: "postern.yaml:2"},
		"list for one value": {file: "data: [/srv]\n", key: "data", says: "one plain value"},
		"mapping for a list": {file: "names: {a: b}\n", key: "names", says: "list of plain values"},
		"bad port":           {file: "data: /srv\nlisten: \":70000\"\n", key: "listen", says: "65535"},
		"no port":            {flags: map[string]string{"listen": "example"}, key: "listen", says: "host:port"},
		"bad scheme": {
			flags: map[string]string{"database": "mysql://db"}, key: "database",
			says: `scheme "mysql" is not known`,
		},
		"bad database": {
			flags: map[string]string{"database": "postgres://u:secret@[::1"}, key: "database",
			says: "not an address",
		},
		"password in argv": {
			flags: map[string]string{"database": "postgres://u:secret@db/postern"},
			key:   "database", says: "--database-file",
		},
		"empty password in argv": {
			flags: map[string]string{"database": "postgres://u:@db/postern"}, key: "database",
			says: "--database-file",
		},
		"password as a parameter": {
			flags: map[string]string{
				"database": "postgres://u@db/postern?sslmode=require&password=secret",
			},
			key: "database", says: "--database-file",
		},
		"password of a key": {
			flags: map[string]string{"database": "postgres://u@db/postern?sslpassword=secret"},
			key:   "database", says: "--database-file",
		},
		"missing secret file": {
			flags: map[string]string{"database-file": "/nonexistent"}, key: "databaseFile",
			says: "no such file",
		},
		"bad name": {env: []string{"POSTERN_NAMES", "a b"}, key: "names", says: "POSTERN_NAMES"},
		"bad proxy": {
			env: []string{"POSTERN_TRUSTED_PROXIES", "10.0.0.0/33"}, key: "trustedProxies",
			says: "10.0.0.0/33",
		},
		"bad log format": {
			flags: map[string]string{"log-format": "xml"}, key: "logFormat",
			says: "text or json",
		},
		"bad log level": {
			flags: map[string]string{"log-level": "loud"}, key: "logLevel",
			says: "--log-level",
		},
		"bad rate": {
			flags: map[string]string{"calls-per-second": "0"}, key: "callsPerSecond",
			says: "1 to 1000000",
		},
		"a provider alone":        {file: "oidc: {tenant: a}\n", key: "oidc", says: "must be a list"},
		"a provider's name alone": {file: "oidc: [a]\n", key: "oidc", says: "provider 1: must be a mapping"},
		"no tenant": {
			file: "oidc: [{issuer: 'https://a.example', clientID: a}]\n", key: "oidc",
			says: "tenant is missing",
		},
		"no issuer": {file: "oidc: [{tenant: a, clientID: a}]\n", key: "oidc", says: "issuer is missing"},
		"no client": {
			file: "oidc: [{tenant: a, issuer: 'https://a.example'}]\n", key: "oidc",
			says: "clientID is missing",
		},
		"bad tenant": {
			file: "oidc: [{tenant: a/b, issuer: 'https://a.example', clientID: a}]\n",
			key:  "oidc", says: `tenant "a/b"`,
		},
		"issuer without TLS": {
			file: "oidc: [{tenant: a, issuer: 'http://a.example', clientID: a}]\n", key: "oidc",
			says: "is not https",
		},
		"issuer with a query": {
			file: "oidc: [{tenant: a, issuer: 'https://a.example?b', clientID: a}]\n",
			key:  "oidc", says: "not the address of an issuer",
		},
		"key of no provider": {
			file: "data: /srv\noidc: [{tenant: a, clientId: a}]\n", key: "oidc",
			says: `postern.yaml:2): provider 1: there is no key "clientId"; the keys are tenant, issuer, clientID`,
		},
		"key of a provider twice": {
			file: "oidc: [{tenant: a, tenant: b}]\n", key: "oidc",
			says: "tenant is set a second time",
		},
		"list for a tenant": {
			file: "oidc: [{tenant: [a]}]\n", key: "oidc",
			says: "tenant must be one plain value",
		},
		"list of groups": {
			file: "oidc: [{tenant: a, groups: [b]}]\n", key: "oidc",
			says: "groups must be a mapping",
		},
		"group without a name": {
			file: "oidc: [{tenant: a, issuer: 'https://a.example', clientID: a, groups: {b: " +
				"''}}]\n",
			key: "oidc", says: "empty name",
		},
		"tenant twice": {
			env: []string{
				"POSTERN_OIDC",
				`[{"tenant":"a","issuer":"https://a.example","clientID":"a"},{"tenant":"A","issuer":"https://b.example","clientID":"a"}]`,
			},
			key: "oidc", says: `provider 2: tenant "A" has a provider already`,
		},
		"not JSON": {flags: map[string]string{"oidc": "[{"}, key: "oidc", says: "is not JSON"},
		"bad metrics": {
			flags: map[string]string{"metrics-listen": "nowhere"}, key: "metricsListen",
			says: "host:port",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := ""
			if c.file != "" {
				file = write(t, c.file)
			}
			_, err := server.Load(file, environment(c.env...), c.flags)
			key, ok := errors.AsType[*server.KeyError](err)
			if !ok || key.Key != c.key {
				t.Fatalf("Load gave %v, want an error of the key %q", err, c.key)
			}
			contains(t, "the error", err.Error(), c.says)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
	for name, text := range map[string]string{"not a mapping": "- data\n", "not YAML": "a: [\n", "a scalar": "data\n"} {
		if _, err := server.Load(write(t, text), environment(), nil); err == nil {
			t.Errorf("%s was taken for a configuration", name)
		}
	}
	if _, err := server.Load("/nonexistent.yaml", environment(), nil); err == nil {
		t.Error("a file that is not there was taken for a configuration")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("data: /srv\nlisten: \":8443\"\n")
	f.Add("names: [a, b]\n")
	f.Add("? [a]\n: b\n")
	f.Add("a: &x [*x]\n")
	f.Add("data: /srv\noidc: [{tenant: a, issuer: 'https://a.example', clientID: a, groups: {b: c}, domains: [d]}]\n")
	f.Add("data: /srv\noidc: &x [{tenant: a, groups: *x}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "postern.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := server.Load(path, environment(), nil)
		if err == nil && c.Data == "" {
			t.Errorf("a configuration without a folder was taken: %q", text)
		}
	})
}
