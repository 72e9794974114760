package identity

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// Bounds on X-Forwarded-For.
const (
	maxForwarded     = 4096 // bytes
	maxForwardedHops = 32
)

// ClientAddress gives the address that a call comes from: that of the connection (host:port, as
// http.Request.RemoteAddr), unless that is a trusted proxy; then the last address of forwardedFor, the values of
// X-Forwarded-For, that is not one. warning says why the address is a poor source for an opening, if it is.
func (i *Identity) ClientAddress(remote string, forwardedFor []string) (address netip.Addr, warning string, err error) {
	direct, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, "", access.Fault(access.KindInternal, "addressUnknown",
			"the address of the connection is unknown")
	}
	address = plain(direct.Addr())
	forwarded := len(forwardedFor) > 0
	switch trusted := i.trusts(address); {
	case forwarded && trusted:
		if address, err = i.behindProxy(address, forwardedFor); err != nil {
			return netip.Addr{}, "", err
		}
	case forwarded:
		warning = "the call came through a proxy that is not trusted: its address, not yours, is taken; name it in " +
			"trustedProxies"
	case trusted:
		warning = "the call came from a trusted proxy that does not say for whom: its address, not yours, is taken"
	}
	if warning == "" {
		warning = poor(address)
	}
	return address, warning, nil
}

// behindProxy walks the hops from the nearest to the farthest and stops at the first that nobody vouches for.
func (i *Identity) behindProxy(proxy netip.Addr, forwardedFor []string) (netip.Addr, error) {
	hops, err := parseForwardedFor(forwardedFor)
	if err != nil {
		return netip.Addr{}, err
	}
	address := proxy
	for _, hop := range slices.Backward(hops) {
		address = hop
		if !i.trusts(hop) {
			break
		}
	}
	return address, nil
}

// parseForwardedFor gives the hops of X-Forwarded-For in their order, each an address with or without a port.
func parseForwardedFor(values []string) ([]netip.Addr, error) {
	malformed := func(why string) error {
		return access.Fault(access.KindInvalid, "malformedForwardedFor", "the header X-Forwarded-For %s", why)
	}
	joined := strings.Join(values, ",")
	if len(joined) > maxForwarded {
		return nil, malformed("is too long")
	}
	var hops []netip.Addr
	for text := range strings.SplitSeq(joined, ",") {
		hop, err := parseHop(strings.TrimSpace(text))
		if err != nil {
			return nil, malformed("has an entry that is not an address")
		}
		if hops = append(hops, hop); len(hops) > maxForwardedHops {
			return nil, malformed("has too many entries")
		}
	}
	return hops, nil
}

// parseHop reads "192.0.2.1", "192.0.2.1:443", "2001:db8::1" or "[2001:db8::1]:443".
func parseHop(text string) (netip.Addr, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		return plain(address), nil
	}
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		address, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return plain(address), err
	}
	both, err := netip.ParseAddrPort(text)
	return plain(both.Addr()), err
}

// plain gives an address as it is compared: IPv4 as IPv4, and without a zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func (i *Identity) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(i.proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

func poor(a netip.Addr) string {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)
	switch {
	case a.IsLoopback():
		return "this is the loopback address: other machines will not see you come from it"
	case a.IsLinkLocalUnicast():
		return "this is a link-local address: only machines on the same link will see you come from it"
	case a.IsPrivate():
		return "this is a private address: only machines in the same private network will see you come from it"
	case shared.Contains(a):
		return "this address is shared by many behind a provider's gateway: an opening would be for all of them"
	}
	return ""
}
