//go:build linux

package nftables

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

// packet is the head of a packet, as far as it says who wanted what.
type packet struct {
	source      netip.Addr
	destination netip.Addr
	protocol    access.Protocol
	port        uint16 // of the destination
}

// parsePacket reads an IP packet, which may be cut off behind its head. It is false for whatever is not TCP or UDP.
func parsePacket(b []byte) (p packet, ok bool) {
	if len(b) == 0 {
		return p, false
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b)
	case 6:
		return parse6(b)
	}
	return p, false
}

func parse4(b []byte) (p packet, ok bool) {
	const least = 20
	if len(b) < least {
		return p, false
	}
	head := int(b[0]&0x0f) * 4
	fragment := binary.BigEndian.Uint16(b[6:]) & 0x1fff
	if head < least || fragment != 0 || len(b) < head {
		return p, false
	}
	p.source = netip.AddrFrom4([4]byte(b[source4At:]))
	p.destination = netip.AddrFrom4([4]byte(b[destination4At:]))
	return p.transport(b[9], b[head:])
}

func parse6(b []byte) (p packet, ok bool) {
	const head = 40
	if len(b) < head {
		return p, false
	}
	p.source = netip.AddrFrom16([16]byte(b[source6At:]))
	p.destination = netip.AddrFrom16([16]byte(b[destination6At:]))
	next, rest := b[6], b[head:]
	const maxExtensions = 8
	for range maxExtensions {
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			if len(rest) < 8 {
				return p, false
			}
			length := 8 + int(rest[1])*8
			if len(rest) < length {
				return p, false
			}
			next, rest = rest[0], rest[length:]
		case unix.IPPROTO_FRAGMENT:
			if len(rest) < 8 || binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0 {
				return p, false
			}
			next, rest = rest[0], rest[8:]
		default:
			return p.transport(next, rest)
		}
	}
	return p, false
}

func (p packet) transport(number byte, b []byte) (packet, bool) {
	if len(b) < 4 {
		return p, false
	}
	p.port = binary.BigEndian.Uint16(b[destinationPortAt:])
	switch number {
	case unix.IPPROTO_TCP:
		p.protocol = access.TCP
	case unix.IPPROTO_UDP:
		p.protocol = access.UDP
	default:
		return p, false
	}
	return p, true
}
