//go:build linux

package nftables

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// rewrite makes the table what d says without trusting anything that is there: it adopts the table if there is one, and
// then makes it, or empties and fills it, in one transaction. Packets see the old table or the new one, and nothing between.
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
	k := &known{protected: protectedKeys(d), book: newBook(d.Mode, d.Machines), state: d}
	for _, o := range d.Openings {
		k.book.add(o)
	}
	k.shape = shape{table: e.table, mode: d.Mode, group: e.group}.with(k.book.lengths(clock.now()))
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
		messages = append(messages, newSet(e.table, s, uint32(i+1))) //nolint:gosec // at most 166
		if !s.Timed {
			messages = append(messages, addPlain(e.table, s.Name, sortedKeys(k.protected[s.Name]))...)
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
		e.log.Warn("this kernel cannot protect our table from others; changes of it will be noticed and undone", "table", e.table)
		e.plain = true
		if err = c.close(); err != nil {
			return fmt.Errorf("close a netlink socket: %w", err)
		}
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
		case kindOf(unix.NFT_MSG_NEWCHAIN):
			if !slices.ContainsFunc(k.chains, o.stands) {
				messages = append(messages, deleteChain(e.table, o.name))
			}
		case kindOf(unix.NFT_MSG_NEWSET):
			if slices.ContainsFunc(k.sets, o.fits) {
				messages = append(messages, flushSet(e.table, o.name))
			} else {
				messages = append(messages, deleteSet(e.table, o.name))
			}
		}
	}
	return messages
}

// stands tells whether a chain in the kernel can serve as c.
func (o object) stands(c Chain) bool {
	hook, purpose := "", ""
	if c.Hook != "" {
		hook, purpose = hookText(c.hookNumber(), priority), chainPurpose
	}
	return o.name == c.Name && o.hook == hook && o.purpose == purpose
}

// fits tells whether a set in the kernel can serve as s.
func (o object) fits(s Set) bool {
	return o.name == s.Name && o.length == uint32(s.keyLength()) && (o.flags&unix.NFT_SET_TIMEOUT != 0) == s.Timed //nolint:gosec // at most 40
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
			if set.set() != s.Name || !slices.ContainsFunc(old, func(o object) bool { return o.kind == kindOf(unix.NFT_MSG_NEWSET) && o.fits(s) }) {
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
		if want.until.IsZero() || left < leastLeft {
			continue
		}
		sets[at.set()] = append(sets[at.set()], member{key: at.key, left: left, comment: string(want.grant),
			packets: counted[at].packets, bytes: counted[at].bytes})
		entry.held = now.Add(left)
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

// complete checks that the kernel holds every set, chain and rule.
func complete(structure []object, k *known) error {
	wanted := 1 + len(k.sets) + len(k.chains)
	for _, c := range k.chains {
		wanted += len(c.Rules)
	}
	if len(structure) != wanted {
		return fmt.Errorf("the kernel holds %d sets, chains and rules instead of %d", len(structure), wanted)
	}
	return nil
}

// change brings the table from the state last applied to d, in one transaction that holds only the difference.
func (e *Enforcer) change(d access.DesiredState, clock stopwatch) error {
	k := e.known
	gone, came, sorted := enforce.Changes(k.state.Openings, d.Openings)
	d.Openings = sorted
	touched := make(map[place]bool, len(gone)+len(came))
	for _, key := range gone {
		for _, at := range k.book.remove(key) {
			touched[at] = true
		}
	}
	for _, o := range came {
		for _, at := range k.book.add(o) {
			touched[at] = true
		}
	}
	for at := range k.book.suspect {
		touched[at] = true
	}
	clear(k.book.suspect)

	elements, err := e.renew(k.book, touched, clock)
	if err != nil {
		return err
	}
	var messages []netlink.Message
	next, sets, chains := k.shape.with(k.book.inUse()), k.sets, k.chains
	reshaped := !next.same(k.shape)
	if reshaped {
		sets, chains = next.sets(), next.chains()
	}
	for i, s := range sets {
		if reshaped && !slices.ContainsFunc(k.sets, func(old Set) bool { return old.Name == s.Name }) {
			messages = append(messages, newSet(e.table, s, uint32(i+1))) //nolint:gosec // at most 166
		}
	}
	protected := k.protected
	if !slices.Equal(k.state.Protected, d.Protected) {
		protected = protectedKeys(d)
		for _, s := range sets {
			if !s.Timed {
				messages = append(messages, addPlain(e.table, s.Name, missing(protected[s.Name], k.protected[s.Name]))...)
				messages = append(messages, deleteMembers(e.table, s.Name, missing(k.protected[s.Name], protected[s.Name]))...)
			}
		}
	}
	messages = append(messages, elements...)
	if reshaped {
		rules, err := e.reshape(k, sets, chains)
		if err != nil {
			return err
		}
		messages = append(messages, rules...)
	}
	if err := e.conn.commit(messages); err != nil {
		return err
	}
	k.shape, k.sets, k.chains, k.protected, k.state = next, sets, chains, protected, d
	if reshaped {
		if k.structure, err = e.conn.structure(); err != nil {
			return err
		}
		if err := complete(k.structure, k); err != nil {
			return err
		}
	}
	if len(messages) > 0 {
		if k.generation, err = e.conn.generation(); err != nil {
			return err
		}
	}
	return nil
}

// reshape gives the messages that fill chains anew whose rules change, and then delete sets that no rule uses.
func (e *Enforcer) reshape(k *known, sets []Set, chains []Chain) ([]netlink.Message, error) {
	var messages []netlink.Message
	for i, c := range chains {
		if c.same(k.chains[i]) {
			continue
		}
		rules, err := writeChains(e.table, []Chain{c})
		if err != nil {
			return nil, err
		}
		messages = append(append(messages, flushChain(e.table, c.Name)), rules[1:]...)
	}
	for _, old := range k.sets {
		if !slices.ContainsFunc(sets, func(s Set) bool { return old.Name == s.Name }) {
			messages = append(messages, deleteSet(e.table, old.Name))
		}
	}
	return messages, nil
}

// renew gives the messages that make the touched elements what their owners want. A live element whose end moves is
// deleted and added again in the same transaction, with what it has counted: kernels before 6.12 ignore a new end.
func (e *Enforcer) renew(b *book, touched map[place]bool, clock stopwatch) ([]netlink.Message, error) {
	type job struct {
		remove []Key
		add    []member
	}
	now := clock.now()
	jobs := make(map[place]*job) // by set
	for at := range touched {
		entry := b.entries[at]
		if entry == nil {
			continue
		}
		want := entry.want(now)
		left := clock.left(want.until, len(touched))
		lives := entry.held.After(now)
		wanted := !want.until.IsZero() && left >= leastLeft
		fine := lives && wanted && !entry.held.After(want.until.Add(late)) && want.until.Sub(entry.held) <= early(len(b.entries))
		if fine {
			continue
		}
		set := place{family: at.family, bits: at.bits}
		if jobs[set] == nil {
			jobs[set] = &job{}
		}
		j := jobs[set]
		if lives {
			j.remove = append(j.remove, at.key)
		}
		entry.held = time.Time{}
		if wanted {
			j.add = append(j.add, member{key: at.key, left: left, comment: string(want.grant)})
			entry.held = now.Add(left)
		}
		b.drop(at)
	}
	var messages []netlink.Message
	for set, j := range jobs {
		if len(j.remove) > 0 && len(j.add) > 0 {
			if err := e.carry(set.set(), j.remove, j.add); err != nil {
				return nil, err
			}
		}
		messages = append(messages, deleteMembers(e.table, set.set(), j.remove)...)
		added, err := addTimed(e.table, set.set(), j.add)
		if err != nil {
			return nil, err
		}
		messages = append(messages, added...)
	}
	return messages, nil
}

// carry gives elements that are written again what they have counted.
func (e *Enforcer) carry(set string, removed []Key, added []member) error {
	old, err := e.conn.members(set, removed)
	if err != nil {
		return err
	}
	counts := make(map[Key]member, len(old))
	for _, m := range old {
		counts[m.key] = m
	}
	for i, m := range added {
		added[i].packets, added[i].bytes = counts[m.key].packets, counts[m.key].bytes
	}
	return nil
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

func sortedKeys(all map[Key]bool) []Key { return missing(all, nil) }

// find looks for our table; nil if there is none.
func (c *conn) find() (*object, error) {
	answers, err := c.ask(message(unix.NFT_MSG_GETTABLE, 0, header(unix.NFPROTO_INET, 0).text(unix.NFTA_TABLE_NAME, c.table)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // no table is an answer, not an error
	}
	if err != nil {
		return nil, fmt.Errorf("look for the table: %w", err)
	}
	for _, a := range answers {
		o, err := parseObject(a)
		if err != nil {
			return nil, err
		}
		if o.name == c.table {
			return &o, nil
		}
	}
	return nil, errors.New("look for the table: the kernel answered with something else")
}

// structure lists the table, its chains, rules and sets, in a fixed order except that rules keep theirs.
func (c *conn) structure() ([]object, error) {
	t, err := c.find()
	if err != nil || t == nil {
		return nil, err
	}
	all := []object{*t}
	for _, kind := range []int{unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETSET, unix.NFT_MSG_GETRULE} {
		body := header(unix.NFPROTO_INET, 0).text(unix.NFTA_CHAIN_TABLE, c.table) // the same attribute for all three
		answers, err := c.ask(message(kind, netlink.Dump, body))
		if err != nil {
			return nil, fmt.Errorf("list the table: %w", err)
		}
		var some []object
		for _, a := range answers {
			o, err := parseObject(a)
			if err != nil {
				return nil, err
			}
			if o.table == c.table {
				some = append(some, o)
			}
		}
		slices.SortStableFunc(some, func(a, b object) int { return cmp.Compare(a.name, b.name) })
		all = append(all, some...)
	}
	return all, nil
}

// generation is the number of the kernel's rules: it grows with each transaction, whoever made it.
func (c *conn) generation() (uint32, error) {
	answers, err := c.ask(message(unix.NFT_MSG_GETGEN, 0, header(unix.AF_UNSPEC, 0)))
	if err != nil {
		return 0, fmt.Errorf("ask for the generation: %w", err)
	}
	for _, a := range answers {
		if g, ok := parseGeneration(a); ok {
			return g.id, nil
		}
	}
	return 0, errors.New("ask for the generation: no answer")
}
