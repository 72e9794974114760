package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds on the header of the PROXY protocol.
const (
	maxProxyLine  = 107  // bytes of version 1, as its specification says
	maxProxyBlock = 2048 // bytes behind the fixed part of version 2: addresses, and what a proxy adds, which we skip
	proxyTimeout  = 5 * time.Second
)

const proxySignature = "\r\n\r\n\x00\r\nQUIT\n" // of version 2

// proxyListener takes connections from load balancers that speak the PROXY protocol: each must begin with a header,
// which says whom it is for. Connections from anywhere else are left as they are, so a header from a stranger is no
// TLS, and fails.
type proxyListener struct {
	net.Listener

	from []netip.Prefix
}

// Accept implements net.Listener. It does not wait for the header.
func (l proxyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	direct, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || !slices.ContainsFunc(l.from,
		func(p netip.Prefix) bool { return p.Contains(direct.Addr().Unmap().WithZone("")) }) {
		return conn, nil //nolint:nilerr // an address that is not one is nobody's whom we believe
	}
	return &proxiedConn{Conn: conn}, nil
}

// proxiedConn is a connection whose header is read when the address or the first byte is asked for.
type proxiedConn struct {
	net.Conn

	once   sync.Once
	client netip.AddrPort // zero: the proxy speaks for itself
	err    error
}

func (c *proxiedConn) begin() {
	c.once.Do(func() {
		if c.err = c.SetReadDeadline(time.Now().Add(proxyTimeout)); c.err != nil {
			return
		}
		if c.client, c.err = readProxyHeader(c.Conn); c.err != nil {
			c.err = fmt.Errorf("read the header of the PROXY protocol: %w", c.err)
			return
		}
		c.err = c.SetReadDeadline(time.Time{})
	})
}

// Read implements net.Conn.
func (c *proxiedConn) Read(p []byte) (int, error) {
	if c.begin(); c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// RemoteAddr gives the client's address, as the proxy says.
func (c *proxiedConn) RemoteAddr() net.Addr {
	if c.begin(); c.err != nil || !c.client.IsValid() {
		return c.Conn.RemoteAddr()
	}
	return net.TCPAddrFromAddrPort(c.client)
}

var errProxyHeader = errors.New("it is neither of version 1 nor of version 2")

// readProxyHeader reads the header, and not a byte more, and gives the client's address: the zero value where the proxy
// speaks for itself (LOCAL) or does not know (UNKNOWN).
func readProxyHeader(r io.Reader) (netip.AddrPort, error) {
	head := make([]byte, len(proxySignature), maxProxyLine)
	if _, err := io.ReadFull(r, head); err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case string(head) == proxySignature:
		return readProxyBlock(r)
	case bytes.HasPrefix(head, []byte("PROXY ")):
		return readProxyLine(r, head)
	}
	return netip.AddrPort{}, errProxyHeader
}

// readProxyLine reads the rest of a header of version 1, which is a line of text.
func readProxyLine(r io.Reader, line []byte) (netip.AddrPort, error) {
	var one [1]byte
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxProxyLine {
			return netip.AddrPort{}, errors.New("the line is too long")
		}
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return netip.AddrPort{}, err
		}
		line = append(line, one[0])
	}
	fields := strings.Split(string(line[:len(line)-2]), " ")
	if fields[1] == "UNKNOWN" { // whatever follows does not count
		return netip.AddrPort{}, nil
	}
	if len(fields) != 6 {
		return netip.AddrPort{}, errors.New("the line does not have six words")
	}
	source, err := proxyAddress(fields[1], fields[2], fields[4])
	if err != nil {
		return netip.AddrPort{}, err
	}
	if _, err := proxyAddress(fields[1], fields[3], fields[5]); err != nil {
		return netip.AddrPort{}, err
	}
	return source, nil
}

func proxyAddress(family, address, port string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" || family != "TCP4" && family != "TCP6" || (family == "TCP4") != addr.Is4() {
		return netip.AddrPort{}, errors.New("the line has an address that is not one of its family")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return netip.AddrPort{}, errors.New("the line has a port that is not one")
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}

// readProxyBlock reads the rest of a header of version 2, which is binary.
func readProxyBlock(r io.Reader) (netip.AddrPort, error) {
	var fixed [4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return netip.AddrPort{}, err
	}
	length := int(binary.BigEndian.Uint16(fixed[2:]))
	if length > maxProxyBlock {
		return netip.AddrPort{}, errors.New("the block is too long")
	}
	block := make([]byte, length)
	if _, err := io.ReadFull(r, block); err != nil {
		return netip.AddrPort{}, err
	}
	const local, proxied, inet, inet6, unspec = 0x20, 0x21, 0x11, 0x21, 0x00
	switch {
	case fixed[0] == local:
		return netip.AddrPort{}, nil
	case fixed[0] != proxied:
		return netip.AddrPort{}, errors.New("the block is of an unknown version or command")
	case fixed[1] == unspec:
		return netip.AddrPort{}, nil
	case fixed[1] == inet && length >= 12:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(block[:4])), binary.BigEndian.Uint16(block[8:])), nil
	case fixed[1] == inet6 && length >= 36:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(block[:16])).Unmap(),
			binary.BigEndian.Uint16(block[32:])), nil
	}
	return netip.AddrPort{}, errors.New("the block has addresses of an unknown family, or is too short for them")
}
