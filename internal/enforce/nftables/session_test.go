//go:build linux

package nftables_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// waitReset waits until reading from c fails because the other end was reset.
func waitReset(t *testing.T, what string, c net.Conn, write bool) {
	t.Helper()
	deadline := time.Now().Add(longWait)
	b := make([]byte, 64)
	for time.Now().Before(deadline) {
		if write {
			if _, err := io.WriteString(c,
				"still there?"); errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
				return
			}
		}
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(b); errors.Is(err, syscall.ECONNRESET) {
			return
		} else if errors.Is(err, io.EOF) {
			t.Fatalf("%s saw an orderly end", what)
		}
	}
	t.Errorf("%s saw no reset", what)
}

// accepted listens on a port of the machine, and hands out what connects.
func (l *lab) accepted(port uint16) <-chan net.Conn {
	l.t.Helper()
	var listener net.Listener
	err := l.net.Machine.Do(func() (err error) {
		listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp",
			netip.AddrPortFrom(netip.IPv6Unspecified(), port).String())
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = listener.Close() })
	conns := make(chan net.Conn, 16)
	go func() {
		defer close(conns)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			l.t.Cleanup(func() { _ = c.Close() })
			conns <- c
		}
	}()
	return conns
}

const silentPort = 4023 // protected; its server says nothing by itself

func guardSilent(d access.DesiredState, sessions access.SessionMode) access.DesiredState {
	d.Protected = append(d.Protected,
		access.Protected{Machine: web, Protocol: access.TCP, Ports: access.SinglePort(silentPort), Sessions: sessions})
	for i := range d.Openings {
		d.Openings[i].Ports = access.SinglePort(silentPort)
	}
	return d
}

func TestSessionsAreCutAtBothEnds(t *testing.T) {
	t.Parallel()
	for name, i := range map[string]int{"ipv4": 0, "ipv6": 1} {
		for how, left := range map[string]time.Duration{"expired": 3 * time.Second, "revoked": time.Hour} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, nftables.Config{}, nettest.Pair)
				from, to := l.net.ClientAddrs[i], l.net.MachineAddrs[i]
				conns := l.accepted(silentPort)
				until := l.now().Add(left)
				source := netip.PrefixFrom(from, from.BitLen()).String()
				l.apply(guardSilent(state(access.SessionsCut, open(source, access.TCP, until)), access.SessionsCut))
				ctx, cancel := context.WithTimeout(t.Context(), longWait)
				defer cancel()
				client, err := l.net.Client.Dial(ctx, "tcp", netip.AddrPortFrom(from, 0),
					netip.AddrPortFrom(to, silentPort))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = client.Close() }()
				server := <-conns
				if how == "revoked" {
					l.apply(guardSilent(state(access.SessionsCut), access.SessionsCut))
				} else {
					time.Sleep(until.Sub(l.now()) + 50*time.Millisecond)
				}
				waitReset(t, "the server", server, true)
				waitReset(t, "the client", client, true)
				l.refuse("tcp", from, to, silentPort)
			})
		}
	}
}

func TestSessionsAreKeptAndNewOnesRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	from, to := l.net.ClientAddrs[0], l.net.MachineAddrs[0]
	l.apply(state(access.SessionsKeep, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour))))
	c := l.connect(netip.AddrPortFrom(from, 0), to)
	if err := nettest.Exchange(c, longWait); err != nil {
		t.Fatal(err)
	}
	l.apply(state(access.SessionsKeep))
	for range 3 {
		if err := nettest.Exchange(c, longWait); err != nil {
			t.Fatalf("the session was cut: %v", err)
		}
	}
	l.refuse("tcp", from, to, guardedPort)
}

func TestAnOldPortNumberOpensNothing(t *testing.T) {
	t.Parallel()
	// After the server resets a session, the kernel takes a new SYN with the same ports for a part of it.
	for _, sessions := range []access.SessionMode{access.SessionsKeep, access.SessionsCut} {
		t.Run(string(sessions), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nftables.Config{}, nettest.Pair)
			from, to := netip.AddrPortFrom(l.net.ClientAddrs[0], 45454), l.net.MachineAddrs[0]
			conns := l.accepted(silentPort)
			ctx, cancel := context.WithTimeout(t.Context(), longWait)
			defer cancel()
			l.apply(guardSilent(state(sessions, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour))), sessions))
			client, err := l.net.Client.Dial(ctx, "tcp", from, netip.AddrPortFrom(to, silentPort))
			if err != nil {
				t.Fatal(err)
			}
			server := (<-conns).(*net.TCPConn)
			if err := server.SetLinger(0); err != nil { // closes with a reset
				t.Fatal(err)
			}
			_ = server.Close()
			waitReset(t, "the client", client, false)
			_ = client.Close()
			l.apply(guardSilent(state(sessions), sessions))
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), shortWait)
				again, err := l.net.Client.Dial(ctx, "tcp", from, netip.AddrPortFrom(to, silentPort))
				cancel()
				if err == nil {
					_ = again.Close()
					t.Fatal("a new connection got through with an old port number")
				}
			}
		})
	}
}

func TestAForgottenSessionIsNotBegunAgainByTheServer(t *testing.T) {
	t.Parallel()
	for _, sessions := range []access.SessionMode{access.SessionsKeep, access.SessionsCut} {
		t.Run(string(sessions), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nftables.Config{}, nettest.Pair)
			from, to := l.net.ClientAddrs[0], l.net.MachineAddrs[0]
			conns := l.accepted(silentPort)
			l.apply(guardSilent(state(sessions, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour))), sessions))
			ctx, cancel := context.WithTimeout(t.Context(), longWait)
			defer cancel()
			client, err := l.net.Client.Dial(ctx, "tcp", netip.AddrPortFrom(from, 0),
				netip.AddrPortFrom(to, silentPort))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			server := <-conns
			l.apply(guardSilent(state(sessions), sessions))
			if err := l.net.Machine.ForgetConnections(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(server, "are you there?"); err != nil {
				t.Fatal(err)
			}
			if err := client.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 64)
			if n, err := client.Read(b); err == nil {
				t.Errorf("the server reached the client again: %q", b[:n])
			}
		})
	}
}
