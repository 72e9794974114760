package agent

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Messages travel with any delay between clocks that are apart by any amount and drift. A message never counts as sent
// later than it arrived; the first never later than it was sent; each later one at most the least of the last sixteen
// delays later than it was sent, and what the clocks drift apart in that time.
func TestPaceIsOnTheSafeSide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		truth := noon()
		apart := time.Duration(rapid.Int64Range(-int64(24*time.Hour), int64(24*time.Hour)).Draw(t, "wall clock off by"))
		begin, uptime := truth, time.Hour
		boot := func() time.Time { return bootInstant(uptime + truth.Sub(begin)) }
		asked := boot()
		p := &pace{asked: asked}
		var delays []time.Duration
		for i := range rapid.IntRange(1, 40).Draw(t, "messages") {
			truth = truth.Add(time.Duration(rapid.Int64Range(0, int64(15*time.Second)).Draw(t, "pause")))
			sentTruth, sentBoot := truth, boot()
			delay := time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "delay"))
			truth = truth.Add(delay)
			delays = append(delays, delay)
			now := reading{boot: boot(), wall: truth.Add(apart)}
			sent, skew, stale := p.arrived(sentTruth, now)
			switch late := sent.Sub(sentBoot); {
			case sent.After(now.boot):
				t.Fatalf("message %d counts as sent %s after it arrived", i, sent.Sub(now.boot))
			case i == 0 && late > 0:
				t.Fatalf("the first message counts as sent %s late", late)
			case i > 0 && late > minOf(delays[max(0, len(delays)-paceWindow):]):
				t.Fatalf("message %d counts as sent %s late; the delays were %v", i, late, delays)
			}
			if off := (skew - apart).Abs(); off > 40*time.Second {
				t.Fatalf("measured a skew of %s, and it is %s", skew, apart)
			}
			if stale {
				t.Fatalf("message %d counts as held up after %s", i, delay)
			}
		}
	})
}

func minOf(all []time.Duration) time.Duration {
	least := all[0]
	for _, d := range all {
		least = min(least, d)
	}
	return least
}

func TestPaceSeesHeldUpMessagesAndSetClocks(t *testing.T) {
	t.Parallel()
	base := bootInstant(time.Hour)
	for _, c := range []struct {
		name    string
		server  time.Duration // how far the server's clock has moved when the second message is sent
		arrival time.Duration // how much later it arrives than the first
		sent    time.Duration // when it counts as sent, after the first arrived
		stale   bool
	}{
		{"in time", 10 * time.Second, 10 * time.Second, 10 * time.Second, false},
		{"held up a little", 10 * time.Second, 12 * time.Second, 10 * time.Second, false},
		{"held up for long", 10 * time.Second, 60 * time.Second, 10 * time.Second, true},
		{"server set back", -time.Hour, 10 * time.Second, -time.Hour, true},
		{"server set ahead", time.Hour, 10 * time.Second, 10 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &pace{asked: base}
			p.arrived(noon(), reading{boot: base, wall: noon()})
			sent, _, stale := p.arrived(noon().Add(c.server), reading{boot: base.Add(c.arrival), wall: noon().Add(c.arrival)})
			if got := sent.Sub(base); got != c.sent || stale != c.stale {
				t.Errorf("counts as sent after %s (held up: %t), want %s (%t)", got, stale, c.sent, c.stale)
			}
		})
	}
}
