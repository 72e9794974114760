package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// crowd counts the connections of each address, so that one that opens ever more leaves room for others. Those of trusted
// proxies, which speak for many, do not count, and those of agents, of which many may share an address, count for each agent.
type crowd struct {
	most   int
	exempt []netip.Prefix
	log    *slog.Logger

	mu     sync.Mutex // protects what follows
	held   map[string]int
	warned time.Time
}

var errCrowded = errors.New("there are too many connections from this address")

// take counts one more connection, and tells whether it may stay.
func (c *crowd) take(of string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[of] >= c.most {
		if now := time.Now(); now.Sub(c.warned) > time.Minute {
			c.warned = now
			c.log.Warn("connections refused: there are too many", "of", of, "most", c.most)
		}
		return false
	}
	c.held[of]++
	return true
}

func (c *crowd) release(of string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[of]--; c.held[of] <= 0 {
		delete(c.held, of)
	}
}

// place gives what an address is counted by: itself, or of IPv6 its /64, since a host has as many as it likes there.
func place(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if p, err := a.Prefix(64); err == nil && a.Is6() {
		return p.String()
	}
	return a.String()
}

// crowdListener gives connections that count.
type crowdListener struct {
	net.Listener

	crowd *crowd
}

// Accept implements net.Listener.
func (l crowdListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: conn, crowd: l.crowd}, nil
}

// countedConn counts from its first byte, when it is known whom a load balancer speaks for, until it is closed.
type countedConn struct {
	net.Conn

	crowd  *crowd
	begun  sync.Once
	judged sync.Once // its certificate
	err    error     // why it may not stay

	mu    sync.Mutex // protects what follows
	of    string     // what it counts for; empty for nothing
	ended bool
}

func (c *countedConn) begin() {
	address, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err == nil && slices.ContainsFunc(c.crowd.exempt, func(p netip.Prefix) bool { return p.Contains(address.Addr().Unmap().WithZone("")) }) {
		return
	}
	if !c.count(place(address.Addr())) {
		c.err = errCrowded
	}
}

// count lets the connection count for something else than before, and tells whether it may stay.
func (c *countedConn) count(of string) bool {
	if !c.crowd.take(of) {
		return false
	}
	c.mu.Lock()
	was := c.of
	if c.of = of; c.ended {
		was, c.of = of, ""
	}
	c.mu.Unlock()
	if was != "" {
		c.crowd.release(was)
	}
	return true
}

// Read implements net.Conn.
func (c *countedConn) Read(p []byte) (int, error) {
	if c.begun.Do(c.begin); c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.mu.Lock()
	was := c.of
	c.of, c.ended = "", true
	c.mu.Unlock()
	if was != "" {
		c.crowd.release(was)
	}
	return c.Conn.Close()
}

type countedKey struct{}

// withConn is an http.Server's ConnContext: it lets proven find the connection of a call.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if secured, is := conn.(*tls.Conn); is {
		conn = secured.NetConn()
	}
	return context.WithValue(ctx, countedKey{}, conn)
}

// proven counts the connection of an agent for that agent, once it has shown a certificate of our authority.
func (s *server) proven(r *http.Request) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return
	}
	conn, is := r.Context().Value(countedKey{}).(*countedConn)
	if !is {
		return
	}
	conn.judged.Do(func() {
		agent, ours := s.identity.CA().AgentOf(r.TLS.PeerCertificates[0], s.now())
		if ours && !conn.count("agent "+string(agent)) {
			_ = conn.Close() // the call, and whatever else comes, fails
		}
	})
}
