package services

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
)

const (
	dueChunk   = engine.ActChunk // of due items in one transaction
	mostSleep  = 5 * time.Second // what another replica made due sooner is found so late at most
	afterError = time.Second
	breather   = 20 * time.Millisecond // between two looks, however many changes there are
	sealEvery  = time.Second
)

// Run does what the time makes due and signs checkpoints until ctx ends; it then gives nil. It may run in any number of
// replicas: what one did, the others find done.
func (e *Services) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { e.sealLoop(ctx) })
	loops.Go(func() { e.purgeLoop(ctx) })
	loops.Go(func() { e.Records.AnchorLoop(ctx) })
	loops.Go(func() { e.Alerts.TendLoop(ctx) })
	loops.Go(func() { e.Reviews.TendLoop(ctx) })
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
			e.kernel.Log.ErrorContext(ctx, "do what is due", "error", err)
			sleep = afterError
		case !next.IsZero():
			sleep = min(mostSleep, max(0, next.Sub(e.kernel.Now())))
		}
		engine.Pause(ctx, breather, nil)
		engine.Pause(ctx, sleep-breather, e.kernel.Wake)
	}
	return nil
}

// sealLast signs what was recorded until the end.
func (e *Services) sealLast(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealEvery)
	defer cancel()
	if err := errors.Join(e.Records.Seal(last), e.Records.Remember(last)); err != nil {
		e.kernel.Log.WarnContext(ctx, "sign last checkpoint", "error", err)
	}
}

// sealLoop signs a checkpoint each second while there is something new.
func (e *Services) sealLoop(ctx context.Context) {
	changed, stop := e.kernel.Store.WatchEvents()
	defer stop()
	for {
		if err := e.Records.Seal(ctx); err != nil && ctx.Err() == nil {
			e.kernel.Log.ErrorContext(ctx, "sign checkpoint", "error", err)
		}
		engine.Pause(ctx, sealEvery, nil)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// Reconcile does what is due now, all of it, in transactions of a hundred items at most. It gives the instant at which
// more will be due, zero if there is none. An item that cannot be moved is logged and left; the others are not held up
// by it.
func (e *Services) Reconcile(ctx context.Context) (next time.Time, err error) {
	assigned, err := e.Requests.EndUnheld(ctx)
	if err != nil {
		e.kernel.Log.ErrorContext(ctx, "end what nobody has a right to", "error", err)
	}
	if err := e.Requests.Recount(ctx); err != nil {
		e.kernel.Log.ErrorContext(ctx, "count votes anew", "error", err)
	}
	trial, trialErr := e.Hosts.EndTrials(ctx)
	next, stuckErr := e.settleDue(ctx)
	for more := true; more && stuckErr == nil; {
		var recallErr error
		if more, recallErr = e.Requests.CarryOutRecalls(ctx); recallErr != nil {
			err = errors.Join(err, recallErr)
		}
		if more { // what has become due meanwhile does not wait for the rest
			next, stuckErr = e.settleDue(ctx)
		}
	}
	for _, other := range []time.Time{assigned, trial} {
		if next.IsZero() || !other.IsZero() && other.Before(next) {
			next = other
		}
	}
	return next, errors.Join(err, trialErr, stuckErr)
}

func (e *Services) settleDue(ctx context.Context) (next time.Time, err error) {
	stuck := map[string]bool{}
	for {
		var due engine.Due
		now := e.kernel.Now()
		err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
			due, err = r.Due(ctx, now, min(engine.MaxLimit, dueChunk+len(stuck)))
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
				e.kernel.Log.ErrorContext(ctx, "move what is due", "request", item.request, "grant", item.grant,
					"error", err)
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

func dueItems(due engine.Due, without map[string]bool) []dueItem {
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
	for _, r := range slices.Concat(due.Stages, due.Remind) {
		add(dueItem{request: r.ID})
	}
	for _, g := range due.Warn {
		add(dueItem{grant: g.ID})
	}
	return items
}

// settle moves due items in one transaction, each from the state that the transaction finds it in. What is left of them
// where their rules take long is still due afterwards.
func (e *Services) settle(ctx context.Context, items []dueItem) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		w := e.kernel.NewWork(tx, e.kernel.Now())
		j, err := e.Machines.NewJudge(ctx, tx, w.Now)
		if err != nil {
			return err
		}
		j.Names.Seen = w.Machines
		for _, item := range items {
			if item.request != "" {
				err = e.settleRequest(ctx, w, item)
			} else {
				err = settleGrant(ctx, w, j, item)
			}
			if err != nil {
				return err
			}
			if j.Inquiry.Long() {
				break
			}
		}
		return w.Finish(ctx)
	})
}

// settleRequest times a request out, has its next stage decide, or reminds those who have not decided.
func (e *Services) settleRequest(ctx context.Context, w *engine.Work, item dueItem) error {
	r, err := w.Tx.Request(ctx, item.request)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if r.State != access.RequestPending {
		return nil
	}
	if !w.Now.Before(r.PendingUntil) {
		next, events, err := r.TimeOut(w.Now)
		if err != nil {
			return err
		}
		if err := w.Tx.SaveRequest(ctx, next, r.Revision); err != nil {
			return fmt.Errorf("save request: %w", err)
		}
		w.Events = append(w.Events, events...)
		w.Notify(engine.Notice{
			Kind: engine.NotifyDecided, Request: next, By: access.System().Name,
			Recipients: []access.PrincipalID{next.Requester},
		})
		return nil
	}
	over := !r.StageUntil.IsZero() && !w.Now.Before(r.StageUntil)
	if !over && (r.RemindAt.IsZero() || w.Now.Before(r.RemindAt)) {
		return nil
	}
	dir, err := e.kernel.Compiled(ctx, w.Tx)
	if err != nil {
		return err
	}
	decisions, err := w.Tx.Decisions(ctx, r.ID)
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	progress := policy.TalliesOf(r, engine.People{Dir: dir}, decisions, w.Now)
	next := r.Staged(progress.Until()).RemindedAt(progress.RemindAt(r.PendingUntil, w.Now))
	if next.Revision == r.Revision {
		return nil
	}
	next.Revision = r.Revision + 1
	if err := w.Tx.SaveRequest(ctx, next, r.Revision); err != nil {
		return fmt.Errorf("save request: %w", err)
	}
	n := engine.Notice{
		Kind: engine.NotifyNeedsDecision, Request: next,
		Recipients: requests.DecidersOf(dir, next, progress), Named: requests.NamedNow(next, progress),
	}
	if over {
		w.Events = append(w.Events, r.StageOver(w.Now))
	} else {
		w.Events = append(w.Events, r.Reminded(w.Now))
		n.Kind, n.Recipients, n.Named = engine.NotifyReminder, append(n.Recipients, r.Requester), append(n.Named, r.Requester)
	}
	w.Notify(n)
	return nil
}

// settleGrant begins or ends a grant whose time has come, or warns its holder.
func settleGrant(ctx context.Context, w *engine.Work, j *machines.Judge, item dueItem) error {
	g, err := w.Tx.Grant(ctx, item.grant)
	if err != nil {
		return fmt.Errorf("read grant: %w", err)
	}
	if g.State.Ended() {
		return nil
	}
	var next access.Grant
	var events []access.Event
	switch {
	case !w.Now.Before(g.End):
		next, events, err = g.Expire(w.Now)
	case g.State == access.GrantScheduled && !w.Now.Before(g.Start):
		if ended, err := requests.MayNotBegin(ctx, w, j, g); ended || err != nil {
			return err
		}
		next, events, err = g.Begin(w.Now)
	case !g.WarnAt().IsZero() && !w.Now.Before(g.WarnAt()):
		if next, events, err = g.Warned(w.Now); err == nil {
			err = w.SaveGrant(ctx, next, g.Revision, events, true)
		}
		return err
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.SaveGrant(ctx, next, g.Revision, events, false); err != nil {
		return err
	}
	if next.State == access.GrantOpening {
		return w.Supersede(ctx, next, access.System())
	}
	return nil
}
