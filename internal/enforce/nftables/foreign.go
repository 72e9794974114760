//go:build linux

package nftables

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/postern-dev/postern/internal/core/access"
)

const (
	maxForeign = 100 // findings of one look
	maxProbes  = 2000
	maxSources = 256 // of openings that a look asks for
)

// Foreign looks at the firewall tables that are not ours, and changes nothing. It takes packets that begin connections
// to the ports which d guards through the chains of others on the way in, as far as rules and sets are understood, and
// gives
//
//   - rules that accept such a port by its number: a standing opening, were it not for our own table;
//   - chains and rules that surely drop it: for everybody, or for the source of an opening that is in force;
//   - chains that drop it unless a rule lets it in that is not understood, and whatever was not looked at, since
//     there is more than
//     one look asks for: nothing is known of that;
//   - what takes packets past our own table, so that a guarded port is not guarded there.
func Foreign(c Config, d access.DesiredState) (found []access.ForeignRule, err error) {
	s, err := startSurvey(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.read(cmp.Or(c.Table, defaultTable)); err != nil {
		return nil, err
	}
	s.survey(d)
	return s.findings(), nil
}

// survey judges what was read.
func (s *survey) survey(d access.DesiredState) {
	local := d.Mode != access.ModeGateway
	hook := nftables.ChainHookInput
	if !local {
		hook = nftables.ChainHookForward
	}
	probes, unasked := s.probes(d)
	bases := func(fn func(t *foreignTable, base *nftables.Chain, at nftables.ChainHook)) {
		for _, t := range s.tables {
			for _, base := range t.bases {
				if !onEntry(base) { // of one device: what it drops is not dropped for everybody
					fn(t, base, *base.Hooknum)
				}
			}
		}
	}
	bases(func(t *foreignTable, base *nftables.Chain, at nftables.ChainHook) {
		if base.Type == nftables.ChainTypeNAT && at == *nftables.ChainHookPrerouting {
			s.translates(t, base, probes)
		}
	})
	for _, t := range s.tables { // what matters most comes first, should there be too much to keep
		s.passes(t, d)
	}
	if len(s.tables) > 0 {
		for g := range unasked {
			s.put(access.ForeignRule{
				Table: "all tables", Chain: "all chains", Effect: access.ForeignUnknown,
				Protocol: g.protocol, Ports: g.ports, Text: notAsked,
			})
		}
	}
	bases(func(t *foreignTable, base *nftables.Chain, at nftables.ChainHook) {
		switch {
		case base.Type != nftables.ChainTypeFilter:
		case at == *hook:
			s.judge(t, base, probes, true)
		case at == *nftables.ChainHookPrerouting:
			s.judge(t, base, probes, false)
		}
	})
}

// What is said of what a look leaves out.
const (
	notAsked  = "not looked at for every machine and opening: there are more than one look asks for"
	notJudged = "not looked at: there are more rules than one look follows"
	notTold   = "further findings are left out"
)

// survey is one look.
type survey struct {
	conn   *nftables.Conn
	raw    *conn
	tables []*foreignTable
	found  []access.ForeignRule
	sent   []asked // what somebody's rules may send elsewhere
	steps  int     // rules that were met so far
	left   bool    // there is more than is kept
}

// foreignTable is a table of somebody else's.
type foreignTable struct {
	table  *nftables.Table
	bases  []*nftables.Chain
	chains map[string]*foreignChain
	sets   map[string]*foreignSet
}

type foreignChain struct {
	chain *nftables.Chain
	rules []*foreignRule
}

type foreignRule struct {
	expressions []expr.Any
	strange     []string // parts that the library does not know, and leaves out
}

func startSurvey(c Config) (*survey, error) {
	options := []nftables.ConnOption{nftables.AsLasting()}
	if c.NetNS != 0 {
		options = append(options, nftables.WithNetNSFd(c.NetNS))
	}
	lasting, err := nftables.New(options...)
	if err != nil {
		return nil, fmt.Errorf("look at other firewall tables: %w", err)
	}
	raw, err := dial(c.NetNS, "")
	if err != nil {
		return nil, errors.Join(err, lasting.CloseLasting())
	}
	return &survey{conn: lasting, raw: raw}, nil
}

func (s *survey) close() error { return errors.Join(s.conn.CloseLasting(), s.raw.close()) }

// read reads all tables but our own that see packets of IP.
func (s *survey) read(own string) error {
	unread, err := s.raw.unread()
	if err != nil {
		return err
	}
	chains, err := s.conn.ListChains()
	if err != nil {
		return fmt.Errorf("list chains: %w", err)
	}
	byName := make(map[string]*foreignTable)
	for _, chain := range chains {
		if !onIP(chain.Table.Family) && chain.Table.Family != nftables.TableFamilyNetdev ||
			chain.Table.Name == own && chain.Table.Family == nftables.TableFamilyINet {
			continue
		}
		key := fmt.Sprintf("%d %s", chain.Table.Family, chain.Table.Name)
		t := byName[key]
		if t == nil {
			t = &foreignTable{
				table: chain.Table, chains: make(map[string]*foreignChain),
				sets: make(map[string]*foreignSet),
			}
			byName[key] = t
			s.tables = append(s.tables, t)
		}
		t.chains[chain.Name] = &foreignChain{chain: chain}
		if chain.Hooknum != nil {
			t.bases = append(t.bases, chain)
		}
	}
	for _, t := range s.tables {
		if err := s.fill(t, unread); err != nil {
			return err
		}
	}
	return nil
}

// fill reads the rules of a table, and the sets that they look into.
func (s *survey) fill(t *foreignTable, unread map[ruleID]leftOut) error {
	sets, err := s.conn.GetSets(t.table)
	if err != nil {
		return fmt.Errorf("list sets of %s: %w", t.table.Name, err)
	}
	for _, set := range sets {
		t.sets[set.Name] = &foreignSet{set: set, parts: parts(set)}
	}
	for name, c := range t.chains {
		rules, err := s.conn.GetRules(t.table, c.chain)
		if err != nil {
			return fmt.Errorf("read chain %s: %w", name, err)
		}
		for _, r := range rules {
			left := unread[ruleID{byte(t.table.Family), t.table.Name, r.Handle}]
			c.rules = append(c.rules,
				&foreignRule{expressions: left.into(r.Exprs), strange: left.strange})
			for _, e := range r.Exprs {
				if l, ok := e.(*expr.Lookup); ok && t.sets[l.SetName] != nil {
					if err := t.sets[l.SetName].load(s); err != nil {
						return fmt.Errorf("read set %s: %w", l.SetName, err)
					}
				}
			}
		}
	}
	return nil
}

// onEntry tells whether a base chain sees packets where they enter by a device, or leave by it, on this side of all
// others.
func onEntry(base *nftables.Chain) bool {
	const ingress = 5 // of the family inet
	return base.Table.Family == nftables.TableFamilyNetdev ||
		base.Table.Family == nftables.TableFamilyINet && *base.Hooknum == ingress
}

func onIP(f nftables.TableFamily) bool {
	return f == nftables.TableFamilyINet || f == nftables.TableFamilyIPv4 || f == nftables.TableFamilyIPv6
}

// guard is a guarded range and its protocol, and where it is: on this host, or at addresses behind it.
type guard struct {
	protocol access.Protocol
	ports    access.PortRange
}

// asked is what a look takes through the chains: some ports that no rule tells apart, and who comes.
type asked struct {
	probe

	ports access.PortRange
	who   string // whose opening it is; empty where anybody's
}

// probes gives what to ask: each guarded port from anywhere, and each opening from its source; and of what is too much
// to ask.
func (s *survey) probes(d access.DesiredState) (list []asked, unasked map[guard]bool) {
	unasked = make(map[guard]bool)
	edges := s.edges()
	addresses := make(map[access.MachineID][]netip.Addr)
	for _, m := range d.Machines {
		addresses[m.Machine] = m.Addresses
	}
	add := func(protocol access.Protocol, ports access.PortRange, source netip.Prefix, to []netip.Addr, who string) {
		if d.Mode != access.ModeGateway {
			to = []netip.Addr{{}}
		}
		for _, at := range to {
			for _, f := range []family{four, six} {
				if source.IsValid() && familyOf(source.Addr()) != f || at.IsValid() && familyOf(at.Unmap()) != f {
					continue
				}
				for _, p := range split(ports, edges) {
					if len(list) >= maxProbes {
						unasked[guard{protocol, p}] = true
					} else {
						list = append(list,
							asked{
								probe{f, protocol, p.First, source, at.Unmap(), d.Mode != access.ModeGateway, ""},
								p,
								who,
							})
					}
				}
			}
		}
	}
	seen := make(map[guard]bool)
	for _, p := range d.Protected {
		if g := (guard{p.Protocol, p.Ports}); d.Mode == access.ModeGateway || !seen[g] {
			seen[g] = true
			add(p.Protocol, p.Ports, netip.Prefix{}, addresses[p.Machine], "")
		}
	}
	for i, o := range d.Openings {
		if i >= maxSources {
			unasked[guard{o.Protocol, o.Ports}] = true
			continue
		}
		add(o.Protocol, o.Ports, unmapped(o.Source), addresses[o.Machine], o.Source.String())
	}
	return list, unasked
}

// edges gives the ports at which rules and sets may change their mind.
func (s *survey) edges() []uint16 {
	set := map[uint16]bool{}
	around := func(b []byte) {
		if len(b) == 2 {
			n := uint16(b[0])<<8 | uint16(b[1])
			set[n] = true
			set[n+1] = true
		}
	}
	for _, t := range s.tables {
		for _, c := range t.chains {
			for _, r := range c.rules {
				for _, e := range r.expressions {
					portsIn(e, around)
				}
			}
		}
		for _, f := range t.sets {
			for _, p := range f.parts {
				for _, m := range f.members {
					if p.port && p.to <= len(m.from) && p.to <= len(m.to) {
						around(m.from[p.from:p.to])
						around(m.to[p.from:p.to])
					}
				}
			}
		}
	}
	list := make([]uint16, 0, len(set))
	for n := range set {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// split cuts a range at edges.
func split(r access.PortRange, edges []uint16) []access.PortRange {
	list := []access.PortRange{r}
	from, _ := slices.BinarySearch(edges, r.First)
	for _, n := range edges[from:] {
		last := &list[len(list)-1]
		if n > last.Last {
			break
		}
		if n > last.First {
			list = append(list, access.PortRange{First: n, Last: last.Last})
			list[len(list)-2].Last = n - 1
		}
	}
	return list
}
