package azure_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agent"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
	"github.com/postern-dev/postern/internal/server"
)

const (
	adminPassword = "a long enough password 42"
	patience      = 30 * time.Second // for anything that should come soon
)

// cloud is a server, its administrator, a machine web-1 whose kernel is in a network namespace, and a service
// principal.
type cloud struct {
	t            testing.TB
	url          string
	caFile       string
	roots        *x509.CertPool
	admin        *api.Client
	tenant       string
	subscription string
	machine      api.Machine
	network      *nettest.Network // nil where there is no kernel
	client       string           // id of the service principal
	secret       string
}

// output is a buffer that goroutines may write to.
type output struct {
	mu     sync.Mutex // protects buffer
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// newCloud starts a server whose machine web-1 has an agent's name and no kernel.
func newCloud(tb testing.TB) *cloud {
	tb.Helper()
	c := &cloud{t: tb}
	c.start()
	c.enroll(tb.TempDir())
	c.principal()
	return c
}

// newCloudWithKernel starts a server whose machine web-1 has an agent that guards a network namespace, where port 22
// answers.
func newCloudWithKernel(tb testing.TB) *cloud {
	tb.Helper()
	network, err := nettest.Pair()
	if err != nil {
		tb.Skipf("no network namespaces here: %v", err)
	}
	c := &cloud{t: tb, network: network}
	tb.Cleanup(func() { c.must(network.Close()) })
	ssh, err := network.Machine.EchoTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), 22))
	c.must(err)
	tb.Cleanup(func() { c.must(ssh.Close()) })
	c.start()
	state := tb.TempDir()
	c.enroll(state)
	enforcer, err := nftables.New(nftables.Config{Log: slog.New(slog.DiscardHandler), NetNS: network.Machine.FD()})
	c.must(err)
	c.background(func(ctx context.Context) error {
		return agent.Run(ctx,
			agent.Config{StateDir: state, Version: "test", Enforcer: enforcer, Log: slog.New(slog.DiscardHandler)})
	})
	c.principal()
	return c
}

func (c *cloud) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// background runs fn until the test is over.
func (c *cloud) background(fn func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	c.t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				c.t.Errorf("ended with: %v", err)
			}
		case <-time.After(patience):
			c.t.Error("did not end in time")
		}
	})
}

// start runs the server and signs the administrator in.
func (c *cloud) start() {
	c.t.Helper()
	log := &output{}
	config := server.Default()
	config.Data = c.t.TempDir()
	config.Listen, config.MetricsListen = "127.0.0.1:0", "off"
	config.CallsPerSecond = 100_000
	config.Out, config.Log = io.Discard, log
	ready := make(chan server.Ready, 1)
	config.Ready = func(r server.Ready) { ready <- r }
	c.background(func(ctx context.Context) error { return server.Run(ctx, config) })
	c.t.Cleanup(func() {
		if c.t.Failed() {
			text := log.String()
			c.t.Logf("the end of the server's log:\n%s", text[max(0, len(text)-8000):])
		}
	})
	var r server.Ready
	select {
	case r = <-ready:
	case <-time.After(patience):
		c.t.Fatalf("the server did not start\n%s", log)
	}
	_, port, _ := strings.Cut(r.Address, ":")
	c.url = "https://localhost:" + port
	c.caFile = filepath.Join(config.Data, "ca.pem")
	c.roots = x509.NewCertPool()
	c.roots.AppendCertsFromPEM(r.CA)
	anybody, err := api.NewClient(api.Options{Server: c.url, CA: r.CA, UserAgent: "postern-test"})
	c.must(err)
	c.t.Cleanup(anybody.Close)
	session, err := anybody.SignIn(c.t.Context(),
		api.SignIn{Name: "admin", Password: r.AdminPassword, NewPassword: adminPassword})
	c.must(err)
	c.admin = anybody.WithToken(session.Token)
	c.tenant = session.Principal.Tenant
}

// enroll enrols the machine web-1 and reads where it lies.
func (c *cloud) enroll(state string) {
	c.t.Helper()
	token, err := c.admin.CreateEnrollmentToken(c.t.Context(), api.NewEnrollmentToken{Name: "web-1"})
	c.must(err)
	c.enrollAgent(token.Token, state)
	c.machine, err = c.admin.Machine(c.t.Context(), "web-1")
	c.must(err)
	c.subscription = strings.Split(c.machine.Resource, "/")[2]
}

// enrollAgent enrols an agent that keeps its state in a folder.
func (c *cloud) enrollAgent(token, state string) {
	c.t.Helper()
	ca, err := os.ReadFile(c.caFile)
	c.must(err)
	_, err = agent.Enroll(c.t.Context(),
		agent.EnrollConfig{Server: c.url, Token: token, CA: ca, StateDir: state, Name: "host", Version: "test"})
	c.must(err)
}

// principal makes a service principal that may do everything in the subscription.
func (c *cloud) principal() {
	c.t.Helper()
	c.client, c.secret = c.servicePrincipal("deploy", "Owner")
}

// servicePrincipal makes one with a secret and, where role is not empty, a role at the subscription.
func (c *cloud) servicePrincipal(name, role string) (client, secret string) {
	c.t.Helper()
	_, err := c.admin.CreatePrincipal(c.t.Context(), api.NewPrincipal{Kind: "servicePrincipal", Name: name})
	c.must(err)
	made, err := c.admin.AddSecret(c.t.Context(), name, api.NewSecret{Name: "test"})
	c.must(err)
	if role != "" {
		_, err = c.admin.AssignRole(c.t.Context(), api.NewRoleAssignment{Principal: name, Role: role})
		c.must(err)
	}
	return made.ClientID, made.Text
}

// http gives an HTTP client that trusts the server.
func (c *cloud) http() *http.Client {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS13},
		ForceAttemptHTTP2: true,
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// policyPath is the resource id of the policy that the tests write.
func (c *cloud) policyPath() string {
	return "/subscriptions/" + c.subscription + "/resourceGroups/default/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default"
}

// knock says whether port 22 of the machine answers the client's first address.
func (c *cloud) knock() error {
	return c.network.Client.Ask("tcp", c.network.ClientAddrs[0], netip.AddrPortFrom(c.network.MachineAddrs[0], 22),
		500*time.Millisecond)
}

// shut waits until port 22 of the machine is closed.
func (c *cloud) shut() {
	c.t.Helper()
	c.eventually("the guard", func() error {
		if c.knock() == nil {
			return errors.New("port 22 still answers")
		}
		return nil
	})
}

// eventually waits until fn gives nil.
func (c *cloud) eventually(what string, fn func() error) {
	c.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = fn(); err == nil {
			return
		}
	}
	c.t.Fatalf("%s did not happen in time: %v", what, err)
}
