package demo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The two ends of the wire between the person and the machine.
const (
	personAddress  = "10.203.0.1"
	otherAddress   = "10.203.0.9" // the person's side has it too, and nobody asks for it
	machineAddress = "10.203.0.2"
	wireBits       = 24
)

// netspace is a network namespace with a thread that lives in it.
type netspace struct{ calls chan func() }

// newNetspace makes a namespace. The thread never leaves it, and ends with the process.
func newNetspace() (*netspace, error) {
	n := &netspace{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- err
		if err != nil {
			return
		}
		for call := range n.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("make the machine's network namespace: %w", err)
	}
	return n, nil
}

// do runs f in the namespace: what it opens or starts stays there.
func (n *netspace) do(f func() error) error {
	done := make(chan error, 1)
	n.calls <- func() { done <- f() }
	return <-done
}

// wire joins the namespace that we are in with the machine's.
func wire(machine *netspace) error {
	const person, peer = "demo0", "eth0"
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("open our network namespace: %w", err)
	}
	defer here.Close() //nolint:errcheck // it was only read
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := machine.do(func() error {
		link := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: peer}, PeerName: person,
			PeerNamespace: netlink.NsFd(here.Fd()),
		}
		if err := netlink.LinkAdd(link); err != nil {
			return fmt.Errorf("make the wire: %w", err)
		}
		return errors.Join(loopbackUp(), address(peer, machineAddress))
	}); err != nil {
		return err
	}
	return errors.Join(address(person, personAddress), address(person, otherAddress))
}

func loopbackUp() error {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback link: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring the loopback link up: %w", err)
	}
	return nil
}

func address(name, ip string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find the link %s: %w", name, err)
	}
	prefix := netip.PrefixFrom(netip.MustParseAddr(ip), wireBits)
	a := &netlink.Addr{IPNet: &net.IPNet{
		IP:   prefix.Addr().AsSlice(),
		Mask: net.CIDRMask(wireBits, prefix.Addr().BitLen()),
	}}
	if err := netlink.AddrAdd(link, a); err != nil {
		return fmt.Errorf("give %s to %s: %w", ip, name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

// privateMounts gives us a /run and a /proc of our own.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep our mounts to ourselves: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount a /run of our own: %w", err)
	}
	// Containers that hide parts of /proc do not allow another one; the old one does too.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	return nil
}
