//go:build linux

package nftables

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

// leastLeft is the shortest time that an element is given. A kernel that counts time in steps of ten milliseconds
// may round less down to nothing, and nothing means for ever.
const leastLeft = 20 * time.Millisecond

// Compile gives the ruleset that d means at now, in a table of that name with that log group, and why openings are
// left out that cannot be held. Openings that have ended, or end at once, are left out without a word. It does not
// depend on the order of anything in d.
func Compile(d access.DesiredState, now time.Time, table string, group uint16) (Ruleset, map[access.OpeningKey]string) {
	b := newBook(d.Mode, d.Machines)
	for _, o := range d.Openings {
		b.add(o)
	}
	protected := guarding(d, now)
	s := shape{table: table, mode: d.Mode, group: group, trying: protected.trying()}.with(b.lengths(now))
	r := Ruleset{Table: table, Mode: d.Mode, Sets: s.sets(), Chains: s.chains()}
	opened := make(map[string][]Element)
	for at, e := range b.entries {
		if want := e.want(now); want.until.Sub(now) >= leastLeft {
			name := at.set()
			opened[name] = append(opened[name], Element{Key: at.key, Until: want.until, Comment: string(want.grant)})
		}
	}
	for i, set := range r.Sets {
		switch {
		case set.Timed:
			r.Sets[i].Elements = opened[set.Name]
		case set.Ending:
			for key, until := range protected.ending[set.Name] {
				r.Sets[i].Elements = append(r.Sets[i].Elements, Element{Key: key, Until: until})
			}
		default:
			for key := range protected.always[set.Name] {
				r.Sets[i].Elements = append(r.Sets[i].Elements, Element{Key: key})
			}
		}
		slices.SortFunc(r.Sets[i].Elements, func(a, b Element) int { return cmp.Compare(a.Key, b.Key) })
	}
	return r, b.refused
}

// place is where one element stands: its set and its key.
type place struct {
	family family
	bits   uint8
	key    Key
}

func (p place) set() string { return openSet(p.family, int(p.bits)) }

// owner is one opening that an element is a part of.
type owner struct {
	key   access.OpeningKey
	until time.Time
	grant access.GrantID
}

// entry is one element as it should be, and as the kernel is known to hold it.
type entry struct {
	owners []owner
	held   time.Time // when the kernel will have ended it at the latest; zero when it is not there
}

// want is the owner that ends last, of those that have not ended; the zero owner if there is none.
func (e *entry) want(now time.Time) owner {
	var last owner
	for _, o := range e.owners {
		if o.until.After(now) && (o.until.After(last.until) || o.until.Equal(last.until) && o.grant < last.grant) {
			last = o
		}
	}
	return last
}

// book keeps which element belongs to which openings. An element lasts as long as the last of them.
type book struct {
	mode      access.Mode
	addresses map[access.MachineID][]netip.Addr
	entries   map[place]*entry
	refused   map[access.OpeningKey]string
	uses      map[place]int  // entries of each set; the key of the place is empty
	suspect   map[place]bool // what the kernel was seen to hold otherwise than we thought
}

func newBook(mode access.Mode, machines []access.Guarded) *book {
	b := &book{
		mode: mode, addresses: make(map[access.MachineID][]netip.Addr), entries: make(map[place]*entry),
		refused: make(map[access.OpeningKey]string), uses: make(map[place]int), suspect: make(map[place]bool),
	}
	for _, m := range machines {
		b.addresses[m.Machine] = m.Addresses
	}
	return b
}

// add makes o an owner of its elements, and gives their places.
func (b *book) add(o access.Opening) []place {
	places, why := b.places(o.OpeningKey)
	if why != "" {
		b.refused[o.OpeningKey] = why
		return nil
	}
	own := owner{key: o.OpeningKey, until: o.Until}
	if len(o.Grants) > 0 {
		own.grant = o.Grants[0]
	}
	for _, at := range places {
		e := b.entries[at]
		if e == nil {
			e = &entry{}
			b.entries[at] = e
			b.uses[place{family: at.family, bits: at.bits}]++
		}
		e.owners = append(slices.DeleteFunc(e.owners, func(other owner) bool { return other.key == o.OpeningKey }), own)
	}
	return places
}

// remove takes the opening away from its elements, and gives their places. The entries stay, for who must delete
// them in the kernel.
func (b *book) remove(key access.OpeningKey) []place {
	delete(b.refused, key)
	places, _ := b.places(key)
	for _, at := range places {
		if e := b.entries[at]; e != nil {
			e.owners = slices.DeleteFunc(e.owners, func(other owner) bool { return other.key == key })
		}
	}
	return places
}

// lengths gives the prefix lengths of all elements that should be there.
func (b *book) lengths(now time.Time) map[family]map[int]bool {
	in := map[family]map[int]bool{four: {}, six: {}}
	for at, e := range b.entries {
		if n := int(at.bits); !in[at.family][n] && !e.want(now).until.IsZero() {
			in[at.family][n] = true
		}
	}
	return in
}

// inUse gives the prefix lengths of all entries.
func (b *book) inUse() map[family]map[int]bool {
	in := map[family]map[int]bool{four: {}, six: {}}
	for set, n := range b.uses {
		if n > 0 {
			in[set.family][int(set.bits)] = true
		}
	}
	return in
}

// drop forgets an entry that nobody owns and that the kernel does not hold.
func (b *book) drop(at place) {
	if e := b.entries[at]; e != nil && len(e.owners) == 0 && e.held.IsZero() {
		delete(b.entries, at)
		b.uses[place{family: at.family, bits: at.bits}]--
	}
}

// places gives the elements that an opening is made of, or why it cannot be held.
func (b *book) places(k access.OpeningKey) (places []place, why string) {
	number := protocolNumber(k.Protocol)
	switch {
	case !k.Source.IsValid():
		return nil, "its source is not a prefix"
	case number == 0:
		return nil, fmt.Sprintf("its protocol %q is neither tcp nor udp", k.Protocol)
	case !k.Ports.Valid():
		return nil, fmt.Sprintf("its ports %s are no range of at most %d ports", k.Ports, access.MaxPortRange)
	}
	prefix := unmapped(k.Source)
	f := familyOf(prefix.Addr())
	heads := []Key{addressKey(prefix.Masked().Addr())}
	if b.mode == access.ModeGateway {
		head := heads[0]
		heads = nil
		for _, addr := range b.addresses[k.Machine] {
			if addr = addr.Unmap().WithZone(""); familyOf(addr) == f {
				heads = append(heads, head+addressKey(addr))
			}
		}
		if len(heads) == 0 {
			return nil, fmt.Sprintf("the machine has no IPv%d address behind this gateway", f)
		}
	}
	for _, head := range heads {
		for port := int(k.Ports.First); port <= int(k.Ports.Last); port++ {
			bits := uint8(prefix.Bits()) //nolint:gosec // at most 128
			places = append(places, place{family: f, bits: bits, key: head + portKey(number, port)})
		}
	}
	return places, ""
}

func protocolNumber(p access.Protocol) byte {
	switch p {
	case access.TCP:
		return unix.IPPROTO_TCP
	case access.UDP:
		return unix.IPPROTO_UDP
	case access.AnyProtocol:
		return 0
	}
	return 0
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return four
	}
	return six
}

// unmapped gives an IPv4 prefix that was written as IPv6 its own form.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func addressKey(a netip.Addr) Key { return Key(a.AsSlice()) }

func portKey(protocol byte, port int) Key {
	//nolint:gosec // two bytes of a port
	return Key([]byte{protocol, 0, 0, 0, byte(port >> 8), byte(port), 0, 0})
}

func newEntry() *entry { return &entry{} }
