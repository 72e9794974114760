package reviews

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
)

// Change is what is changed of an open review; what is nil or zero stays.
type Change struct {
	Reviewers  []string
	Due        time.Time
	IfRevision *int64 // fails with a conflict unless the review is still of it
}

// manages fails unless the caller may change, end and cancel a review.
func manages(may engine.Rights, r review.Review) error {
	if may.Owns(r.Owner, rbac.AccessReviewsWrite, r.Scope) {
		return nil
	}
	return may.Require(rbac.AccessReviewsWrite, r.Scope)
}

// manage runs a change of a review by its owner, or by somebody who may make one there.
func (e *Service) manage(ctx context.Context, c engine.Caller, ref string,
	use func(w *engine.Work, may engine.Rights, r review.Review) (review.Review, error),
) (d Detail, err error) {
	a := engine.Attempt{Action: rbac.AccessReviewsWrite, Details: map[string]string{"review": ref}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		was, err := find(ctx, tx, may, ref)
		if err != nil {
			return err
		}
		if err := manages(may, was); err != nil {
			return err
		}
		w := e.kernel.NewWork(tx, may.Now)
		next, err := use(w, may, was)
		if err != nil {
			return err
		}
		if err := keep(ctx, tx, next, was.Revision); err != nil {
			return err
		}
		if d, err = describe(ctx, tx, may, next); err != nil {
			return err
		}
		return w.Finish(ctx)
	})
	return d, err
}

// ChangeAccessReview gives an open review other reviewers or another due date.
func (e *Service) ChangeAccessReview(ctx context.Context, c engine.Caller, ref string, in Change) (Detail, error) {
	return e.manage(ctx, c, ref, func(w *engine.Work, may engine.Rights, r review.Review) (review.Review, error) {
		if in.IfRevision != nil && *in.IfRevision != r.Revision {
			return r, access.Fault(access.KindConflict, "accessReviewChanged",
				"the access review has changed since you read it: read it again")
		}
		named, due := r.Reviewers, r.Due
		if !in.Due.IsZero() {
			due = access.Instant(in.Due)
		}
		if in.Reviewers != nil {
			var err error
			if named, err = findReviewers(ctx, w.Tx, r.Tenant, in.Reviewers); err != nil {
				return r, err
			}
		}
		next, event, err := r.Change(named, due, may.Caller.Actor(), w.Now)
		if err != nil {
			return r, err
		}
		w.Event(event)
		return next, tell(ctx, w, next, "changed", may.Caller.Actor(), started(next))
	})
}

// CloseAccessReview ends a review before its due date, as the due date would, and carries out what it removes.
func (e *Service) CloseAccessReview(ctx context.Context, c engine.Caller, ref, reason string) (Detail, error) {
	d, err := e.manage(ctx, c, ref, func(w *engine.Work, may engine.Rights, r review.Review) (review.Review, error) {
		next, event, err := r.End(may.Caller.Actor(), reason, w.Now)
		if err == nil {
			w.Event(event)
		}
		return next, err
	})
	if err != nil || engine.IsTrial(ctx) {
		return d, err
	}
	if err := e.finish(ctx, d.Review.ID); err != nil {
		return d, err
	}
	return e.AccessReview(ctx, c, string(d.Review.ID))
}

// CancelAccessReview ends a review without anything further being removed.
func (e *Service) CancelAccessReview(ctx context.Context, c engine.Caller, ref, reason string) (Detail, error) {
	return e.manage(ctx, c, ref, func(w *engine.Work, may engine.Rights, r review.Review) (review.Review, error) {
		next, event, err := r.Cancel(may.Caller.Actor(), reason, w.Now)
		if err != nil {
			return r, err
		}
		w.Event(event)
		return next, tell(ctx, w, next, "canceled", may.Caller.Actor(), reason)
	})
}
