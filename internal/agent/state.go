package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// held is the desired state that the agent holds, on the boot-time clock, and when it last heard from the server.
type held struct {
	access.DesiredState

	contact time.Time
}

// savedState is held on disk: each deadline on the boot-time clock and on the wall clock, with what both showed when
// it was saved. What is open in the kernel is never saved: a restored timeout would begin anew.
type savedState struct {
	BootID    string           `json:"bootId"`
	Boot      int64            `json:"bootNanos"`
	Wall      int64            `json:"wallMicros"`
	Contact   int64            `json:"contactBootNanos"`
	Agent     access.AgentID   `json:"agent"`
	Revision  int64            `json:"revision"`
	Mode      access.Mode      `json:"mode"`
	Machines  []savedMachine   `json:"machines,omitempty"`
	Protected []savedProtected `json:"protected,omitempty"`
	Trials    []savedTrial     `json:"trials,omitempty"`
	Openings  []savedOpening   `json:"openings,omitempty"`
	Ended     []access.GrantID `json:"ended,omitempty"`
}

type savedMachine struct {
	Machine   access.MachineID `json:"machine"`
	Name      string           `json:"name"`
	Addresses []netip.Addr     `json:"addresses,omitempty"`
}

type savedProtected struct {
	Machine  access.MachineID   `json:"machine"`
	Protocol access.Protocol    `json:"protocol"`
	First    uint16             `json:"first"`
	Last     uint16             `json:"last"`
	Sessions access.SessionMode `json:"sessions"`
}

type savedTrial struct {
	Trial     string           `json:"trial"`
	Machine   access.MachineID `json:"machine"`
	UntilBoot int64            `json:"untilBootNanos"`
	UntilWall int64            `json:"untilWallMicros"`
	Former    []savedProtected `json:"former,omitempty"`
}

type savedOpening struct {
	Machine    access.MachineID `json:"machine"`
	Source     netip.Prefix     `json:"source"`
	Protocol   access.Protocol  `json:"protocol"`
	First      uint16           `json:"first"`
	Last       uint16           `json:"last"`
	UntilBoot  int64            `json:"untilBootNanos"`
	UntilWall  int64            `json:"untilWallMicros"`
	CloseAfter time.Duration    `json:"closeAfterNanos,omitempty"`
	Grants     []access.GrantID `json:"grants"`
}

func toSaved(h held, now reading) savedState {
	s := savedState{
		BootID: now.bootID, Boot: int64(sinceBoot(now.boot)), Wall: now.wall.UnixMicro(),
		Contact: int64(sinceBoot(h.contact)),
		Agent:   h.Agent, Revision: h.Revision, Mode: h.Mode, Ended: h.Ended,
	}
	for _, m := range h.Machines {
		s.Machines = append(s.Machines, savedMachine(m))
	}
	s.Protected = toSavedProtected(h.Protected)
	for _, u := range h.Trials {
		s.Trials = append(s.Trials, savedTrial{
			Trial: u.Trial, Machine: u.Machine, UntilBoot: int64(sinceBoot(u.Until)),
			UntilWall: now.wall.Add(u.Until.Sub(now.boot)).UnixMicro(), Former: toSavedProtected(u.Former),
		})
	}
	for _, o := range h.Openings {
		s.Openings = append(s.Openings, savedOpening{
			Machine: o.Machine, Source: o.Source, Protocol: o.Protocol, First: o.Ports.First, Last: o.Ports.Last,
			UntilBoot: int64(sinceBoot(o.Until)), UntilWall: now.wall.Add(o.Until.Sub(now.boot)).UnixMicro(),
			CloseAfter: o.CloseAfter, Grants: o.Grants,
		})
	}
	return s
}

// restore gives what a saved state still means at now.
//
// On the same boot the boot-time clock decides, and the wall clock does not matter. After a reboot an opening keeps
// the least of what remains by the wall clock and what remained when it was saved; where the wall clock stands before
// the time of saving it is certainly wrong, and nothing is opened until the server says what to open. Either way
// nothing is open for longer than what remained when it was saved.
func (s savedState) restore(now reading) held {
	h := held{DesiredState: access.DesiredState{Agent: s.Agent, Revision: s.Revision, Mode: s.Mode, Ended: s.Ended}}
	for _, m := range s.Machines {
		h.Machines = append(h.Machines, access.Guarded(m))
	}
	h.Protected = fromSavedProtected(s.Protected)
	sameBoot := s.BootID != "" && s.BootID == now.bootID
	passed := now.boot.Sub(bootInstant(time.Duration(s.Boot)))
	if !sameBoot {
		passed = now.wall.Sub(time.UnixMicro(s.Wall))
	}
	credible := passed >= 0
	h.contact = now.boot.Add(-clamp(passed)).Add(-clamp(time.Duration(s.Boot - s.Contact)))
	var gone []access.GrantID
	for _, o := range s.Openings {
		until := bootInstant(time.Duration(o.UntilBoot))
		if !sameBoot {
			remained := time.Duration(o.UntilBoot - s.Boot)
			until = now.boot.Add(min(time.UnixMicro(o.UntilWall).Sub(now.wall), remained))
		}
		if !credible || !until.After(now.boot) {
			gone = append(gone, o.Grants...)
			continue
		}
		h.Openings = append(h.Openings, access.Opening{
			OpeningKey: access.OpeningKey{
				Machine: o.Machine, Source: o.Source, Protocol: o.Protocol,
				Ports: access.PortRange{First: o.First, Last: o.Last},
			},
			Until: until, CloseAfter: o.CloseAfter, Grants: o.Grants,
		})
	}
	h.Ended = ended(h.Ended, gone, h.Openings)
	for _, t := range s.Trials {
		h.Trials = append(h.Trials, access.Unconfirmed{
			Trial: t.Trial, Machine: t.Machine, Until: t.until(s, now, sameBoot && credible),
			Former: fromSavedProtected(t.Former),
		})
	}
	h.DesiredState = h.Lapsed(now.boot)
	return h
}

// until gives the end of a saved trial. After a reboot it is the sooner of what the wall clock says and what remained
// when it was saved, and where the wall clock is certainly wrong the latter: whoever waits for their way back gets it.
func (t savedTrial) until(s savedState, now reading, sameBoot bool) time.Time {
	if sameBoot {
		return bootInstant(time.Duration(t.UntilBoot))
	}
	remained := clamp(time.Duration(t.UntilBoot - s.Boot))
	if now.wall.Before(time.UnixMicro(s.Wall)) {
		return now.boot.Add(remained)
	}
	return now.boot.Add(min(time.UnixMicro(t.UntilWall).Sub(now.wall), remained))
}

func toSavedProtected(all []access.Protected) (saved []savedProtected) {
	for _, p := range all {
		saved = append(saved, savedProtected{
			Machine: p.Machine, Protocol: p.Protocol, First: p.Ports.First, Last: p.Ports.Last, Sessions: p.Sessions,
		})
	}
	return saved
}

func fromSavedProtected(saved []savedProtected) (all []access.Protected) {
	for _, p := range saved {
		all = append(all, access.Protected{
			Machine: p.Machine, Protocol: p.Protocol, Ports: access.PortRange{First: p.First, Last: p.Last},
			Sessions: p.Sessions,
		})
	}
	return all
}

// clamp bounds a time that has passed, so that sums of such times stay in range.
func clamp(d time.Duration) time.Duration { return min(max(d, 0), 10*365*24*time.Hour) }

// ended adds to the grants that have ended those that are gone and not part of an opening that stands.
func ended(already, gone []access.GrantID, standing []access.Opening) []access.GrantID {
	skip := make(map[access.GrantID]bool)
	for _, id := range already {
		skip[id] = true
	}
	for _, o := range standing {
		for _, id := range o.Grants {
			skip[id] = true
		}
	}
	all := slices.Clone(already)
	for _, id := range gone {
		if !skip[id] {
			skip[id] = true
			all = append(all, id)
		}
	}
	return all
}
