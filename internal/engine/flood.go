package engine

import (
	"context"
	"sync"
	"time"
)

// flood bounds how much one agent, or one principal, writes to the activity log, which nothing is ever deleted from: so much at once, and so
// much more in each hour. It counts in this replica, from its start.
type flood[K comparable] struct {
	most int

	mu    sync.Mutex
	spent map[K]spending
}

type spending struct {
	at     time.Time
	amount float64
	owed   uint64 // how many attempts found no room since the last that did
}

// bill is what a transaction has counted: where it is run again, or comes to nothing, it has counted nothing.
type bill struct{ undo []func() }

func (b *bill) add(undo func()) {
	if b != nil {
		b.undo = append(b.undo, undo)
	}
}

func (b *bill) void() {
	for _, undo := range b.undo {
		undo()
	}
	b.undo = nil
}

// billed is update for what counts against the bounds of somebody.
func (e *Engine) billed(ctx context.Context, fn func(Tx, *bill) error) error {
	var b bill
	err := e.update(ctx, func(tx Tx) error {
		b.void()
		return fn(tx, &b)
	})
	if err != nil {
		b.void()
	}
	return err
}

// take gives how many of n somebody may write now, and counts them. b is that of the transaction; nil outside of one.
func (f *flood[K]) take(b *bill, of K, n int, now time.Time) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.now(of, now)
	granted := max(0, min(n, int(float64(f.most)-s.amount)))
	f.spend(b, of, s, granted)
	return granted
}

// spend keeps what somebody has spent, n more than s says.
func (f *flood[K]) spend(b *bill, of K, s spending, n int) {
	s.amount += float64(n)
	f.spent[of] = s
	b.add(func() {
		f.change(of, func(s *spending) { s.amount = max(0, s.amount-float64(n)) })
	})
}

func (f *flood[K]) change(of K, do func(*spending)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.spent[of]
	do(&s)
	f.spent[of] = s
}

// afford counts n for somebody, all of it or nothing; what is more than there ever is room for finds room while nothing is
// spent, so that it is only late.
func (f *flood[K]) afford(b *bill, of K, n int, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.now(of, now)
	if s.amount > 0 && s.amount+float64(n) > float64(f.most) {
		return false
	}
	f.spend(b, of, s, n)
	return true
}

// now gives what somebody has spent by now.
func (f *flood[K]) now(of K, now time.Time) spending {
	if f.spent == nil {
		f.spent = map[K]spending{}
	}
	s := f.spent[of]
	if since := now.Sub(s.at); since > 0 {
		s.amount = max(0, s.amount-since.Hours()*float64(f.most))
	}
	s.at = now
	return s
}

// owe keeps a sum for which there was no room; settle gives it and forgets it.
func (f *flood[K]) owe(b *bill, of K, n uint64) {
	f.change(of, func(s *spending) { s.owed += n })
	b.add(func() { f.change(of, func(s *spending) { s.owed -= min(n, s.owed) }) })
}

func (f *flood[K]) settle(b *bill, of K) (owed uint64) {
	f.change(of, func(s *spending) { owed, s.owed = s.owed, 0 })
	b.add(func() { f.change(of, func(s *spending) { s.owed += owed }) })
	return owed
}

// What one agent may write at once, and in each hour: groups of denied attempts, of which beyond that the sum is kept; and words about itself: that rules drifted, that
// something is wrong or right again, that a report was refused, that a certificate was renewed. Beyond that its condition stays
// as it was last recorded, until there is room again. Of grants that drift, fail, and are open again, each time with two events,
// a gateway that loses a table of five thousand says so at once; what is more is refused, and said later, as it is then; see
// settled.
const (
	maxDeniedAnHour = 2_000
	maxWordsAnHour  = 500
	maxMovesAnHour  = 10_000
)
