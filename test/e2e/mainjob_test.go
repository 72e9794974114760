//go:build linux

package e2e_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/nettest"
)

func pair(tb testing.TB) *world {
	tb.Helper()
	network, err := nettest.Pair()
	if err != nil {
		tb.Fatal(err)
	}
	return newWorld(tb, network)
}

func TestOpenedForOneSourceAndOnePortAndClosedByItself(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, six := w.listen(22)
	otherFour, otherSix := w.listen(3389)
	free, _ := w.listen(8080)
	me4, me6, you4, you6 := w.net.ClientAddrs[0], w.net.ClientAddrs[1], w.net.ClientAddrs[2], w.net.ClientAddrs[3]

	w.open(me4, four) // nothing guards it yet
	w.guard(func(p *api.MachinePolicy) {
		p.Ports = append(p.Ports, api.PortRule{Ports: "3389", MaxSeconds: 60})
	})
	for _, to := range []netip.AddrPort{four, otherFour} {
		w.shut(me4, to)
	}
	w.shut(me6, six)
	w.open(me4, free)

	g4 := w.ask(w.admin, me4.String(), 15*time.Second)
	g6 := w.ask(w.admin, me6.String(), time.Hour)
	w.open(me4, four)
	w.open(me6, six)
	w.shut(you4, four) // the wrong source
	w.shut(you6, six)
	w.shut(me4, otherFour) // the wrong port
	w.shut(me6, otherSix)

	last := w.lastAccepted(me4, four, g4.End)
	if last.After(g4.End) {
		t.Errorf("a connection was accepted %s after the end", last.Sub(g4.End))
	}
	ended := w.closed(g4.ID)
	if ended.State != "expired" || ended.ClosedAt.Before(g4.End.Add(-time.Second)) {
		t.Errorf("the grant is %+v, want expired and seen gone about its end", ended)
	}
	w.open(me6, six) // the other lives on
	if ended.Packets == 0 {
		t.Error("no packet was counted")
	}
	want := []string{
		"request.submitted", "request.approved", "grant.created", "grant.opened", "grant.expired",
		"grant.closed",
	}
	if got := w.kinds(g4.ID); !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("events are %v, want %v", got, want)
	}

	if _, err := w.admin.Revoke(t.Context(), g6.ID, "done"); err != nil {
		t.Fatal(err)
	}
	if g := w.closed(g6.ID); g.State != "revoked" || g.Reason != "done" {
		t.Errorf("the grant is %+v, want revoked", g)
	}
	w.shut(me6, six)
	w.verified()
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func TestOverlapsAreAUnion(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard()
	me := w.net.ClientAddrs[0]
	rosa := w.person("rosa")

	exact := w.ask(w.admin, me.String(), time.Hour)
	wide := w.ask(rosa, netip.PrefixFrom(me, 24).Masked().String(), time.Hour)
	same := w.ask(rosa, me.String(), time.Hour)
	for _, g := range []api.Grant{exact, wide} {
		if _, err := w.admin.Revoke(t.Context(), g.ID, ""); err != nil {
			t.Fatal(err)
		}
		w.closed(g.ID)
		w.open(me, four) // another grant still covers it
	}
	w.shut(w.net.ClientAddrs[2], four) // which the wide one had covered
	if _, err := w.admin.Revoke(t.Context(), same.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.closed(same.ID)
	w.shut(me, four)
	w.verified()
}

func TestExtendedByANewRequest(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard()
	me := w.net.ClientAddrs[0]
	first := w.ask(w.admin, me.String(), 10*time.Second)
	second := w.ask(w.admin, me.String(), 18*time.Second)
	if g := w.closed(first.ID); g.State != "superseded" {
		t.Errorf("the first grant is %s, want superseded", g.State)
	}
	for time.Now().Before(first.End.Add(time.Second)) {
		if err := w.net.Client.Ask("tcp", me, four, patience); err != nil {
			t.Fatalf("the extension left a gap: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if last := w.lastAccepted(me, four, second.End); last.After(second.End) || last.Before(first.End) {
		t.Errorf("last accepted at %s; the first ended at %s and the second at %s", last, first.End, second.End)
	}
	w.closed(second.ID)
}

func TestSessionsAreCutOrKept(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cut", "keep"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := pair(t)
			four, six := w.listen(22)
			w.guard(func(p *api.MachinePolicy) { p.Sessions = mode })
			for i, to := range []netip.AddrPort{four, six} {
				me := w.net.ClientAddrs[i]
				g := w.ask(w.admin, me.String(), 10*time.Second)
				c, err := w.net.Client.Dial(t.Context(), "tcp", netip.AddrPortFrom(me, 0), to)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := nettest.Exchange(c, patience); err != nil {
					t.Fatal(err)
				}
				w.closed(g.ID)
				err = nettest.Exchange(c, 2*time.Second)
				if (err == nil) != (mode == "keep") {
					t.Errorf("sessions %s, and after the end the session over %s says: %v", mode, to, err)
				}
				w.shut(me, to)
			}
		})
	}
}

func TestScheduledStart(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard()
	me := w.net.ClientAddrs[0]
	start := time.Now().Add(6 * time.Second)
	r, err := w.admin.Submit(t.Context(),
		api.NewRequest{
			Start: &start, ForSeconds: 30,
			Items: []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{me.String()}}},
		},
		"")
	if err != nil {
		t.Fatal(err)
	}
	if r.Grants[0].State != "scheduled" {
		t.Errorf("the grant is %s, want scheduled", r.Grants[0].State)
	}
	w.shut(me, four)
	if g := w.active(r.Grants[0].ID); g.OpenedAt.Before(start.Add(-time.Second)) {
		t.Errorf("opened at %s, before its start %s", g.OpenedAt, start)
	}
	w.open(me, four)
}

func TestDeniedAttemptsAreOnTheLog(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard()
	w.shut(w.net.ClientAddrs[2], four)
	w.eventually("the denied attempt is on the activity log", func() error {
		events, err := api.All(w.admin.Events(t.Context(), api.EventQuery{Kind: "agent.deniedTraffic"}))
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Details["source"] == w.net.ClientAddrs[2].String() && e.Details["port"] == "22" {
				return nil
			}
		}
		return errorf("there are %d such events: %+v", len(events), events)
	})
}
