//go:build linux

package nettest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set interface %s up: %w", name, err)
	}
	return nil
}

// End is one end of a cable.
type End struct {
	In        *Namespace
	Interface string
	Addresses []netip.Prefix // with the network that they lie in
}

// Connect lays a cable between two namespaces.
func Connect(a, b End) error {
	err := a.In.Do(func() error {
		veth := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: a.Interface}, PeerName: b.Interface,
			PeerNamespace: netlink.NsFd(b.In.fd),
		}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("lay a cable from %s to %s: %w", a.Interface, b.Interface, err)
		}
		return nil
	})
	for _, end := range []End{a, b} {
		err = errors.Join(err, end.In.Do(func() error {
			// Nobody else is on the cable: looking for others with the same address only costs a second.
			quick := os.WriteFile("/proc/sys/net/ipv6/conf/"+end.Interface+"/accept_dad", []byte("0"), 0)
			return errors.Join(quick, end.In.addressed(end.Interface, end.Addresses), up(end.Interface))
		}))
	}
	return err
}

// AddAddresses gives an interface more addresses.
func (n *Namespace) AddAddresses(name string, addresses ...netip.Prefix) error {
	return n.Do(func() error { return n.addressed(name, addresses) })
}

// addressed runs in the namespace already.
func (n *Namespace) addressed(name string, addresses []netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	for _, p := range addresses {
		addr := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // usable at once
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("give %s the address %s: %w", name, p, err)
		}
	}
	return nil
}

// Route sends a network through a gateway.
func (n *Namespace) Route(to netip.Prefix, via netip.Addr) error {
	return n.Do(func() error {
		if err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()}); err != nil {
			return fmt.Errorf("route %s through %s: %w", to, via, err)
		}
		return nil
	})
}

// HaveAll makes every address of a network one of the namespace's own, from which it may send.
func (n *Namespace) HaveAll(of netip.Prefix) error {
	return n.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find interface lo: %w", err)
		}
		route := &netlink.Route{
			LinkIndex: lo.Attrs().Index, Dst: ipNet(of), Type: unix.RTN_LOCAL,
			Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
		}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("have all addresses of %s: %w", of, err)
		}
		return nil
	})
}

// Forward makes the namespace forward packets between its interfaces.
func (n *Namespace) Forward() error {
	return n.Do(func() error {
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0),
			os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0))
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// ForgetConnections empties the kernel's table of connections in the namespace, as a long silence would.
func (n *Namespace) ForgetConnections() error {
	return n.Do(func() error {
		if err := netlink.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
			return fmt.Errorf("empty the table of connections: %w", err)
		}
		return nil
	})
}
