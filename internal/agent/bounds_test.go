package agent

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNothingCountsAsSentLate plays exchanges and messages with servers whose clocks are apart from ours by anything
// and run at other speeds, over journeys of any length, both ways, and over many connections. Nothing counts as sent
// after it was; nor before it by more than the fastest exchange that there was, and what the clocks may have run apart
// since.
func TestNothingCountsAsSentLate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var shared clocks
		uptime := time.Hour // as our clock counts it
		boot := func() time.Time { return bootInstant(uptime) }
		apart := time.Duration(rapid.Int64Range(-int64(24*time.Hour), int64(24*time.Hour)).Draw(t, "wall clock off by"))
		speed := rapid.Int64Range(-drift, drift).Draw(t, "millionths faster")
		server := func() time.Time {
			return noon().Add(uptime + uptime/1e6*time.Duration(speed)).Truncate(time.Microsecond)
		}
		pass := func(most time.Duration, what string) time.Duration {
			d := time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, what))
			uptime += d
			return d
		}
		named := rapid.Bool().Draw(t, "the server says when it began to answer")
		name := ""
		if named {
			name = "a"
		}
		best, bestAt := time.Duration(1<<62), uptime
		narrow := func(trip time.Duration) {
			if trip <= best+2*runApart(uptime-bestAt) {
				best, bestAt = trip, uptime
			}
		}
		for range rapid.IntRange(1, 5).Draw(t, "connections") {
			j := &journey{clocks: &shared, server: name, asked: boot()}
			if named {
				there := pass(2*time.Second, "request")
				said := server()
				back := pass(2*time.Second, "answer")
				shared.exchanged(name, j.asked, said, boot())
				narrow(there + back)
			} else {
				best = 1 << 62
			}
			began := uptime
			for i := range rapid.IntRange(1, 12).Draw(t, "messages") {
				if named && rapid.Bool().Draw(t, "report") {
					asked := boot()
					there := pass(2*time.Second, "request")
					said := server()
					back := pass(2*time.Second, "answer")
					shared.exchanged(name, asked, said, boot())
					narrow(there + back)
				}
				pass(20*time.Second, "pause")
				sentBoot, sentServer := boot(), server()
				delay := pass(5*time.Second, "delay")
				if i == 0 && !named {
					narrow(uptime - began)
				}
				sent, skew, stale := j.arrived(sentServer, reading{boot: boot(), wall: server().Add(apart)})
				if sent.After(sentBoot) {
					t.Fatalf("counts as sent %s late, after a journey of %s", sent.Sub(sentBoot), delay)
				}
				slack := best + 2*runApart(uptime-bestAt) + 2*runApart(10*time.Second) + 10*time.Microsecond
				if early := sentBoot.Sub(sent); early > slack && sent.After(j.asked) {
					t.Fatalf("counts as sent %s early, the fastest exchange took %s", early, best)
				}
				if off := (skew - apart).Abs(); off > slack {
					t.Fatalf("measured a skew of %s, and it is %s", skew, apart)
				}
				if stale {
					t.Fatal("the connection counts as stale")
				}
			}
		}
	})
}

func TestHeldUpMessagesAndSetClocksAreSeen(t *testing.T) {
	t.Parallel()
	base := bootInstant(time.Hour)
	for _, c := range []struct {
		name    string
		server  time.Duration // how far the server's clock has moved when the second message is sent
		arrival time.Duration // how much later it arrives than the first
		sent    time.Duration // when it counts as sent, after the request
		stale   bool
	}{
		{"in time", 10 * time.Second, 10 * time.Second, 10 * time.Second, false},
		{"held up a little", 10 * time.Second, 12 * time.Second, 10 * time.Second, false},
		{"held up for long", 10 * time.Second, 60 * time.Second, 10 * time.Second, true},
		{"server set back", -time.Hour, 40 * time.Second, 0, true},
		{"server set ahead", time.Hour, 10 * time.Second, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := &journey{clocks: &clocks{}, asked: base}
			j.arrived(noon(), reading{boot: base, wall: noon()})
			sent, _, stale := j.arrived(noon().Add(c.server),
				reading{boot: base.Add(c.arrival), wall: noon().Add(c.arrival)})
			if got := sent.Sub(base); (got-c.sent).Abs() > 20*time.Millisecond || got > c.sent || stale != c.stale {
				t.Errorf("counts as sent after %s (held up: %t), want %s (%t)", got, stale, c.sent, c.stale)
			}
		})
	}
}

// TestAnExchangeSeesASetClock proves that ends are measured anew once the server's clock was set, also by a report.
func TestAnExchangeSeesASetClock(t *testing.T) {
	t.Parallel()
	var b bounds
	base := bootInstant(time.Hour)
	b.exchanged(base, noon(), base.Add(time.Millisecond))
	b.exchanged(base.Add(time.Minute), noon().Add(time.Minute), base.Add(time.Minute+time.Millisecond))
	if b.set != 0 {
		t.Error("a clock that went on counts as set")
	}
	b.exchanged(base.Add(2*time.Minute), noon().Add(3*time.Minute), base.Add(2*time.Minute+time.Millisecond))
	if sent, ok := b.heard(noon().Add(3*time.Minute),
		base.Add(2*time.Minute+time.Millisecond)); b.set != 1 || !ok || sent.After(base.Add(2*time.Minute)) {
		t.Errorf("set %d times, counts as sent at %s", b.set, sent)
	}
}
