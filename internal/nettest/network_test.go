//go:build linux

package nettest_test

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/nettest"
)

const wait = 5 * time.Second

func TestNetworksCarryPacketsAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	if err := nettest.Available(); err != nil {
		t.Skip(err)
	}
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for name, build := range map[string]func() (*nettest.Network, error){
		"pair": nettest.Pair, "gateway": func() (*nettest.Network, error) { return nettest.BehindGateway(3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network, err := build()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = network.Close() })
			echo, err := network.Machine.EchoTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), 0))
			if err != nil {
				t.Fatal(err)
			}
			for i, to := range network.MachineAddrs {
				from := network.ClientAddrs[i%2+2]
				if err := network.Client.Ask("tcp", from, netip.AddrPortFrom(to, echo.Addr().Port()), wait); err != nil {
					t.Errorf("from %s to %s: %v", from, to, err)
				}
			}
			if err := echo.Close(); err != nil {
				t.Fatal(err)
			}
			if err := network.Client.Ask("tcp", network.ClientAddrs[0],
				netip.AddrPortFrom(network.MachineAddrs[0], echo.Addr().Port()), wait); err == nil {
				t.Error("an answer though nobody listens")
			}
		})
	}
	after, err := os.Readlink("/proc/self/ns/net")
	if err != nil || after != before {
		t.Errorf("the process is in %s, and was in %s: %v", after, before, err)
	}
}
