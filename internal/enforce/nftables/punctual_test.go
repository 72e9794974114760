//go:build linux

package nftables_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// TestAStalledWriteEndsOnTime proves by arithmetic that an element ends on time though the machine did something else
// for long between the reading of the clock and the kernel's, wherever that was; and that it does not end too soon for
// that.
func TestAStalledWriteEndsOnTime(t *testing.T) {
	t.Parallel()
	const stall = 300 * time.Millisecond
	for _, c := range []struct {
		name   string
		before bool // there is a table already
		after  int64
	}{
		{"a change, after its first reading", true, 1},
		{"a change, after its second reading", true, 2},
		{"everything, after its first reading", false, 1},
		{"everything, after its second reading", false, 2},
		{"everything, after its third reading", false, 3},
	} {
		var readings, skipped atomic.Int64
		now := func() time.Time {
			at := time.Now().Add(time.Duration(skipped.Load()))
			if readings.Add(-1) == 0 {
				skipped.Add(int64(stall))
			}
			return at
		}
		l := newLab(t, nftables.Config{Now: now}, nettest.Pair)
		if c.before {
			l.apply(state(access.SessionsCut))
		}
		until := now().Add(10 * time.Second)
		readings.Store(c.after)
		l.apply(state(access.SessionsCut, open("10.77.0.1/32", access.UDP, until)))
		if readings.Load() > 0 {
			t.Fatalf("%s: the clock was read %d times less", c.name, readings.Load())
		}
		held, err := l.nft.Held(t.Context(), nil, now())
		if err != nil || len(held) != 1 {
			t.Fatalf("%s: the kernel holds %+v, %v", c.name, held, err)
		}
		if late := held[0].Until.Sub(until); late > 0 || late < -stall {
			t.Errorf("the machine stalled in %s: it ends %s after the end", c.name, late)
		}
	}
}

// TestWhatEndsByItselfIsNotDeleted takes an opening away in the last milliseconds before its end, by the clock: it may
// have ended already, and then a kernel would refuse the transaction, and everything be written anew.
func TestWhatEndsByItselfIsNotDeleted(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]int{2 * time.Millisecond: 1, time.Second: 0} {
		var skipped atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(skipped.Load())) }
		l := newLab(t, nftables.Config{Now: now}, nettest.Pair)
		const lasting = time.Hour
		until := now().Add(lasting)
		l.apply(state(access.SessionsCut, open("10.77.0.1/32", access.UDP, until)))
		skipped.Store(int64(time.Until(until) - left))
		l.apply(state(access.SessionsCut))
		// By its own clock the kernel still has it for an hour, unless it was deleted.
		held, err := l.nft.Held(t.Context(), nil, now())
		if err != nil || len(held) != want {
			t.Errorf("%s before the end it was taken away: the kernel holds %+v, %v; want %d", left, held, err, want)
		}
	}
}

// TestALookDoesNotForgetWhatIsProven moves ends a little earlier after a look during which the machine did something
// else: by such a look elements seem to end earlier than they do, and one of them about when it should now.
func TestALookDoesNotForgetWhatIsProven(t *testing.T) {
	t.Parallel()
	const stall = 40 * time.Millisecond
	var readings atomic.Int64
	now := func() time.Time {
		at := time.Now()
		if readings.Add(-1) == 0 {
			time.Sleep(stall) // on a real clock, as the kernel's is
		}
		return at
	}
	l := newLab(t, nftables.Config{Now: now}, nettest.Pair)
	until := time.Now().Add(10 * time.Second)
	openings := func(earlier time.Duration) (all []access.Opening) {
		for i := range 15 {
			all = append(all, open(fmt.Sprintf("10.77.0.%d/32", i+1), access.UDP, until.Add(-time.Duration(i)*earlier)))
		}
		return all
	}
	l.apply(state(access.SessionsCut, openings(0)...))
	readings.Store(1)
	l.held(nil)
	earlier := openings(4 * time.Millisecond)
	l.apply(state(access.SessionsCut, earlier...))
	ends := map[netip.Prefix]time.Time{}
	for _, o := range earlier {
		ends[o.Source] = o.Until
	}
	held := l.held(nil)
	if len(held) != len(ends) {
		t.Errorf("the kernel holds %d openings, want %d", len(held), len(ends))
	}
	for _, h := range held {
		if late := h.Until.Sub(ends[h.Key.Source]); late > 0 {
			t.Errorf("the kernel holds %s until %s after its end", h.Key.Source, late)
		}
	}
}
