//go:build linux

package nftables

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

// truth is what is known of a condition.
type truth uint8

const (
	no truth = iota
	maybe
	yes
)

func (t truth) not() truth { return yes - t }

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// probe is a packet that begins a connection, as far as it is known.
type probe struct {
	family   family
	protocol access.Protocol
	port     uint16
	source   netip.Prefix // what it comes from; the zero prefix is anywhere
	to       netip.Addr   // the zero address is one of this host
	local    bool         // it is for this host, and not passed on
	arrives  string       // the interface; empty where any
}

// cell is one byte of a register, as far as it is known.
type cell struct {
	data, known byte // the bits that are known, and which those are
	port        bool // it is of the destination port
	protocol    bool // it is of the transport protocol
	strange     bool // it comes from what is not understood here
}

// cells are a value.
type cells []cell

func fixed(b []byte) cells {
	c := make(cells, len(b))
	for i := range b {
		c[i] = cell{data: b[i], known: 0xff}
	}
	return c
}

func unknown(n int, strange bool) cells {
	c := make(cells, n)
	for i := range c {
		c[i].strange = strange
	}
	return c
}

func (c cells) any(of func(cell) bool) bool { return slices.ContainsFunc(c, of) }
func (c cells) ofPort() bool                { return c.any(func(b cell) bool { return b.port }) }
func (c cells) ofProtocol() bool            { return c.any(func(b cell) bool { return b.protocol }) }
func (c cells) strange() bool               { return c.any(func(b cell) bool { return b.strange }) }

// bounds are the least and the greatest value that c may have.
func (c cells) bounds() (least, most []byte) {
	least, most = make([]byte, len(c)), make([]byte, len(c))
	for i, b := range c {
		least[i], most[i] = b.data&b.known, b.data|^b.known
	}
	return least, most
}

// equals tells whether c is that value.
func (c cells) equals(value []byte) truth {
	if len(value) > len(c) {
		return maybe
	}
	result := yes
	for i, v := range value {
		switch b := c[i]; {
		case (b.data^v)&b.known != 0:
			return no
		case b.known != 0xff:
			result = maybe
		}
	}
	return result
}

// within tells whether c lies between two values, both included.
func (c cells) within(from, to []byte) truth {
	least, most := c.bounds()
	switch {
	case bytes.Compare(most, from) < 0 || bytes.Compare(least, to) > 0:
		return no
	case bytes.Compare(least, from) >= 0 && bytes.Compare(most, to) <= 0:
		return yes
	}
	return maybe
}

// compare tells whether c stands so to that value.
func (c cells) compare(op expr.CmpOp, value []byte) truth {
	if op == expr.CmpOpEq {
		return c.equals(value)
	}
	if op == expr.CmpOpNeq {
		return c.equals(value).not()
	}
	least, most := c[:min(len(value), len(c))].bounds()
	low, high := bytes.Compare(least, value), bytes.Compare(most, value)
	decide := func(all, none bool) truth {
		switch {
		case all:
			return yes
		case none:
			return no
		}
		return maybe
	}
	switch op { //nolint:exhaustive // the two others are above
	case expr.CmpOpLt:
		return decide(high < 0, low >= 0)
	case expr.CmpOpLte:
		return decide(high <= 0, low > 0)
	case expr.CmpOpGt:
		return decide(low > 0, high <= 0)
	default:
		return decide(low >= 0, high < 0)
	}
}

// registers are those of the kernel, which are one row of bytes: four of sixteen, or sixteen of four.
type registers [64]cell

func at(register uint32) int {
	if register >= unix.NFT_REG32_00 {
		return int(register-unix.NFT_REG32_00) * 4
	}
	return int(register-unix.NFT_REG_1) * 16
}

func (r *registers) load(register uint32, c cells) {
	from := at(register)
	if from < 0 || from+len(c) > len(r) {
		return
	}
	copy(r[from:], c)
	for i := from + len(c); i%4 != 0; i++ { // the kernel fills up a register
		r[i] = cell{known: 0xff}
	}
}

func (r *registers) value(register uint32, n int) cells {
	from := at(register)
	if from < 0 || from+n > len(r) {
		return unknown(n, true)
	}
	return slices.Clone(cells(r[from : from+n]))
}

func (p probe) number() byte { return protocolNumber(p.protocol) }

// address is what is known of an address within a prefix.
func address(p netip.Prefix, n int) cells {
	c := unknown(n, false)
	if !p.IsValid() || p.Addr().BitLen() != n*8 {
		return c
	}
	for i, b := range p.Masked().Addr().AsSlice() {
		c[i] = cell{data: b, known: byte(0xff << max(0, min(8, 8*(i+1)-p.Bits())))}
	}
	return c
}

func (p probe) destination(n int) cells {
	if !p.to.IsValid() {
		return unknown(n, false)
	}
	return address(netip.PrefixFrom(p.to, p.to.BitLen()), n)
}

// header is the packet from the network's header, or from the transport's.
func (p probe) header(base expr.PayloadBase) cells {
	if base == expr.PayloadBaseTransportHeader {
		c := unknown(20, false)
		for i, b := range binary.BigEndian.AppendUint16(nil, p.port) {
			c[destinationPortAt+i] = cell{data: b, known: 0xff, port: true}
		}
		if p.protocol == access.TCP {
			c[tcpFlagsAt] = cell{data: tcpSyn, known: 0xff}
		}
		return c
	}
	if base != expr.PayloadBaseNetworkHeader {
		return nil
	}
	protocol := cell{data: p.number(), known: 0xff, protocol: true}
	if p.family == four {
		c := unknown(20, false)
		c[0] = cell{data: 0x45, known: 0xf0}
		c[9] = protocol
		copy(c[source4At:], address(p.source, 4))
		copy(c[destination4At:], p.destination(4))
		return c
	}
	c := unknown(40, false)
	c[0] = cell{data: 0x60, known: 0xf0}
	c[6] = protocol
	copy(c[source6At:], address(p.source, 16))
	copy(c[destination6At:], p.destination(16))
	return c
}

func (p probe) payload(e *expr.Payload) cells {
	h := p.header(e.Base)
	if from, to := int(e.Offset), int(e.Offset+e.Len); to <= len(h) && from <= to {
		return h[from:to]
	}
	return unknown(int(e.Len), e.Base != expr.PayloadBaseLLHeader)
}

func (p probe) meta(key expr.MetaKey) cells {
	native := func(n uint32) cells { return fixed(binary.NativeEndian.AppendUint32(nil, n)) }
	switch key { //nolint:exhaustive // what is known
	case expr.MetaKeyL4PROTO:
		return cells{{data: p.number(), known: 0xff, protocol: true}}
	case expr.MetaKeyNFPROTO:
		if p.family == four {
			return fixed([]byte{unix.NFPROTO_IPV4})
		}
		return fixed([]byte{unix.NFPROTO_IPV6})
	case expr.MetaKeyPROTOCOL:
		if p.family == four {
			return fixed([]byte{0x08, 0x00})
		}
		return fixed([]byte{0x86, 0xdd})
	case expr.MetaKeyPKTTYPE:
		return fixed([]byte{0}) // for us
	case expr.MetaKeyIIFNAME:
		if p.arrives != "" {
			return fixed(append([]byte(p.arrives), make([]byte, 16-len(p.arrives))...))
		}
		return unknown(16, false)
	case expr.MetaKeyOIFNAME:
		if p.local {
			return fixed(make([]byte, 16))
		}
		return unknown(16, false)
	case expr.MetaKeyIIF:
		return unknown(4, false)
	case expr.MetaKeyOIF:
		if p.local {
			return native(0)
		}
		return unknown(4, false)
	case expr.MetaKeyLEN, expr.MetaKeyIIFTYPE, expr.MetaKeyOIFTYPE:
		return unknown(4, false)
	}
	return unknown(16, true)
}

func (p probe) tracked(e *expr.Ct) cells {
	switch e.Key { //nolint:exhaustive // what is known
	case expr.CtKeySTATE:
		return fixed(binary.NativeEndian.AppendUint32(nil, expr.CtStateBitNEW))
	case expr.CtKeyDIRECTION:
		return fixed([]byte{0})
	case expr.CtKeySRC, expr.CtKeyDST, expr.CtKeySRCIP, expr.CtKeyDSTIP, expr.CtKeySRCIP6, expr.CtKeyDSTIP6,
		expr.CtKeyPROTOSRC, expr.CtKeyPROTODST:
		return unknown(16, false)
	}
	return unknown(16, true)
}

func (p probe) routed(e *expr.Fib) cells {
	if e.ResultADDRTYPE && e.FlagDADDR && !e.FlagSADDR {
		kind := uint32(unix.RTN_UNICAST)
		if p.local {
			kind = unix.RTN_LOCAL
		}
		return fixed(binary.NativeEndian.AppendUint32(nil, kind))
	}
	return unknown(16, false)
}
