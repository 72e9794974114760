//go:build linux

package nftables

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"github.com/postern-dev/postern/internal/core/access"
)

// path is what was needed to come to a rule, in words and as far as it is understood.
type path struct {
	protocol access.Protocol // that a rule named
	ports    string          // of the destination, as a rule named them; empty where none did
	further  bool            // it takes more than protocol and port
	strange  bool            // it takes something that is not understood
}

// outcome is one way in which a chain may end.
type outcome struct {
	path

	chain   *nftables.Chain
	accepts bool
	policy  bool // of the base chain, and not of a rule
}

// judging is one packet on its way through the chains of a table.
type judging struct {
	probe

	table      *foreignTable
	outcomes   []outcome
	translated bool // a rule may send it elsewhere
	depth      int
	steps      int
}

const (
	maxDepth = 20        // of jumps, a little more than the kernel allows
	maxSteps = 50_000    // rules that one packet meets; beyond, what becomes of it is not known
	maxWork  = 5_000_000 // rules that all packets of one look meet; beyond, what becomes of the others is not known
)

// through gives all ways in which a base chain may end for the packet.
func (j *judging) through(base *nftables.Chain) []outcome {
	j.outcomes = nil
	if j.walk(base.Name, path{}) {
		j.outcomes = append(j.outcomes,
			outcome{
				chain: base, accepts: base.Policy == nil || *base.Policy == nftables.ChainPolicyAccept,
				policy: true,
			})
	}
	return j.outcomes
}

// walk takes the packet through a chain, and tells whether it may come out at its end.
func (j *judging) walk(name string, so path) (falls bool) {
	chain := j.table.chains[name]
	if chain == nil || j.depth > maxDepth || j.steps > maxSteps {
		j.outcomes = append(j.outcomes, outcome{path: path{strange: true}, accepts: true},
			outcome{path: path{strange: true}})
		return true
	}
	j.depth++
	defer func() { j.depth-- }()
	for _, rule := range chain.rules {
		j.steps++
		ends := false
		for _, way := range j.meet(rule, so) {
			if j.follow(chain.chain, way, &falls) && way.matches == yes {
				ends = true
			}
		}
		if ends {
			return falls
		}
	}
	return true
}

// way is one thing that a rule may do with the packet.
type way struct {
	path

	matches truth
	verdict *expr.Verdict // nil: nothing
}

// follow does what a rule says, and tells whether the packet ends there or leaves the chain.
func (j *judging) follow(chain *nftables.Chain, w way, falls *bool) (ends bool) {
	if w.verdict == nil {
		return false
	}
	switch w.verdict.Kind { //nolint:exhaustive // the others are alike
	case expr.VerdictContinue, expr.VerdictBreak:
		return false
	case expr.VerdictAccept:
		j.outcomes = append(j.outcomes, outcome{path: w.path, chain: chain, accepts: true})
		return true
	case expr.VerdictDrop:
		j.outcomes = append(j.outcomes, outcome{path: w.path, chain: chain})
		return true
	case expr.VerdictReturn:
		*falls = true
		return true
	case expr.VerdictJump:
		return !j.walk(w.verdict.Chain, w.path)
	case expr.VerdictGoto:
		if j.walk(w.verdict.Chain, w.path) {
			*falls = true
		}
		return true
	default: // to user space, or to a module: what comes of it nobody knows
		w.strange = true
		j.outcomes = append(j.outcomes, outcome{path: w.path, chain: chain, accepts: true},
			outcome{path: w.path, chain: chain})
		return false
	}
}

// meeting is a rule on its way to its verdict.
type meeting struct {
	*judging

	path path
	held registers
	all  truth // of its conditions so far
	ways []way
}

// meet gives what a rule may do with the packet. None where it surely does nothing.
func (j *judging) meet(rule *foreignRule, so path) []way {
	m := &meeting{judging: j, path: so, all: yes}
	if rule.strange != nil {
		m.condition(maybe, true)
	}
	for _, e := range rule.expressions {
		m.take(e)
		if m.all == no {
			return m.ways
		}
	}
	return m.ways
}

// condition adds a condition to those of the rule.
func (m *meeting) condition(t truth, strange bool) {
	m.all = min(m.all, t)
	if t == maybe {
		m.path.further = true
		m.path.strange = m.path.strange || strange
	}
}

// translate notes that the packet may be sent elsewhere, which ends its way.
func (m *meeting) translate() {
	m.translated = m.translated || m.all != no
	m.end(expr.VerdictAccept)
}

func (m *meeting) end(kind expr.VerdictKind) {
	m.ways = append(m.ways, way{path: m.path, matches: m.all, verdict: &expr.Verdict{Kind: kind}})
}

func (m *meeting) take(e expr.Any) {
	switch e := e.(type) {
	case *expr.Counter, *expr.Log, *expr.Notrack, *expr.SecMark, *expr.Dup:
	case *expr.Immediate:
		m.held.load(e.Register, fixed(e.Data))
	case *expr.Meta:
		if !e.SourceRegister {
			m.held.load(e.Register, m.meta(e.Key))
		}
	case *expr.Payload:
		if e.OperationType == expr.PayloadLoad {
			m.held.load(e.DestRegister, m.payload(e))
		}
	case *expr.Ct:
		if !e.SourceRegister {
			m.held.load(e.Register, m.tracked(e))
		}
	case *expr.Fib:
		m.held.load(e.Register, m.routed(e))
	case *expr.Bitwise:
		m.bitwise(e)
	case *expr.Byteorder:
		m.byteorder(e)
	case *expr.Cmp:
		m.compare(e)
	case *expr.Range:
		v := m.held.value(e.Register, len(e.FromData))
		t := v.within(e.FromData, e.ToData)
		text := ""
		if len(e.FromData) == 2 && len(e.ToData) == 2 {
			text = ranges([]access.PortRange{
				{First: binary.BigEndian.Uint16(e.FromData), Last: binary.BigEndian.Uint16(e.ToData)},
			})
		}
		m.named(v, text, e.Op == expr.CmpOpNeq)
		if e.Op == expr.CmpOpNeq {
			t = t.not()
		}
		m.condition(t, v.strange())
	case *expr.Lookup:
		m.lookup(e)
	case *expr.Limit, *expr.Quota, *expr.Connlimit:
		m.condition(maybe, false)
	case *expr.Dynset:
		if len(e.Exprs) > 0 || e.Invert {
			m.condition(maybe, false)
		}
	case *expr.Match:
		m.match(e)
	case *expr.Target:
		m.target(e)
	case *expr.Verdict:
		m.ways = append(m.ways, way{path: m.path, matches: m.all, verdict: e})
	case *expr.NAT, *expr.Redir:
		m.translate()
	case *expr.Reject:
		m.end(expr.VerdictDrop)
	case *expr.Queue:
		m.end(expr.VerdictQueue)
	default: // it may load what nobody knows, or match nobody knows what
		for i := range m.held {
			m.held[i] = cell{strange: true}
		}
		m.condition(maybe, true)
	}
}

func (m *meeting) bitwise(e *expr.Bitwise) {
	v := m.held.value(e.SourceRegister, int(e.Len))
	if len(e.Mask) != len(v) || len(e.Xor) != len(v) {
		m.held.load(e.DestRegister, unknown(len(v), true))
		return
	}
	for i := range v {
		v[i].known |= ^e.Mask[i]
		v[i].data = v[i].data&e.Mask[i] ^ e.Xor[i]
	}
	m.held.load(e.DestRegister, v)
}

// byteorder turns the bytes of each whole number of a value round, as the kernel does: what is shorter than one stays
// as it is, which nft makes use of for a protocol beside ranges.
func (m *meeting) byteorder(e *expr.Byteorder) {
	size := max(int(e.Size), 1)
	v := m.held.value(e.SourceRegister, int(e.Len)/size*size)
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		for part := range slices.Chunk(v, size) {
			slices.Reverse(part)
		}
	}
	m.held.load(e.DestRegister, v)
}

func (m *meeting) compare(e *expr.Cmp) {
	v := m.held.value(e.Register, len(e.Data))
	t := v.compare(e.Op, e.Data)
	if t == maybe && loopback(e.Data) && !v.any(func(c cell) bool { return c.known != 0 || c.strange }) {
		t = truthOf(e.Op == expr.CmpOpNeq) // what comes from elsewhere does not come from there
	}
	switch {
	case len(e.Data) == 1 && v.ofProtocol() && e.Op == expr.CmpOpEq:
		if p := protocolName(e.Data[0]); p == "tcp" || p == "udp" {
			m.path.protocol = access.Protocol(p)
		}
	case len(e.Data) == 2 && v.ofPort():
		n := binary.BigEndian.Uint16(e.Data)
		m.named(v, map[expr.CmpOp]string{
			expr.CmpOpEq: fmt.Sprint(n), expr.CmpOpNeq: fmt.Sprint(n),
			expr.CmpOpLt: fmt.Sprintf("< %d", n), expr.CmpOpLte: fmt.Sprintf("<= %d", n),
			expr.CmpOpGt: fmt.Sprintf("> %d", n), expr.CmpOpGte: fmt.Sprintf(">= %d", n),
		}[e.Op], e.Op == expr.CmpOpNeq)
	}
	m.condition(t, v.strange())
}

// loopback tells whether a value is the name of that interface.
func loopback(b []byte) bool {
	return len(b) >= 3 && string(b[:3]) == "lo\x00"
}

// named notes that the rule names destination ports.
func (m *meeting) named(v cells, text string, except bool) {
	if !v.ofPort() {
		return
	}
	if text == "" {
		text = "among others"
	}
	if except {
		text = "!= " + text
	}
	from, isFrom := strings.CutPrefix(m.path.ports, ">= ")
	to, isTo := strings.CutPrefix(text, "<= ")
	switch {
	case isFrom && isTo:
		text = from + "-" + to
	case m.path.ports != "":
		text = m.path.ports + " " + text
	}
	m.path.ports = text
}

func ranges(list []access.PortRange) string {
	const most = 15
	texts := make([]string, 0, len(list))
	for _, r := range list {
		texts = append(texts, r.String())
	}
	if len(texts) > most {
		texts = append(texts[:most], "…")
	}
	return strings.Join(texts, ",")
}

// target reads what a rule of iptables does, beyond a verdict.
func (m *meeting) target(e *expr.Target) {
	switch e.Name {
	case "DNAT", "REDIRECT":
		m.translate()
	case "REJECT", "TARPIT", "DELUDE":
		m.end(expr.VerdictDrop)
	case "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "TCPMSS", "TCPOPTSTRIP",
		"CHECKSUM", "TRACE", "AUDIT", "SET",
		"CT", "NOTRACK", "SECMARK", "CONNSECMARK", "RATEEST", "TEE", "IDLETIMER", "LED", "HMARK":
	default:
		m.end(expr.VerdictQueue)
	}
}

// match reads the extensions of iptables that are written as such.
func (m *meeting) match(e *expr.Match) {
	switch info := e.Info.(type) {
	case *xt.Tcp:
		m.transport(access.TCP, info.SrcPorts, info.DstPorts, info.InvFlags&xt.TcpInvDestPorts != 0)
		if info.InvFlags&^xt.TcpInvDestPorts != 0 || info.Option != 0 {
			m.condition(maybe, false)
		} else {
			m.condition(truthOf(tcpSyn&info.FlagsMask == info.FlagsCmp), false)
		}
	case *xt.Udp:
		m.transport(access.UDP, info.SrcPorts, info.DstPorts, info.InvFlags&xt.UdpInvDestPorts != 0)
		if info.InvFlags&^xt.UdpInvDestPorts != 0 {
			m.condition(maybe, false)
		}
	case *xt.Comment:
	case *xt.AddrTypeV1:
		m.addressType(info.Dest, info.Source, info.Flags != 0)
	case *xt.AddrType:
		m.addressType(info.Dest, info.Source, info.InvertSource || info.InvertDest)
	case *xt.ConntrackMtinfo1:
		m.conntrack(info.ConntrackMtinfoBase, uint16(info.StateMask))
	case *xt.ConntrackMtinfo2:
		m.conntrack(info.ConntrackMtinfoBase, info.StateMask)
	case *xt.ConntrackMtinfo3:
		m.conntrack(info.ConntrackMtinfoBase, info.StateMask)
	case *xt.Unknown:
		switch e.Name {
		case "multiport":
			m.multiport([]byte(*info), e.Rev)
		case "comment":
		case "state":
			if len(*info) >= 4 {
				m.condition(truthOf(binary.NativeEndian.Uint32(*info)&conntrackNew != 0), false)
				return
			}
			m.condition(maybe, true)
		case "limit", "hashlimit", "recent", "connlimit", "time", "mac", "iprange", "physdev":
			m.condition(maybe, false)
		default:
			m.condition(maybe, true)
		}
	default:
		m.condition(maybe, true)
	}
}

func (m *meeting) transport(protocol access.Protocol, source, destination [2]uint16, except bool) {
	m.condition(truthOf(m.protocol == protocol), false)
	m.path.protocol = protocol
	if source != [2]uint16{0, 65535} {
		m.condition(maybe, false)
	}
	if destination != [2]uint16{0, 65535} || except {
		m.ported([]access.PortRange{{First: destination[0], Last: destination[1]}}, except)
	}
}

// ported adds the condition that the destination port is among those, or is not.
func (m *meeting) ported(list []access.PortRange, except bool) {
	in := slices.ContainsFunc(list, func(r access.PortRange) bool { return r.First <= m.port && m.port <= r.Last })
	m.named(cells{{port: true}}, ranges(list), except)
	m.condition(truthOf(in != except), false)
}

// multiport reads a list of ports as the kernel has it: what they are of, how many, the ports, which of them begin a
// range, and whether all of that is turned round.
func (m *meeting) multiport(b []byte, revision uint32) {
	const ofSource, ofDestination, most, size = 0, 1, 15, 48
	if revision != 1 || len(b) < size || b[1] > most {
		m.condition(maybe, true)
		return
	}
	var list []access.PortRange
	for i := 0; i < int(b[1]); i++ {
		r := access.SinglePort(binary.NativeEndian.Uint16(b[2+2*i:]))
		if begins := b[2+2*most+i] != 0; begins && i+1 < int(b[1]) {
			i++
			r.Last = binary.NativeEndian.Uint16(b[2+2*i:])
		}
		list = append(list, r)
	}
	except := b[2+3*most] != 0
	in := slices.ContainsFunc(list, func(r access.PortRange) bool { return r.First <= m.port && m.port <= r.Last })
	switch {
	case b[0] == ofDestination:
		m.ported(list, except)
	case b[0] == ofSource, !in:
		m.condition(maybe, false)
	default: // either of them
		m.ported(list, except)
	}
}

func (m *meeting) addressType(destination, source uint16, inverted bool) {
	const ofLocal, ofUnicast = 1 << 2, 1 << 1
	if inverted || source != 0 {
		m.condition(maybe, false)
		return
	}
	kind := uint16(ofUnicast)
	if m.local {
		kind = ofLocal
	}
	m.condition(truthOf(destination&kind != 0), false)
}

// conntrackNew is the bit of new connections in the masks of iptables.
const conntrackNew = 8

func (m *meeting) conntrack(base xt.ConntrackMtinfoBase, states uint16) {
	const ofState = 1
	if base.MatchFlags&^ofState != 0 {
		m.condition(maybe, false)
	}
	if base.MatchFlags&ofState != 0 {
		m.condition(truthOf((states&conntrackNew != 0) != (base.InvertFlags&ofState != 0)), false)
	}
}
