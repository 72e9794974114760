package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

const (
	dueChunk   = actChunk        // of due items in one transaction
	mostSleep  = 5 * time.Second // what another replica made due sooner is found so late at most
	afterError = time.Second
	breather   = 20 * time.Millisecond // between two looks, however many changes there are
	sealEvery  = time.Second
)

// Run does what the time makes due and signs checkpoints until ctx ends; it then gives nil. It may run in any number of
// replicas: what one did, the others find done.
func (e *Engine) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { e.sealLoop(ctx) })
	loops.Go(func() { e.purgeLoop(ctx) })
	loops.Go(func() { e.anchorLoop(ctx) })
	loops.Go(func() { e.tendLoop(ctx) })
	defer func() {
		loops.Wait() // what they still commit is sealed too
		e.sealLast(ctx)
	}()
	for ctx.Err() == nil {
		next, err := e.Reconcile(ctx)
		sleep := mostSleep
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			e.log.ErrorContext(ctx, "do what is due", "error", err)
			sleep = afterError
		case !next.IsZero():
			sleep = min(mostSleep, max(0, next.Sub(e.now())))
		}
		pause(ctx, breather, nil)
		pause(ctx, sleep-breather, e.wake)
	}
	return nil
}

// pause waits for d, for a wake-up, or for the end of ctx.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// sealLast signs what was recorded until the end.
func (e *Engine) sealLast(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealEvery)
	defer cancel()
	if err := errors.Join(e.Seal(last), e.remember(last)); err != nil {
		e.log.WarnContext(ctx, "sign last checkpoint", "error", err)
	}
}

// sealLoop signs a checkpoint each second while there is something new.
func (e *Engine) sealLoop(ctx context.Context) {
	changed, stop := e.store.WatchEvents()
	defer stop()
	for {
		if err := e.Seal(ctx); err != nil && ctx.Err() == nil {
			e.log.ErrorContext(ctx, "sign checkpoint", "error", err)
		}
		pause(ctx, sealEvery, nil)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// Reconcile does what is due now, all of it, in transactions of a hundred items at most. It gives the instant at which more
// will be due, zero if there is none. An item that cannot be moved is logged and left; the others are not held up by it.
func (e *Engine) Reconcile(ctx context.Context) (next time.Time, err error) {
	assigned, err := e.endUnheld(ctx)
	if err != nil {
		e.log.ErrorContext(ctx, "end what nobody has a right to", "error", err)
	}
	if err := e.recount(ctx); err != nil {
		e.log.ErrorContext(ctx, "count votes anew", "error", err)
	}
	next, stuckErr := e.settleDue(ctx)
	for more := true; more && stuckErr == nil; {
		var recallErr error
		if more, recallErr = e.carryOutRecalls(ctx); recallErr != nil {
			err = errors.Join(err, recallErr)
		}
		if more { // what has become due meanwhile does not wait for the rest
			next, stuckErr = e.settleDue(ctx)
		}
	}
	if next.IsZero() || !assigned.IsZero() && assigned.Before(next) {
		next = assigned
	}
	return next, errors.Join(err, stuckErr)
}

func (e *Engine) settleDue(ctx context.Context) (next time.Time, err error) {
	stuck := map[string]bool{}
	for {
		var due Due
		now := e.now()
		err := e.store.View(ctx, func(r Reader) error {
			due, err = r.Due(ctx, now, min(maxLimit, dueChunk+len(stuck)))
			return err
		})
		if err != nil {
			return time.Time{}, fmt.Errorf("read what is due: %w", err)
		}
		items := dueItems(due, stuck)
		if len(items) == 0 {
			return due.Next, stuckError(len(stuck))
		}
		if err := e.settle(ctx, items); err == nil {
			continue
		}
		// One of them breaks the transaction: find it, and do the others.
		for _, item := range items {
			if err := e.settle(ctx, []dueItem{item}); err != nil {
				if ctx.Err() != nil {
					return time.Time{}, ctx.Err()
				}
				e.log.ErrorContext(ctx, "move what is due", "request", item.request, "grant", item.grant, "error", err)
				stuck[item.key()] = true
			}
		}
	}
}

func stuckError(n int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d due items could not be moved", n)
}

// dueItem is one request or grant that the time has overtaken.
type dueItem struct {
	request access.RequestID
	grant   access.GrantID
}

func (d dueItem) key() string { return string(d.request) + "/" + string(d.grant) }

func dueItems(due Due, without map[string]bool) []dueItem {
	var items []dueItem
	add := func(d dueItem) {
		if !without[d.key()] {
			items = append(items, d)
		}
	}
	for _, g := range due.Expire { // first: what is to end matters most
		add(dueItem{grant: g.ID})
	}
	for _, g := range due.Begin {
		add(dueItem{grant: g.ID})
	}
	for _, r := range due.Requests {
		add(dueItem{request: r.ID})
	}
	for _, r := range due.Stages {
		add(dueItem{request: r.ID})
	}
	for _, g := range due.Warn {
		add(dueItem{grant: g.ID})
	}
	return items
}

// settle moves due items in one transaction, each from the state that the transaction finds it in. What is left of them where
// their rules take long is still due afterwards.
func (e *Engine) settle(ctx context.Context, items []dueItem) error {
	return e.update(ctx, func(tx Tx) error {
		w := e.newWork(tx, e.now())
		j, err := e.newJudge(ctx, tx, w.now)
		if err != nil {
			return err
		}
		j.names.seen = w.machines
		for _, item := range items {
			if item.request != "" {
				err = e.settleRequest(ctx, w, item)
			} else {
				err = w.settleGrant(ctx, j, item)
			}
			if err != nil {
				return err
			}
			if j.inquiry.Long() {
				break
			}
		}
		return w.finish(ctx)
	})
}

// settleRequest times a request out, or has its next stage decide.
func (e *Engine) settleRequest(ctx context.Context, w *work, item dueItem) error {
	r, err := w.tx.Request(ctx, item.request)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if r.State != access.RequestPending {
		return nil
	}
	if !w.now.Before(r.PendingUntil) {
		next, events, err := r.TimeOut(w.now)
		if err != nil {
			return err
		}
		if err := w.tx.SaveRequest(ctx, next, r.Revision); err != nil {
			return fmt.Errorf("save request: %w", err)
		}
		w.events = append(w.events, events...)
		w.notify(notice{kind: NotifyDecided, request: next, by: access.System().Name, recipients: []access.PrincipalID{next.Requester}})
		return nil
	}
	if r.StageUntil.IsZero() || w.now.Before(r.StageUntil) {
		return nil
	}
	dir, err := e.compiled(ctx, w.tx)
	if err != nil {
		return err
	}
	decisions, err := w.tx.Decisions(ctx, r.ID)
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	progress := tallies(r, people{dir: dir}, decisions, w.now)
	next := r.Staged(stageUntil(progress))
	if next.Revision == r.Revision {
		return nil
	}
	if err := w.tx.SaveRequest(ctx, next, r.Revision); err != nil {
		return fmt.Errorf("save request: %w", err)
	}
	w.events = append(w.events, r.StageOver(w.now))
	w.notify(notice{kind: NotifyNeedsDecision, request: next, recipients: decidersOf(dir, next, progress)})
	return nil
}

// settleGrant begins or ends a grant whose time has come, or warns its holder.
func (w *work) settleGrant(ctx context.Context, j *judge, item dueItem) error {
	g, err := w.tx.Grant(ctx, item.grant)
	if err != nil {
		return fmt.Errorf("read grant: %w", err)
	}
	if g.State.Ended() {
		return nil
	}
	var next access.Grant
	var events []access.Event
	switch {
	case !w.now.Before(g.End):
		next, events, err = g.Expire(w.now)
	case g.State == access.GrantScheduled && !w.now.Before(g.Start):
		if ended, err := w.mayNotBegin(ctx, j, g); ended || err != nil {
			return err
		}
		next, events, err = g.Begin(w.now)
	case !g.WarnAt().IsZero() && !w.now.Before(g.WarnAt()):
		if next, events, err = g.Warned(w.now); err == nil {
			err = w.saveGrant(ctx, next, g.Revision, events, true)
		}
		return err
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.saveGrant(ctx, next, g.Revision, events, false); err != nil {
		return err
	}
	if next.State == access.GrantOpening {
		return w.supersede(ctx, next, access.System())
	}
	return nil
}
