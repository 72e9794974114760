package reviews

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
)

// Via says in the activity log that something was removed by an access review.
const Via = "accessReview"

// ownerRights returns what the owner of a review may do, as the directory has it: whoever decides, access is removed
// by the owner's right.
func ownerRights(dir *rbac.Directory, r review.Review, now time.Time) engine.Rights {
	return engine.Rights{Dir: dir, Now: now, Caller: engine.Caller{
		Principal: r.Owner, Name: r.OwnerName, Tenant: r.Tenant, Via: Via,
	}}
}

// byOwner says of a refusal that it was the owner who may not.
func byOwner(r review.Review, err error) error {
	var refused *access.Error
	if !engine.IsKind(err, access.KindForbidden) || !engine.AsError(err, &refused) {
		return err
	}
	out := access.Fault(access.KindConflict, "ownerMayNot",
		"access is removed by the right of the review's owner, and %s may not remove this any more: cancel the review, "+
			"and have somebody who may create another", r.OwnerName)
	out.Reasons = refused.Reasons
	return out
}

// remove removes access by the use case for it, by the given rights.
func (e *Service) remove(ctx context.Context, tx engine.Tx, may engine.Rights, f review.Facts) error {
	without := func(p access.MachinePolicy) access.MachinePolicy {
		if f.Kind == review.BreakGlass {
			p.BreakGlass = p.BreakGlass.Without(f.Principal)
		} else {
			p.Approval = p.Approval.Without(f.Principal)
		}
		return p
	}
	switch f.Kind {
	case review.Assignment:
		return e.roles.Unassign(ctx, tx, may, rbac.AssignmentID(f.Ref))
	case review.Eligibility:
		return e.roles.EndEligible(ctx, tx, may, access.EligibilityID(f.Ref))
	case review.Membership:
		return e.directory.Leave(ctx, tx, may, f.Group, f.Principal)
	case review.Approver, review.BreakGlass:
		switch f.Holder {
		case review.OfMachine:
			return e.machines.Unname(ctx, tx, may, access.MachineID(f.Ref), without)
		case review.OfScopePolicy:
			return e.machines.UnnameScope(ctx, tx, may, access.ResourceID(f.Ref), without)
		case review.OfEligibility:
			return e.roles.Unname(ctx, tx, may, access.EligibilityID(f.Ref), f.Principal)
		}
	}
	return access.Fault(access.KindInternal, "unknownItemKind", "there is no access of the kind %q", f.Kind)
}

// finish carries out what a review that has ended is to remove, each item in a transaction of its own, and closes it.
// It may run in several replicas at once, and again after it was interrupted.
func (e *Service) finish(ctx context.Context, id review.ID) error {
	r, late, err := e.carryOut(ctx, id)
	if err != nil || r.State != review.Closing {
		return err
	}
	for _, number := range late {
		if err := e.settle(ctx, id, number); err != nil {
			return err
		}
	}
	return e.close(ctx, id)
}

// carryOut removes what is to be removed but what is the owner's own, which it returns: the rest is removed by right
// of that.
func (e *Service) carryOut(ctx context.Context, id review.ID) (r review.Review, late []int, err error) {
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		var now []int
		var next string
		err := e.kernel.Store.View(ctx, func(reader engine.Reader) (err error) {
			if r, err = reader.AccessReview(ctx, id); err != nil {
				return err
			}
			dir, err := e.kernel.Compiled(ctx, reader)
			if err != nil {
				return err
			}
			items, err := reader.AccessReviewItems(ctx, engine.AccessReviewItemFilter{Review: id, Unsettled: true}, p)
			now, next = nil, items.Next
			for _, it := range items.Items {
				switch {
				case !r.Removes(it):
				case own(dir, r.Owner, it.Facts.Principal):
					late = append(late, it.Number)
				default:
					now = append(now, it.Number)
				}
			}
			return err
		})
		if err != nil {
			return r, nil, fmt.Errorf("read access review: %w", err)
		}
		for _, number := range now {
			if err := e.settle(ctx, id, number); err != nil {
				return r, nil, err
			}
		}
		if p.Cursor = next; p.Cursor == "" {
			return r, late, nil
		}
	}
}

// settle removes the access of one item of a review that has ended, or records why it cannot be.
func (e *Service) settle(ctx context.Context, id review.ID, number int) error {
	remove := func(tx engine.Tx, r review.Review, it review.Item) (review.Outcome, string, error) {
		dir, err := e.kernel.Compiled(ctx, tx)
		if err != nil {
			return "", "", err
		}
		now := e.kernel.Now()
		_, gone, err := newLook(tx, dir, r).now(ctx, it.Facts)
		if err != nil || gone {
			return review.Gone, "", err
		}
		return review.Removed, "", byOwner(r, e.remove(ctx, tx, ownerRights(dir, r, now), it.Facts))
	}
	err := e.settleItem(ctx, id, number, remove)
	if err == nil || !refusal(err) || overtaken(err) {
		return err
	}
	problem := engine.Clip(err.Error())
	return e.settleItem(ctx, id, number,
		func(engine.Tx, review.Review, review.Item) (review.Outcome, string, error) {
			return review.Failed, problem, nil
		})
}

// overtaken reports whether a transaction lost its races each time it was run: it is run again later.
func overtaken(err error) bool {
	code := access.CodeOf(err)
	return engine.IsKind(err, access.KindConflict) && (code == "changed" || code == "exists")
}

// settleItem settles one item that is to be removed and is not settled yet, in one transaction.
func (e *Service) settleItem(ctx context.Context, id review.ID, number int,
	how func(engine.Tx, review.Review, review.Item) (review.Outcome, string, error),
) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		r, err := tx.AccessReview(ctx, id)
		if err != nil {
			return fmt.Errorf("read access review: %w", err)
		}
		it, err := tx.AccessReviewItem(ctx, id, number)
		if err != nil {
			return fmt.Errorf("read access review item: %w", err)
		}
		if !r.Removes(it) {
			return nil // another replica was faster
		}
		outcome, problem, err := how(tx, r, it)
		if err != nil {
			return err
		}
		next, event := r.Settle(it, outcome, problem, e.kernel.Now())
		return save(ctx, tx, it, next, event)
	})
}

// close records what came of a review of which everything was carried out.
func (e *Service) close(ctx context.Context, id review.ID) error {
	var sum review.Sum
	var tally review.Tally
	err := e.kernel.Store.View(ctx, func(reader engine.Reader) error {
		sum, tally = review.Sum{}, review.Tally{}
		return eachItem(ctx, reader, id, func(it review.Item) error {
			it.AddTo(&sum)
			tally.Add(it, 1)
			return nil
		})
	})
	if err != nil {
		return err
	}
	err = e.kernel.Update(ctx, func(tx engine.Tx) error {
		r, err := tx.AccessReview(ctx, id)
		if err != nil {
			return fmt.Errorf("read access review: %w", err)
		}
		if r.State != review.Closing {
			return nil
		}
		w := e.kernel.NewWork(tx, e.kernel.Now())
		next, event, err := r.Close(tally, sum.Text(), w.Now)
		if err != nil {
			return err
		}
		w.Event(event)
		if err := keep(ctx, tx, next, r.Revision); err != nil {
			return err
		}
		if err := tell(ctx, w, next, "closed", access.Actor{}, results(tally)); err != nil {
			return err
		}
		return w.Finish(ctx)
	})
	e.kernel.Poke() // grants may have lost the right that they rested on
	return err
}

// eachItem gives every item of a review, in order.
func eachItem(ctx context.Context, r engine.Reader, id review.ID, do func(review.Item) error) error {
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		items, err := r.AccessReviewItems(ctx, engine.AccessReviewItemFilter{Review: id}, p)
		if err != nil {
			return fmt.Errorf("read access review items: %w", err)
		}
		for _, it := range items.Items {
			if err := do(it); err != nil {
				return err
			}
		}
		if p.Cursor = items.Next; p.Cursor == "" {
			return nil
		}
	}
}
