//go:build linux

package nftables

import (
	"slices"
	"time"

	"github.com/mdlayher/netlink"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

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
	protected := k.protected
	moved := !slices.Equal(k.state.Protected, d.Protected) || !sameTrials(k.state.Trials, d.Trials)
	if moved {
		protected = guarding(d, clock.now())
	}
	next, sets, chains := k.shape.with(k.book.inUse()), k.sets, k.chains
	next.trying = protected.trying()
	reshaped := !next.same(k.shape)
	if reshaped {
		sets, chains = next.sets(), next.chains()
	}
	for i, s := range sets {
		if reshaped && !slices.ContainsFunc(k.sets, func(old Set) bool { return old.Name == s.Name }) {
			messages = append(messages, newSet(e.table, s, uint32(i+1)))
		}
	}
	if moved {
		guards, err := e.guard(k, sets, protected, clock)
		if err != nil {
			return err
		}
		messages = append(messages, guards...)
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

// guard gives the messages that bring the sets of protected ports to what shall be protected.
func (e *Enforcer) guard(k *known, sets []Set, protected guarded, clock stopwatch) (messages []netlink.Message,
	err error,
) {
	for _, s := range sets {
		switch {
		case s.Timed, s.Learned:
		case s.Ending:
			there := slices.ContainsFunc(k.sets, func(old Set) bool { return old.Name == s.Name })
			filled, err := protected.rewritten(e.table, s, there, clock)
			if err != nil {
				return nil, err
			}
			messages = append(messages, filled...)
		default:
			messages = append(messages,
				addPlain(e.table, s.Name, missing(protected.always[s.Name], k.protected.always[s.Name]))...)
			messages = append(messages,
				deleteMembers(e.table, s.Name, missing(k.protected.always[s.Name], protected.always[s.Name]))...)
		}
	}
	return messages, nil
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
		lives := entry.held.After(now)
		wanted := !want.until.IsZero() && clock.left(want.until, len(touched)) >= enforce.Soonest
		fine := lives && wanted && !entry.held.After(want.until) && want.until.Sub(entry.held) <= early(len(b.entries))
		if fine {
			continue
		}
		set := place{family: at.family, bits: at.bits}
		if jobs[set] == nil {
			jobs[set] = &job{}
		}
		j := jobs[set]
		if lives && (wanted || entry.held.Sub(now) > ending()) {
			j.remove = append(j.remove, at.key)
		}
		entry.held = time.Time{}
		if wanted {
			j.add = append(j.add, member{key: at.key, comment: string(want.grant)})
		}
		b.drop(at)
	}
	for set, j := range jobs {
		if len(j.remove) > 0 && len(j.add) > 0 {
			if err := e.carry(set.set(), j.remove, j.add); err != nil {
				return nil, err
			}
		}
	}
	// Whatever else there is to do was done: what remains is read last. What ends soon is closed now: if it were
	// written too late, there might be no time to write it again before it ends.
	var messages []netlink.Message
	for set, j := range jobs {
		messages = append(messages, deleteMembers(e.table, set.set(), j.remove)...)
		add := j.add[:0]
		for _, m := range j.add {
			at := place{family: set.family, bits: set.bits, key: m.key}
			entry, now := b.entries[at], clock.now()
			// its time came meanwhile
			if m.left = clock.left(entry.want(now).until, len(touched)); m.left < enforce.Soonest {
				continue
			}
			entry.held = now.Add(m.left)
			e.wrote = append(e.wrote, wrote{at, m.left})
			add = append(add, m)
		}
		added, err := addTimed(e.table, set.set(), add)
		if err != nil {
			return nil, err
		}
		messages = append(messages, added...)
	}
	return messages, nil
}

// ending is how long before its latest end an element may have ended: it is not deleted any more, since a kernel
// refuses the whole transaction where it has.
func ending() time.Duration { return 2*tick() + 2*time.Millisecond }

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
