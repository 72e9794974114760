//go:build linux

package nftables

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// ErrOwned says that the table belongs to a process that lives, which alone may change it.
var ErrOwned = errors.New("the table belongs to a process that lives")

// rewrite makes the table what d says without trusting anything that is there: it adopts the table if there is one, and
// then makes it, or empties and fills it, in one transaction. Packets see the old table or the new one, and nothing
// between.
func (e *Enforcer) rewrite(d access.DesiredState, clock stopwatch) error {
	c, err := e.open()
	if err != nil {
		return err
	}
	e.conn = c
	there, err := c.find()
	if err != nil {
		return err
	}
	_, _, d.Openings = enforce.Changes(nil, d.Openings)
	k := &known{protected: guarding(d, clock.now()), book: newBook(d.Mode, d.Machines), state: d}
	for _, o := range d.Openings {
		k.book.add(o)
	}
	k.shape = shape{
		table: e.table, mode: d.Mode, group: e.group, trying: k.protected.trying(),
	}.with(k.book.lengths(clock.now()))
	k.sets, k.chains = k.shape.sets(), k.shape.chains()

	flags := uint32(tableOwned | tablePersists)
	if e.plain && there == nil || there != nil && there.flags&(tableOwned|tablePersists) == 0 {
		flags = 0 // a table that was never made to be owned cannot be taken; one whose owner died can
	}
	messages := []netlink.Message{newTable(e.table, flags)}
	var counted map[place]member
	if there != nil {
		// Adopting comes first, by itself: a kernel takes no new chain in the transaction that changes the table.
		if err := c.commit(messages); err != nil {
			if refusedByKernel(err, unix.EPERM) { // we may read, and so it is not a lack of rights
				err = fmt.Errorf("%w: %w", ErrOwned, err)
			}
			return err
		}
		old, err := c.structure()
		if err != nil {
			return err
		}
		messages = e.clear(old, k)
		if counted, err = c.counted(old, k); err != nil {
			return err
		}
	}
	for i, s := range k.sets {
		messages = append(messages, newSet(e.table, s, uint32(i+1)))
		switch {
		case s.Ending:
			filled, err := k.protected.rewritten(e.table, s, false, clock)
			if err != nil {
				return err
			}
			messages = append(messages, filled...)
		case !s.Timed:
			messages = append(messages, addPlain(e.table, s.Name, sortedKeys(k.protected.always[s.Name]))...)
		}
	}
	rules, err := writeChains(e.table, k.chains)
	if err != nil {
		return err
	}
	messages = append(messages, rules...)
	elements, err := e.fill(k, counted, clock)
	if err != nil {
		return err
	}
	err = c.commit(append(messages, elements...))
	if there == nil && flags != 0 && refusedByKernel(err, unix.EOPNOTSUPP, unix.EINVAL) {
		e.log.Warn("this kernel cannot protect our table from others; changes of it will be noticed and undone",
			"table", e.table)
		e.plain = true
		if err = c.close(); err != nil {
			return fmt.Errorf("close a netlink socket: %w", err)
		}
		e.wrote = e.wrote[:0]
		return e.rewrite(d, clock)
	}
	if err != nil {
		return err
	}
	if k.structure, err = c.structure(); err != nil {
		return err
	}
	if err := complete(k.structure, k); err != nil {
		return err
	}
	if k.generation, err = c.generation(); err != nil {
		return err
	}
	e.known = k
	return nil
}

// clear empties what is in the table: every rule, chains and sets that shall not be there, and elements of those that
// shall.
func (e *Enforcer) clear(old []object, k *known) []netlink.Message {
	messages := []netlink.Message{flushChain(e.table, "")}
	for _, o := range old {
		switch o.kind {
		case unix.NFT_MSG_NEWCHAIN:
			if !slices.ContainsFunc(k.chains, o.stands) {
				messages = append(messages, deleteChain(e.table, o.name))
			}
		case unix.NFT_MSG_NEWSET:
			switch at := slices.IndexFunc(k.sets, o.fits); {
			case at < 0:
				messages = append(messages, deleteSet(e.table, o.name))
			case !k.sets[at].Learned: // what the kernel has learned stays true
				messages = append(messages, flushSet(e.table, o.name))
			}
		}
	}
	return messages
}

// stands tells whether a chain in the kernel can serve as c.
func (o object) stands(c Chain) bool {
	hook, purpose := "", ""
	if c.Hook != "" {
		hook, purpose = hookText(c.hookNumber(), c.priority()), chainPurpose
	}
	return o.name == c.Name && o.hook == hook && o.purpose == purpose
}

// fits tells whether a set in the kernel can serve as s.
func (o object) fits(s Set) bool {
	length := uint32(s.keyLength()) //nolint:gosec // at most 40
	return o.name == s.Name && o.length == length && o.flags&(unix.NFT_SET_TIMEOUT|unix.NFT_SET_EVAL) == s.flags()
}

// counted reads what the elements to be written have counted so far.
func (c *conn) counted(old []object, k *known) (map[place]member, error) {
	counted := make(map[place]member)
	keys := make(map[place][]Key)
	for at := range k.book.entries {
		set := place{family: at.family, bits: at.bits}
		keys[set] = append(keys[set], at.key)
	}
	for _, s := range k.sets {
		for set, wanted := range keys {
			if set.set() != s.Name || !slices.ContainsFunc(old,
				func(o object) bool { return o.kind == unix.NFT_MSG_NEWSET && o.fits(s) }) {
				continue
			}
			members, err := c.members(s.Name, wanted)
			if err != nil {
				return nil, err
			}
			for _, m := range members {
				counted[place{family: set.family, bits: set.bits, key: m.key}] = m
			}
		}
	}
	return counted, nil
}

// fill gives the messages that add every element, and notes in the book until when the kernel will hold it.
func (e *Enforcer) fill(k *known, counted map[place]member, clock stopwatch) ([]netlink.Message, error) {
	n := len(k.book.entries)
	sets := make(map[string][]member)
	for at, entry := range k.book.entries {
		now := clock.now()
		want := entry.want(now)
		left := clock.left(want.until, n)
		if want.until.IsZero() || left < enforce.Soonest {
			continue
		}
		sets[at.set()] = append(sets[at.set()], member{
			key: at.key, left: left, comment: string(want.grant),
			packets: counted[at].packets, bytes: counted[at].bytes,
		})
		entry.held = now.Add(left)
		e.wrote = append(e.wrote, wrote{at, left})
	}
	var messages []netlink.Message
	for _, s := range k.sets {
		added, err := addTimed(e.table, s.Name, sets[s.Name])
		if err != nil {
			return nil, err
		}
		messages = append(messages, added...)
	}
	return messages, nil
}

func writeChains(table string, chains []Chain) ([]netlink.Message, error) {
	messages := make([]netlink.Message, 0, len(chains)*4)
	for _, c := range chains {
		messages = append(messages, newChain(table, c))
	}
	for _, c := range chains {
		for _, r := range c.Rules {
			m, err := newRule(table, c.Name, r)
			if err != nil {
				return nil, err
			}
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// missing gives what is in all and not in there.
func missing(all, there map[Key]bool) []Key {
	var keys []Key
	for k := range all {
		if !there[k] {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func sortedKeys(all map[Key]bool) []Key {
	return missing(all, nil)
}
