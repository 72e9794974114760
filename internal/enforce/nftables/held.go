//go:build linux

package nftables

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// maxDump is up to how many elements are listed as a whole. The kernel starts each part of a list from the beginning,
// so that a list of a hundred thousand takes seconds, and asking for each by its key does not.
const maxDump = 10_000

// Held implements enforce.Enforcer. It needs an Apply that succeeded before it.
func (e *Enforcer) Held(_ context.Context, keys []access.OpeningKey, now time.Time) ([]enforce.Held, error) {
	if e.known == nil || e.conn == nil {
		return nil, errors.New("look at the table: nothing has been applied since the last error")
	}
	held, err := e.look(keys, e.stopwatch(now))
	if err != nil {
		return nil, errors.Join(err, e.forget())
	}
	return held, nil
}

func (e *Enforcer) look(keys []access.OpeningKey, clock stopwatch) ([]enforce.Held, error) {
	b := e.known.book
	all := keys == nil
	var wanted []place
	// everything is listed; else what is wanted, be it nothing: an opening that cannot be held has no place
	whole := false
	if all {
		foreign, err := e.inspect(clock.now())
		if err != nil {
			return nil, err
		}
		for at := range b.entries {
			wanted = append(wanted, at)
		}
		if whole = foreign || len(b.entries) <= maxDump; whole {
			wanted = nil
		}
		for _, o := range e.known.state.Openings {
			keys = append(keys, o.OpeningKey)
		}
	} else {
		for _, key := range keys {
			places, _ := b.places(key)
			wanted = append(wanted, places...)
		}
	}
	now := clock.now() // before the kernel says what is left, so that nothing seems to last longer than it does
	seen, err := e.read(wanted, whole)
	if err != nil {
		return nil, err
	}
	b.correct(seen, wanted, whole, now, clock.now())
	held := make([]enforce.Held, 0, len(keys))
	for _, key := range keys {
		if h, ok := b.held(key, seen, now); ok {
			held = append(held, h)
		}
	}
	if all {
		for at, m := range seen {
			if entry := b.entries[at]; len(entry.owners) == 0 {
				held = append(held,
					enforce.Held{Key: e.keyOf(at), Until: now.Add(m.left), Packets: m.packets, Bytes: m.bytes})
			}
		}
	}
	return held, nil
}

// read asks the kernel for elements: those, or the whole table's.
func (e *Enforcer) read(wanted []place, whole bool) (map[place]member, error) {
	seen := make(map[place]member, len(wanted))
	bySet := make(map[place][]Key)
	for _, at := range wanted {
		set := place{family: at.family, bits: at.bits}
		bySet[set] = append(bySet[set], at.key)
	}
	if whole {
		for f, lengths := range e.known.shape.lengths {
			for _, bits := range lengths {
				bySet[place{family: f, bits: uint8(bits)}] = nil //nolint:gosec // at most 128
			}
		}
	}
	for set, keys := range bySet {
		members, err := e.conn.members(set.set(), keys)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			seen[place{family: set.family, bits: set.bits, key: m.key}] = m
		}
	}
	return seen, nil
}

// correct brings the book to what was seen between two readings of the clock, and marks what the next Apply must mend.
// What was wanted was looked at, or the whole table: of anything else nothing is known.
func (b *book) correct(seen map[place]member, wanted []place, whole bool, now, after time.Time) {
	for at, m := range seen {
		entry := b.entries[at]
		if entry == nil {
			entry = newEntry()
			b.entries[at] = entry
			b.uses[place{family: at.family, bits: at.bits}]++
		}
		least, most := now.Add(m.left), after.Add(m.left+time.Millisecond+tick())
		// else what is proven of it is known better than by looking
		if entry.held.Before(least) || entry.held.After(most) {
			entry.held = most
		}
		want := entry.want(now)
		if want.until.IsZero() || least.After(want.until.Add(late)) {
			b.suspect[at] = true
		}
	}
	gone := func(at place) {
		entry := b.entries[at]
		if entry == nil {
			return
		}
		if _, there := seen[at]; !there {
			entry.held = time.Time{}
			if !entry.want(now).until.IsZero() {
				b.suspect[at] = true
			}
		}
	}
	if whole {
		for at := range b.entries {
			gone(at)
		}
	}
	for _, at := range wanted {
		gone(at)
	}
}

// held tells whether what was seen holds the opening, and until when.
func (b *book) held(key access.OpeningKey, seen map[place]member, now time.Time) (enforce.Held, bool) {
	places, _ := b.places(key)
	h := enforce.Held{Key: key}
	excess := false // something is there that no opening explains
	complete := len(places) > 0
	for _, at := range places {
		m, there := seen[at]
		if !there {
			complete = false
			continue
		}
		until := now.Add(m.left)
		entry := b.entries[at]
		i := slices.IndexFunc(entry.owners, func(o owner) bool { return o.key == key && o.until.After(now) })
		explained := !until.After(entry.want(now).until.Add(late))
		switch {
		case !explained:
			excess = true
		case i < 0:
			complete = false // it is another's
			continue
		default:
			if own := entry.owners[i].until; until.After(own) {
				until = own // what lies beyond is another's
			}
		}
		if h.Until.IsZero() || excess && until.After(h.Until) || !excess && until.Before(h.Until) {
			h.Until = until
		}
		h.Packets += m.packets
		h.Bytes += m.bytes
	}
	return h, complete || excess
}

// keyOf gives an opening of one port that an element looks like.
func (e *Enforcer) keyOf(at place) access.OpeningKey {
	n := 4
	if at.family == six {
		n = 16
	}
	k := access.OpeningKey{}
	raw := []byte(at.key)
	if len(raw) < n+8 {
		return k
	}
	from, _ := netip.AddrFromSlice(raw[:n])
	k.Source = netip.PrefixFrom(from, int(at.bits))
	rest := raw[len(raw)-8:]
	k.Protocol = access.Protocol(protocolName(rest[0]))
	port := uint16(rest[4])<<8 | uint16(rest[5])
	k.Ports = access.SinglePort(port)
	to, _ := netip.AddrFromSlice(raw[n : len(raw)-8])
	k.Machine = e.targets.Load().machineOf(to, k.Protocol, port)
	return k
}

// inspect compares the table with what the kernel listed after our last change, and says on Drift what is wrong. It
// tells whether anybody has changed any rules since.
func (e *Enforcer) inspect(now time.Time) (foreign bool, err error) {
	k := e.known
	missed := e.missed.Swap(false)
	generation, err := e.conn.generation()
	if err != nil || generation == k.generation && !missed {
		return false, err
	}
	structure, err := e.conn.structure()
	if err != nil {
		return true, err
	}
	before := len(e.drift)
	for _, words := range compare(e.table, k.structure, structure) {
		e.say(words)
	}
	for _, s := range k.sets {
		if s.Timed || s.Learned {
			continue
		}
		members, err := e.conn.members(s.Name, nil)
		if err != nil {
			return true, err
		}
		there := make(map[Key]bool, len(members))
		for _, m := range members {
			there[m.key] = true
		}
		for _, key := range missing(k.protected.surely(s, now), there) {
			e.say(fmt.Sprintf("%s was taken out of set %s of table inet %s", s.text(key), s.Name, e.table))
		}
		for _, key := range missing(there, k.protected.atMost(s)) {
			e.say(fmt.Sprintf("%s was put into set %s of table inet %s", s.text(key), s.Name, e.table))
		}
	}
	if len(e.drift) == before {
		k.generation = generation // somebody changed a table of their own
	}
	return true, nil
}

// compare says what is different between two lists of a table.
func compare(table string, before, now []object) []string {
	if len(now) == 0 {
		return []string{fmt.Sprintf("table inet %s was deleted", table)}
	}
	if len(before) > 0 && before[0].handle != now[0].handle {
		return []string{fmt.Sprintf("table inet %s was deleted and made again", table)}
	}
	var words []string
	for _, o := range before {
		if !slices.Contains(now, o) {
			words = append(words, fmt.Sprintf("%s was deleted or changed", describe(table, o)))
		}
	}
	for _, o := range now {
		if !slices.Contains(before,
			o) && !slices.ContainsFunc(before, func(b object) bool {
			return b.kind == o.kind &&
				b.handle == o.handle
		}) {
			words = append(words, fmt.Sprintf("%s was added", describe(table, o)))
		}
	}
	if len(words) == 0 && !slices.Equal(before, now) {
		words = append(words, fmt.Sprintf("the rules of table inet %s were put into another order", table))
	}
	return words
}
