//go:build linux

// Package nettest makes small networks out of network namespaces, for tests and for the demonstration: a client and a
// machine, or a client, a gateway and machines behind it, with real packets between them.
//
// It needs CAP_SYS_ADMIN and CAP_NET_ADMIN, be it as root or in a user namespace of one's own. It never changes the
// namespace that the process runs in.
package nettest

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that lives until Close. Sockets and processes that were made in it keep it alive
// after that.
type Namespace struct {
	fd int
}

// New makes a namespace with nothing but a loopback interface, which is up.
func New() (*Namespace, error) {
	n := &Namespace{fd: -1}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the network namespace: %w", err)
		}
		n.fd = fd
		return up("lo")
	})
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Available says why there can be no namespaces here; nil if there can.
func Available() error {
	n, err := New()
	if err != nil {
		return fmt.Errorf("%w (network namespaces need root, or a user namespace: unshare --user --map-root-user)", err)
	}
	return n.Close()
}

// FD is the file descriptor of the namespace. It stays open until Close.
func (n *Namespace) FD() int { return n.fd }

// Close lets go of the namespace.
func (n *Namespace) Close() error {
	if n.fd < 0 {
		return nil
	}
	err := unix.Close(n.fd)
	n.fd = -1
	return err
}

// Do runs fn in the namespace, on a thread of its own. What fn starts in other goroutines is not in the namespace;
// sockets that fn makes stay in it wherever they are used.
func (n *Namespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return fn()
	})
}

// Start starts a process in the namespace. The caller waits for it.
func (n *Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// onThread runs fn on a thread that ends with it, so that no other goroutine ever runs in the namespace.
func onThread(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is thrown away
		result <- fn()
	}()
	return <-result
}
