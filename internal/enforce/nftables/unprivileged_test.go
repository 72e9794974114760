//go:build linux

package nftables_test

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

const childLeft = "POSTERN_TEST_CHILD_LEFT" // makes this test binary enforce for so long, as a process of its own

func TestMain(m *testing.M) {
	if left := os.Getenv(childLeft); left != "" {
		if err := child(left); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child opens the guarded port, says so, and hangs with the table in its hands.
func child(left string) error {
	d, err := time.ParseDuration(left)
	if err != nil {
		return err
	}
	e, err := nftables.New(nftables.Config{Log: quiet()})
	if err != nil {
		return err
	}
	now := time.Now()
	state := state(access.SessionsCut, open("10.77.0.1/32", access.TCP, now.Add(d), "g1"))
	if err := e.Apply(context.Background(), &state, now); err != nil {
		return err
	}
	if _, err := e.Held(context.Background(), nil, now); err != nil {
		return err
	}
	fmt.Println("open as user", os.Getuid())
	time.Sleep(time.Minute)
	return nil
}

func TestOneCapabilityIsEnoughAndDeathClosesOnTime(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give a capability away")
	}
	l := newLab(t, nftables.Config{}, nettest.Pair)
	from, to := l.net.ClientAddrs[0], l.net.MachineAddrs[0]
	cmd := exec.CommandContext(t.Context(), readable(t))
	const left = 4 * time.Second
	cmd.Env = append(os.Environ(), childLeft+"="+left.String())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN},
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.net.Machine.Start(cmd); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	opened := time.Now()
	if err != nil || strings.TrimSpace(line) != "open as user 65534" {
		t.Fatalf("the enforcer without privileges said %q: %v", line, err)
	}
	l.pass("tcp", from, to, guardedPort)
	l.refuse("tcp", l.net.ClientAddrs[2], to, guardedPort)

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	l.pass("tcp", from, to, guardedPort)
	l.refuse("tcp", l.net.ClientAddrs[2], to, guardedPort)
	time.Sleep(time.Until(opened.Add(left)))
	l.refuse("tcp", from, to, guardedPort)
	l.pass("tcp", from, to, freePort)
}

// readable copies this test's program to where another user may run it.
func readable(t *testing.T) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp("", "postern-test-*") //nolint:usetesting // others may not enter a test's own folder
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file.Name()) })
	if _, err := file.Write(self); err != nil {
		t.Fatal(err)
	}
	if err := file.Chmod(0o755); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

func TestTheModeMayChange(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, func() (*nettest.Network, error) { return nettest.BehindGateway(1) })
	host := state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour), "g1"))
	gateway := host
	gateway.Mode = access.ModeGateway
	gateway.Machines = []access.Guarded{{Machine: web, Addresses: l.net.MachineAddrs}}
	for range 2 {
		l.apply(host)
		l.pass("tcp", l.net.ClientAddrs[2], l.net.MachineAddrs[0], guardedPort)
		l.apply(gateway)
		l.pass("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[0], guardedPort)
		l.refuse("tcp", l.net.ClientAddrs[2], l.net.MachineAddrs[0], guardedPort)
	}
	t.Log("an address of a machine moves")
	gateway.Machines = []access.Guarded{{Machine: web, Addresses: []netip.Addr{netip.MustParseAddr("10.88.9.9")}}}
	l.apply(gateway)
	l.pass("tcp", l.net.ClientAddrs[2], l.net.MachineAddrs[0], guardedPort)
}
