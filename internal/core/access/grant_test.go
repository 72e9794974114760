package access_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

func states() []access.GrantState {
	return []access.GrantState{
		access.GrantScheduled, access.GrantOpening, access.GrantActive, access.GrantExpired, access.GrantRevoked,
		access.GrantSuperseded, access.GrantFailed,
	}
}

func equal(a, b any) bool {
	return cmp.Equal(a, b, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}))
}

// step is one command on a grant.
type step struct {
	name string
	do   func(g access.Grant, now time.Time) (access.Grant, []access.Event, error)
	to   access.GrantState // empty: the state stays
}

func steps() []step {
	by := access.Actor{Name: "ann", Via: "cli"}
	return []step{
		{
			"begin", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) { return g.Begin(now) },
			access.GrantOpening,
		},
		{"opened", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) {
			return g.Opened(by, "", now)
		}, access.GrantActive},
		{"drifted", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) {
			return g.Drifted(by, "gone", now)
		}, access.GrantOpening},
		{"failed", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) {
			return g.Failed(by, "no room", now)
		}, access.GrantFailed},
		{
			"expire", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) { return g.Expire(now) },
			access.GrantExpired,
		},
		{
			"over", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) { return g.IsOver(now) },
			access.GrantExpired,
		},
		{"revoke", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) {
			return g.Revoke(by, "done", now)
		}, access.GrantRevoked},
		{"supersede", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) {
			return g.Supersede(by, "later", now)
		}, access.GrantSuperseded},
		{"extend", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) {
			return g.Extend(by, g.End.Add(2*time.Second), now)
		}, ""},
		{
			"warned", func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) { return g.Warned(now) },
			"",
		},
		{
			"closed",
			func(g access.Grant, now time.Time) (access.Grant, []access.Event, error) { return g.Closed(by, now) }, "",
		},
	}
}

// Whatever is done to a grant in whatever order, at whatever time, it stays what it promises to be.
func TestGrantKeepsItsInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := noon()
		r := access.Request{ID: "r", Requester: "ann", Items: []access.Item{{
			Target:   ssh("m", "192.0.2.1/32"),
			Duration: time.Duration(rapid.IntRange(1, 8).Draw(t, "seconds")) * 2 * time.Second,
		}}}
		if ahead := rapid.IntRange(0, 4).Draw(t, "start"); ahead > 0 {
			r.Start = now.Add(time.Duration(ahead) * time.Second)
		}
		r, _ = access.NewRequest(r, access.Actor{}, 0, now)
		_, grants, _, err := r.Approve(access.System(), nil, func() access.GrantID { return "g" }, now)
		if err != nil {
			t.Fatal(err)
		}
		g := grants[0]
		check(t, g, now)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "later")) * time.Second / 2)
			s := rapid.SampledFrom(steps()).Draw(t, "step")
			next, events, err := s.do(g, now)
			if err != nil {
				if !equal(next, g) || events != nil || access.KindOf(err) == access.KindInternal {
					t.Fatalf("%s failed with %v, and changed %+v to %+v with %v", s.name, err, g, next, events)
				}
				continue
			}
			checkStep(t, s, g, next, events, now)
			g = next
			check(t, g, now)
		}
	})
}

func checkStep(t *rapid.T, s step, was, is access.Grant, events []access.Event, now time.Time) {
	if s.name == "closed" && !was.ClosedAt.IsZero() {
		if !equal(was, is) || events != nil {
			t.Fatalf("closed again, %+v became %+v with %v", was, is, events)
		}
		return
	}
	if is.Revision != was.Revision+1 {
		t.Fatalf("%s took revision %d to %d", s.name, was.Revision, is.Revision)
	}
	if len(events) != 1 || !events[0].At.Equal(
		now) || events[0].Grant != is.ID || events[0].Machine != is.Place().Machine || events[0].Outcome != access.Succeeded {
		t.Fatalf("%s gives the events %+v", s.name, events)
	}
	switch {
	case s.to == "" && is.State != was.State:
		t.Fatalf("%s took state %s to %s", s.name, was.State, is.State)
	case s.to != "" && (is.State != s.to || !slices.Contains(access.GrantMoves(was.State), s.to)):
		t.Fatalf("%s took state %s to %s, off the table", s.name, was.State, is.State)
	}
	if s.name != "extend" && !is.End.Equal(was.End) || is.End.Before(was.End) || !is.Start.Equal(was.Start) {
		t.Fatalf("%s took the window %v/%v to %v/%v", s.name, was.Start, was.End, is.Start, is.End)
	}
	if was.State.Ended() && s.name != "closed" {
		t.Fatalf("%s is possible for a grant that is %s", s.name, was.State)
	}
	if now.Before(was.End) && s.name == "expire" || now.Before(
		was.End.Add(-access.EarlyEnd)) && s.name == "over" || now.Before(was.Start) && s.to != "" && !s.to.Ended() {
		t.Fatalf("%s is possible at %v, too early for %v/%v", s.name, now, was.Start, was.End)
	}
	if !now.Before(was.End) && s.to != access.GrantExpired && s.name != "closed" && s.name != "begin" {
		t.Fatalf("%s is possible at %v, after the end %v", s.name, now, was.End)
	}
}

func check(t *rapid.T, g access.Grant, now time.Time) {
	if !g.End.After(g.Start) {
		t.Fatalf("the window of %+v is empty", g)
	}
	if g.State.Ended() == g.EndedAt.IsZero() || g.EndedAt.After(g.End) || g.EndedAt.After(now) {
		t.Fatalf("%s, ended at %v, of %v/%v, at %v", g.State, g.EndedAt, g.Start, g.End, now)
	}
	if !g.ClosedAt.IsZero() && (!g.State.Ended() || g.ClosedAt.Before(g.EndedAt)) {
		t.Fatalf("%s, ended at %v, and closed at %v", g.State, g.EndedAt, g.ClosedAt)
	}
	if !g.OpenedAt.IsZero() && (g.OpenedAt.Before(
		g.Start) || !g.OpenedAt.Before(g.End)) || g.State == access.GrantActive && g.OpenedAt.IsZero() {
		t.Fatalf("%s, opened at %v of %v/%v", g.State, g.OpenedAt, g.Start, g.End)
	}
	for at := g.Start.Add(-time.Second); !at.After(g.End.Add(time.Second)); at = at.Add(time.Second / 2) {
		live := g.Live(at)
		if live && (g.State.Ended() || g.State == access.GrantScheduled || at.Before(g.Start) || !at.Before(g.End)) {
			t.Fatalf("%s of %v/%v is live at %v", g.State, g.Start, g.End, at)
		}
		if !g.State.Ended() && g.State != access.GrantScheduled && !live && !at.Before(g.Start) && at.Before(g.End) {
			t.Fatalf("%s of %v/%v is not live at %v", g.State, g.Start, g.End, at)
		}
		openings := access.Union([]access.Grant{g}, nil)
		if len(openings) != 1 || openings[0].Until.After(g.End) {
			t.Fatalf("%+v opens %+v", g, openings)
		}
	}
}

func TestGrantMovesAreClosed(t *testing.T) {
	t.Parallel()
	for _, s := range states() {
		moves := access.GrantMoves(s)
		if s.Ended() != (len(moves) == 0) {
			t.Errorf("%s may become %v", s, moves)
		}
		for _, to := range moves {
			if !slices.Contains(states(), to) || to == s {
				t.Errorf("%s may become %q", s, to)
			}
		}
		if !s.Ended() && (!slices.Contains(moves, access.GrantExpired) ||
			!slices.Contains(moves, access.GrantRevoked)) {
			t.Errorf("%s can not be ended: %v", s, moves)
		}
		if len(moves) > 0 {
			moves[0] = "spoilt"
			if access.GrantMoves(s)[0] == "spoilt" {
				t.Fatalf("the table of %s can be written from outside", s)
			}
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	older := access.Grant{
		ID: "old", Principal: "ann", Target: ssh("m", "192.0.2.1/32", "192.0.2.2/32"), Start: noon(),
		End:   noon().Add(time.Hour),
		State: access.GrantActive,
	}
	later := older
	later.ID, later.State, later.Start = "new", access.GrantOpening, noon().Add(time.Minute)
	later.Target = ssh("m", "192.0.2.2/32", "192.0.2.1/32")
	now := noon().Add(2 * time.Minute)
	if !later.Covers(older, now) {
		t.Fatal("the same again does not cover")
	}
	on := func(change func(*access.PortTarget)) func(*access.Grant) {
		return func(g *access.Grant) { g.Target = changed(g.Target, change) }
	}
	for name, change := range map[string]func(*access.Grant){
		"a role":            func(g *access.Grant) { g.Target = access.RoleTarget{Eligibility: "e", ID: "r", Scope: "/"} },
		"itself":            func(g *access.Grant) { g.ID = "old" },
		"another principal": func(g *access.Grant) { g.Principal = "bob" },
		"another machine":   on(func(p *access.PortTarget) { p.Machine = "n" }),
		"another port":      on(func(p *access.PortTarget) { p.Ports = access.SinglePort(23) }),
		"another protocol":  on(func(p *access.PortTarget) { p.Protocol = access.UDP }),
		"fewer sources":     on(func(p *access.PortTarget) { p.Sources = p.Sources[:1] }),
		"sooner end":        func(g *access.Grant) { g.End = g.End.Add(-1) },
		"not begun":         func(g *access.Grant) { g.State = access.GrantScheduled },
		"too early":         func(g *access.Grant) { g.Start = now.Add(1) },
		"ended":             func(g *access.Grant) { g.State = access.GrantRevoked },
		"failed":            func(g *access.Grant) { g.State = access.GrantFailed },
	} {
		g := later
		change(&g)
		if g.Covers(older, now) {
			t.Errorf("%s covers", name)
		}
	}
}

// TestWarnings has a warning ten minutes before the end, of short grants at a tenth of their length, and of those of
// under a minute none; it is told once, and again when an extension gives another end.
func TestWarnings(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for _, tc := range []struct{ length, before time.Duration }{
		{59 * time.Second, 0},
		{time.Minute, 6 * time.Second},
		{50 * time.Minute, 5 * time.Minute},
		{100 * time.Minute, 10 * time.Minute},
		{8 * time.Hour, 10 * time.Minute},
	} {
		g := access.Grant{State: access.GrantActive, Start: start, End: start.Add(tc.length)}
		want := g.End.Add(-tc.before)
		if tc.before == 0 {
			want = time.Time{}
		}
		if got := g.WarnAt(); !got.Equal(want) {
			t.Errorf("of %s: warned at %s, want %s", tc.length, got, want)
		}
	}
	g := access.Grant{Target: ssh("m"), State: access.GrantActive, Start: start, End: start.Add(time.Hour)}
	told, events, err := g.Warned(g.WarnAt())
	if err != nil || len(events) != 1 || !told.WarnAt().IsZero() || !told.WarnedAt.Equal(g.WarnAt()) {
		t.Fatalf("told: %+v %v %v", told, events, err)
	}
	if _, again, err := told.Warned(g.WarnAt().Add(
		time.Second)); access.KindOf(err) != access.KindConflict || len(again) > 0 {
		t.Errorf("told twice: %v %v", again, err)
	}
	longer, _, err := told.Extend(access.System(), start.Add(2*time.Hour), start.Add(55*time.Minute))
	if err != nil || !longer.WarnAt().Equal(start.Add(110*time.Minute)) {
		t.Errorf("after an extension it is warned at %s: %v", longer.WarnAt(), err)
	}
	ended, _, err := longer.Revoke(access.System(), "done", start.Add(56*time.Minute))
	if err != nil || !ended.WarnAt().IsZero() {
		t.Errorf("what has ended is warned at %s: %v", ended.WarnAt(), err)
	}
}
