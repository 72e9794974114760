package access

import (
	"net/netip"
	"time"
)

// Move hands the access of g over to next, a grant of the same at other sources that begins now: g ends in the same
// step, so that at no instant both are desired. next ends no later than g, counts from where g counts from, so that no
// limit begins anew, and stays agreed to by people where g was. It fails with a conflict where g is not in force.
func (g Grant) Move(by Actor, next Grant, now time.Time) (was, is Grant, events []Event, err error) {
	if err := g.Movable(now); err != nil {
		return g, next, nil, err
	}
	if err := g.Elsewhere(next.Target); err != nil {
		return g, next, nil, err
	}
	next.Moved, next.Since, next.Decided = g.ID, g.From(), next.Decided || g.Decided
	if g.End.Before(next.End) {
		next.End = g.End
	}
	to := joinPrefixes(next.Target.sources())
	was, events, err = g.move(GrantSuperseded, GrantMoved, by, "moved to "+to+" as grant "+string(next.ID), now)
	if err != nil {
		return g, next, nil, err
	}
	events[0].Details["movedTo"], events[0].Details["to"] = string(next.ID), to
	return was, next, events, nil
}

// Movable fails unless the grant is one of a port that is in force now, or should be.
func (g Grant) Movable(now time.Time) error {
	if len(g.Target.sources()) == 0 {
		return Fault(KindInvalid, "notMovable", "grant %s is not bound to an address: there is nothing to move", g.ID)
	}
	if err := g.notOver(now); err != nil {
		return err
	}
	if !g.Live(now) {
		return Fault(KindConflict, "grantNotBegun",
			"grant %s begins at %s, and only open access can be moved: revoke it, and request it from the other address",
			g.ID, g.Start.UTC().Format(time.RFC3339))
	}
	return nil
}

// Elsewhere fails unless t is what the grant is of, at other sources.
func (g Grant) Elsewhere(t Target) error {
	if !t.Alike(g.Target) || t.covers(g.Target) {
		return Fault(KindInvalid, "sameSources", "grant %s is open from %s already: name other sources to move it to", g.ID,
			joinPrefixes(g.Target.sources()))
	}
	return nil
}

// At returns a target at other sources; one that is not bound to any stays as it is.
func At(t Target, sources []netip.Prefix) Target { return t.at(sources) }
