//go:build linux

package nettest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Network is a client, a machine, and perhaps a gateway between them. Addresses of the client and of the machine come
// in pairs: IPv4 and IPv6.
type Network struct {
	Client  *Namespace
	Gateway *Namespace // nil without one
	Machine *Namespace

	ClientAddrs  []netip.Addr // 10.77.0.1, fd77::1, then 10.77.0.3, fd77::3: two sources to tell apart
	MachineAddrs []netip.Addr // one pair; behind a gateway one pair for each machine
}

// Pair makes a client and a machine on one cable: 10.77.0.1 and fd77::1 to 10.77.0.2 and fd77::2.
func Pair() (*Network, error) {
	net, err := spaces(false)
	if err != nil {
		return nil, err
	}
	net.MachineAddrs = addrs("10.77.0.2", "fd77::2")
	err = Connect(
		End{In: net.Client, Interface: "client0", Addresses: networks(net.ClientAddrs, 24)},
		End{In: net.Machine, Interface: "machine0", Addresses: networks(net.MachineAddrs, 24)})
	if err == nil {
		err = net.ready()
	}
	if err != nil {
		return nil, errors.Join(err, net.Close())
	}
	return net, nil
}

// BehindGateway makes a client, a gateway that forwards, and one namespace that has the addresses of so many machines:
// 10.88.x.y and fd88::n.
func BehindGateway(machines int) (*Network, error) {
	net, err := spaces(true)
	if err != nil {
		return nil, err
	}
	four, six := netip.MustParseAddr("10.88.1.1"), netip.MustParseAddr("fd88::1:1")
	for range machines {
		net.MachineAddrs = append(net.MachineAddrs, four, six)
		four, six = four.Next(), six.Next()
	}
	outside, inside := addrs("10.77.0.254", "fd77::fe"), addrs("10.88.0.254", "fd88::fe")
	err = errors.Join(
		Connect(End{In: net.Client, Interface: "client0", Addresses: networks(net.ClientAddrs, 24)},
			End{In: net.Gateway, Interface: "outside0", Addresses: networks(outside, 24)}),
		Connect(End{In: net.Gateway, Interface: "inside0", Addresses: networks(inside, 16)},
			End{In: net.Machine, Interface: "machine0", Addresses: networks(net.MachineAddrs, 16)}),
	)
	if err == nil {
		err = errors.Join(net.Gateway.Forward(),
			net.Client.Route(netip.MustParsePrefix("10.88.0.0/16"), outside[0]),
			net.Client.Route(netip.MustParsePrefix("fd88::/64"), outside[1]),
			net.Machine.Route(netip.MustParsePrefix("10.77.0.0/24"), inside[0]),
			net.Machine.Route(netip.MustParsePrefix("fd77::/64"), inside[1]))
	}
	if err == nil {
		err = net.ready()
	}
	if err != nil {
		return nil, errors.Join(err, net.Close())
	}
	return net, nil
}

// ready waits until the client reaches the machine over both families: a new interface may need a second before it
// takes part in finding neighbours.
func (n *Network) ready() error {
	for i, to := range n.MachineAddrs[:2] {
		echo, err := n.Machine.EchoUDP(netip.AddrPortFrom(to, 0))
		if err != nil {
			return err
		}
		const enough = 10 * time.Second
		err = errors.Join(n.Client.Ask("udp", n.ClientAddrs[i], echo.Addr(), enough), echo.Close())
		if err != nil {
			return fmt.Errorf("the client does not reach the machine: %w", err)
		}
	}
	return nil
}

func spaces(gateway bool) (*Network, error) {
	net := &Network{ClientAddrs: addrs("10.77.0.1", "fd77::1", "10.77.0.3", "fd77::3")}
	var err error
	if net.Client, err = New(); err != nil {
		return nil, err
	}
	if net.Machine, err = New(); err != nil {
		return nil, errors.Join(err, net.Close())
	}
	if gateway {
		if net.Gateway, err = New(); err != nil {
			return nil, errors.Join(err, net.Close())
		}
	}
	return net, nil
}

// Close takes the network down.
func (n *Network) Close() error {
	var err error
	for _, space := range []*Namespace{n.Client, n.Gateway, n.Machine} {
		if space != nil {
			err = errors.Join(err, space.Close())
		}
	}
	return err
}

func addrs(texts ...string) []netip.Addr {
	all := make([]netip.Addr, len(texts))
	for i, t := range texts {
		all[i] = netip.MustParseAddr(t)
	}
	return all
}

func networks(all []netip.Addr, bits4 int) []netip.Prefix {
	const bits6 = 64
	prefixes := make([]netip.Prefix, len(all))
	for i, a := range all {
		bits := bits4
		if a.Is6() {
			bits = bits6
		}
		prefixes[i] = netip.PrefixFrom(a, bits)
	}
	return prefixes
}
