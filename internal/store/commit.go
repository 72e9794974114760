package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

// Changes are committed in batches, since what is slow is to make a commit durable. One goroutine, the committer, takes
// the calls that wait, up to maxBatch, and opens one transaction. It gives the transaction to each call in turn, whose
// function then runs on the caller's own goroutine behind a savepoint (so a panic is the caller's alone), extends the
// activity log once for all of them, commits, and only then tells every caller how it ended.
//
// The head of the activity log is locked when the transaction begins. On PostgreSQL the batches of all replicas are
// therefore serial: they cannot deadlock, and each sees what those before it did.
const (
	maxBatch    = 256
	maxAttempts = 5
)

// writer is a connection in one transaction at a time. Its errors are the driver's own.
type writer interface {
	querier
	// begin opens the transaction, locks the head of the activity log and reads it.
	begin(ctx context.Context) (head, error)
	// exec writes, or queues the write until flush, query or commit.
	exec(ctx context.Context, w write) error
	flush(ctx context.Context) error
	// save sets the savepoint, release drops it, undo goes back to it. undo drops what is queued since save.
	save(ctx context.Context) error
	release(ctx context.Context) error
	undo(ctx context.Context) error
	commit(ctx context.Context) error
	// end rolls back what is not committed, and gives the connection back.
	end(ctx context.Context)
}

// write is one statement that changes something.
type write struct {
	what string // the noun for messages, such as "machine"
	sql  string
	args []any
	none error // what it means when no row was concerned; nil where that is nothing
}

// call is one Update that waits or runs.
type call struct {
	fn    func(engine.Tx) error
	state atomic.Int32
	turn  chan *tx     // the committer gives the transaction
	back  chan outcome // the caller gives it back
	done  chan error   // how it ended, after the commit
	err   error        // the committer's: what fn ended with
	gone  bool         // the committer's: fn did not return, so nobody waits for an answer
	over  bool         // the committer's: err stands, and fn is not run again
}

const (
	callWaits = iota
	callRuns
	callAbandoned
)

type outcome struct {
	err  error
	gone bool
}

// Update implements engine.Store.
func (db *DB) Update(ctx context.Context, fn func(engine.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{fn: fn, turn: make(chan *tx), back: make(chan outcome, 1), done: make(chan error, 1)}
	select {
	case db.calls <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return errClosed()
	}
	canceled, stopped := ctx.Done(), db.stopped
	for {
		select {
		case t := <-c.turn:
			c.run(t)
		case err := <-c.done:
			return err
		case <-canceled:
			if c.state.CompareAndSwap(callWaits, callAbandoned) {
				return ctx.Err()
			}
			canceled = nil // it is being committed; only its end tells whether it took effect
		case <-stopped:
			if c.state.CompareAndSwap(callWaits, callAbandoned) {
				return errClosed()
			}
			stopped = nil
		}
	}
}

// run calls fn, and gives the transaction back however fn ends: by a panic or runtime.Goexit too.
func (c *call) run(t *tx) {
	out := outcome{gone: true}
	defer func() { c.back <- out }()
	out.err = c.fn(t)
	out.gone = false
}

func (db *DB) commitLoop(ctx context.Context) {
	defer close(db.stopped)
	for {
		select {
		case <-db.closing:
			return
		case first := <-db.calls:
			batch := []*call{first}
			for more := true; more && len(batch) < maxBatch; {
				select {
				case c := <-db.calls:
					batch = append(batch, c)
				default:
					more = false
				}
			}
			batch = slices.DeleteFunc(batch, func(c *call) bool { return !c.state.CompareAndSwap(callWaits, callRuns) })
			db.commitBatch(ctx, batch)
		}
	}
}

// commitBatch runs the calls until their transaction is committed, or cannot be.
func (db *DB) commitBatch(ctx context.Context, calls []*call) {
	if len(calls) == 0 {
		return
	}
	var err error
	for attempt := range maxAttempts {
		if attempt > 0 {
			pause := time.Duration(1<<attempt) * 5 * time.Millisecond
			time.Sleep(pause/2 + rand.N(pause)) //nolint:gosec // jitter, not a secret
		}
		var n news
		n, err = db.attempt(ctx, calls)
		if err == nil {
			db.hub.tell(n)
			if !n.empty() {
				db.backend.announce(n)
			}
			break
		}
		if !retryable(err) {
			break
		}
	}
	for _, c := range calls {
		switch {
		case c.gone:
		case err != nil && !c.over:
			c.done <- unavailable(err)
		default:
			c.done <- c.err
		}
	}
}

// attempt is one transaction. Its error is that of the whole batch; each call's own is in the call.
func (db *DB) attempt(ctx context.Context, calls []*call) (news, error) {
	const most = 30 * time.Second // a database that does not answer at all
	ctx, cancel := db.backend.bound(ctx, most)
	defer cancel()
	w, err := db.backend.writer(ctx)
	if err != nil {
		return news{}, err
	}
	defer w.end(ctx)
	b := &batch{ctx: ctx, w: w, memo: memo{}, scopes: &db.scopes}
	if b.head, err = w.begin(ctx); err != nil {
		return news{}, err
	}
	for _, c := range calls {
		if c.gone || c.over {
			continue
		}
		if err := b.run(c); err != nil {
			return news{}, err
		}
	}
	if !b.dirty {
		return news{}, nil
	}
	if err := b.extendLog(db.inserts); err != nil {
		return news{}, err
	}
	if err := w.commit(ctx); err != nil {
		return news{}, err
	}
	return b.news, nil
}

// unavailable is what a batch's failure means to a call. The time limit is the batch's, and not the caller's.
func unavailable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, errUnknownOutcome) {
		e := access.Fault(access.KindUnavailable, "storeUnavailable",
			"the database does not answer now; look whether it was done before you try again")
		e.Err = err
		return e
	}
	return classify("", err)
}

// batch is the transaction that calls share.
type batch struct {
	ctx    context.Context //nolint:containedctx // it is the transaction's: a caller that gives up must not end it for the others
	w      writer
	head   head
	events []logRow
	inbox  [][]any // rows of entries, which are written with the events
	news   news
	memo   memo
	scopes *scopeCache
	dirty  bool
}

// run gives the transaction to one call. Its error is fatal to the batch; the call's own error goes to the call.
func (b *batch) run(c *call) error {
	t := &tx{batch: b, events: len(b.events), inbox: len(b.inbox), head: b.head, agents: len(b.news.agents)}
	t.reader = reader{q: t, memo: b.memo, scopes: b.scopes}
	c.turn <- t
	out := <-c.back
	t.over = true
	c.gone = out.gone
	c.err = out.err
	if t.failed != nil && c.err == nil {
		c.err = classify("", t.failed)
	}
	if c.err == nil && !c.gone {
		if err := b.w.flush(b.ctx); err != nil {
			t.failed = err
			c.err = classify("", err)
		}
	}
	switch {
	case t.failed != nil && fatal(t.failed):
		return t.failed
	case t.lost:
		c.over = true
		return errSettled
	}
	if c.err == nil && !c.gone {
		b.dirty = b.dirty || t.saved || len(b.events) > t.events || len(b.inbox) > t.inbox
		if t.saved {
			return b.w.release(b.ctx)
		}
		return nil
	}
	b.events, b.inbox, b.head, b.news.agents = b.events[:t.events], b.inbox[:t.inbox], t.head, b.news.agents[:t.agents]
	if t.saved {
		clear(b.memo) // it may know what is now undone
		if err := b.w.undo(b.ctx); err != nil {
			return errors.Join(t.failed, err)
		}
	}
	return nil
}

// news is what a commit changed that somebody may wait for.
type news struct {
	agents []access.AgentID
	events bool
}

func (n news) empty() bool { return len(n.agents) == 0 && !n.events }

// head is the state of the activity log.
type head struct {
	tree     audit.Tree
	high     int64
	disorder int64
}
