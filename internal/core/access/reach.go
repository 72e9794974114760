package access

import (
	"math"
	"net/netip"
	"slices"
)

// Reach gives the share of the unicast addresses of IPv4 and of the public addresses of IPv6 (2000::/3) that lie in any
// of the prefixes, each from 0 to 1. Two halves of a family are the whole of it, however they are written.
func Reach(prefixes []netip.Prefix) (four, six float64) {
	var apart []netip.Prefix // of which none lies in another
	for _, p := range prefixes {
		p, ok := CanonicalPrefix(p)
		if !ok || slices.ContainsFunc(apart, func(q netip.Prefix) bool { return PrefixWithin(p, q) }) {
			continue
		}
		apart = slices.DeleteFunc(apart, func(q netip.Prefix) bool { return PrefixWithin(q, p) })
		apart = append(apart, p)
	}
	rest := netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 3) // multicast and reserved: no unicast
	public := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20}), 3)
	share := func(p netip.Prefix) float64 { return math.Ldexp(1, -p.Bits()) }
	for _, p := range apart {
		switch {
		case PrefixWithin(p, rest):
		case PrefixWithin(rest, p):
			four += share(p) - share(rest)
		case p.Addr().Is4():
			four += share(p)
		case PrefixWithin(public, p):
			six = share(public)
		case PrefixWithin(p, public):
			six += share(p)
		}
	}
	return min(four/(1-share(rest)), 1), min(six/share(public), 1)
}
