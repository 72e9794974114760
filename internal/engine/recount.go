package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// recountAgain is after how long votes are counted once more that sufficed, where nothing could be made of that.
const recountAgain = 10 * time.Second

// recount finishes the requests whose votes have come to suffice without a decision: whoever had lost the right to vote has it
// again, and their votes count again with it. It looks when the directory has changed.
func (e *Engine) recount(ctx context.Context) error {
	var dir *rbac.Directory
	var decided []access.RequestID
	now, due := e.now(), false
	err := e.store.View(ctx, func(r Reader) (err error) {
		if dir, err = e.compiled(ctx, r); err != nil {
			return err
		}
		if due = e.counted.due(dir.Revision(), now); !due {
			return nil
		}
		decided, err = votedOn(ctx, r, dir, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("count votes anew: %w", err)
	}
	if !due {
		return nil
	}
	var again time.Time
	for _, id := range decided {
		if err := e.finishDeciding(ctx, id); err != nil {
			e.log.WarnContext(ctx, "finish a request whose votes suffice", "request", id, "error", err)
			again = now.Add(recountAgain) // or it would wait until the directory changes once more
		}
	}
	e.counted.done(dir.Revision(), again, time.Time{})
	return nil
}

// votedOn gives the pending requests that wait for nothing more.
func votedOn(ctx context.Context, r Reader, dir *rbac.Directory, now time.Time) ([]access.RequestID, error) {
	var ids []access.RequestID
	for p := (Page{Limit: maxLimit}); ; {
		list, err := r.Requests(ctx, RequestFilter{State: access.RequestPending}, p)
		if err != nil {
			return nil, fmt.Errorf("list requests: %w", err)
		}
		for _, request := range list.Items {
			if request.Revision == 1 || !now.Before(request.PendingUntil) {
				continue // nobody has decided anything, or it is too late
			}
			decisions, err := r.Decisions(ctx, request.ID)
			if err != nil {
				return nil, fmt.Errorf("read decisions: %w", err)
			}
			if verdictOf(tallies(request, people{dir: dir}, decisions, now)) != policy.Waiting {
				ids = append(ids, request.ID)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return slices.Compact(ids), nil
		}
	}
}

// finishDeciding carries out what the decisions on a request amount to.
func (e *Engine) finishDeciding(ctx context.Context, id access.RequestID) error {
	return e.update(ctx, func(tx Tx) error {
		dir, err := e.compiled(ctx, tx)
		if err != nil {
			return err
		}
		request, err := tx.Request(ctx, id)
		if err != nil || request.State != access.RequestPending {
			return err
		}
		system := access.System()
		may := rights{dir: dir, caller: Caller{Name: system.Name, Tenant: request.Tenant, Via: system.Via}, now: e.now()}
		d := &deciding{work: e.newWork(tx, may.now), engine: e, may: may, action: rbac.RequestsDecide, was: request.Revision, request: request}
		if err := d.notTakenBack(ctx); err != nil {
			return err
		}
		if d.decisions, err = tx.Decisions(ctx, id); err != nil {
			return fmt.Errorf("read decisions: %w", err)
		}
		later, err := d.reevaluate(ctx)
		if err != nil {
			return err
		}
		if later == nil && verdictOf(tallies(request, people{dir: dir}, d.decisions, d.now)) != policy.Waiting {
			if err := d.advance(ctx, system, ""); err != nil {
				return err
			}
		}
		return d.finish(ctx)
	})
}
