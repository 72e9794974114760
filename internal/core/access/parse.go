package access

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ParsePorts reads a port or an inclusive range of ports: "22", "8000-8010". Blanks, signs, leading zeros and
// names are refused.
func ParsePorts(s string) (PortRange, error) {
	bad := func(why string) (PortRange, error) {
		return PortRange{}, Fault(KindInvalid, "malformedPorts",
			"ports %q %s; write a port such as 22, or a range such as 8000-8010", clip(s), why)
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	var r PortRange
	for _, end := range []struct {
		text string
		to   *uint16
	}{{first, &r.First}, {last, &r.Last}} {
		n, err := strconv.ParseUint(end.text, 10, 16)
		if err != nil || n == 0 || end.text[0] == '0' {
			return bad("are not numbers from 1 to 65535")
		}
		*end.to = uint16(n)
	}
	switch {
	case r.First > r.Last:
		return bad("begin after they end")
	case !r.Valid():
		return bad("are more than the " + strconv.Itoa(MaxPortRange) + " that one range may have")
	}
	return r, nil
}

// ParseProtocol reads a protocol without regard to case; "*" is AnyProtocol.
func ParseProtocol(s string) (Protocol, error) {
	switch p := Protocol(strings.ToLower(s)); p {
	case TCP, UDP, AnyProtocol:
		return p, nil
	case "*":
		return AnyProtocol, nil
	default:
		return "", Fault(KindInvalid, "malformedProtocol", "protocol %q is not known; use tcp, udp or any", clip(s))
	}
}

// ParsePortSpec reads ports with or without a protocol: "22", "22/tcp", "8000-8010/any". Without one the protocol is
// empty.
func ParsePortSpec(s string) (PortRange, Protocol, error) {
	ports, proto, has := strings.Cut(s, "/")
	r, err := ParsePorts(ports)
	if err != nil || !has {
		return r, "", err
	}
	p, err := ParseProtocol(proto)
	if err != nil {
		return PortRange{}, "", err
	}
	return r, p, nil
}

// ParseAddress reads an IPv4 or IPv6 address. IPv4 written as IPv6 becomes IPv4; a zone is refused.
func ParseAddress(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, Fault(KindInvalid, "malformedAddress",
			"%q is not an address; write one such as 203.0.113.7 or 2001:db8::7", clip(s))
	}
	return addr.Unmap(), nil
}

// ParsePrefix reads an IPv4 or IPv6 prefix, or an address, which stands for the prefix of it alone. IPv4 written as
// IPv6 (::ffff:192.0.2.1) becomes IPv4. A zone, and bits behind the prefix length, are refused; the message names the
// prefix that is probably meant.
func ParsePrefix(s string) (netip.Prefix, error) {
	bad := func(why string) (netip.Prefix, error) {
		return netip.Prefix{}, Fault(KindInvalid, "malformedPrefix",
			"source %q %s; write an address such as 192.0.2.7, or a prefix such as 192.0.2.0/24 or 2001:db8::/32",
			clip(s), why)
	}
	var p netip.Prefix
	if strings.Contains(s, "/") {
		parsed, err := netip.ParsePrefix(s)
		if err != nil {
			return bad("is not a prefix")
		}
		p = parsed
	} else {
		addr, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			return bad("is not an address")
		case addr.Zone() != "":
			return bad("has a zone, which means nothing elsewhere")
		}
		p = SingleAddress(addr)
	}
	canonical, ok := CanonicalPrefix(p)
	switch {
	case !ok:
		return bad("mixes IPv4 and IPv6")
	case unmapped(p) != canonical:
		return bad("has bits behind its length; its prefix is " + canonical.String())
	}
	return canonical, nil
}

// SingleAddress gives the prefix that holds addr alone; the zone is dropped, and IPv4 written as IPv6 becomes IPv4.
func SingleAddress(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen())
}

// CanonicalPrefix gives the one form of p that is compared and enforced: masked, and IPv4 where p is IPv4 written as
// IPv6. It is not ok where p is invalid or holds IPv4 written as IPv6 among other addresses (::ffff:0:0/90).
func CanonicalPrefix(p netip.Prefix) (canonical netip.Prefix, ok bool) {
	if !p.IsValid() {
		return netip.Prefix{}, false
	}
	p = unmapped(p)
	if p.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

// unmapped turns IPv4 written as IPv6 into IPv4, and leaves anything else as it is.
func unmapped(p netip.Prefix) netip.Prefix {
	const mapped = 96 // ::ffff:0:0/96
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p
}

// NoSource says why nothing can come from any address of a canonical prefix, and is empty where something may.
// Addresses of the loopback interface are no such: they are what a server sees of whoever uses it on its own host, and
// an opening for them lets nobody in.
func NoSource(p netip.Prefix) string {
	for _, none := range []struct {
		addresses netip.Prefix
		what      string
	}{
		{netip.PrefixFrom(netip.IPv4Unspecified(), 8), "stands for no address: anywhere is 0.0.0.0/0"},
		{netip.PrefixFrom(netip.IPv6Unspecified(), 128), "stands for no address: anywhere is ::/0"},
		{netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 4), "is multicast, from which nothing is sent"},
		{netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff}), 8), "is multicast, from which nothing is sent"},
		{SingleAddress(netip.AddrFrom4([4]byte{255, 255, 255, 255})), "is broadcast, from which nothing is sent"},
	} {
		if PrefixWithin(p, none.addresses) {
			return "source " + p.String() + " " + none.what
		}
	}
	return ""
}

// PrefixWithin tells whether every address of inner lies in outer. Both must be canonical.
func PrefixWithin(inner, outer netip.Prefix) bool {
	return outer.IsValid() && inner.IsValid() && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// Instant returns t as records hold it: in UTC, whole microseconds, and within the years that RFC 3339 can write, which
// a time of another zone, or a count of microseconds, may leave: one that cannot be written would keep the list that it
// is in from everybody. The zero time stays as it is.
func Instant(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	first, last := time.Time{}.Add(time.Microsecond), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Add(
		-time.Microsecond)
	switch t = t.UTC().Truncate(time.Microsecond); {
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t
}
