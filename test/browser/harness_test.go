//go:build linux

// Package browser_test drives the portal in a real browser, against the real program on real kernels in network
// namespaces: the browser stands where the people are, and a gateway's agent guards the machines.
package browser_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/nettest"
)

const (
	patience      = 30 * time.Second // for anything that must come, on a busy machine
	adminPassword = "a long enough password 42"
	chromium      = "/usr/bin/chromium"
)

var program string //nolint:gochecknoglobals // TestMain builds it once for all tests

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := available(); err != nil {
		fmt.Fprintln(os.Stderr, "skipped, all of it:", err)
		if os.Getenv("POSTERN_TESTS_REQUIRED") != "" {
			return 1
		}
		return 0
	}
	dir, err := os.MkdirTemp("", "postern-browser-")
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

func available() error {
	_, noNode := exec.LookPath("node")
	_, noBrowser := os.Stat(chromium)
	_, noModules := os.Stat("node_modules/playwright-core")
	return errors.Join(nettest.Available(), noNode, noBrowser, noModules)
}

// world is a server beside people, and three machines behind a gateway with an agent.
type world struct {
	t       *testing.T
	net     *nettest.Network
	dir     string
	address string
	admin   *api.Client
	runs    map[string]*exec.Cmd // what was launched, by the name of its log
}

func newWorld(t *testing.T, machines ...string) *world {
	t.Helper()
	network, err := nettest.BehindGateway(len(machines))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	w := serve(t, network)
	w.guard(machines)
	return w
}

// serverName is the server's name beside its address: passkeys need one.
const serverName = "postern.example"

// serve starts a server for the first time where the people are, and lets the administrator in.
func serve(t *testing.T, network *nettest.Network) *world {
	t.Helper()
	w := &world{
		t: t, net: network, dir: t.TempDir(),
		address: netip.AddrPortFrom(network.ClientAddrs[0], 8443).String(),
	}
	log := w.launch(network.Client, "server.log", "server", "--data", w.path("data"), "--listen", w.address, "--names",
		serverName, "--metrics-listen", "off", "--calls-per-second", "10000")
	var password string
	w.eventually("the server prints the first password", func() error {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		found := regexp.MustCompile(`(?m)^ *password +(\S+)$`).FindSubmatch(text)
		if found == nil {
			return fmt.Errorf("it printed %s", text)
		}
		password = string(found[1])
		return nil
	})
	var session api.Session
	w.eventually("the administrator signs in", func() (err error) {
		session, err = w.client("").SignIn(t.Context(),
			api.SignIn{Name: "admin", Password: password, NewPassword: adminPassword})
		return err
	})
	w.admin = w.client(session.Token)
	return w
}

// guard starts the gateway's agent, and adds the machines behind it; what they do not guard yet is for the test.
func (w *world) guard(machines []string) {
	w.t.Helper()
	w.enroll("gw-berlin", w.path("state"))
	w.launch(w.net.Gateway, "agent.log", "agent", "--state", w.path("state"))
	for i, name := range machines {
		w.behind("gw-berlin", name, "linux", w.net.MachineAddrs[2*i].String(), w.net.MachineAddrs[2*i+1].String())
	}
}

// enroll enrolls a gateway, whose agent does not run yet.
func (w *world) enroll(name, state string) {
	w.t.Helper()
	token, err := w.admin.CreateEnrollmentToken(w.t.Context(), api.NewEnrollmentToken{Name: name, Mode: "gateway"})
	if err != nil {
		w.t.Fatal(err)
	}
	enroll := exec.Command(program, "agent", "enroll", "--server", "https://"+w.address, "--token-file", "-", "--ca",
		w.path("data/ca.pem"), "--state", state)
	enroll.Stdin = strings.NewReader(token.Token)
	var said bytes.Buffer
	enroll.Stdout, enroll.Stderr = &said, &said
	if err := w.net.Gateway.Start(enroll); err != nil {
		w.t.Fatal(err)
	}
	if err := enroll.Wait(); err != nil {
		w.t.Fatalf("enroll: %v: %s", err, &said)
	}
}

// behind adds a machine behind a gateway.
func (w *world) behind(gateway, name, system string, addresses ...string) {
	w.t.Helper()
	if _, err := w.admin.AddMachine(w.t.Context(),
		api.NewMachine{Name: name, Gateway: gateway, OS: system, Addresses: addresses}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) client(token string) *api.Client {
	w.t.Helper()
	ca, err := os.ReadFile(w.path("data/ca.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := api.NewClient(api.Options{
		Server: "https://" + w.address, Token: token, CA: ca,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return nil, err
			}
			return w.net.Client.Dial(ctx, network, netip.AddrPortFrom(w.net.ClientAddrs[0], 0), to)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// launch starts the program in a namespace until the test ends, and gives the path of what it prints.
func (w *world) launch(in *nettest.Namespace, log string, args ...string) string {
	w.t.Helper()
	out, err := os.Create(w.path(log))
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := in.Start(cmd); err != nil {
		w.t.Fatal(err)
	}
	if w.runs == nil {
		w.runs = map[string]*exec.Cmd{}
	}
	w.runs[log] = cmd
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()
	})
	return w.path(log)
}

// kill ends what was launched with that log.
func (w *world) kill(log string) {
	w.t.Helper()
	if err := w.runs[log].Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	_ = w.runs[log].Wait()
}

func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	w.t.Fatalf("%s: not after %s: %v", what, patience, err)
}

// policy guards a machine.
func (w *world) policy(machine string, p api.MachinePolicy) {
	w.t.Helper()
	if _, err := w.admin.SetMachinePolicy(w.t.Context(), machine, p, 0); err != nil {
		w.t.Fatal(err)
	}
}

// person makes a user with a role at the root, and gives the one-time password.
func (w *world) person(name, full, role string) string {
	w.t.Helper()
	made, err := w.admin.CreatePrincipal(w.t.Context(), api.NewPrincipal{Kind: "user", Name: name, DisplayName: full})
	if err == nil {
		_, err = w.admin.AssignRole(w.t.Context(), api.NewRoleAssignment{Principal: name, Role: role})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return made.Password
}

// browse runs a script of this folder in the people's namespace.
func (w *world) browse(script string, env ...string) {
	w.t.Helper()
	cmd := exec.Command("node", script)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = append(os.Environ(),
		append(env, "PORTAL=https://"+w.address, "ADMIN_PASSWORD="+adminPassword, "PROFILE="+w.dir)...)
	if err := w.net.Client.Start(cmd); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			w.t.Errorf("%s: %v\n%s", script, err, strings.TrimSpace(said.String()))
		}
		w.t.Log(said.String())
	case <-time.After(4 * time.Minute):
		_ = cmd.Process.Kill()
		w.t.Fatalf("%s hangs:\n%s", script, said.String())
	}
}
