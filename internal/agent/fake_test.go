package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// target is an enforcer in memory. Like the kernel it ends openings by itself, and outlives whoever drives it.
type target struct {
	mu      sync.Mutex
	clock   func() time.Time
	state   *access.DesiredState
	held    map[access.OpeningKey]time.Time
	applied []int64 // revisions, in order
	longest map[access.OpeningKey]time.Time
	drift   chan string
	denied  chan access.Denied
	deaf    error // what Hear returns
}

// Hear is that of the kernel, which another program may keep from us.
func (k *target) Hear() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.deaf
}

func newTarget(clock func() time.Time) *target {
	return &target{
		clock: clock, held: make(map[access.OpeningKey]time.Time), longest: make(map[access.OpeningKey]time.Time),
		drift: make(chan string, 8), denied: make(chan access.Denied, 8),
	}
}

func (k *target) Apply(_ context.Context, d *access.DesiredState, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state = d
	clear(k.held)
	if d == nil {
		return nil
	}
	k.applied = append(k.applied, d.Revision)
	for _, o := range d.Openings {
		if o.Until.After(now) {
			k.held[o.OpeningKey] = o.Until
			if o.Until.After(k.longest[o.OpeningKey]) {
				k.longest[o.OpeningKey] = o.Until
			}
		}
	}
	return nil
}

func (k *target) Held(_ context.Context, keys []access.OpeningKey, now time.Time) ([]enforce.Held, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []enforce.Held
	for key, until := range k.held {
		if until.After(now) && (keys == nil || slices.Contains(keys, key)) {
			all = append(all, enforce.Held{Key: key, Until: until})
		}
	}
	return all, nil
}

func (k *target) Drift() <-chan string         { return k.drift }
func (k *target) Denied() <-chan access.Denied { return k.denied }
func (k *target) Close() error                 { return nil }

// open gives what is open now, as "source port" sorted.
func (k *target) open() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := []string{}
	for key, until := range k.held {
		if until.After(k.clock()) {
			all = append(all, key.Source.String()+" "+key.Ports.String())
		}
	}
	slices.Sort(all)
	return all
}

// protects gives the protected ports.
func (k *target) protects() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := []string{}
	if k.state != nil {
		for _, p := range k.state.Protected {
			all = append(all, p.Ports.String())
		}
	}
	return all
}

// server speaks the agents' part of the native API, over TLS 1.3 with client certificates.
type server struct {
	*httptest.Server

	*authority

	mu       sync.Mutex
	offset   time.Duration // of the server's wall clock
	life     time.Duration // of the certificates that it issues
	beat     time.Duration
	tokens   map[string]string // to the problem's code; "" is good
	revoked  bool
	down     bool        // answers 503
	putOff   string      // answers the use of that code with 429
	busy     bool        // answers reports with 429, and says when to come again
	turned   []time.Time // when it did
	mute     bool        // keeps streams open and says nothing
	renewals int
	streams  int
	agent    string // for whom the desired state says it is
	desired  agentwire.Desired
	glass    []string    // codes that were used
	ends     []time.Time // of the openings, on the server's wall clock
	changed  chan struct{}
	reports  []agentwire.Report
	findings []agentwire.Findings
	older    bool              // it does not know of findings
	asked    int               // how often it was told of some
	calls    map[string]string // the first of each path
}

func newServer(t *testing.T) *server {
	t.Helper()
	return newServerOn(t, nil, newAuthority(t))
}

// authority is who signs the certificates of a server and of its agents.
type authority struct {
	key   *ecdsa.PrivateKey
	ca    *x509.Certificate
	caPEM []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	var err error
	a := new(authority)
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// newServerOn makes a server that listens where l does, or on any port of the loopback where it is nil.
func newServerOn(t *testing.T, l net.Listener, a *authority) *server {
	t.Helper()
	s := &server{
		authority: a, life: time.Hour, beat: 50 * time.Millisecond, tokens: map[string]string{"good": ""},
		changed: make(chan struct{}), agent: "agent-1", calls: make(map[string]string),
	}
	s.desired = agentwire.Desired{
		Revision: 1, Mode: "host", Machines: []agentwire.Guarded{{Machine: "machine-1", Name: "web-1"}},
		Protected: []agentwire.Protected{{Machine: "machine-1", Protocol: "tcp", Ports: "22", Sessions: "cut"}},
		Openings:  []agentwire.Opening{},
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}, s.ca, &serverKey.PublicKey, s.key)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/agent/enroll", s.enroll)
	mux.HandleFunc("POST /api/v1/agent/renew", s.authenticated(s.renew))
	mux.HandleFunc("GET /api/v1/agent/desired", s.authenticated(s.stream))
	mux.HandleFunc("POST /api/v1/agent/break-glass", s.authenticated(s.breaks))
	mux.HandleFunc("POST /api/v1/agent/report", s.authenticated(s.report))
	mux.HandleFunc("POST /api/v1/agent/findings", s.authenticated(s.found))
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.called(r)
		mux.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool,
		Certificates: []tls.Certificate{{Certificate: [][]byte{serverDER}, PrivateKey: serverKey}},
	}
	if l != nil {
		must(t, s.Listener.Close())
		s.Listener = l
	}
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *server) problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Status: status, Code: code, Detail: detail})
}

func (s *server) authenticated(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		revoked, down := s.revoked, s.down
		s.mu.Unlock()
		switch {
		case r.ProtoMajor != 1:
			s.problem(w, http.StatusHTTPVersionNotSupported, "http2", "agents speak HTTP/1.1")
		case down:
			s.problem(w, http.StatusServiceUnavailable, "unavailable", "the database does not answer")
		case len(r.TLS.PeerCertificates) == 0, revoked:
			s.problem(w, http.StatusUnauthorized, "agentUnknown", "this certificate does not count")
		default:
			next(w, r)
		}
	}
}

func (s *server) sign(w http.ResponseWriter, csr string) (string, bool) {
	block, _ := pem.Decode([]byte(csr))
	if block == nil {
		s.problem(w, http.StatusBadRequest, "malformedCsr", "no CSR")
		return "", false
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || req.CheckSignature() != nil {
		s.problem(w, http.StatusBadRequest, "malformedCsr", "a CSR that cannot be read")
		return "", false
	}
	s.mu.Lock()
	life := s.life
	s.mu.Unlock()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "agent-1"},
		NotBefore: time.Now().Add(-time.Second), NotAfter: time.Now().Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, s.ca, req.PublicKey, s.key)
	if err != nil {
		s.problem(w, http.StatusInternalServerError, "internal", "signing failed")
		return "", false
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), true
}

func (s *server) enroll(w http.ResponseWriter, r *http.Request) {
	var in agentwire.Enroll
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.problem(w, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	s.mu.Lock()
	code, known := s.tokens[in.Token]
	s.tokens[in.Token] = "tokenUsed"
	s.mu.Unlock()
	switch {
	case !known:
		s.problem(w, http.StatusUnauthorized, "tokenUnknown", "there is no such enrolment token")
	case code == "nameTaken":
		s.problem(w, http.StatusConflict, code, "a machine called "+in.Name+" exists")
	case code != "":
		s.problem(w, http.StatusUnauthorized, code, "the enrolment token does not count any more")
	default:
		if certificate, ok := s.sign(w, in.CSR); ok {
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(
				agentwire.Enrolled{
					Agent: "agent-1", Machine: "machine-1", Name: in.Name, Mode: "host",
					Certificate: certificate, CA: string(s.caPEM),
				})
		}
	}
}

func (s *server) renew(w http.ResponseWriter, r *http.Request) {
	var in agentwire.Renew
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.problem(w, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	if certificate, ok := s.sign(w, in.CSR); ok {
		s.mu.Lock()
		s.renewals++
		s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(agentwire.Enrolled{
			Agent: "agent-1", Machine: "machine-1", Name: "web-1",
			Mode: "host", Certificate: certificate, CA: string(s.caPEM),
		})
	}
}

func (s *server) report(w http.ResponseWriter, r *http.Request) {
	var in agentwire.Report
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		s.problem(w, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		s.turned = append(s.turned, time.Now())
		w.Header().Set("Retry-After", "1")
		s.problem(w, http.StatusTooManyRequests, "tooManyCalls", "this agent calls too often")
		return
	}
	s.reports = append(s.reports, in)
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) found(w http.ResponseWriter, r *http.Request) {
	var in agentwire.Findings
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		s.problem(w, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked++; s.older {
		s.problem(w, http.StatusNotFound, "unknownPath", "there is nothing at this path")
		return
	}
	s.findings = append(s.findings, in)
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	s.mu.Lock()
	s.streams++
	s.mu.Unlock()
	send := func(name string, data any) error {
		var event bytes.Buffer
		if err := agentwire.WriteEvent(&event, name, data); err != nil {
			return err
		}
		if _, err := w.Write(event.Bytes()); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	}
	for {
		desired, changed := s.now()
		if err := send("desired", desired); err != nil {
			return
		}
		for wait := true; wait; {
			s.mu.Lock()
			mute, beat, offset, revoked := s.mute, s.beat, s.offset, s.revoked
			s.mu.Unlock()
			if revoked {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-changed:
				wait = false
			case <-time.After(beat):
				if mute {
					continue
				}
				if err := send("heartbeat", api.Heartbeat{ServerTime: time.Now().Add(offset).UnixMicro()}); err != nil {
					return
				}
			}
		}
	}
}

// now gives the desired state as it is to be sent now.
func (s *server) now() (agentwire.Desired, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, now := s.desired, time.Now().Add(s.offset)
	d.Agent, d.ServerTime = s.agent, now.UnixMicro()
	d.Openings = []agentwire.Opening{}
	for i, o := range s.desired.Openings {
		if o.RemainingMillis = s.ends[i].Sub(now).Milliseconds(); o.RemainingMillis > 0 {
			d.Openings = append(d.Openings, o)
		} else {
			d.Ended = append(d.Ended, o.Grants...)
		}
	}
	return d, s.changed
}

// change edits the server under its lock and wakes the streams.
func (s *server) change(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
	close(s.changed)
	s.changed = make(chan struct{})
}

// grant opens port 22 for so long and moves to the next revision.
func (s *server) grant(id, source string, remaining time.Duration) {
	s.change(func() {
		s.desired.Revision++
		s.desired.Openings = append(slices.Clone(s.desired.Openings),
			agentwire.Opening{Machine: "machine-1", Source: source, Protocol: "tcp", Ports: "22", Grants: []string{id}})
		s.ends = append(slices.Clone(s.ends), time.Now().Add(s.offset+remaining))
	})
}

// revoke ends all grants.
func (s *server) revoke() {
	s.change(func() {
		s.desired.Revision++
		for _, o := range s.desired.Openings {
			s.desired.Ended = append(s.desired.Ended, o.Grants...)
		}
		s.desired.Openings, s.ends = nil, nil
	})
}

// said gives all that was reported of a grant, in order, without repetitions.
func (s *server) said(grant string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []string{}
	for _, r := range s.reports {
		for _, o := range r.Observations {
			if o.Grant == grant {
				all = append(all, o.Status)
			}
		}
	}
	return slices.Compact(all)
}

func (s *server) lastReport() (agentwire.Report, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reports) == 0 {
		return agentwire.Report{}, 0
	}
	return s.reports[len(s.reports)-1], len(s.reports)
}

// host is a host with an agent that can be killed and started again.
type host struct {
	t      *testing.T
	server *server
	dir    string
	clock  Clock
	target *target
	timing timing
	stop   context.CancelFunc
	done   chan error
}

// newHost enrols a host with the server.
func newHost(t *testing.T, s *server) *host {
	t.Helper()
	clock, err := SystemClock()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{
		t: t, server: s, dir: t.TempDir(), clock: clock, target: newTarget(clock.Boot),
		timing: timing{
			silence: 2 * time.Second, leastReport: 100 * time.Millisecond,
			mostReport: 300 * time.Millisecond, backOff: 100 * time.Millisecond, refused: 300 * time.Millisecond,
			deaf: 100 * time.Millisecond,
		},
	}
	if _, err := Enroll(t.Context(), h.enrolment("good")); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) enrolment(token string) EnrollConfig {
	return EnrollConfig{
		Server: h.server.URL, Token: token, CA: h.server.caPEM, StateDir: h.dir, Name: "web-1",
		Version: "test",
	}
}

func (h *host) start() {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	h.stop, h.done = stop, make(chan error, 1)
	log := slog.New(slog.NewTextHandler(testWriter{h.t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() {
		h.done <- Run(ctx,
			Config{StateDir: h.dir, Version: "test", Clock: h.clock, Enforcer: h.target, Log: log, timing: h.timing})
	}()
	h.t.Cleanup(func() { stop() })
}

func (h *host) halt() {
	h.t.Helper()
	h.stop()
	if err := <-h.done; err != nil {
		h.t.Errorf("the agent ended with %v", err)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// patience is for anything that must come, on a busy machine.
const patience = 40 * time.Second

// eventually waits until ok gives nothing to complain about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (h *host) opens(want ...string) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("open: %v", want), func() bool { return slices.Equal(h.target.open(), want) })
}
