//go:build linux

package nftables_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// TestAStalledWriteEndsOnTime proves by arithmetic that an element ends on time though the machine did something else for
// long between the reading of the clock and the kernel's, wherever that was.
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
		if late := held[0].Until.Sub(until); late > 0 || late < -3*time.Second {
			t.Errorf("the machine stalled in %s: it ends %s after the end", c.name, late)
		}
	}
}
