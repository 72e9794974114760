//go:build linux

package nftables_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

const proxyPort = 4090 // where the rules of these tests send things; not protected

// TestPacketsThatAreSentElsewhereAreGuarded has rules of others send what was for a guarded port to another port or
// machine, and what was for another port to a guarded one.
func TestPacketsThatAreSentElsewhereAreGuarded(t *testing.T) {
	t.Parallel()
	pair := nettest.Pair
	behind := func() (*nettest.Network, error) { return nettest.BehindGateway(2) }
	const nat = "table inet others {\nchain p {\ntype nat hook prerouting priority dstnat;\n@RULE\n}\n}\n"
	for name, c := range map[string]struct {
		build func() (*nettest.Network, error)
		rules string
		port  uint16      // that is tried
		proxy bool        // somebody on the gateway answers in place of the machine
		mode  access.Mode // host where empty
		setup [][]string  // commands of ip
	}{
		"redirected from a guarded port": {
			build: pair,
			rules: strings.ReplaceAll(nat, "@RULE", "meta l4proto { tcp, udp } th dport 4022 redirect to :4080"),
			port:  guardedPort,
		},
		"redirected to a guarded port": {
			build: pair,
			rules: strings.ReplaceAll(nat, "@RULE", "meta l4proto { tcp, udp } th dport 4090 redirect to :4022"),
			port:  proxyPort,
		},
		"by a gateway to another machine": {
			build: behind, mode: access.ModeGateway, port: guardedPort,
			rules: strings.ReplaceAll(nat, "@RULE",
				"ip daddr 10.88.1.1 tcp dport 4022 dnat ip to 10.88.1.2:4080\nip6 daddr fd88::1:1 tcp dport 4022 "+
					"dnat ip6 to [fd88::1:2]:4080\n"+
					"ip daddr 10.88.1.1 udp dport 4022 dnat ip to 10.88.1.1:4080\nip6 daddr fd88::1:1 udp dport "+
					"4022 dnat ip6 to [fd88::1:1]:4080"),
		},
		"by a gateway to itself": {
			build: behind, mode: access.ModeGateway, port: guardedPort, proxy: true,
			rules: strings.ReplaceAll(nat, "@RULE", "meta l4proto tcp th dport 4022 redirect to :4090"),
		},
		"by a gateway's published port": {
			build: behind, mode: access.ModeGateway, port: proxyPort,
			rules: strings.ReplaceAll(nat, "@RULE",
				"ip daddr 10.77.0.254 meta l4proto { tcp, udp } th dport 4090 dnat ip to 10.88.1.1:4022\nip6 daddr "+
					"fd77::fe meta l4proto { tcp, udp } th dport 4090 dnat ip6 to [fd88::1:1]:4022"),
		},
		"by a gateway's transparent proxy": {
			build: behind, mode: access.ModeGateway, port: guardedPort, proxy: true,
			rules: "table inet others {\nchain p {\ntype filter hook prerouting priority mangle;\nmeta nfproto ipv4 " +
				"tcp dport 4022 tproxy ip to :4090 meta mark set 1 accept\nmeta nfproto ipv6 tcp dport 4022 tproxy " +
				"ip6 to :4090 meta mark set 1 accept\n}\n}\n",
			setup: [][]string{
				{"rule", "add", "fwmark", "1", "lookup", "100"},
				{"route", "add", "local", "0.0.0.0/0", "dev", "lo", "table", "100"},
				{"-6", "rule", "add", "fwmark", "1", "lookup", "100"},
				{"-6", "route", "add", "local", "::/0", "dev", "lo", "table", "100"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nftables.Config{}, c.build)
			for _, args := range c.setup {
				run(t, l.on, "", nil, "ip", args...)
			}
			run(t, l.on, c.rules, nil, "nft", "-f", "-")
			if c.proxy {
				l.transparentEcho()
			}
			protocols := []string{"tcp", "udp"}
			if c.proxy {
				protocols = protocols[:1]
			}
			for _, network := range protocols {
				for i := range 2 {
					from, to := l.net.ClientAddrs[i], l.net.MachineAddrs[i]
					if c.port == proxyPort && c.mode == access.ModeGateway {
						to = []netip.Addr{netip.MustParseAddr("10.77.0.254"), netip.MustParseAddr("fd77::fe")}[i]
					}
					d := state(access.SessionsCut)
					if c.mode == access.ModeGateway {
						d.Mode, d.Machines = c.mode, []access.Guarded{{Machine: web, Addresses: l.net.MachineAddrs[:2]}}
					}
					none := d
					none.Protected = nil
					l.apply(none)
					l.pass(network, from, to, c.port) // what the rules are there for
					l.apply(d)
					l.refuse(network, from, to, c.port)
					opened := d
					opened.Openings = []access.Opening{
						open(netip.PrefixFrom(from, from.BitLen()).String(), access.Protocol(network),
							l.now().Add(time.Hour), "g"),
					}
					l.apply(opened)
					l.pass(network, from, to, c.port)
					l.refuse(network, l.net.ClientAddrs[i+2], to, c.port)
					if network != "tcp" {
						continue
					}
					ctx, cancel := context.WithTimeout(t.Context(), longWait)
					session, err := l.net.Client.Dial(ctx, "tcp", netip.AddrPortFrom(from, 0),
						netip.AddrPortFrom(to, c.port))
					cancel()
					if err != nil {
						t.Fatal(err)
					}
					if err := nettest.Exchange(session, longWait); err != nil {
						t.Fatal(err)
					}
					l.apply(d)
					waitReset(t, "the client", session, true)
					_ = session.Close()
				}
			}
		})
	}
}

// transparentEcho answers on the gateway, at the proxy's port, whatever address it was sent to.
func (l *lab) transparentEcho() {
	l.t.Helper()
	for _, at := range []string{"0.0.0.0:4090", "[::]:4090"} {
		config := net.ListenConfig{Control: func(network, _ string, raw syscall.RawConn) error {
			var wrong error
			err := raw.Control(func(fd uintptr) {
				if network == "tcp4" {
					wrong = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
				} else {
					wrong = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
				}
			})
			if err != nil {
				return err
			}
			return wrong
		}}
		network := "tcp4"
		if strings.HasPrefix(at, "[") {
			network = "tcp6"
		}
		var listener net.Listener
		err := l.on.Do(func() (err error) {
			listener, err = config.Listen(context.Background(), network, at)
			return err
		})
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close() //nolint:errcheck // its client goes first
					b := make([]byte, 64)
					for {
						n, err := c.Read(b)
						if err != nil {
							return
						}
						if _, err := c.Write(b[:n]); err != nil {
							return
						}
					}
				}()
			}
		}()
	}
}

// TestEachPacketIsCountedOnce sends one packet and gets one answer: whichever way they go, both are counted, once.
func TestEachPacketIsCountedOnce(t *testing.T) {
	t.Parallel()
	count := func(t *testing.T, l *lab, d access.DesiredState, to netip.Addr) {
		t.Helper()
		from := l.net.ClientAddrs[0]
		d.Openings = []access.Opening{open(netip.PrefixFrom(from, from.BitLen()).String(), access.UDP,
			l.now().Add(time.Hour), "g")}
		l.apply(d)
		c, err := l.net.Client.Dial(t.Context(), "udp", netip.AddrPortFrom(from, 0),
			netip.AddrPortFrom(to, guardedPort))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		for want := uint64(2); want <= 4; want += 2 {
			if err := nettest.Exchange(c, longWait); err != nil {
				t.Fatal(err)
			}
			if held := l.held(nil); len(held) != 1 || held[0].Packets != want {
				t.Errorf("counted %+v, want %d packets", held, want)
			}
		}
	}
	t.Run("at a host", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, nftables.Config{}, nettest.Pair)
		count(t, l, state(access.SessionsCut), l.net.MachineAddrs[0])
	})
	t.Run("at a gateway", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, nftables.Config{}, func() (*nettest.Network, error) { return nettest.BehindGateway(1) })
		d := state(access.SessionsCut)
		d.Mode, d.Machines = access.ModeGateway, []access.Guarded{{Machine: web, Addresses: l.net.MachineAddrs}}
		count(t, l, d, l.net.MachineAddrs[0])
	})
	t.Run("at a published port", func(t *testing.T) {
		t.Parallel()
		p := publish(t, publishers()[2])
		count(t, p.lab, state(access.SessionsCut), p.net.MachineAddrs[0])
	})
}
