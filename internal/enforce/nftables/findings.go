//go:build linux

package nftables

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"github.com/postern-dev/postern/internal/core/access"
)

// portsIn calls fn with whatever an expression may compare a port with, in network order.
func portsIn(e expr.Any, fn func([]byte)) {
	ports := func(list ...uint16) {
		for _, n := range list {
			fn(binary.BigEndian.AppendUint16(nil, n))
		}
	}
	switch e := e.(type) {
	case *expr.Cmp:
		if len(e.Data) == 2 {
			fn(e.Data)
		}
	case *expr.Range:
		if len(e.FromData) == 2 && len(e.ToData) == 2 {
			fn(e.FromData)
			fn(e.ToData)
		}
	case *expr.Match:
		switch info := e.Info.(type) {
		case *xt.Tcp:
			ports(info.DstPorts[:]...)
		case *xt.Udp:
			ports(info.DstPorts[:]...)
		case *xt.Unknown:
			for i := 2; e.Name == "multiport" && i+1 < min(len(*info), 32); i += 2 {
				ports(binary.NativeEndian.Uint16((*info)[i:]))
			}
		}
	}
}

// judge takes all that is asked through a base chain. Only on the way to a socket, or through a gateway, can a rule
// open anything; one that drops keeps shut wherever it stands.
func (s *survey) judge(t *foreignTable, base *nftables.Chain, list []asked, opens bool) {
	// What holds for both families is said once; what is dropped in one alone is not dropped for everybody.
	type who struct {
		protocol access.Protocol
		ports    access.PortRange
		source   string
	}
	type sum struct {
		accepts, understood, named, drops bool
		how                               outcome
	}
	sums := make(map[who]*sum)
	var order []who
	for i, a := range list {
		if t.table.Family == nftables.TableFamilyIPv4 && a.family != four ||
			t.table.Family == nftables.TableFamilyIPv6 && a.family != six {
			continue
		}
		key := who{a.protocol, a.ports, a.who}
		if sums[key] == nil {
			sums[key] = &sum{}
			order = append(order, key)
		}
		j := judging{probe: a.probe, table: t}
		outcomes := j.through(base)
		if s.steps += j.steps; s.steps > maxWork {
			for _, a := range list[i:] { // nothing is said of what was judged in part
				delete(sums, who{a.protocol, a.ports, a.who})
				s.add(base, access.ForeignUnknown, a.protocol, a.ports, notJudged)
			}
			break
		}
		for _, o := range outcomes {
			r := sums[key]
			switch {
			case !o.accepts:
				if !r.drops || o.policy {
					r.how = o
				}
				r.drops = true
			case o.ports != "" && !o.policy:
				r.accepts, r.named, r.understood = true, true, true
				if opens && a.who == "" {
					s.add(o.chain, access.ForeignAccepts, o.protocol, a.ports, o.words("accept"))
				}
			default:
				r.accepts = true
				r.understood = r.understood || !o.strange
			}
		}
	}
	shut := func(key who) bool { r := sums[key]; return r != nil && r.drops && !r.accepts }
	for _, key := range order {
		r := sums[key]
		if r == nil {
			continue
		}
		everybody := key
		everybody.source = ""
		switch {
		case shut(key) && key.source == "":
			s.add(r.how.chain, access.ForeignDrops, key.protocol, key.ports, r.how.words("drop"))
		case shut(key) && !shut(everybody):
			s.add(r.how.chain, access.ForeignDrops, key.protocol, key.ports,
				r.how.words("drop")+", for "+key.source+", which has access")
		case key.source == "" && opens && r.drops && r.accepts && !r.understood:
			s.add(base, access.ForeignUnknown, key.protocol, key.ports,
				"it drops the port, unless a rule lets it in that is not understood")
		}
	}
}

// words says what a rule does.
func (o outcome) words(does string) string {
	if o.policy {
		return "policy " + does + ", and no rule that accepts the port"
	}
	text := ""
	if o.protocol != "" {
		text = string(o.protocol) + " "
	}
	if o.ports != "" {
		text += "dport " + o.ports
	} else {
		text += "any port"
	}
	if o.further {
		text += ", under further conditions,"
	}
	return text + " " + does
}

// translates notes what a chain may send elsewhere.
func (s *survey) translates(t *foreignTable, base *nftables.Chain, list []asked) {
	for _, a := range list {
		if a.who != "" || t.table.Family == nftables.TableFamilyIPv4 && a.family != four ||
			t.table.Family == nftables.TableFamilyIPv6 && a.family != six {
			continue
		}
		j := judging{probe: a.probe, table: t}
		if j.through(base); j.translated {
			s.sent = append(s.sent, a)
		}
	}
}

// passes finds what takes packets past our chains. A flowtable carries what is forwarded: of a host's ports, those
// alone that are sent to somebody else.
func (s *survey) passes(t *foreignTable, d access.DesiredState) {
	all := func(chain *nftables.Chain, words string) {
		for _, p := range d.Protected {
			s.add(chain, access.ForeignBypasses, p.Protocol, p.Ports, words)
		}
	}
	offloaded := func(chain *nftables.Chain, words string) {
		if d.Mode == access.ModeGateway {
			all(chain, words)
			return
		}
		for _, a := range s.sent {
			s.add(chain, access.ForeignBypasses, a.protocol, a.ports, words)
		}
	}
	early := make(map[string]bool)
	for _, base := range t.bases {
		before := base.Priority == nil || int32(*base.Priority) < beforeTranslated
		if onEntry(base) || *base.Hooknum == *nftables.ChainHookPrerouting && before {
			early[base.Name] = true
		}
	}
	for name := range t.reached(early) {
		early[name] = true
	}
	for name, c := range t.chains {
		for _, r := range c.rules {
			if early[name] && d.Mode == access.ModeGateway && (slices.Contains(r.strange,
				"fwd") || slices.Contains(r.strange, "dup")) {
				all(c.chain, "it sends packets, or copies of them, out by another device before Postern sees them")
			}
			for _, e := range r.expressions {
				switch e := e.(type) {
				case *expr.FlowOffload:
					offloaded(c.chain,
						"sessions that the flowtable "+e.Name+" carries are not cut at the end of an opening")
				case *expr.Payload:
					if early[name] && e.OperationType == expr.PayloadWrite && e.Base != expr.PayloadBaseLLHeader &&
						addressed(
							e) {
						all(c.chain, "it rewrites where packets go before Postern sees them")
					}
				}
			}
		}
	}
}

// addressed tells whether an expression writes a destination.
func addressed(e *expr.Payload) bool {
	from, to := e.Offset, e.Offset+e.Len
	if e.Base == expr.PayloadBaseTransportHeader {
		return from < destinationPortAt+2 && to > destinationPortAt
	}
	return to > destination4At // of both families; it may be a part of IPv6's source, which is said too
}

// reached gives the chains that others lead to.
func (t *foreignTable) reached(from map[string]bool) map[string]bool {
	seen := make(map[string]bool)
	queue := make([]string, 0, len(from))
	for name := range from {
		queue = append(queue, name)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		c := t.chains[queue[0]]
		if c == nil || seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		for _, r := range c.rules {
			for _, e := range r.expressions {
				switch e := e.(type) {
				case *expr.Verdict:
					queue = append(queue, e.Chain)
				case *expr.Lookup:
					if f := t.sets[e.SetName]; f != nil {
						for _, m := range f.members {
							if m.verdict != nil {
								queue = append(queue, m.verdict.Chain)
							}
						}
					}
				}
			}
		}
	}
	return seen
}

func (s *survey) add(c *nftables.Chain, effect access.ForeignEffect, protocol access.Protocol, ports access.PortRange,
	text string,
) {
	if c == nil {
		return
	}
	family := map[nftables.TableFamily]string{
		nftables.TableFamilyIPv4: "ip ", nftables.TableFamilyIPv6: "ip6 ",
		nftables.TableFamilyINet: "inet ", nftables.TableFamilyNetdev: "netdev ",
	}[c.Table.Family]
	s.put(access.ForeignRule{
		Table: family + c.Table.Name, Chain: c.Name, Effect: effect, Protocol: protocol,
		Ports: ports, Text: text,
	})
}

func (s *survey) put(r access.ForeignRule) {
	if len(s.found) < maxForeign*maxForeign {
		s.found = append(s.found, r)
	} else {
		s.left = true
	}
}

// findings gives what was found, in order, with ranges that follow on each other put together.
func (s *survey) findings() []access.ForeignRule {
	slices.SortFunc(s.found, func(a, b access.ForeignRule) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.Effect, b.Effect),
			cmp.Compare(a.Text, b.Text),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Ports.First, b.Ports.First),
			cmp.Compare(a.Ports.Last, b.Ports.Last))
	})
	var list []access.ForeignRule
	for _, r := range s.found {
		if n := len(list); n > 0 {
			last, next := list[n-1], r
			last.Ports, next.Ports = access.PortRange{}, access.PortRange{}
			if last == next && int(r.Ports.First) <= int(list[n-1].Ports.Last)+1 {
				list[n-1].Ports.Last = max(list[n-1].Ports.Last, r.Ports.Last)
				continue
			}
		}
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b access.ForeignRule) int {
		// What takes packets past us matters most, should there be too much to tell, and then what was not looked at.
		first := func(r access.ForeignRule) int {
			switch {
			case r.Effect == access.ForeignBypasses:
				return 0
			case r.Text == notAsked || r.Text == notJudged:
				return 1
			default:
				return 2
			}
		}
		return cmp.Or(cmp.Compare(first(a), first(b)), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Chain, b.Chain),
			cmp.Compare(a.Ports.First, b.Ports.First), cmp.Compare(a.Text, b.Text))
	})
	if len(list) > maxForeign || s.left && len(list) > 0 {
		list = list[:min(len(list), maxForeign)]
		last := &list[len(list)-1]
		last.Effect, last.Text = access.ForeignUnknown, notTold
	}
	return list
}
