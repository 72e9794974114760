//go:build linux

package nftables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// statement is one part of a rule, as text and as expressions of the kernel.
type statement struct {
	text        string
	expressions []expr.Any
}

// rule joins statements.
func rule(parts ...statement) Rule {
	var r Rule
	texts := make([]string, 0, len(parts))
	for _, p := range parts {
		if p.text != "" {
			texts = append(texts, p.text)
		}
		r.expressions = append(r.expressions, p.expressions...)
	}
	r.Text = strings.Join(texts, " ")
	return r
}

// Registers: verdicts and comparisons use the first of 16 bytes; keys of sets begin at the first of four bytes, which
// is the same place.
const (
	registerOne = unix.NFT_REG_1
	registerKey = unix.NFT_REG32_00
)

// Where things lie in headers, in bytes.
const (
	sourcePortAt, destinationPortAt = 0, 2
	source4At, destination4At       = 12, 16
	source6At, destination6At       = 8, 24
	tcpFlagsAt                      = 13
)

// Flags of TCP.
const (
	tcpFin, tcpSyn, tcpRst, tcpAck byte = 1, 2, 4, 16
)

// side is which end of a packet is looked at.
type side uint8

const (
	source side = iota
	destination
)

func (s side) address() string { return [...]string{"saddr", "daddr"}[s] }
func (s side) port() string    { return [...]string{"sport", "dport"}[s] }

// family is IPv4 or IPv6.
type family uint8

const (
	four family = 4
	six  family = 6
)

func (f family) protocol() string { return map[family]string{four: "ip", six: "ip6"}[f] }
func (f family) bytes() int       { return map[family]int{four: 4, six: 16}[f] }
func (f family) field() Field {
	return map[family]Field{four: FieldAddress4, six: FieldAddress6}[f]
}

func (f family) offset(s side) uint32 {
	if f == four {
		return [...]uint32{source4At, destination4At}[s]
	}
	return [...]uint32{source6At, destination6At}[s]
}

func equal(value []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: registerOne, Data: value}
}

func isFamily(f family) statement {
	number := byte(unix.NFPROTO_IPV4)
	if f == six {
		number = unix.NFPROTO_IPV6
	}
	return statement{fmt.Sprintf("meta nfproto ipv%d", f), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: registerOne}, equal([]byte{number}),
	}}
}

func isProtocol(number byte) statement {
	return statement{"meta l4proto " + protocolName(number), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: registerOne}, equal([]byte{number}),
	}}
}

// onLoopback matches what stays on this host; the loopback interface is number 1 in every network namespace.
func onLoopback(name string, key expr.MetaKey) statement {
	return statement{name + ` "lo"`, []expr.Any{
		&expr.Meta{Key: key, Register: registerOne}, equal(binary.NativeEndian.AppendUint32(nil, 1)),
	}}
}

// tcpFlags matches packets whose flags within mask are want, or are not; it must stand behind isProtocol for TCP.
func tcpFlags(text string, mask, want byte, op expr.CmpOp) statement {
	return statement{text, []expr.Any{
		&expr.Payload{DestRegister: registerOne, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlagsAt, Len: 1},
		&expr.Bitwise{
			SourceRegister: registerOne, DestRegister: registerOne, Len: 1, Mask: []byte{mask},
			Xor: []byte{0},
		},
		&expr.Cmp{Op: op, Register: registerOne, Data: []byte{want}},
	}}
}

func opensTCP() statement {
	return tcpFlags("tcp flags & (fin | syn | rst | ack) == syn", tcpFin|tcpSyn|tcpRst|tcpAck, tcpSyn, expr.CmpOpEq)
}

func opensNoTCP() statement {
	return tcpFlags("tcp flags & (fin | syn | rst | ack) != syn", tcpFin|tcpSyn|tcpRst|tcpAck, tcpSyn, expr.CmpOpNeq)
}

func resetsTCP() statement { return tcpFlags("tcp flags & rst == rst", tcpRst, tcpRst, expr.CmpOpEq) }

func state(text string, bits uint32) statement {
	return statement{"ct state " + text, []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: registerOne},
		&expr.Bitwise{
			SourceRegister: registerOne, DestRegister: registerOne, Len: 4,
			Mask: binary.NativeEndian.AppendUint32(nil, bits), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: registerOne, Data: make([]byte, 4)},
	}}
}

func isNew() statement         { return state("new", expr.CtStateBitNEW) }
func isEstablished() statement { return state("established", expr.CtStateBitESTABLISHED) }
func goesOn() statement {
	return state("established,related", expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// Bits of a connection's status: both sides have spoken; the kernel writes another source, or another destination, into
// its packets. They are never taken back.
const (
	answered              uint32 = 1 << 1 // IPS_SEEN_REPLY
	sourceTranslated      uint32 = 1 << 4 // IPS_SRC_NAT
	destinationTranslated uint32 = 1 << 5 // IPS_DST_NAT
)

// status matches connections of whose status those bits within mask are set that are in want.
func status(text string, mask, want uint32) statement {
	return statement{"ct status " + text, []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: registerOne},
		&expr.Bitwise{
			SourceRegister: registerOne, DestRegister: registerOne, Len: 4,
			Mask: binary.NativeEndian.AppendUint32(nil, mask), Xor: make([]byte, 4),
		},
		equal(binary.NativeEndian.AppendUint32(nil, want)),
	}}
}

// goesOnAsSent matches sessions in which both sides have spoken, and nobody translates anything.
func goesOnAsSent() statement {
	return status("& (seen-reply | snat | dnat) == seen-reply", answered|sourceTranslated|destinationTranslated,
		answered)
}

// beginsAsSent matches what both sides have not spoken in yet, and nobody translates.
func beginsAsSent() statement {
	return status("& (seen-reply | snat | dnat) == 0x0", answered|sourceTranslated|destinationTranslated, 0)
}

func isSourceTranslated() statement {
	return status("& snat == snat", sourceTranslated, sourceTranslated)
}

func isDestinationTranslated() statement {
	return status("& dnat == dnat", destinationTranslated, destinationTranslated)
}

// isLocal matches what is sent to an address of this host, or is not.
func isLocal(text string, op expr.CmpOp) statement {
	return statement{"fib daddr type " + text, []expr.Any{
		&expr.Fib{Register: registerOne, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: op, Register: registerOne, Data: binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)},
	}}
}

// learn puts the destination of a packet into a set.
func learn(f family, set string) statement {
	k := newKey().address(f, destination, f.bytes()*8)
	return statement{"update @" + set + " { " + k.texts[0] + " }", append(k.expressions, &expr.Dynset{
		SrcRegKey: registerKey, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE,
	})}
}

// direction matches packets that go the way of the first packet of their connection, or the other way.
func direction(text string, number byte) statement {
	return statement{
		"ct direction " + text,
		[]expr.Any{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: registerOne}, equal([]byte{number})},
	}
}

func isOriginal() statement { return direction("original", 0) }
func isReply() statement    { return direction("reply", 1) }

// key collects the fields of a set's key in registers.
type key struct {
	texts       []string
	expressions []expr.Any
	next        uint32
}

func newKey() *key { return &key{next: registerKey} }

func (k *key) payload(text string, base expr.PayloadBase, offset, length uint32) {
	k.texts = append(k.texts, text)
	k.expressions = append(k.expressions, &expr.Payload{DestRegister: k.next, Base: base, Offset: offset, Len: length})
}

func (k *key) advance(bytes int) { k.next += uint32((bytes + 3) / 4) } //nolint:gosec // at most 16

// address adds an address, or the network of bits that it lies in.
func (k *key) address(f family, s side, bits int) *key {
	text := f.protocol() + " " + s.address()
	full := f.bytes() * 8
	if bits < full {
		text += " & " + mask(f, bits).String()
	}
	k.payload(text, expr.PayloadBaseNetworkHeader, f.offset(s), uint32(f.bytes())) //nolint:gosec // 4 or 16
	if bits < full {
		k.expressions = append(k.expressions, &expr.Bitwise{
			SourceRegister: k.next, DestRegister: k.next,
			Len: uint32(f.bytes()), Mask: mask(f, bits).AsSlice(), Xor: make([]byte, f.bytes()), //nolint:gosec // 4 or 16
		})
	}
	k.advance(f.bytes())
	return k
}

func (k *key) protocol() *key {
	k.texts = append(k.texts, "meta l4proto")
	k.expressions = append(k.expressions, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: k.next})
	k.advance(1)
	return k
}

func (k *key) port(s side) *key {
	offset := [...]uint32{sourcePortAt, destinationPortAt}[s]
	k.payload("th "+s.port(), expr.PayloadBaseTransportHeader, offset, 2)
	k.advance(2)
	return k
}

// asked adds the address that the connection's first packet was sent to, whatever was made of it since.
func (k *key) asked(f family) *key {
	of := expr.CtKeyDSTIP
	if f == six {
		of = expr.CtKeyDSTIP6
	}
	k.texts = append(k.texts, "ct original "+f.protocol()+" daddr")
	k.expressions = append(k.expressions, &expr.Ct{Register: k.next, Key: of})
	k.advance(f.bytes())
	return k
}

// askedPort adds the port that the connection's first packet was sent to.
func (k *key) askedPort() *key {
	k.texts = append(k.texts, "ct original proto-dst")
	k.expressions = append(k.expressions, &expr.Ct{Register: k.next, Key: expr.CtKeyPROTODST})
	k.advance(2)
	return k
}

func (k *key) in(set string) statement {
	return statement{
		strings.Join(k.texts, " . ") + " @" + set,
		append(k.expressions, &expr.Lookup{SourceRegister: registerKey, SetName: set}),
	}
}

// mask gives the network mask of so many bits as an address.
func mask(f family, bits int) netip.Addr {
	b := make([]byte, f.bytes())
	for i := range bits {
		b[i/8] |= 1 << (7 - i%8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

func verdict(text string, kind expr.VerdictKind, chain string) statement {
	if chain != "" {
		text += " " + chain
	}
	return statement{text, []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}}
}

func accept() statement            { return verdict("accept", expr.VerdictAccept, "") }
func drop() statement              { return verdict("drop", expr.VerdictDrop, "") }
func jump(chain string) statement  { return verdict("jump", expr.VerdictJump, chain) }
func leave(chain string) statement { return verdict("goto", expr.VerdictGoto, chain) }
func count() statement             { return statement{"counter", []expr.Any{&expr.Counter{}}} }

func reset() statement {
	return statement{"reject with tcp reset", []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}}
}

// logged sends the head of a packet to our log group, at most a hundred a second. A queue threshold of one makes the
// kernel hand it over at once; by default it waits for up to a second.
func logged(group uint16) statement {
	const prefix, snap = "postern refused", 128
	return statement{
		fmt.Sprintf("limit rate 100/second burst 200 packets log prefix %q group %d snaplen %d queue-threshold 1",
			prefix, group, snap),
		[]expr.Any{
			&expr.Limit{Type: expr.LimitTypePkts, Rate: 100, Unit: expr.LimitTimeSecond, Burst: 200},
			&expr.Log{
				Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD,
				Group: group, Snaplen: snap, QThreshold: 1, Data: []byte(prefix),
			},
		},
	}
}

func protocolName(number byte) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	}
	return fmt.Sprint(number)
}

// unsaid leaves a statement out of the text, as nft does with what an address implies. Without the statement it could
// not tell which address is meant, and would show offsets.
func (s statement) unsaid() statement { return statement{expressions: s.expressions} }
