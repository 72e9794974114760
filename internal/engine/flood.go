package engine

import (
	"context"
	"sync"
	"time"
)

// Flood bounds how much one agent, or one principal, writes to the activity log, which nothing is ever deleted from: so
// much at once, and so much more in each hour. It counts in this replica, from its start.
type Flood[K comparable] struct {
	Most int

	mu    sync.Mutex
	spent map[K]spending
}

type spending struct {
	at     time.Time
	amount float64
	owed   uint64 // how many attempts found no room since the last that did
}

// Bill is what a transaction has counted: where it is run again, or comes to nothing, it has counted nothing.
type Bill struct{ undo []func() }

func (b *Bill) add(undo func()) {
	if b != nil {
		b.undo = append(b.undo, undo)
	}
}

func (b *Bill) void() {
	for _, undo := range b.undo {
		undo()
	}
	b.undo = nil
}

// Billed is update for what counts against the bounds of somebody.
func (e *Kernel) Billed(ctx context.Context, fn func(Tx, *Bill) error) error {
	var b Bill
	err := e.Update(ctx, func(tx Tx) error {
		b.void()
		return fn(tx, &b)
	})
	if err != nil {
		b.void()
	}
	return err
}

// Take gives how many of n somebody may write now, and counts them. b is that of the transaction; nil outside of one.
func (f *Flood[K]) Take(b *Bill, of K, n int, now time.Time) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.now(of, now)
	granted := max(0, min(n, int(float64(f.Most)-s.amount)))
	f.spend(b, of, s, granted)
	return granted
}

// spend keeps what somebody has spent, n more than s says.
func (f *Flood[K]) spend(b *Bill, of K, s spending, n int) {
	s.amount += float64(n)
	f.spent[of] = s
	b.add(func() {
		f.change(of, func(s *spending) { s.amount = max(0, s.amount-float64(n)) })
	})
}

func (f *Flood[K]) change(of K, do func(*spending)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.spent[of]
	do(&s)
	f.spent[of] = s
}

// Afford counts n for somebody, all of it or nothing; what is more than there ever is room for finds room while nothing
// is spent, so that it is only late.
func (f *Flood[K]) Afford(b *Bill, of K, n int, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.now(of, now)
	if s.amount > 0 && s.amount+float64(n) > float64(f.Most) {
		return false
	}
	f.spend(b, of, s, n)
	return true
}

// now gives what somebody has spent by now.
func (f *Flood[K]) now(of K, now time.Time) spending {
	if f.spent == nil {
		f.spent = map[K]spending{}
	}
	s := f.spent[of]
	if since := now.Sub(s.at); since > 0 {
		s.amount = max(0, s.amount-since.Hours()*float64(f.Most))
	}
	s.at = now
	return s
}

// Owe keeps a sum for which there was no room; settle gives it and forgets it.
func (f *Flood[K]) Owe(b *Bill, of K, n uint64) {
	f.change(of, func(s *spending) { s.owed += n })
	b.add(func() { f.change(of, func(s *spending) { s.owed -= min(n, s.owed) }) })
}

// Settle returns what found no room before, and forgets it; the bill of the transaction that records it keeps it
// otherwise.
func (f *Flood[K]) Settle(b *Bill, of K) (owed uint64) {
	f.change(of, func(s *spending) { owed, s.owed = s.owed, 0 })
	b.add(func() { f.change(of, func(s *spending) { s.owed += owed }) })
	return owed
}
