//go:build linux

package nftables

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

// foreignSet is a set of somebody else's table, with its elements once somebody has asked for them.
type foreignSet struct {
	set     *nftables.Set
	parts   []span // of a key: one where it is not a concatenation
	members []foreignMember
	read    bool
	whole   bool // the members are understood
}

// span is where a part of a key lies, and whether it is a port.
type span struct {
	from, to int
	port     bool
}

// foreignMember is an element: from one key to another, both included, for each part by itself.
type foreignMember struct {
	from, to []byte
	verdict  *expr.Verdict
	rest     bool // whatever no other is for
}

// parts gives those of a key, each from a register of its own.
func parts(s *nftables.Set) []span {
	var list []span
	at := 0
	for _, t := range nftables.ConcatSetTypeElements(s.KeyType) {
		n := int(t.Bytes)
		if n == 0 { // a type that the library does not know
			return nil
		}
		list = append(list, span{at, at + n, t.Name == nftables.TypeInetService.Name})
		at += (n + 3) &^ 3
	}
	return list
}

// matches tells whether a key is that of an element.
func (f *foreignSet) matches(key cells, e foreignMember) truth {
	result := yes
	for _, p := range f.parts {
		if p.to > len(key) || p.to > len(e.from) || p.to > len(e.to) {
			return maybe
		}
		result = min(result, key[p.from:p.to].within(e.from[p.from:p.to], e.to[p.from:p.to]))
		if result == no {
			return no
		}
	}
	return result
}

// load reads the elements. Large sets of addresses alone are not read: they are conditions, and listing one takes the
// kernel long.
func (f *foreignSet) load(s *survey) error {
	if f.read {
		return nil
	}
	f.read = true
	hasPort := slices.ContainsFunc(f.parts, func(p span) bool { return p.port })
	if f.parts == nil || !f.set.Anonymous && !hasPort && !f.set.IsMap {
		return nil
	}
	elements, err := s.conn.GetSetElements(f.set)
	if err != nil {
		return err
	}
	f.members, f.whole = membersOfSet(f.set, elements), true
	return nil
}

// verdict reads what a map of verdicts says; nil where it maps to something else.
func verdictOf(set *nftables.Set, data []byte) *expr.Verdict {
	if !set.IsMap || set.DataType.Name != nftables.TypeVerdict.Name {
		return nil
	}
	v := &expr.Verdict{Kind: expr.VerdictQueue} // what cannot be read may be anything
	_ = eachIn(data, func(kind uint16, value []byte) error {
		switch kind {
		case unix.NFTA_VERDICT_CODE:
			v.Kind = expr.VerdictKind(int32(number(value))) //nolint:gosec // two's complement is meant
		case unix.NFTA_VERDICT_CHAIN:
			v.Chain = text(value)
		}
		return nil
	})
	return v
}

// membersOfSet puts the ends of intervals to their beginnings.
func membersOfSet(set *nftables.Set, elements []nftables.SetElement) (list []foreignMember) {
	elements = slices.DeleteFunc(elements, func(e nftables.SetElement) bool {
		if len(e.Key) == 0 { // for whatever no other element is for
			list = append(list, foreignMember{verdict: verdictOf(set, e.Val), rest: true})
		}
		return len(e.Key) == 0
	})
	if !set.Interval {
		for _, e := range elements {
			list = append(list, foreignMember{from: e.Key, to: e.Key, verdict: verdictOf(set, e.Val)})
		}
		return list
	}
	if set.Concatenation || slices.ContainsFunc(elements, func(e nftables.SetElement) bool { return len(e.KeyEnd) > 0 }) {
		for _, e := range elements {
			to := e.KeyEnd
			if len(to) == 0 {
				to = e.Key
			}
			list = append(list, foreignMember{from: e.Key, to: to, verdict: verdictOf(set, e.Val)})
		}
		return list
	}
	// An interval is an element and, after it, one that ends it: the first key that is not in it any more.
	slices.SortStableFunc(elements, func(a, b nftables.SetElement) int {
		if c := bytes.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		if a.IntervalEnd == b.IntervalEnd {
			return 0
		}
		if a.IntervalEnd {
			return -1
		}
		return 1
	})
	open := false
	for _, e := range elements {
		if open {
			list[len(list)-1].to = before(e.Key)
		}
		if open = !e.IntervalEnd; open {
			list = append(list,
				foreignMember{from: e.Key, to: bytes.Repeat([]byte{0xff}, len(e.Key)), verdict: verdictOf(set, e.Val)})
		}
	}
	return list
}

// before is the value that is one less.
func before(key []byte) []byte {
	b := slices.Clone(key)
	for i := len(b) - 1; i >= 0; i-- {
		b[i]--
		if b[i] != 0xff {
			break
		}
	}
	return b
}

// texts gives the ports of the set's keys.
func (f *foreignSet) texts() string {
	var list []access.PortRange
	for _, p := range f.parts {
		if !p.port {
			continue
		}
		for _, e := range f.members {
			if p.to <= len(e.from) && p.to <= len(e.to) {
				list = append(list,
					access.PortRange{
						First: binary.BigEndian.Uint16(e.from[p.from:]),
						Last:  binary.BigEndian.Uint16(e.to[p.from:]),
					})
			}
		}
	}
	slices.SortFunc(list, func(a, b access.PortRange) int { return int(a.First) - int(b.First) })
	return ranges(slices.Compact(list))
}

// lookup asks a set, or a map of verdicts, of which each that may be found is a way of its own.
func (m *meeting) lookup(e *expr.Lookup) {
	f := m.table.sets[e.SetName]
	if f == nil || !f.whole {
		strange := f == nil || f.parts == nil
		m.condition(maybe, strange)
		if e.IsDestRegSet {
			m.end(expr.VerdictQueue)
		}
		return
	}
	size := 0
	for _, p := range f.parts {
		size = max(size, p.to)
	}
	key := m.held.value(e.SourceRegister, size)
	m.named(key, f.texts(), e.Invert)
	found := no
	members := slices.Clone(f.members)
	slices.SortStableFunc(members, func(a, b foreignMember) int { // the rest comes last
		if a.rest == b.rest {
			return 0
		}
		if a.rest {
			return 1
		}
		return -1
	})
	for _, member := range members {
		t := f.matches(key, member)
		if member.rest {
			t = found.not()
		}
		if t == maybe && len(f.parts) == 1 && loopback(
			member.from) && !key.any(func(c cell) bool { return c.known != 0 || c.strange }) {
			t = no
		}
		if t == no {
			continue
		}
		found = max(found, t)
		if e.IsDestRegSet && member.verdict != nil {
			one := *m
			one.condition(t, key.strange())
			m.ways = append(m.ways, way{path: one.path, matches: one.all, verdict: member.verdict})
		}
	}
	if e.IsDestRegSet {
		if !f.set.IsMap || len(f.members) > 0 && f.members[0].verdict == nil { // a map of data
			m.held.load(e.DestRegister, unknown(16, true))
			m.condition(found, key.strange())
			return
		}
		m.all = no // the verdicts are the ways
		return
	}
	if e.Invert {
		found = found.not()
	}
	m.condition(found, key.strange())
}
