package reviews

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
)

const tendEvery = 5 * time.Second

// TendLoop reminds reviewers, and ends reviews that are due, until ctx ends. Errors are logged, and tried again. It may
// run in any number of replicas.
func (e *Service) TendLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if err := e.Tend(ctx); err != nil && ctx.Err() == nil {
			e.kernel.Log.ErrorContext(ctx, "look after access reviews", "error", err)
		}
		engine.Pause(ctx, tendEvery, nil)
	}
}

// Tend does what is due of every access review.
func (e *Service) Tend(ctx context.Context) error {
	var live []review.Review
	err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
		live = nil
		for p := (engine.Page{Limit: engine.MaxLimit}); ; {
			list, err := r.AccessReviews(ctx, engine.AccessReviewFilter{Live: true}, p)
			if err != nil {
				return fmt.Errorf("read access reviews: %w", err)
			}
			live = append(live, list.Items...)
			if p.Cursor = list.Next; p.Cursor == "" {
				return nil
			}
		}
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range live {
		if err := e.tend(ctx, r); err != nil { // the others are not held up by it
			failed = append(failed, fmt.Errorf("access review %s: %w", r.ID, err))
		}
	}
	return errors.Join(failed...)
}

// tend does what is due of one access review.
func (e *Service) tend(ctx context.Context, r review.Review) error {
	now := e.kernel.Now()
	_, remind := r.Remind(now)
	switch {
	case r.State == review.Starting && now.Sub(r.CreatedAt) < startedWithin:
		return nil
	case r.State == review.Open && now.Before(r.Due) && !remind:
		return nil
	case r.State != review.Closing:
		if err := e.move(ctx, r.ID); err != nil {
			return err
		}
	}
	return e.finish(ctx, r.ID)
}

// move cancels a review that was abandoned, ends one that is due, or reminds its reviewers.
func (e *Service) move(ctx context.Context, id review.ID) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		was, err := tx.AccessReview(ctx, id)
		if err != nil {
			return fmt.Errorf("read access review: %w", err)
		}
		tally, err := tx.AccessReviewTally(ctx, id)
		if err != nil {
			return fmt.Errorf("count items: %w", err)
		}
		w := e.kernel.NewWork(tx, e.kernel.Now())
		var event access.Event
		var next review.Review
		var outcome, detail string
		switch reminded, due := was.Remind(w.Now); {
		case was.State == review.Starting && w.Now.Sub(was.CreatedAt) >= startedWithin:
			next, event, err = abandoned(was, w.Now)
			outcome, detail = "canceled", next.Reason
		case was.State == review.Open && !w.Now.Before(was.Due):
			next, event, err = was.End(access.System(), "", w.Now)
			outcome, detail = "ended", ended(next, tally)
		case due && tally.Undecided == 0:
			return keep(ctx, tx, reminded, was.Revision)
		case due:
			next, event = reminded, was.Reminder(tally.Undecided, w.Now)
			outcome = "due soon"
			detail = fmt.Sprintf("%d of %d items are undecided; the review ends at %s. %s", tally.Undecided,
				was.Items, dueText(was), consequence(was))
		default:
			return nil // another replica was faster
		}
		if err != nil {
			return err
		}
		w.Event(event)
		if err := keep(ctx, tx, next, was.Revision); err != nil {
			return err
		}
		if err := tell(ctx, w, next, outcome, access.Actor{}, detail); err != nil {
			return err
		}
		return w.Finish(ctx)
	})
}
