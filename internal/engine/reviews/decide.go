package reviews

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
)

// MaxChoices is how many items one call decides.
const MaxChoices = 100

// Decided is what came of one choice: the item as it is now, and why the choice was refused, if it was.
type Decided struct {
	Detail ItemDetail
	Err    error
}

// Decide decides items of an open access review, each on its own: one that is refused leaves the others. A choice is
// bound to what was shown, and refused where that has changed, or where another reviewer was faster. Nobody decides on
// access of their own. Where decisions take effect at once, access is removed in the transaction of the decision, by
// the right of the review's owner as it is then.
func (e *Service) Decide(ctx context.Context, c engine.Caller, ref string,
	choices []review.Choice,
) (list []Decided, err error) {
	a := engine.Attempt{Action: rbac.AccessReviewsDecide, Details: map[string]string{"review": ref}}
	if len(choices) == 0 || len(choices) > MaxChoices {
		return nil, access.Fault(access.KindInvalid, "itemsOutOfRange", "decide 1 to %d items at once", MaxChoices)
	}
	var of review.Review
	err = e.kernel.Look(ctx, c, a, func(r engine.Reader, may engine.Rights) error {
		if of, err = find(ctx, r, may, ref); err != nil {
			return err
		}
		a.Scope = of.Scope
		return mayDecide(may, of)
	})
	if err != nil {
		return nil, err
	}
	plain, removing := []review.Choice{}, []review.Choice{}
	for _, choice := range choices {
		if of.Effect == review.AtOnce && choice.Decision == review.Remove {
			removing = append(removing, choice)
		} else {
			plain = append(plain, choice)
		}
	}
	list, err = e.decideTogether(ctx, c, a, of, plain)
	if err != nil {
		return nil, err
	}
	// memberships before what their groups have: what a membership gives is a part of what was shown
	slices.SortFunc(removing, func(x, y review.Choice) int { return y.Number - x.Number })
	for _, choice := range removing {
		some, err := e.decideTogether(ctx, c, a, of, []review.Choice{choice})
		switch {
		case err == nil:
			list = append(list, some...)
		case refusal(err):
			list = append(list, Decided{Detail: ItemDetail{Item: review.Item{Review: of.ID, Number: choice.Number}}, Err: err})
		default:
			return list, err
		}
	}
	for _, d := range list {
		if engine.IsKind(d.Err, access.KindForbidden) && !engine.IsTrial(ctx) {
			a.Details = map[string]string{"review": of.Name, "item": fmt.Sprint(d.Detail.Item.Number)}
			_ = e.kernel.Refused(ctx, c, a, d.Err) // it gives the error back
		}
	}
	slices.SortFunc(list, func(x, y Decided) int { return x.Detail.Item.Number - y.Detail.Item.Number })
	return list, nil
}

// mayDecide fails unless the caller is one of the reviewers of a review.
func mayDecide(may engine.Rights, r review.Review) error {
	if reviews(may, r) {
		return nil
	}
	return access.Fault(access.KindForbidden, "notAReviewer",
		"you are not a reviewer of the access review %s: its owner, %s, names the reviewers", r.Name, r.OwnerName)
}

// refusal reports whether an error is an answer about one item, and no fault of ours.
func refusal(err error) bool {
	switch access.KindOf(err) {
	case access.KindForbidden, access.KindInvalid, access.KindNotFound, access.KindConflict:
		return true
	case access.KindUnauthenticated, access.KindLimited, access.KindUnavailable, access.KindInternal:
	}
	return false
}

// decideTogether decides items in one transaction.
func (e *Service) decideTogether(ctx context.Context, c engine.Caller, a engine.Attempt, of review.Review,
	choices []review.Choice,
) (list []Decided, err error) {
	if len(choices) == 0 {
		return nil, nil
	}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		list = nil
		r, err := tx.AccessReview(ctx, of.ID)
		if err != nil {
			return fmt.Errorf("read access review: %w", err)
		}
		if err := mayDecide(may, r); err != nil {
			return err
		}
		l := newLook(tx, may.Dir, r)
		for _, choice := range choices {
			d, err := e.decideOne(ctx, tx, may, l, choice)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	return list, err
}

// decideOne decides one item. A refusal is part of what it returns; an error undoes the transaction.
func (e *Service) decideOne(ctx context.Context, tx engine.Tx, may engine.Rights, l *look,
	choice review.Choice,
) (d Decided, err error) {
	it, err := tx.AccessReviewItem(ctx, l.of.ID, choice.Number)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		d.Detail.Item = review.Item{Review: l.of.ID, Number: choice.Number}
		d.Err = access.Fault(access.KindNotFound, "unknownItem", "the access review %s has no item %d", l.of.Name,
			choice.Number)
		return d, nil
	case err != nil:
		return d, fmt.Errorf("read access review item: %w", err)
	}
	d.Detail = ItemDetail{Item: it, Own: own(may.Dir, may.Caller.Principal, it.Facts.Principal)}
	next, decided, refused := l.of.Decide(it, choice, may.Caller.Actor(), d.Detail.Own, may.Now)
	if refused != nil && access.CodeOf(refused) != "itemChanged" {
		d.Err = refused
		return d, nil
	}
	moved, event, refusal, err := l.moved(ctx, it, may)
	if err != nil {
		return d, err
	}
	if refusal != nil {
		d.Detail.Item, d.Err = moved, refusal
		return d, save(ctx, tx, it, moved, event)
	}
	if refused != nil { // what was sent is the digest of nothing that there is
		d.Err = refused
		return d, nil //nolint:nilerr // a refusal of one item undoes nothing
	}
	if err := save(ctx, tx, it, next, decided); err != nil {
		return d, err
	}
	d.Detail.Item = next
	if l.of.Effect != review.AtOnce || next.Decision != review.Remove {
		return d, nil
	}
	if err := e.remove(ctx, tx, ownerRights(may.Dir, l.of, may.Now), it.Facts); err != nil {
		return d, byOwner(l.of, err)
	}
	done, event := l.of.Settle(next, review.Removed, "", may.Now)
	d.Detail.Item = done
	return d, save(ctx, tx, next, done, event)
}

// moved looks whether an item is still what was shown: the refusal says that it is not, or not there any more.
func (l *look) moved(ctx context.Context, it review.Item, may engine.Rights) (review.Item, access.Event, error, error) {
	now, gone, err := l.now(ctx, it.Facts)
	if err != nil {
		return it, access.Event{}, nil, err
	}
	if gone {
		next, event := l.of.Settle(it, review.Gone, "", may.Now)
		return next, event, access.Fault(access.KindConflict, "itemGone",
			"item %d is not there any more: it was removed outside of this review, and is settled", it.Number), nil
	}
	next, event, refusal := l.of.Refresh(it, now, may.Now)
	return next, event, refusal, nil
}

// save saves an item over was, with its event.
func save(ctx context.Context, tx engine.Tx, was, next review.Item, event access.Event) error {
	if err := tx.SaveAccessReviewItem(ctx, next, was.Revision); err != nil {
		return fmt.Errorf("save access review item: %w", err)
	}
	return tx.Append(ctx, event)
}
