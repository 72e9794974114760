package identity

import (
	"testing"
	"time"
)

// TestWhatIsGivenBackIsNoMoreThanWasTaken holds that calls which are given back a while later leave room for as many others as if they had
// never been, and for no more, however many are under way at once.
func TestWhatIsGivenBackIsNoMoreThanWasTaken(t *testing.T) {
	t.Parallel()
	const burst, under, rounds, later = 20, 10, 100, 100 * time.Millisecond
	l := newLimiter(Rate{PerSecond: 2, Burst: burst}, Rate{})
	begin := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	now := begin
	wrong := 0
	for range rounds {
		var back []func(time.Time)
		for range under {
			if give, ok := l.take("a", now, 1); ok {
				back = append(back, give)
			}
		}
		now = now.Add(later)
		for _, give := range back {
			give(now)
			if l.allow("a", now) {
				wrong++
			}
		}
	}
	if most := burst + 2*int(now.Sub(begin)/time.Second); wrong > most || wrong < most-burst {
		t.Errorf("%d wrong calls in %s, where %d are allowed", wrong, now.Sub(begin), most)
	}
}
