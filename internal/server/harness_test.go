package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/server"
)

const (
	adminPassword = "a long enough password 42"
	patience      = 20 * time.Second // for anything that should come soon
)

// running is a whole server in this process.
type running struct {
	t       testing.TB
	config  server.Config
	ready   server.Ready
	out     *output // what the first start prints
	log     *output
	stop    context.CancelFunc
	ended   chan error
	stopped bool
	inside  server.Inside // for benchmarks
}

// output is a buffer that two goroutines may use.
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

// start runs a server on free ports, in a new folder unless change says otherwise.
func start(tb testing.TB, change ...func(*server.Config)) *running {
	tb.Helper()
	return startWith(tb, func(server.Inside) {}, change...)
}

// startWith is start, and gives the server's inside before it serves.
func startWith(tb testing.TB, opened func(server.Inside), change ...func(*server.Config)) *running {
	tb.Helper()
	r := &running{t: tb, config: server.Default(), out: &output{}, log: &output{}, ended: make(chan error, 1)}
	r.config.Data = tb.TempDir()
	r.config.Listen, r.config.MetricsListen = "127.0.0.1:0", "127.0.0.1:0"
	r.config.CallsPerSecond = 100_000
	for _, c := range change {
		c(&r.config)
	}
	ready := make(chan server.Ready, 1)
	r.config.Out, r.config.Log = r.out, r.log
	r.config.Ready = func(x server.Ready) { ready <- x }
	ctx, stop := context.WithCancel(context.Background()) //nolint:usetesting // the test stops it before its own context ends
	r.stop = stop
	go func() { r.ended <- server.RunInside(ctx, r.config, func(i server.Inside) { r.inside = i; opened(i) }) }()
	tb.Cleanup(func() {
		r.end()
		if tb.Failed() {
			tb.Logf("the server's log:\n%s", r.log)
		}
	})
	select {
	case r.ready = <-ready:
	case err := <-r.ended:
		r.stopped = true
		tb.Fatalf("the server did not start: %v\n%s", err, r.log)
	case <-time.After(2 * patience):
		tb.Fatalf("the server did not start in time\n%s", r.log)
	}
	return r
}

// end stops the server and waits for it.
func (r *running) end() {
	if r.stopped {
		return
	}
	r.stopped = true
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("the server ended with: %v", err)
		}
	case <-time.After(2 * patience):
		r.t.Errorf("the server did not stop\n%s", r.log)
	}
}

func (r *running) url() string { return "https://" + r.ready.Address }

// client calls as nobody yet.
func (r *running) client() *api.Client {
	r.t.Helper()
	c, err := api.NewClient(api.Options{Server: r.url(), CA: r.ready.CA, UserAgent: "postern-test"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// agentClient is the client of an agent, with the certificate that it shows; nil shows none.
func (r *running) agentClient(certificate *tls.Certificate) *agentwire.Client {
	r.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	config.RootCAs.AppendCertsFromPEM(r.ready.CA)
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	c, err := agentwire.NewClient(agentwire.Config{Server: r.url(), TLS: config})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// admin signs in for the first time.
func (r *running) admin() *api.Client {
	r.t.Helper()
	return r.signIn("admin", r.ready.AdminPassword, adminPassword)
}

func (r *running) signIn(name, password, newPassword string) *api.Client {
	r.t.Helper()
	c := r.client()
	s, err := c.SignIn(r.t.Context(), api.SignIn{Name: name, Password: password, NewPassword: newPassword})
	if err != nil {
		r.t.Fatalf("sign in as %s: %v", name, err)
	}
	return c.WithToken(s.Token)
}

// plain is an HTTP client that trusts the server and does nothing else.
func (r *running) plain() *http.Client {
	r.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.ready.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// get gives the status and the body of one path.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	return r.read(r.url() + path)
}

// metrics gives what the server counts.
func (r *running) metrics() string {
	r.t.Helper()
	_, text := r.read("http://" + r.ready.Metrics + "/metrics")
	return text
}

func (r *running) read(address string) (int, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := r.plain().Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer closed(r.t, response.Body)
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// csr makes a key and asks for a certificate of it.
func csr(tb testing.TB) (request string, key *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), key
}

func pair(tb testing.TB, certificate string, key *ecdsa.PrivateKey) *tls.Certificate {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := tls.X509KeyPair([]byte(certificate), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		tb.Fatal(err)
	}
	return &c
}

// agent is an enrolled agent.
type agent struct {
	*agentwire.Client

	enrolled    agentwire.Enrolled
	certificate *tls.Certificate
	request     string // for the same key
}

// enroll makes a token as admin and enrols a host of that name with it.
func (r *running) enroll(admin *api.Client, name string) agent {
	r.t.Helper()
	token, err := admin.CreateEnrollmentToken(r.t.Context(), api.NewEnrollmentToken{Name: name})
	if err != nil {
		r.t.Fatalf("make a token: %v", err)
	}
	request, key := csr(r.t)
	enrolled, err := r.agentClient(nil).Enroll(r.t.Context(),
		agentwire.Enroll{Token: token.Token, CSR: request, Name: name, OS: "linux", Version: "test"})
	if err != nil {
		r.t.Fatalf("enrol %s: %v", name, err)
	}
	certificate := pair(r.t, enrolled.Certificate, key)
	return agent{Client: r.agentClient(certificate), enrolled: enrolled, certificate: certificate, request: request}
}

// guarded is a server with one machine web-1 whose port 22 may be opened for 203.0.113.0/24, at most 3 hours.
func guarded(tb testing.TB) (r *running, admin *api.Client, web agent) {
	tb.Helper()
	r = start(tb)
	admin = r.admin()
	web = r.enroll(admin, "web-1")
	_, err := admin.SetMachinePolicy(tb.Context(), "web-1", api.MachinePolicy{
		Ports: []api.PortRule{{
			Ports: "22", Protocol: "tcp", Sources: []string{"203.0.113.0/24"},
			MaxSeconds: 3 * 3600,
		}},
	}, 0)
	if err != nil {
		tb.Fatalf("set the policy: %v", err)
	}
	return r, admin, web
}

// ask is a request that the policy of guarded allows.
func ask() api.NewRequest {
	return api.NewRequest{
		ForSeconds: 600, Justification: "roll back release 42",
		Items: []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{"203.0.113.7"}}},
	}
}

// follower reads a stream in the background.
type follower struct {
	t      testing.TB
	stream *agentwire.Stream
	states chan agentwire.Desired
	ended  chan error
}

func follow(tb testing.TB, c *agentwire.Client) *follower {
	tb.Helper()
	s, err := c.Follow(tb.Context())
	if err != nil {
		tb.Fatalf("open the stream: %v", err)
	}
	return reading(tb, s)
}

func reading(tb testing.TB, s *agentwire.Stream) *follower {
	tb.Helper()
	f := &follower{t: tb, stream: s, states: make(chan agentwire.Desired, 100), ended: make(chan error, 1)}
	tb.Cleanup(func() { _ = s.Close() })
	go func() {
		for {
			e, err := s.Next()
			var desired *agentwire.Desired
			if err == nil {
				_, desired, err = e.Read()
			}
			if err != nil {
				f.ended <- err
				return
			}
			if desired != nil {
				f.states <- *desired
			}
		}
	}()
	return f
}

// followAgain is follow, once the server has seen that the connection before is gone.
func followAgain(tb testing.TB, c *agentwire.Client) *follower {
	tb.Helper()
	for over := time.Now().Add(patience); time.Now().Before(over); time.Sleep(20 * time.Millisecond) {
		if s, err := c.Follow(tb.Context()); err == nil {
			return reading(tb, s)
		}
	}
	return follow(tb, c)
}

// until waits for a desired state that is as wanted.
func (f *follower) until(what string, want func(agentwire.Desired) bool) agentwire.Desired {
	f.t.Helper()
	over := time.After(patience)
	for {
		select {
		case d := <-f.states:
			if want(d) {
				return d
			}
		case err := <-f.ended:
			f.t.Fatalf("the stream ended before it said: %s: %v", what, err)
		case <-over:
			f.t.Fatalf("the stream did not say in time: %s", what)
		}
	}
}

func contains(tb testing.TB, what, text, want string) {
	tb.Helper()
	if !strings.Contains(text, want) {
		tb.Errorf("%s does not say %q:\n%s", what, want, text)
	}
}
