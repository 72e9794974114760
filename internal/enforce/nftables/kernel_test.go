//go:build linux

package nftables_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

const (
	guardedPort = 4022 // protected
	freePort    = 4080 // not protected
	shortWait   = 250 * time.Millisecond
	longWait    = 20 * time.Second // for what must come, on a busy machine
	web         = access.MachineID("web-1")
)

// lab is a network with an enforcer on the machine or on the gateway, and echo servers on both ports.
type lab struct {
	t    *testing.T
	net  *nettest.Network
	on   *nettest.Namespace // where the enforcer works
	nft  *nftables.Enforcer
	boot time.Time
	log  *slog.Logger
}

func newLab(t *testing.T, c nftables.Config, build func() (*nettest.Network, error)) *lab {
	t.Helper()
	network, err := build()
	if err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(func() { _ = network.Close() })
	l := &lab{
		t: t, net: network, on: network.Machine, boot: time.Now(),
		log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if network.Gateway != nil {
		l.on = network.Gateway
	}
	c.NetNS, c.Log = l.on.FD(), l.log
	if l.nft, err = nftables.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.nft.Close() })
	for _, port := range []uint16{guardedPort, freePort} {
		echo, err := network.Machine.EchoTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = echo.Close() })
		for _, addr := range network.MachineAddrs[:2] {
			echo, err := network.Machine.EchoUDP(netip.AddrPortFrom(addr, port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = echo.Close() })
		}
	}
	return l
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Helper()
	w.t.Log(string(bytes.TrimSpace(b)))
	return len(b), nil
}

// now is the clock of the lab, which has nothing to do with the wall clock: it counts from when the lab was made.
func (l *lab) now() time.Time { return time.Unix(0, 0).Add(time.Since(l.boot)) }

func (l *lab) apply(d access.DesiredState) {
	l.t.Helper()
	if err := l.nft.Apply(l.t.Context(), &d, l.now()); err != nil {
		l.t.Fatal(err)
	}
}

// state is the desired state with the guarded port protected and these openings.
func state(sessions access.SessionMode, openings ...access.Opening) access.DesiredState {
	return access.DesiredState{
		Mode: access.ModeHost, Machines: []access.Guarded{{Machine: web, Name: "web"}},
		Protected: []access.Protected{
			{Machine: web, Protocol: access.TCP, Ports: access.SinglePort(guardedPort), Sessions: sessions},
			{Machine: web, Protocol: access.UDP, Ports: access.SinglePort(guardedPort), Sessions: sessions},
		},
		Openings: openings,
	}
}

func open(source string, protocol access.Protocol, until time.Time, grants ...access.GrantID) access.Opening {
	return access.Opening{OpeningKey: access.OpeningKey{
		Machine: web, Source: netip.MustParsePrefix(source), Protocol: protocol,
		Ports: access.SinglePort(guardedPort),
	}, Until: until, Grants: grants}
}

// pass and refuse check what a source can reach.
func (l *lab) pass(network string, from, to netip.Addr, port uint16) {
	l.t.Helper()
	if err := l.net.Client.Ask(network, from, netip.AddrPortFrom(to, port), longWait); err != nil {
		l.t.Errorf("%s from %s to %s port %d: %v", network, from, to, port, err)
	}
}

func (l *lab) refuse(network string, from, to netip.Addr, port uint16) {
	l.t.Helper()
	if err := l.net.Client.Ask(network, from, netip.AddrPortFrom(to, port), shortWait); err == nil {
		l.t.Errorf("%s from %s to %s port %d got through", network, from, to, port)
	}
}

func (l *lab) connect(from netip.AddrPort, to netip.Addr) net.Conn {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), longWait)
	defer cancel()
	c, err := l.net.Client.Dial(ctx, "tcp", from, netip.AddrPortFrom(to, guardedPort))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = c.Close() })
	return c
}

// command runs nft where the enforcer works.
func (l *lab) command(args ...string) (string, error) {
	l.t.Helper()
	path, err := exec.LookPath("nft")
	if err != nil {
		l.t.Skip("no nft to interfere with")
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(l.t.Context(), path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := l.on.Start(cmd); err != nil {
		l.t.Fatal(err)
	}
	err = cmd.Wait()
	return out.String(), err
}

func TestPortsAreClosedAndOpenForExactlyOneSource(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	sources := map[bool][2]netip.Addr{
		false: {l.net.ClientAddrs[0], l.net.ClientAddrs[2]},
		true:  {l.net.ClientAddrs[1], l.net.ClientAddrs[3]},
	}
	until := l.now().Add(time.Minute)
	for _, network := range []string{"tcp", "udp"} {
		for i, to := range l.net.MachineAddrs {
			granted, other := sources[to.Is6()][0], sources[to.Is6()][1]
			l.apply(state(access.SessionsCut))
			l.refuse(network, granted, to, guardedPort)
			l.pass(network, granted, to, freePort)

			l.apply(state(access.SessionsCut,
				open(netip.PrefixFrom(granted, granted.BitLen()).String(), access.Protocol(network), until, "grant-1")))
			if i == 0 {
				text, _ := l.command("list", "table", "inet", "postern")
				t.Log(text)
			}
			l.pass(network, granted, to, guardedPort)
			l.refuse(network, other, to, guardedPort)
			l.pass(network, other, to, freePort)
		}
	}
}

// TestSetsComeAndGo holds that the kernel has a set for each length of prefix that is open besides those of single
// addresses.
func TestSetsComeAndGo(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	sets := func() int {
		t.Helper()
		text, err := l.command("list", "table", "inet", "postern")
		if err != nil {
			t.Skipf("nft: %v", err)
		}
		return strings.Count(text, "\tset ")
	}
	until := time.Now().Add(time.Hour)
	l.apply(state(access.SessionsCut))
	without := sets()
	l.apply(state(access.SessionsCut, open("10.77.0.0/24", access.TCP, until), open("fd77::/64", access.TCP, until)))
	if got := sets(); got != without+2 {
		t.Errorf("two lengths of prefix are open: %d sets beside %d", got-without, without)
	}
	l.apply(state(access.SessionsCut, open("10.77.0.0/24", access.TCP, until)))
	if got := sets(); got != without+1 {
		t.Errorf("one length of prefix is open: %d sets beside %d", got-without, without)
	}
}
