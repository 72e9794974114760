package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	connectTimeout = 5 * time.Second
	sendTimeout    = 10 * time.Second // of one attempt, from resolving the name to the end of the answer
)

// destinationError says that a receiver has an address which the channel may not reach.
type destinationError struct{ text string }

// Error names the address and what is wrong with it.
func (e *destinationError) Error() string { return e.text }

// refused gives networks that are no place for a receiver, though netip's own predicates let them through.
func refused() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),          // this network
		netip.MustParsePrefix("192.0.0.0/24"),       // protocol assignments
		netip.MustParsePrefix("198.18.0.0/15"),      // benchmarks
		netip.MustParsePrefix("240.0.0.0/4"),        // reserved, broadcast
		netip.MustParsePrefix("64:ff9b:1::/48"),     // local translation of IPv4
		netip.MustParsePrefix("2001::/32"),          // Teredo: hides an IPv4 address
		netip.MustParsePrefix("fec0::/10"),          // site-local, deprecated
		netip.MustParsePrefix("100.100.100.200/32"), // metadata of Alibaba Cloud
		// the host below a machine of Azure, at an address that looks public
		netip.MustParsePrefix("168.63.129.16/32"),
		netip.MustParsePrefix("fd00:ec2::/32"),    // metadata and other services of AWS
		netip.MustParsePrefix("fd20:ce::254/128"), // metadata of Google Cloud
	}
}

// checkDestination refuses addresses that a channel must not make the server connect to. Those where clouds keep their
// metadata services, link-local and others, are refused even where private ones are allowed.
func checkDestination(address netip.Addr, allowPrivate bool) error {
	a := unwrap(address.Unmap().WithZone(""))
	never := slices.ContainsFunc(refused(), func(p netip.Prefix) bool { return p.Contains(a) })
	switch {
	case never, !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast():
		return &destinationError{a.String() + " is no address of a receiver"}
	case allowPrivate:
		return nil
	case a.IsLoopback(), a.IsPrivate(), netip.MustParsePrefix("100.64.0.0/10").Contains(a):
		return &destinationError{a.String() + " is a private address; if that is meant, the tenant that runs the " +
			"server may allow it with --allow-private"}
	}
	return nil
}

// unwrap gives the IPv4 address inside a NAT64 (64:ff9b::/96) or 6to4 (2002::/16) address, where a packet would end up.
func unwrap(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	default:
		return a
	}
}

// Dialer makes connections whose address is checked after the name was resolved, at the moment of connecting, so that
// a name which resolves differently the second time gains nothing.
func Dialer(allowPrivate bool) *net.Dialer {
	return &net.Dialer{
		Timeout:   connectTimeout,
		KeepAlive: -1,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return &destinationError{strconv.Quote(address) + " is no address"}
			}
			return checkDestination(at.Addr(), allowPrivate)
		},
	}
}

// CheckHost checks a host as Dialer does, for a proxy that looks it up and dials it: each address that it has here must
// be one that may be reached. One that cannot be looked up here is refused, unless private addresses are allowed: then
// the proxy alone decides. The proxy may always find another address than this server.
func CheckHost(ctx context.Context, host string, allowPrivate bool) error {
	if a, err := netip.ParseAddr(host); err == nil {
		return checkDestination(a, allowPrivate)
	}
	// digits of other scripts are made ours on the way
	if spellsAddress(host) || strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return &destinationError{strconv.Quote(host) + " is neither a name nor an address in the usual form"}
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil && !allowPrivate {
		return fmt.Errorf("whether it is a private address cannot be told here: %w", err)
	}
	for _, a := range addresses {
		if err := checkDestination(a, allowPrivate); err != nil {
			return err
		}
	}
	return nil
}

// spellsAddress tells whether the last part of a host is a number, as no name's is. Some programs take 2852039166,
// 0xa9fea9fe or 169.254.43518 for 169.254.169.254.
func spellsAddress(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && last[0] >= '0' && last[0] <= '9'
}

// tlsConfig trusts the system's authorities, or only those of pem where it is not empty.
func tlsConfig(pem string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if pem != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, errors.New("the authorities of the channel are not PEM certificates")
		}
	}
	return c, nil
}
