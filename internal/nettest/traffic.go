//go:build linux

package nettest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Echo answers whatever it is sent, until Close.
type Echo struct {
	addr   netip.AddrPort
	close  func() error
	mu     sync.Mutex // protects conns
	conns  map[net.Conn]struct{}
	served sync.WaitGroup
}

// Addr is where it listens.
func (e *Echo) Addr() netip.AddrPort { return e.addr }

// Close stops listening and closes all connections.
func (e *Echo) Close() error {
	err := e.close()
	e.mu.Lock()
	for c := range e.conns {
		if closing := c.Close(); !errors.Is(closing, net.ErrClosed) { // its client may have ended it just now
			err = errors.Join(err, closing)
		}
	}
	e.mu.Unlock()
	e.served.Wait()
	return err
}

// Conns gives the server's ends of the connections that are open.
func (e *Echo) Conns() []net.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]net.Conn, 0, len(e.conns))
	for c := range e.conns {
		all = append(all, c)
	}
	return all
}

// EchoTCP listens in the namespace; on all addresses of both families where at has an unspecified IPv6 address, and on
// any free port where its port is 0.
func (n *Namespace) EchoTCP(at netip.AddrPort) (*Echo, error) {
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", at.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	e := &Echo{close: l.Close, conns: make(map[net.Conn]struct{})}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		e.addr = tcp.AddrPort()
	}
	e.served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.conns[c] = struct{}{}
			e.mu.Unlock()
			e.served.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
				e.mu.Lock()
				delete(e.conns, c)
				e.mu.Unlock()
			})
		}
	})
	return e, nil
}

// EchoUDP is EchoTCP for UDP; it has no connections. Listen on a real address: an answer from an unspecified one may
// leave from another address than the question went to.
func (n *Namespace) EchoUDP(at netip.AddrPort) (*Echo, error) {
	var c net.PacketConn
	err := n.Do(func() (err error) {
		c, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", at.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	e := &Echo{close: c.Close}
	if udp, ok := c.LocalAddr().(*net.UDPAddr); ok {
		e.addr = udp.AddrPort()
	}
	e.served.Go(func() {
		buffer := make([]byte, 2048)
		for {
			size, from, err := c.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteTo(buffer[:size], from)
			}
		}
	})
	return e, nil
}

// Dial connects from an address of the namespace; port 0 takes any. network is "tcp" or "udp".
func (n *Namespace) Dial(ctx context.Context, network string, from, to netip.AddrPort) (net.Conn, error) {
	var local net.Addr = net.TCPAddrFromAddrPort(from)
	if network == "udp" {
		local = net.UDPAddrFromAddrPort(from)
	}
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = (&net.Dialer{LocalAddr: local}).DialContext(ctx, network, to.String())
		return err
	})
	return c, err
}

// Ask says whether something answers from to within wait: a connection and an echo for TCP, an echo for UDP.
func (n *Namespace) Ask(network string, from netip.Addr, to netip.AddrPort, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	c, err := n.Dial(ctx, network, netip.AddrPortFrom(from, 0), to)
	if err != nil {
		return err
	}
	if network != "udp" {
		return errors.Join(Exchange(c, wait), c.Close())
	}
	for err = Exchange(c, patience); err != nil && ctx.Err() == nil; err = Exchange(c, patience) {
		time.Sleep(patience / 10) // where the answer is at once that nobody listens
	}
	return errors.Join(err, c.Close())
}

// patience is how long an answer over UDP is waited for before the question is asked again.
const patience = 100 * time.Millisecond

// Exchange sends a few bytes through c and waits for their echo.
func Exchange(c net.Conn, wait time.Duration) error {
	const word = "knock"
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil { //nolint:forbidigo // sockets know no other clock
		return err
	}
	if _, err := io.WriteString(c, word); err != nil {
		return err
	}
	answer := make([]byte, len(word))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if string(answer) != word {
		return fmt.Errorf("the echo of %q was %q", word, answer)
	}
	return nil
}
