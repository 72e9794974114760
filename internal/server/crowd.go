package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/httpapi"
)

// crowd counts the connections of each address, so that one that opens ever more leaves room for others. Those of
// trusted proxies, which speak for many, do not count, and those of agents, of which many may share an address, count
// for each agent's key there.
type crowd struct {
	most   int
	exempt []netip.Prefix
	log    *slog.Logger

	mu     sync.Mutex // protects what follows
	held   map[string]int
	warned time.Time
}

var errCrowded = errors.New("there are too many connections from this address")

// counter is something that connections are counted for, and how many it may have.
type counter struct {
	of   string
	most int
}

// take counts one more connection for all of these, and tells whether it may stay.
func (c *crowd) take(all []counter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range all {
		if c.held[one.of] >= one.most {
			if now := time.Now(); now.Sub(c.warned) > time.Minute {
				c.warned = now
				c.log.Warn("connections refused: there are too many", "of", one.of, "most", one.most)
			}
			return false
		}
	}
	for _, one := range all {
		c.held[one.of]++
	}
	return true
}

func (c *crowd) release(all []counter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range all {
		if c.held[one.of]--; c.held[one.of] <= 0 {
			delete(c.held, one.of)
		}
	}
}

// sitePerAddress is how many times more connections the /48 of a site may have than one /64 of it, as it may make more
// calls.
const sitePerAddress = 4

// address gives what the connections of an address are counted for: itself, or of IPv6 its /64, since a host has as
// many as it likes there, and the site with all of those.
func (c *crowd) address(a netip.Addr) []counter {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return []counter{{a.String(), c.most}}
	}
	return []counter{{netip.PrefixFrom(a, 64).Masked().String(), c.most}, {site(a), sitePerAddress * c.most}}
}

// site is from where somebody comes: an IPv4 address, or an IPv6 /48.
func site(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); a.Is6() {
		return netip.PrefixFrom(a, 48).Masked().String()
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
	of    []counter  // what it counts for
	ended bool
}

func (c *countedConn) begin() {
	from := c.from()
	if slices.ContainsFunc(c.crowd.exempt, func(p netip.Prefix) bool { return p.Contains(from) }) {
		return
	}
	if !c.count(c.crowd.address(from)) {
		c.err = errCrowded
	}
}

// from is the address of the other side, once it is known whom a load balancer speaks for.
func (c *countedConn) from() netip.Addr {
	address, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // of a listener of ours it is one
	return address.Addr().Unmap().WithZone("")
}

// count lets the connection count for something else than before, and tells whether it may stay.
func (c *countedConn) count(of []counter) bool {
	if !c.crowd.take(of) {
		return false
	}
	c.mu.Lock()
	was := c.of
	if c.of = of; c.ended {
		was, c.of = of, nil
	}
	c.mu.Unlock()
	c.crowd.release(was)
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
	c.of, c.ended = nil, true
	c.mu.Unlock()
	c.crowd.release(was)
	return c.Conn.Close()
}

type countedKey struct{}

// connected is an http.Server's ConnContext.
func (s *server) connected(ctx context.Context, conn net.Conn) context.Context {
	return withConn(httpapi.Connected(ctx, s.now()), conn)
}

// withConn lets proven find the connection of a call.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if secured, is := conn.(*tls.Conn); is {
		conn = secured.NetConn()
	}
	return context.WithValue(ctx, countedKey{}, conn)
}

// proven counts the connection of a call for its agent, of which many may share an address, once the agent has shown a
// certificate that counts. It is known by its key and by its place, as its calls are: what somebody opens with a copy
// of the key elsewhere, or with one that was replaced, takes no room from the original.
func proven(ctx context.Context, key string) {
	conn, is := ctx.Value(countedKey{}).(*countedConn)
	if !is {
		return
	}
	conn.judged.Do(func() {
		if !conn.count([]counter{{"agent " + key + " at " + site(conn.from()), conn.crowd.most}}) {
			_ = conn.Close() // the call, and whatever else comes, fails
		}
	})
}
