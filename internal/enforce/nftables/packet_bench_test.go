//go:build linux

package nftables_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// BenchmarkPacket is what one UDP packet costs from a client's socket through a gateway to a machine's socket, over two
// pairs of veth interfaces: with no firewall, with a usual stateful rule, with our table and one opening or many, and
// with a linear chain in which the last rule matches. The kernel does all of that inside the sender's call, and the
// machine's socket is not read, so nothing is woken. Each operation is one packet.
func BenchmarkPacket(b *testing.B) {
	const port = guardedPort
	chain := func(rules string) string {
		return "table inet other {\nchain f {\ntype filter hook forward priority 0; policy drop;\n" + rules + "\n}\n}\n"
	}
	type variant struct {
		name     string
		nft      string
		openings int
		answered bool // the machine has answered once, as in most of the traffic that there is
	}
	variants := []variant{
		{name: "nothing"},
		{name: "stateful", nft: chain("ct state established,related accept\nct state new accept")},
		{name: "postern/openings=1", openings: 1},
		{name: "postern/openings=1000", openings: 1_000},
		{name: "postern/openings=100000", openings: 100_000},
		{name: "postern/answered", openings: 1_000, answered: true},
	}
	for _, n := range []int{10, 100, 1000} {
		var rules strings.Builder
		source := netip.MustParseAddr("10.66.0.1")
		for range n - 1 {
			fmt.Fprintf(&rules, "ip saddr %s ip daddr 10.88.1.1 udp dport %d accept\n", source, port)
			source = source.Next()
		}
		fmt.Fprintf(&rules, "ip saddr 10.77.0.1 ip daddr 10.88.1.1 udp dport %d accept\nudp sport %d accept", port,
			port)
		variants = append(variants, variant{name: fmt.Sprintf("linear/rules=%d", n), nft: chain(rules.String())})
	}
	for _, v := range variants {
		b.Run(v.name, func(b *testing.B) {
			network, err := nettest.BehindGateway(1)
			if err != nil {
				b.Skipf("no network namespaces here: %v", err)
			}
			b.Cleanup(func() { _ = network.Close() })
			if v.nft != "" {
				loadRules(b, network.Gateway, v.nft)
			}
			if v.openings > 0 {
				guardGateway(b, network, v.openings)
			}
			benchPackets(b, network, port, v.answered)
		})
	}
}

func loadRules(b *testing.B, in *nettest.Namespace, rules string) {
	b.Helper()
	path, err := exec.LookPath("nft")
	if err != nil {
		b.Skip("there is no nft to make other rules with")
	}
	c := exec.CommandContext(b.Context(), path, "-f", "-")
	c.Stdin = strings.NewReader(rules)
	if err := in.Start(c); err != nil {
		b.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		b.Fatal(err)
	}
}

// guardGateway opens the port for the client, and for so many others that there are count openings.
func guardGateway(b *testing.B, network *nettest.Network, count int) {
	b.Helper()
	e, err := nftables.New(nftables.Config{Log: quiet(), NetNS: network.Gateway.FD()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	now := time.Unix(0, 0)
	d := state(access.SessionsCut)
	d.Mode = access.ModeGateway
	d.Machines = []access.Guarded{{Machine: web, Addresses: network.MachineAddrs}}
	openings := append(crowd(count-1, now.Add(time.Hour)),
		open(network.ClientAddrs[0].String()+"/32", access.UDP, now.Add(time.Hour), "mine"))
	_, _, d.Openings = enforce.Changes(nil, openings)
	if err := e.Apply(b.Context(), &d, now); err != nil {
		b.Fatal(err)
	}
}

func benchPackets(b *testing.B, network *nettest.Network, port uint16, answered bool) {
	b.Helper()
	to := netip.AddrPortFrom(network.MachineAddrs[0], port)
	echo, err := network.Machine.EchoUDP(to)
	if err != nil {
		b.Fatal(err)
	}
	if err := network.Client.Ask("udp", network.ClientAddrs[0], to, longWait); err != nil {
		b.Fatalf("the packets do not pass: %v", err)
	}
	c, err := network.Client.Dial(b.Context(), "udp", netip.AddrPortFrom(network.ClientAddrs[0], 0), to)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if answered {
		if err := nettest.Exchange(c, longWait); err != nil {
			b.Fatal(err)
		}
	}
	if err := echo.Close(); err != nil {
		b.Fatal(err)
	}
	sink, err := listenUnread(b.Context(), network.Machine, to)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sink() })
	payload := make([]byte, 64)
	for b.Loop() {
		if _, err := c.Write(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func listenUnread(ctx context.Context, in *nettest.Namespace, at netip.AddrPort) (closing func() error, err error) {
	err = in.Do(func() error {
		c, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", at.String())
		if err == nil {
			closing = c.Close
		}
		return err
	})
	return closing, err
}
