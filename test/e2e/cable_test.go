//go:build linux

package e2e_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
)

// cable carries the agent's connections to the server, until they are cut.
type cable struct {
	address string

	mu    sync.Mutex // protects conns
	conns map[net.Conn]struct{}
}

func newCable(w *world, to string) *cable {
	w.t.Helper()
	c := &cable{address: netip.AddrPortFrom(w.net.ClientAddrs[0], 8444).String(), conns: make(map[net.Conn]struct{})}
	var listener net.Listener
	err := w.net.Client.Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(w.t.Context(), "tcp", c.address)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = listener.Close(); c.cut() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := w.dial(context.Background(), "tcp", to)
			if err != nil { // the server is dead
				_ = near.Close()
				continue
			}
			c.mu.Lock()
			c.conns[near], c.conns[far] = struct{}{}, struct{}{}
			c.mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					c.end(way[:])
				}()
			}
		}
	}()
	return c
}

func (c *cable) end(conns []net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close() // the other way may have closed it
		delete(c.conns, conn)
	}
}

// cut ends every connection.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close()
	}
}
