//go:build linux

package nftables

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

const maxForeign = 100 // findings of one look

// Foreign looks at the firewall tables that are not ours, and changes nothing. It gives the rules on the way in that accept
// a port which d guards: a standing opening, were it not for our own table. And it gives chains that drop what no rule of
// theirs accepts, where that keeps closed what we open. It knows what rules say of destination ports, by a single port, a
// range or a set; what decides by anything else it does not judge.
func Foreign(c Config, d access.DesiredState) (found []access.ForeignRule, err error) {
	table := cmp.Or(c.Table, defaultTable)
	options := []nftables.ConnOption{}
	if c.NetNS != 0 {
		options = append(options, nftables.WithNetNSFd(c.NetNS))
	}
	conn, err := nftables.New(append(options, nftables.AsLasting())...)
	if err != nil {
		return nil, fmt.Errorf("look at other firewall tables: %w", err)
	}
	defer func() { err = errors.Join(err, conn.CloseLasting()) }()
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list chains: %w", err)
	}
	hook := nftables.ChainHookInput
	if d.Mode == access.ModeGateway {
		hook = nftables.ChainHookForward
	}
	s := &survey{conn: conn, guarded: guardedPorts(d)}
	for _, chain := range chains {
		own := chain.Table.Name == table && chain.Table.Family == nftables.TableFamilyINet
		if own || chain.Hooknum == nil || *chain.Hooknum != *hook || chain.Type != nftables.ChainTypeFilter || !onIP(chain.Table.Family) {
			continue
		}
		if err := s.chain(chain, chains); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s.found, func(a, b access.ForeignRule) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.Ports.First, b.Ports.First), cmp.Compare(a.Text, b.Text))
	})
	found = slices.Compact(s.found)
	return found[:min(len(found), maxForeign)], nil
}

func onIP(f nftables.TableFamily) bool {
	return f == nftables.TableFamilyINet || f == nftables.TableFamilyIPv4 || f == nftables.TableFamilyIPv6
}

// guard is a guarded range and its protocol.
type guard struct {
	protocol access.Protocol
	ports    access.PortRange
}

func guardedPorts(d access.DesiredState) []guard {
	var list []guard
	for _, p := range d.Protected {
		if g := (guard{p.Protocol, p.Ports}); !slices.Contains(list, g) {
			list = append(list, g)
		}
	}
	return list
}

// survey is one look.
type survey struct {
	conn    *nftables.Conn
	guarded []guard
	found   []access.ForeignRule
}

// chain looks at a chain on the way in, and at those that it leads to.
func (s *survey) chain(base *nftables.Chain, all []*nftables.Chain) error {
	accepted := make([]bool, len(s.guarded))
	open := false // everything is accepted at the end
	seen := map[string]bool{}
	for queue := []*nftables.Chain{base}; len(queue) > 0; queue = queue[1:] {
		c := queue[0]
		if seen[c.Name] {
			continue
		}
		seen[c.Name] = true
		rules, err := s.conn.GetRules(c.Table, c)
		if err != nil {
			return fmt.Errorf("read chain %s: %w", c.Name, err)
		}
		for _, rule := range rules {
			r, err := s.read(rule)
			if err != nil {
				return err
			}
			for _, next := range all {
				if next.Table.Name == c.Table.Name && next.Table.Family == c.Table.Family && next.Name == r.leads {
					queue = append(queue, next)
				}
			}
			if !r.accepts {
				continue
			}
			open = open || r.always
			for i, g := range s.guarded {
				if ports, ok := r.touches(g); ok {
					accepted[i] = true
					s.add(c, access.ForeignAccepts, r.protocol, ports, r.words())
				}
			}
		}
	}
	if base.Policy == nil || *base.Policy != nftables.ChainPolicyDrop || open {
		return nil
	}
	for i, g := range s.guarded {
		if !accepted[i] {
			s.add(base, access.ForeignDrops, g.protocol, g.ports, "policy drop, and no rule that accepts the port")
		}
	}
	return nil
}

func (s *survey) add(c *nftables.Chain, effect access.ForeignEffect, protocol access.Protocol, ports access.PortRange, text string) {
	family := "inet"
	switch c.Table.Family { //nolint:exhaustive // onIP leaves these three
	case nftables.TableFamilyIPv4:
		family = "ip"
	case nftables.TableFamilyIPv6:
		family = "ip6"
	}
	s.found = append(s.found, access.ForeignRule{
		Table: family + " " + c.Table.Name, Chain: c.Name, Effect: effect, Protocol: protocol, Ports: ports, Text: text,
	})
}

// reading is what a rule says, as far as it is understood.
type reading struct {
	accepts  bool
	always   bool   // it accepts whatever comes
	leads    string // the chain that it jumps to
	protocol access.Protocol
	ports    []access.PortRange // of the destination; none where it does not name any
	other    bool               // it looks at other things too
}

// touches gives the part of a guarded range that the rule accepts by its port.
func (r *reading) touches(g guard) (access.PortRange, bool) {
	if r.protocol != "" && r.protocol != g.protocol {
		return access.PortRange{}, false
	}
	for _, p := range r.ports {
		if first, last := max(p.First, g.ports.First), min(p.Last, g.ports.Last); first <= last {
			return access.PortRange{First: first, Last: last}, true
		}
	}
	return access.PortRange{}, false
}

func (r *reading) words() string {
	var b strings.Builder
	if r.protocol != "" {
		b.WriteString(string(r.protocol) + " ")
	}
	b.WriteString("dport")
	for i, p := range r.ports {
		b.WriteString(map[bool]string{true: " ", false: ","}[i == 0] + p.String())
	}
	if r.other {
		b.WriteString(", under further conditions,")
	}
	return b.String() + " accept"
}

// What a register holds, as far as it matters.
const (
	loadedOther = iota
	loadedProtocol
	loadedPort
)

func (s *survey) read(rule *nftables.Rule) (r reading, err error) {
	conditions, loaded := 0, map[uint32]int{}
	for _, e := range rule.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Verdict:
			r.accepts = e.Kind == expr.VerdictAccept
			if e.Kind == expr.VerdictJump || e.Kind == expr.VerdictGoto {
				r.leads = e.Chain
			}
		case *expr.Meta:
			if loaded[e.Register] = loadedOther; e.Key == expr.MetaKeyL4PROTO {
				loaded[e.Register] = loadedProtocol
			}
		case *expr.Payload:
			loaded[e.DestRegister] = loadedOther
			switch {
			case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2:
				loaded[e.DestRegister] = loadedPort
			case e.Base == expr.PayloadBaseNetworkHeader && e.Offset == 9 && e.Len == 1 && rule.Table.Family == nftables.TableFamilyIPv4:
				loaded[e.DestRegister] = loadedProtocol
			}
		case *expr.Cmp:
			conditions++
			r.compare(loaded[e.Register], e)
		case *expr.Range:
			conditions++
			if loaded[e.Register] == loadedPort && e.Op == expr.CmpOpEq && len(e.FromData) == 2 && len(e.ToData) == 2 {
				r.ports = append(r.ports, access.PortRange{First: binary.BigEndian.Uint16(e.FromData), Last: binary.BigEndian.Uint16(e.ToData)})
			} else {
				r.other = true
			}
		case *expr.Lookup:
			conditions++
			if err := s.lookup(&r, rule.Table, loaded[e.SourceRegister], e); err != nil {
				return r, err
			}
		case *expr.Match:
			conditions++
			r.match(e)
		default:
			conditions++
			r.other = true
		}
	}
	r.always = r.accepts && conditions == 0
	return r, nil
}

func (r *reading) compare(what int, e *expr.Cmp) {
	switch {
	case what == loadedProtocol && e.Op == expr.CmpOpEq && len(e.Data) == 1:
		if r.protocol = protocolOf(e.Data[0]); r.protocol == "" {
			r.other = true
		}
	case what == loadedPort && e.Op == expr.CmpOpEq && len(e.Data) == 2:
		r.ports = append(r.ports, access.SinglePort(binary.BigEndian.Uint16(e.Data)))
	case what == loadedPort && e.Op == expr.CmpOpGte && len(e.Data) == 2: // as older programs write a range
		r.ports = append(r.ports, access.PortRange{First: binary.BigEndian.Uint16(e.Data), Last: 65535})
	case what == loadedPort && e.Op == expr.CmpOpLte && len(e.Data) == 2 && len(r.ports) > 0:
		r.ports[len(r.ports)-1].Last = binary.BigEndian.Uint16(e.Data)
	default:
		r.other = true
	}
}

func protocolOf(number byte) access.Protocol {
	switch number {
	case unix.IPPROTO_TCP:
		return access.TCP
	case unix.IPPROTO_UDP:
		return access.UDP
	default:
		return ""
	}
}

// match reads the extensions of iptables.
func (r *reading) match(e *expr.Match) {
	switch info := e.Info.(type) {
	case *xt.Tcp:
		r.protocol = access.TCP
		r.ports = append(r.ports, access.PortRange{First: info.DstPorts[0], Last: info.DstPorts[1]})
		r.other = r.other || info.InvFlags != 0 || info.SrcPorts != [2]uint16{0, 65535}
	case *xt.Udp:
		r.protocol = access.UDP
		r.ports = append(r.ports, access.PortRange{First: info.DstPorts[0], Last: info.DstPorts[1]})
		r.other = r.other || info.InvFlags != 0 || info.SrcPorts != [2]uint16{0, 65535}
	default:
		r.other = true
	}
}

// lookup reads a set of ports.
func (s *survey) lookup(r *reading, table *nftables.Table, what int, e *expr.Lookup) error {
	if what != loadedPort || e.Invert || e.IsDestRegSet {
		r.other = true
		return nil
	}
	set, err := s.conn.GetSetByName(table, e.SetName)
	if err != nil {
		return fmt.Errorf("read set %s: %w", e.SetName, err)
	}
	elements, err := s.conn.GetSetElements(set)
	if err != nil {
		return fmt.Errorf("read set %s: %w", e.SetName, err)
	}
	r.ports = append(r.ports, portsOf(set.Interval, elements)...)
	return nil
}

// portsOf gives the ports of a set: each element one, or of intervals each from its start to before its end.
func portsOf(intervals bool, elements []nftables.SetElement) []access.PortRange {
	slices.SortStableFunc(elements, func(a, b nftables.SetElement) int { return slices.Compare(a.Key, b.Key) })
	var list []access.PortRange
	for _, e := range elements {
		if len(e.Key) != 2 {
			continue
		}
		port := binary.BigEndian.Uint16(e.Key)
		switch {
		case !intervals:
			list = append(list, access.SinglePort(port))
		case e.IntervalEnd && len(list) > 0 && port > 0:
			list[len(list)-1].Last = port - 1
		case !e.IntervalEnd:
			list = append(list, access.PortRange{First: port, Last: 65535})
		}
	}
	return list
}
