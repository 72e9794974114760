//go:build linux

// Package e2e_test runs the real program, server and agents as processes of their own, on real kernels in network
// namespaces, and looks at what it does from outside: with TCP connections and with the public Go client.
package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/nettest"
)

const (
	patience = 30 * time.Second       // for anything that must come, on a busy machine
	silence  = 700 * time.Millisecond // that a refused connection is listened to
	password = "a long enough password 42"
)

// program is the path of the binary under test.
var program string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := nettest.Available(); err != nil {
		if os.Getenv("POSTERN_TESTS_REQUIRED") != "" {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Fprintln(os.Stderr, "skipped, all of it:", err)
		return 0
	}
	dir, err := os.MkdirTemp("", "postern-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "postern")
	build := exec.Command("go", "build", "-o", program, "github.com/postern-dev/postern/cmd/postern")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func launch(tb testing.TB, in *nettest.Namespace, log string, args ...string) *process {
	tb.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := in.Start(cmd); err != nil {
		tb.Fatal(err)
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.done) }()
	tb.Cleanup(p.kill)
	return p
}

// kill ends it with SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(text) > 3000 {
		text = text[len(text)-3000:]
	}
	return string(text)
}

// world is a server beside a client, and a machine or a gateway with an agent.
type world struct {
	t       testing.TB
	net     *nettest.Network
	dir     string
	address string // of the server, in the client's namespace
	server  *process
	agent   *process
	guarded *nettest.Namespace // where the agent runs
	admin   *api.Client
}

// newWorld starts a server in the client's namespace and signs the administrator in.
func newWorld(tb testing.TB, network *nettest.Network) *world {
	tb.Helper()
	tb.Cleanup(func() { _ = network.Close() })
	w := &world{
		t: tb, net: network, dir: tb.TempDir(),
		address: netip.AddrPortFrom(network.ClientAddrs[0], 8443).String(), guarded: network.Machine,
	}
	if network.Gateway != nil {
		w.guarded = network.Gateway
	}
	w.startServer()
	found := regexp.MustCompile(`(?m)^ *password +(\S+)$`).FindStringSubmatch(tail(w.server.log))
	if found == nil {
		tb.Fatalf("the server printed no password:\n%s", tail(w.server.log))
	}
	session, err := w.client("").SignIn(tb.Context(),
		api.SignIn{Name: "admin", Password: found[1], NewPassword: password})
	if err != nil {
		tb.Fatal(err)
	}
	w.admin = w.client(session.Token)
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) startServer() {
	w.t.Helper()
	w.server = launch(w.t, w.net.Client, w.path("server.log"), "server", "--data", w.path("data"), "--listen",
		w.address,
		"--metrics-listen", "off", "--calls-per-second", "100000")
	w.eventually("the server is ready", func() error {
		if w.server.ended() {
			w.t.Fatalf("the server ended:\n%s", tail(w.server.log))
		}
		return w.get("/readyz")
	})
}

func (w *world) ca() []byte {
	ca, err := os.ReadFile(w.path("data/ca.pem"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	return ca
}

// get asks the server for a page outside the API.
func (w *world) get(path string) error {
	pool, err := poolOf(w.ca())
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: w.dial, TLSClientConfig: pool}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get("https://" + w.address + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, response.Status)
	}
	return nil
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	return w.net.Client.Dial(ctx, network, netip.AddrPortFrom(w.net.ClientAddrs[0], 0), to)
}

func (w *world) client(token string) *api.Client {
	w.t.Helper()
	c, err := api.NewClient(api.Options{Server: "https://" + w.address, Token: token, CA: w.ca(), Dial: w.dial})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// enrol enrols an agent under a name and keeps its state in a folder.
func (w *world) enrol(in *nettest.Namespace, name, mode, state string) {
	w.t.Helper()
	token, err := w.admin.CreateEnrollmentToken(w.t.Context(), api.NewEnrollmentToken{Name: name, Mode: mode})
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token.Token), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p := launch(w.t, in, w.path("enroll.log"), "agent", "enroll", "--server", "https://"+w.address, "--token-file",
		file,
		"--ca", w.path("data/ca.pem"), "--state", w.path(state))
	<-p.done
	if p.cmd.ProcessState.ExitCode() != 0 {
		w.t.Fatalf("enrolment failed:\n%s", tail(p.log))
	}
}

func (w *world) startAgent() {
	w.t.Helper()
	w.agent = launch(w.t, w.guarded, w.path("agent.log"), "agent", "--state", w.path("state"))
}

// guard enrols the machine as web-1, starts its agent, and guards TCP port 22 of it for openings of up to an hour.
func (w *world) guard(change ...func(*api.MachinePolicy)) {
	w.t.Helper()
	w.enrol(w.guarded, "web-1", "host", "state")
	w.startAgent()
	p := api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", Protocol: "tcp", MaxSeconds: 3600}}}
	for _, c := range change {
		c(&p)
	}
	w.setPolicy("web-1", p)
}

// setPolicy sets what guards a machine and waits until its agent has it in force.
func (w *world) setPolicy(machine string, p api.MachinePolicy) {
	w.t.Helper()
	if _, err := w.admin.SetMachinePolicy(w.t.Context(), machine, p, 0); err != nil {
		w.t.Fatal(err)
	}
	w.inForce(machine)
}

// inForce waits until the machine's agent has reported its desired state in force.
func (w *world) inForce(machine string) {
	w.t.Helper()
	w.eventually("the agent of "+machine+" has its desired state in force", func() error {
		m, err := w.admin.Machine(w.t.Context(), machine)
		switch {
		case err != nil:
			return err
		case m.Agent == nil || m.Agent.Reported < m.Agent.Revision || m.Agent.Revision == 0:
			return fmt.Errorf("its agent is %+v", m.Agent)
		}
		return nil
	})
}

func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	var logs bytes.Buffer
	if w.server != nil {
		fmt.Fprintf(&logs, "\nserver:\n%s", tail(w.server.log))
	}
	if w.agent != nil {
		fmt.Fprintf(&logs, "\nagent:\n%s", tail(w.agent.log))
	}
	w.t.Fatalf("%s: not after %s: %v%s", what, patience, err, &logs)
}

// ask requests port 22 of web-1 from a source, and waits until the grant is active.
// person makes a user who may request access, and signs them in.
func (w *world) person(name string) *api.Client {
	w.t.Helper()
	ctx := w.t.Context()
	made, err := w.admin.CreatePrincipal(ctx, api.NewPrincipal{Kind: "user", Name: name, Password: password})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.admin.AssignRole(ctx,
		api.NewRoleAssignment{Principal: made.Principal.ID, Role: "Contributor"}); err != nil {
		w.t.Fatal(err)
	}
	session, err := w.client("").SignIn(ctx, api.SignIn{Name: name, Password: password})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.client(session.Token)
}

func (w *world) ask(c *api.Client, source string, lasting time.Duration) api.Grant {
	w.t.Helper()
	r, err := c.Submit(w.t.Context(), api.NewRequest{
		ForSeconds: int64(lasting / time.Second), Justification: "a test",
		Items: []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{source}}},
	}, "")
	if err != nil {
		w.t.Fatal(err)
	}
	if len(r.Grants) != 1 {
		w.t.Fatalf("got %d grants, want one: %+v", len(r.Grants), r)
	}
	return w.active(r.Grants[0].ID)
}

// active waits until a grant is in force.
func (w *world) active(id string) (g api.Grant) {
	w.t.Helper()
	w.eventually("grant "+id+" is active", func() (err error) {
		if g, err = w.admin.Grant(w.t.Context(), id, 0); err != nil {
			return err
		}
		if g.State != "active" {
			return fmt.Errorf("it is %s (%s)", g.State, g.Reason)
		}
		return nil
	})
	return g
}

// closed waits until a grant was seen gone.
func (w *world) closed(id string) (g api.Grant) {
	w.t.Helper()
	w.eventually("grant "+id+" was seen gone", func() (err error) {
		if g, err = w.admin.Grant(w.t.Context(), id, 0); err != nil {
			return err
		}
		if g.ClosedAt == nil {
			return fmt.Errorf("it is %s", g.State)
		}
		return nil
	})
	return g
}

// listen serves an echo on a port of the machine, on both of its first addresses.
func (w *world) listen(port uint16) (four, six netip.AddrPort) {
	w.t.Helper()
	for i, to := range []*netip.AddrPort{&four, &six} {
		*to = netip.AddrPortFrom(w.net.MachineAddrs[i], port)
		echo, err := w.net.Machine.EchoTCP(*to)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = echo.Close() })
	}
	return four, six
}

func (w *world) open(from netip.Addr, to netip.AddrPort) {
	w.t.Helper()
	if err := w.net.Client.Ask("tcp", from, to, patience); err != nil {
		w.t.Errorf("%s cannot reach %s: %v", from, to, err)
	}
}

func (w *world) shut(from netip.Addr, to netip.AddrPort) {
	w.t.Helper()
	if err := w.net.Client.Ask("tcp", from, to, silence); err == nil {
		w.t.Errorf("%s reaches %s, which should be closed", from, to)
	}
}

// lastAccepted connects again and again until, and on until it is refused twice, and gives when the last connection was
// accepted.
func (w *world) lastAccepted(from netip.Addr, to netip.AddrPort, until time.Time) time.Time {
	w.t.Helper()
	var last time.Time
	for refused := 0; time.Now().Before(until) || refused < 2 && time.Now().Before(until.Add(patience)); {
		before := time.Now()
		if err := w.net.Client.Ask("tcp", from, to, 200*time.Millisecond); err != nil {
			refused++
			continue
		}
		last, refused = before, 0
	}
	return last
}

// kinds gives the kinds of event about a grant, oldest first.
func (w *world) kinds(grant string) []string {
	w.t.Helper()
	g, err := w.admin.Grant(w.t.Context(), grant, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	events, err := api.All(w.admin.Events(w.t.Context(), api.EventQuery{Request: g.Request}))
	if err != nil {
		w.t.Fatal(err)
	}
	var kinds []string
	for _, e := range slices.Backward(events) {
		if e.Grant == grant || e.Grant == "" {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// verified exports the activity log and verifies it offline, as an auditor would.
func (w *world) verified() {
	w.t.Helper()
	w.eventually("the activity log verifies", func() error {
		export, err := w.admin.Export(w.t.Context(), 0)
		if err != nil {
			return err
		}
		defer export.Close()
		file, err := os.Create(w.path("log.ndjson"))
		if err != nil {
			return err
		}
		if _, err := file.ReadFrom(export); err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
		checkpoint, err := w.admin.Checkpoint(w.t.Context())
		if err != nil {
			return err
		}
		out, err := exec.Command(program, "audit", "verify", w.path("log.ndjson"), "--key",
			checkpoint.Key).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}
