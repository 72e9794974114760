package access_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

// However often and whenever somebody moves an access, extends it or ends it: what is open is the address of the last
// move and what others hold, and no limit begins anew.
func TestMovesGiveNoMoreThanWasGiven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		others := drawGrants(t)
		now := noon()
		sources := rapid.SampledFrom(prefixes("192.0.2.1/32", "192.0.2.7/32", "2001:db8::1/128", "192.0.2.0/30"))
		first := drawGrant(t)
		first.ID, first.Start, first.State, first.ClosedAt = "chain-0", now, access.GrantOpening, time.Time{}
		first.Decided = rapid.Bool().Draw(t, "decided")
		chain := []access.Grant{first}
		for i := range rapid.IntRange(1, 8).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "later")) * time.Second)
			last := &chain[len(chain)-1]
			switch rapid.SampledFrom([]string{"move", "move", "extend", "end"}).Draw(t, "step") {
			case "move":
				next := *last
				next.ID, next.Start = access.GrantID(fmt.Sprint("chain-", i+1)), now
				next.Decided = rapid.Bool().Draw(t, "agreed")
				next.End = next.End.Add(time.Duration(rapid.IntRange(-1, 2).Draw(t, "asked")) * time.Second)
				next.State, next.Moved, next.Since = access.GrantOpening, "", time.Time{}
				next.Target = access.At(next.Target, rapid.SliceOfN(sources, 1, 2).Draw(t, "to"))
				if !next.End.After(now) {
					continue
				}
				was, is, events, err := last.Move(access.Actor{Name: "ann"}, next, now)
				if err != nil {
					if !equal(was, *last) || !equal(is, next) || events != nil ||
						last.Live(now) && access.CodeOf(err) != "sameSources" {
						t.Fatalf("moving %+v to %+v fails with %v", *last, next, err)
					}
					continue
				}
				checkMove(t, *last, was, is, events, now)
				*last = was
				chain = append(chain, is)
			case "extend":
				if more, _, err := last.Extend(access.Actor{}, last.End.Add(time.Second), now); err == nil {
					*last = more
				}
			case "end":
				if ended, _, err := last.Revoke(access.Actor{}, "done", now); err == nil {
					*last = ended
				}
			}
			last = &chain[len(chain)-1]
			for k, g := range chain {
				if !g.From().Equal(first.Start) || k < len(chain)-1 && !g.State.Ended() || first.Decided && !g.Decided {
					t.Fatalf("%d of %d counts from %v, is %s, decided %v", k, len(chain), g.From(), g.State, g.Decided)
				}
			}
			openings := desired(slices.Concat(others, chain), now).Openings
			for _, p := range points(now) {
				want := last.Live(now) && holds(*last, p) || slices.ContainsFunc(others,
					func(g access.Grant) bool { return g.Live(now) && holds(g, p) })
				if got := open(openings, p); got != want {
					t.Fatalf("with %+v, %+v is open: %v, want %v", chain, p, got, want)
				}
			}
		}
	})
}

// checkMove holds one move to what it promises.
func checkMove(t *rapid.T, before, was, is access.Grant, events []access.Event, now time.Time) {
	switch {
	case !before.Live(now):
		t.Fatalf("%+v was moved at %v, when it was not in force", before, now)
	case was.State != access.GrantSuperseded || !was.EndedAt.Equal(now) || was.Revision != before.Revision+1:
		t.Fatalf("what was moved is %+v", was)
	case is.Moved != before.ID || is.End.After(before.End) || !is.Start.Equal(now):
		t.Fatalf("%+v became %+v", before, is)
	case len(events) != 1 || events[0].Kind != access.GrantMoved || events[0].Grant != before.ID ||
		events[0].Details["movedTo"] != string(is.ID) || events[0].Details["sources"] == events[0].Details["to"]:
		t.Fatalf("the events are %+v", events)
	}
}

func TestMoveRefuses(t *testing.T) {
	t.Parallel()
	now := noon()
	live := access.Grant{
		ID: "g", Target: ssh("m", "192.0.2.1/32"), Start: now, End: now.Add(time.Hour), State: access.GrantActive,
	}
	for code, change := range map[string]func(g, next *access.Grant){
		"grantNotBegun": func(g, _ *access.Grant) { g.State, g.Start = access.GrantScheduled, now.Add(time.Minute) },
		"grantEnded":    func(g, _ *access.Grant) { g.State = access.GrantRevoked },
		"notMovable":    func(g, _ *access.Grant) { g.Target = access.RoleTarget{ID: "r", Name: "Reader", Scope: "/"} },
		"sameSources": func(_, next *access.Grant) {
			next.Target = access.At(next.Target, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")})
		},
	} {
		g, next := live, live
		next.ID, next.Target = "next", ssh("m", "192.0.2.2/32")
		change(&g, &next)
		was, is, events, err := g.Move(access.Actor{}, next, now.Add(time.Second))
		if access.CodeOf(err) != code || !equal(was, g) || !equal(is, next) || events != nil {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	g, next := live, live
	next.Target = ssh("other", "192.0.2.2/32")
	if _, _, _, err := g.Move(access.Actor{}, next, now.Add(time.Second)); err == nil {
		t.Error("access to one machine becomes access to another")
	}
}
