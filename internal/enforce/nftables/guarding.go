//go:build linux

package nftables

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

// guarded is what the sets of protected ports hold, by their names.
type guarded struct {
	always map[string]map[Key]bool
	ending map[string]map[Key]time.Time // what is protected until then alone, unless it is confirmed
}

func (g guarded) trying() bool { return len(g.ending) > 0 }

// guarding gives what is to be protected at now. Of a machine with a trial, what was not protected before stands apart,
// and the kernel itself lets go of it in time, whatever has become of the agent by then.
func guarding(d access.DesiredState, now time.Time) guarded {
	g := guarded{always: make(map[string]map[Key]bool), ending: make(map[string]map[Key]time.Time)}
	addresses := make(map[access.MachineID][]netip.Addr, len(d.Machines))
	for _, m := range d.Machines {
		addresses[m.Machine] = m.Addresses
	}
	trials := tried(d.Trials)
	for _, p := range d.Protected {
		number := protocolNumber(p.Protocol)
		sessions := access.SessionsCut
		if p.Sessions == access.SessionsKeep && number == unix.IPPROTO_TCP {
			sessions = access.SessionsKeep
		}
		for port := int(p.Ports.First); number != 0 && port <= int(p.Ports.Last); port++ {
			k, until := portKey(number, port), time.Time{}
			if t, ok := trials[p.Machine]; ok && !t.former[k] {
				if until = t.until; !until.After(now) {
					continue
				}
			}
			if d.Mode != access.ModeGateway {
				g.put(protectedSet(d.Mode, sessions, four), k, until)
				continue
			}
			for _, addr := range addresses[p.Machine] {
				addr = addr.Unmap().WithZone("")
				g.put(protectedSet(d.Mode, sessions, familyOf(addr)), addressKey(addr)+k, until)
			}
		}
	}
	return g
}

// put protects a key until then, or with the zero instant always.
func (g guarded) put(set string, k Key, until time.Time) {
	if until.IsZero() {
		if g.always[set] == nil {
			g.always[set] = make(map[Key]bool)
		}
		g.always[set][k] = true
		return
	}
	set = endingSet(set)
	if g.ending[set] == nil {
		g.ending[set] = make(map[Key]time.Time)
	}
	g.ending[set][k] = until
}

// attempt is a trial of one machine.
type attempt struct {
	until  time.Time
	former map[Key]bool // the ports that stay protected, by portKey
}

func tried(trials []access.Unconfirmed) map[access.MachineID]attempt {
	all := make(map[access.MachineID]attempt, len(trials))
	for _, u := range trials {
		t := attempt{until: u.Until, former: make(map[Key]bool)}
		for _, p := range u.Former {
			for port := int(p.Ports.First); port <= int(p.Ports.Last); port++ {
				t.former[portKey(protocolNumber(p.Protocol), port)] = true
			}
		}
		all[u.Machine] = t
	}
	return all
}

// rewritten gives the messages that fill a set of what is protected for a time; its elements, if there can be any, are
// deleted in the same transaction. What has hardly any time left is not protected any more.
func (g guarded) rewritten(table string, s Set, there bool, clock stopwatch) ([]netlink.Message, error) {
	var messages []netlink.Message
	if there {
		messages = append(messages, flushSet(table, s.Name))
	}
	keys := slices.Sorted(maps.Keys(g.ending[s.Name]))
	members := make([]member, 0, len(keys))
	for _, k := range keys {
		if left := clock.left(g.ending[s.Name][k], len(keys)); left >= leastLeft {
			members = append(members, member{key: k, left: left})
		}
	}
	added, err := addEnding(table, s.Name, members)
	return append(messages, added...), err
}

// sameTrials tells whether two states let go of the same at the same time.
func sameTrials(a, b []access.Unconfirmed) bool {
	return slices.EqualFunc(a, b, func(a, b access.Unconfirmed) bool {
		return a.Machine == b.Machine && a.Until.Equal(b.Until) && slices.Equal(a.Former, b.Former)
	})
}

// surely gives the keys of a set that a kernel must still hold: those that do not end about now.
func (g guarded) surely(s Set, now time.Time) map[Key]bool {
	if !s.Ending {
		return g.always[s.Name]
	}
	keys := make(map[Key]bool)
	for k, until := range g.ending[s.Name] {
		if until.Sub(now) > time.Second {
			keys[k] = true
		}
	}
	return keys
}

// atMost gives the keys of a set that a kernel may hold.
func (g guarded) atMost(s Set) map[Key]bool {
	if !s.Ending {
		return g.always[s.Name]
	}
	keys := make(map[Key]bool)
	for k := range g.ending[s.Name] {
		keys[k] = true
	}
	return keys
}
