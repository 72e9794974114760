package requests

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// recountAgain is after how long votes are counted once more that sufficed, where nothing could be made of that.
const recountAgain = 10 * time.Second

// Recount finishes the requests whose votes have come to suffice without a decision: whoever had lost the right to vote
// has it again, and their votes count again with it. It looks when the directory has changed.
func (e *Service) Recount(ctx context.Context) error {
	var dir *rbac.Directory
	var decided []access.RequestID
	now, due := e.kernel.Now(), false
	err := e.kernel.Store.View(ctx, func(r engine.Reader) (err error) {
		if dir, err = e.kernel.Compiled(ctx, r); err != nil {
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
			e.kernel.Log.WarnContext(ctx, "finish a request whose votes suffice", "request", id, "error", err)
			again = now.Add(recountAgain) // or it would wait until the directory changes once more
		}
	}
	e.counted.done(dir.Revision(), again, time.Time{})
	return nil
}

// votedOn gives the pending requests that wait for nothing more.
func votedOn(ctx context.Context, r engine.Reader, dir *rbac.Directory, now time.Time) ([]access.RequestID, error) {
	var ids []access.RequestID
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.Requests(ctx, engine.RequestFilter{State: access.RequestPending}, p)
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
			if policy.TalliesOf(request, engine.People{Dir: dir}, decisions, now).Outcome() != policy.Waiting {
				ids = append(ids, request.ID)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return slices.Compact(ids), nil
		}
	}
}

// finishDeciding carries out what the decisions on a request amount to.
func (e *Service) finishDeciding(ctx context.Context, id access.RequestID) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		dir, err := e.kernel.Compiled(ctx, tx)
		if err != nil {
			return err
		}
		request, err := tx.Request(ctx, id)
		if err != nil || request.State != access.RequestPending {
			return err
		}
		system := access.System()
		may := engine.Rights{
			Dir:    dir,
			Caller: engine.Caller{Name: system.Name, Tenant: request.Tenant, Via: system.Via}, Now: e.kernel.Now(),
		}
		d := &deciding{
			Work: e.kernel.NewWork(tx, may.Now), engine: e, may: may, action: rbac.RequestsDecide,
			was: request.Revision, request: request,
		}
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
		tallies := policy.TalliesOf(request, engine.People{Dir: dir}, d.decisions, d.Now)
		if later == nil && tallies.Outcome() != policy.Waiting {
			if err := d.advance(ctx, system, ""); err != nil {
				return err
			}
		}
		return d.Finish(ctx)
	})
}
