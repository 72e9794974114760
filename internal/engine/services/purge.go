package services

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

const (
	purgeEvery  = 10 * time.Minute
	purgeChunk  = 200                // of each kind, in one transaction
	purgeRounds = 100                // in a row; the rest waits for the next time
	keptExpired = 7 * 24 * time.Hour // so long is what has expired kept, to tell "expired" from "unknown"
	keptKeys    = 7 * 24 * time.Hour // so long does an idempotency key hold

	keptEntries  = 90 * 24 * time.Hour // so long are entries of inboxes kept
	mostEntries  = 500                 // of one addressee
	pruneAtATime = 50                  // inboxes, in one transaction
)

// Purge forgets what nobody needs any more: sessions, tokens, codes and halves of sign-ins that expired a week ago, and
// idempotency keys as old. It works in small transactions, and gives how much it forgot. What refused attempts were
// left out of the activity log is recorded, where there is room again.
func (e *Services) Purge(ctx context.Context) (purged int, err error) {
	if err := e.kernel.SettleAttempts(ctx); err != nil {
		return 0, fmt.Errorf("record how many attempts were left out: %w", err)
	}
	now := e.kernel.Now()
	for range purgeRounds {
		n := 0
		err := e.kernel.Store.Update(ctx, func(tx engine.Tx) error {
			n, err = tx.Purge(ctx, now.Add(-keptExpired), now.Add(-keptKeys), purgeChunk)
			return err
		})
		if err != nil {
			return purged, fmt.Errorf("forget what has expired: %w", err)
		}
		purged += n
		if n == 0 {
			return purged, e.pruneInboxes(ctx)
		}
		engine.Pause(ctx, breather, nil)
		if ctx.Err() != nil {
			return purged, nil
		}
	}
	return purged, nil
}

// pruneInboxes forgets entries of inboxes that are old, or more than anybody reads. It looks at a few inboxes, and
// goes on behind them the next time, so that it costs the same however many there are.
func (e *Services) pruneInboxes(ctx context.Context) error {
	e.pruning.Lock()
	defer e.pruning.Unlock()
	behind := e.pruned
	err := e.kernel.Store.Update(ctx, func(tx engine.Tx) error {
		behind = e.pruned
		for range pruneAtATime {
			var err error
			if behind, _, err = tx.PruneInbox(ctx, behind, e.kernel.Now().Add(-keptEntries), mostEntries,
				purgeChunk); err != nil || behind == "" {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("prune inboxes: %w", err)
	}
	e.pruned = behind
	return nil
}

// purgeLoop purges now and then until ctx ends.
func (e *Services) purgeLoop(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := e.Purge(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			e.kernel.Log.ErrorContext(ctx, "purge", "error", err)
		case n > 0:
			e.kernel.Log.InfoContext(ctx, "purged what had expired", "rows", n)
		}
		engine.Pause(ctx, purgeEvery, nil)
	}
}
